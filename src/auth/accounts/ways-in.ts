/** By what an account can be opened: the last of it is not taken away. */
import type { Run } from '../../platform/database/transaction.ts';
import { refuse } from '../refusal.ts';

/** What is about to go. */
export interface Without {
  /** Id of a passkey. */
  readonly passkey?: string;
  /** Identities elsewhere that this issuer vouches for. */
  readonly issuer?: string;
}

/**
 * Counts the password, passkeys that can sign in alone, and other providers. An EHR opens no session by itself: it is none.
 * @param run of a transaction that holds the account (`lockAccount`)
 * @throws Refusal `last` when nothing would be left
 */
export async function demandWayIn(run: Run, accountId: string, without: Without): Promise<void> {
  const { rows } = await run(
    `select 1 from auth_account a where a.id = $1 and (a.password_hash is not null
       or exists (select from auth_passkey p where p.account_id = a.id and p.user_verified and p.id is distinct from $2)
       or exists (select from auth_upstream u where u.account_id = a.id and u.issuer is distinct from $3 and u.issuer not like 'ehr %'))`,
    [accountId, without.passkey ?? null, without.issuer ?? null],
  );
  if (rows.length === 0) throw refuse('last');
}
