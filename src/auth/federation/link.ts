/** Which account an identity elsewhere opens: by issuer and subject that were proven, never by e-mail address. */
import { poolNamed } from '../../platform/database/pool.ts';
import { inTransaction, type Run } from '../../platform/database/transaction.ts';
import { accountById, lockAccount, type Account } from '../accounts/account.ts';
import type { Person } from '../accounts/actor.ts';
import { demandWayIn } from '../accounts/ways-in.ts';
import { writeTo } from '../mail/mail.ts';
import type { AuthParts } from '../parts.ts';
import { endEverything } from '../session/end.ts';
import { failure } from './failure.ts';

/** @see https://openid.net/specs/openid-connect-core-1_0.html#ClaimStability */
export interface Identity {
  /** Who vouches for it: the provider's issuer, or the EHR with its issuer (`ehrIssuer`). */
  readonly issuer: string;
  readonly subject: string;
}

const tagOf = ({ keys }: AuthParts, { issuer, subject }: Identity): string =>
  keys.tag('auth_upstream.subject', `${issuer} ${subject}`);

/** One EHR's word counts for its own launches only: it could otherwise pass off somebody as a user of another. */
export const ehrIssuer = (fhirBase: string, issuer: string): string => `ehr ${fhirBase} ${issuer}`;

/** The account that an identity opens; undefined: none yet. @throws FederationFailure `account` when it is disabled */
export async function accountLinkedTo(parts: AuthParts, identity: Identity): Promise<Account | undefined> {
  const { rows } = await poolNamed(
    parts.pool,
    `select account_id from auth_upstream where issuer = $1 and subject_tag = $2`,
    [identity.issuer, tagOf(parts, identity)],
  );
  const id = rows[0]?.[0];
  const account = id === null || id === undefined ? undefined : await accountById(parts, id);
  if (account && account.status !== 'active') throw failure('account');
  return account;
}

/** @throws FederationFailure `taken` when it opens another account */
export async function linkIn(run: Run, parts: AuthParts, accountId: string, identity: Identity): Promise<void> {
  const { rows } = await run(
    // An update that changes nothing, so that the row that is there comes back too.
    `insert into auth_upstream (issuer, subject_tag, account_id, created_at) values ($1, $2, $3, to_timestamp($4))
     on conflict (issuer, subject_tag) do update set account_id = auth_upstream.account_id returning account_id`,
    [identity.issuer, tagOf(parts, identity), accountId, parts.clock.now() / 1000],
  );
  if (rows[0]?.[0] !== accountId) throw failure('taken');
}

const pageOf = ({ publicUrl }: AuthParts): string => `${publicUrl}/account/providers`;

/** Links, and tells the owner of the account. @throws FederationFailure `taken` */
export const linkIdentity = (parts: AuthParts, account: Account, identity: Identity): Promise<void> =>
  inTransaction(parts.pool, async (run) => {
    await linkIn(run, parts, account.id, identity);
    await writeTo(parts, run, account, 'factor-added', { factor: 'provider', account: pageOf(parts) });
  });

export interface LinkedIdentity {
  readonly issuer: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

/** What opens an account besides its own password and passkeys. */
export async function identitiesOf(parts: AuthParts, accountId: string): Promise<readonly LinkedIdentity[]> {
  const { rows } = await poolNamed(
    parts.pool,
    `select issuer, min(extract(epoch from created_at)) * 1000 from auth_upstream where account_id = $1 group by issuer order by issuer`,
    [accountId],
  );
  return rows.map(([issuer, since]) => ({ issuer: issuer ?? '', since: Math.round(Number(since)) }));
}

/** Other sessions end, and what apps were granted: whoever had that identity may have begun them. @throws Refusal `last` when it would leave no way in */
export async function unlinkIdentities(parts: AuthParts, { account, session }: Person, issuer: string): Promise<void> {
  await inTransaction(parts.pool, async (run) => {
    await lockAccount(run, parts, account.id);
    await demandWayIn(run, account.id, { issuer });
    const { rowCount } = await run(`delete from auth_upstream where account_id = $1 and issuer = $2`, [
      account.id,
      issuer,
    ]);
    if (rowCount === 0) return;
    await endEverything(run, parts, account.id, session.uid);
    await writeTo(parts, run, account, 'factor-removed', { factor: 'provider', account: pageOf(parts) });
  });
}
