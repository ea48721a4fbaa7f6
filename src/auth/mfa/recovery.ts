/** Recovery codes: ten, each good once, for who has lost the second factor. @see https://pages.nist.gov/800-63-4/sp800-63b.html */
import { randomBytes } from 'node:crypto';
import { poolNamed } from '../../platform/database/pool.ts';
import { inTransaction, type Run } from '../../platform/database/transaction.ts';
import { secretHash } from '../../platform/keys.ts';
import type { Account } from '../accounts/account.ts';
import type { Person } from '../accounts/actor.ts';
import { readableCode, typedCode } from '../accounts/code.ts';
import { writeTo } from '../mail/mail.ts';
import type { AuthParts } from '../parts.ts';
import { refuse } from '../refusal.ts';
import { factorsOf, hasFactor } from './factors.ts';
import { demandMfa, demandStepUp } from './policy.ts';

const CODES = 10;
/** 120 bits: so many that a plain digest of them can be stored. */
const BYTES = 15;

const linkTo = ({ publicUrl }: Pick<AuthParts, 'publicUrl'>): string => `${publicUrl}/account`;

/** With the last factor goes what stood in for it. */
export async function dropCodes(run: Run, accountId: string): Promise<void> {
  await run(`delete from auth_recovery_code where account_id = $1`, [accountId]);
}

/** A new set in place of the old one. @returns the codes, to be shown once */
export async function replaceCodes(run: Run, accountId: string): Promise<readonly string[]> {
  const codes = Array.from({ length: CODES }, () => readableCode(randomBytes(BYTES)));
  await dropCodes(run, accountId);
  await run(`insert into auth_recovery_code (account_id, code_hash) select $1, unnest($2::text[])`, [
    accountId,
    codes.map((code) => secretHash(typedCode(code))),
  ]);
  return codes;
}

/** @throws Refusal `session`, `step-up`, `forbidden` when there is no factor that they could stand in for */
export async function renewRecoveryCodes(parts: AuthParts, { account, session }: Person): Promise<readonly string[]> {
  await demandMfa(parts, account, session);
  demandStepUp(parts, session);
  if (!hasFactor(await factorsOf(parts, account.id))) throw refuse('forbidden');
  return inTransaction(parts.pool, async (run) => {
    const codes = await replaceCodes(run, account.id);
    await writeTo(parts, run, account, 'recovery-codes-renewed', { account: linkTo(parts) });
    return codes;
  });
}

/** @returns whether it was one that had not been used: of two who try at once only one has it */
export async function useRecoveryCode(parts: AuthParts, account: Account, typed: string): Promise<boolean> {
  const { rowCount } = await poolNamed(
    parts.pool,
    `update auth_recovery_code set used_at = to_timestamp($3) where account_id = $1 and code_hash = $2 and used_at is null`,
    [account.id, secretHash(typedCode(typed)), parts.clock.now() / 1000],
  );
  if (rowCount === 0) return false;
  const { recoveryCodes: left } = await factorsOf(parts, account.id);
  await inTransaction(parts.pool, (run) =>
    writeTo(parts, run, account, 'recovery-code-used', { left, account: linkTo(parts) }),
  );
  return true;
}
