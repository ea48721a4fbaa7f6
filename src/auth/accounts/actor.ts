/** Who changes accounts of others: a person with rights, or the operator at the command line. */
import type { Run } from '../../platform/database/transaction.ts';
import { demandMfa, demandStepUp } from '../mfa/policy.ts';
import type { AuthParts } from '../parts.ts';
import { refuse } from '../refusal.ts';
import type { Session } from '../session/session.ts';
import type { Account, Role } from './account.ts';

/** A person at their browser. */
export interface Person {
  readonly account: Account;
  readonly session: Session;
}

/** `operator`: whoever may run commands on the server may do everything. */
export type Actor = Person | 'operator';

/** What is written down of it. */
export const nameOf = (actor: Actor): string => (actor === 'operator' ? 'operator' : actor.account.id);

/** @throws Refusal unless the actor has one of these roles, and has proven who they are within ten minutes */
export async function demandActor(parts: AuthParts, actor: Actor, roles: readonly Role[]): Promise<void> {
  if (actor === 'operator') return;
  if (actor.account.status !== 'active' || !actor.account.roles.some((r) => roles.includes(r)))
    throw refuse('forbidden');
  await demandMfa(parts, actor.account, actor.session);
  demandStepUp(parts, actor.session);
}

/** What somebody handed out is worth something only as long as they may hand it out. @throws Refusal `ticket` */
export async function demandIssuer(run: Run, by: unknown, roles: readonly Role[]): Promise<void> {
  if (by === 'operator') return;
  const { rows } = await run(
    `select 1 from auth_account where id = $1 and status = 'active' and roles && $2::text[] for share`,
    [typeof by === 'string' ? by : '', roles],
  );
  if (rows.length === 0) throw refuse('ticket');
}
