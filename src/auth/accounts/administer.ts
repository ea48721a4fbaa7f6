/** What administrators and the operator change of other people's accounts. Nothing is deleted. */
import { inTransaction, type Run } from '../../platform/database/transaction.ts';
import { forgetGuesses } from '../attempts.ts';
import { writeTo } from '../mail/mail.ts';
import type { AuthParts } from '../parts.ts';
import { refuse } from '../refusal.ts';
import { endEverything } from '../session/end.ts';
import { accountById, emailTag, lockAccount, type Account, type Role, type StaffKind } from './account.ts';
import { demandActor, type Actor } from './actor.ts';
import { demandRoles } from './invite.ts';
import { resetLinkFor } from './reset.ts';

async function demandAccount(parts: AuthParts, actor: Actor, id: string): Promise<Account> {
  await demandActor(parts, actor, ['admin']);
  const account = await accountById(parts, id);
  if (!account) throw refuse('profile');
  return account;
}

/**
 * One after another, so that two administrators cannot remove each other.
 * @throws Refusal `last` when no active administrator would be left
 */
async function keepAnAdmin(run: Run, change: () => Promise<unknown>): Promise<void> {
  await run(`select pg_advisory_xact_lock(hashtext('auth_account administrators'))`);
  const admins = async (): Promise<number> =>
    Number(
      (await run(`select count(*) from auth_account where 'admin' = any(roles) and status = 'active'`)).rows[0]?.[0],
    );
  const before = await admins();
  await change();
  if (before > 0 && (await admins()) === 0) throw refuse('last');
}

/**
 * Sessions end, and so does what apps were granted: nobody agreed to what it would reach with the new rights. Only the operator makes administrators.
 * @throws Refusal `forbidden`, `session`, `step-up`, `roles`, `practitioner`, `last`, `profile` (no such account)
 */
export async function setRoles(
  parts: AuthParts,
  actor: Actor,
  id: string,
  { roles, staffKinds }: { readonly roles: readonly Role[]; readonly staffKinds: readonly StaffKind[] },
): Promise<void> {
  const account = await demandAccount(parts, actor, id);
  if (actor !== 'operator' && roles.includes('admin') && !account.roles.includes('admin')) throw refuse('forbidden');
  await inTransaction(parts.pool, async (run) => {
    const { profiles } = (await lockAccount(run, parts, id)) ?? account;
    demandRoles({ roles, staffKinds, profiles });
    await keepAnAdmin(run, () =>
      run(`update auth_account set roles = $2, staff_kinds = $3 where id = $1`, [
        id,
        [...new Set(roles)],
        [...new Set(staffKinds)],
      ]),
    );
    await endEverything(run, parts, id);
    await writeTo(parts, run, account, 'roles-changed', {});
  });
}

/** Nobody signs in to it any more; sessions and what apps were granted end at once. @throws as setRoles */
export async function disableAccount(parts: AuthParts, actor: Actor, id: string): Promise<void> {
  const account = await demandAccount(parts, actor, id);
  if (account.status === 'disabled') return;
  await inTransaction(parts.pool, async (run) => {
    await keepAnAdmin(run, () => run(`update auth_account set status = 'disabled' where id = $1`, [id]));
    await endEverything(run, parts, id);
    await writeTo(parts, run, account, 'disabled', {});
  });
}

/** @throws Refusal `forbidden`, `session`, `step-up`, `profile` (no such account) */
export async function enableAccount(parts: AuthParts, actor: Actor, id: string): Promise<void> {
  await demandAccount(parts, actor, id);
  await inTransaction(parts.pool, (run) => run(`update auth_account set status = 'active' where id = $1`, [id]));
}

/** For who has lost every factor and proved who they are in person. @throws as enableAccount */
export async function resetFactors(parts: AuthParts, actor: Actor, id: string): Promise<void> {
  const account = await demandAccount(parts, actor, id);
  await inTransaction(parts.pool, async (run) => {
    for (const table of ['auth_totp', 'auth_passkey', 'auth_recovery_code'])
      await run(`delete from ${table} where account_id = $1`, [id]);
    await endEverything(run, parts, id);
    await writeTo(parts, run, account, 'factors-reset', { reset: `${parts.publicUrl}/reset` });
  });
}

/** Forgets the wrong guesses of the day. @throws as enableAccount */
export async function unlockAccount(parts: AuthParts, actor: Actor, id: string): Promise<void> {
  const account = await demandAccount(parts, actor, id);
  await forgetGuesses(parts, [emailTag(parts, account.email), account.id]);
}

/** A link to a new password for the operator to hand over; good for 30 minutes. @throws as enableAccount */
export async function resetByOperator(parts: AuthParts, id: string): Promise<string> {
  await demandAccount(parts, 'operator', id);
  return inTransaction(parts.pool, (run) => resetLinkFor(run, parts, id));
}
