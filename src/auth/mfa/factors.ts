/** Which second factors an account has. */
import { poolNamed } from '../../platform/database/pool.ts';
import type { Run } from '../../platform/database/transaction.ts';
import type { AuthParts } from '../parts.ts';

export interface Factors {
  readonly totp: boolean;
  readonly passkeys: number;
  /** Recovery codes that were not used yet. */
  readonly recoveryCodes: number;
  /** Of a demo account: asked for none while the server is a demo on this machine. */
  readonly exempt: boolean;
}

const NONE: Factors = { totp: false, passkeys: 0, recoveryCodes: 0, exempt: false };

export const factorsOf = (parts: AuthParts, accountId: string): Promise<Factors> =>
  factorsIn((text, values) => poolNamed(parts.pool, text, values), accountId);

/** As a transaction sees them. */
export async function factorsIn(run: Run, accountId: string): Promise<Factors> {
  const { rows } = await run(
    `select exists (select from auth_totp t where t.account_id = a.id and t.confirmed_at is not null),
       (select count(*) from auth_passkey p where p.account_id = a.id),
       (select count(*) from auth_recovery_code r where r.account_id = a.id and r.used_at is null), a.mfa_exempt
     from auth_account a where a.id = $1`,
    [accountId],
  );
  const row = rows[0];
  if (!row) return NONE;
  return { totp: row[0] === 't', passkeys: Number(row[1]), recoveryCodes: Number(row[2]), exempt: row[3] === 't' };
}

/** Recovery codes are none: they only stand in for a lost one. */
export const hasFactor = ({ totp, passkeys }: Factors): boolean => totp || passkeys > 0;

export const hasSecondFactor = async (parts: AuthParts, accountId: string): Promise<boolean> =>
  hasFactor(await factorsOf(parts, accountId));
