/** Forgets what of identity has expired, table by table and some rows at a time. */
import { poolNamed } from '../platform/database/pool.ts';
import { sweepMail } from './mail/deliver.ts';
import type { AuthParts } from './parts.ts';

const BATCH = 2_000;
const MAIL_DAYS = 30;

/** What of a table may go. Sessions stay a while for those who look for them. */
const GONE: Readonly<Record<string, string>> = {
  // The library's clock may be some seconds behind.
  auth_oidc: `expires_at < now() - interval '2 minutes'`,
  auth_ticket: `expires_at < now() - interval '1 day'`,
  auth_flow: `expires_at < now()`,
  // A launch that was used is read until its consent.
  auth_launch: `expires_at < now() - interval '1 hour'`,
  auth_attempt: `expires_at < now()`,
  auth_known_device: `expires_at < now()`,
  auth_session: `coalesce(ended_at, least(expires_at, last_seen_at + make_interval(secs => idle_seconds))) < now() - interval '1 day'`,
};

/** Grants that can give no token any more: nothing hangs on them, or the session they hang on is over. */
const IDLE_GRANTS = `with idle as (
    select g.id_hash from auth_oidc g
    left join auth_smart_context c on c.grant_id = g.id_hash
    left join auth_session s on s.uid = c.session_uid
    where g.model = 'Grant' and to_timestamp((g.payload ->> 'iat')::float8) < now() - interval '1 hour'
      and (not exists (select from auth_oidc t where t.grant_id = g.id_hash and t.expires_at > now())
        or (c.session_uid is not null and (s.uid is null or s.ended_at is not null)))
    limit ${BATCH}),
  tokens as (delete from auth_oidc where grant_id in (select id_hash from idle)),
  contexts as (delete from auth_smart_context where grant_id in (select id_hash from idle))
  delete from auth_oidc where model = 'Grant' and id_hash in (select id_hash from idle)`;

const ORPHANED_CONTEXTS = `delete from auth_smart_context c where created_at < now() - interval '1 hour'
  and not exists (select from auth_oidc g where g.model = 'Grant' and g.id_hash = c.grant_id)`;

/** @returns how many rows went */
export async function sweepIdentity({ pool }: Pick<AuthParts, 'pool'>, signal: AbortSignal): Promise<number> {
  const statements = [
    ...Object.entries(GONE).map(
      ([table, gone]) =>
        `delete from ${table} where ctid = any(array(select ctid from ${table} where ${gone} limit ${BATCH}))`,
    ),
    IDLE_GRANTS,
    ORPHANED_CONTEXTS,
  ];
  let total = await sweepMail({ pool }, MAIL_DAYS);
  for (const statement of statements) {
    for (let count = BATCH; count >= BATCH && !signal.aborted;) {
      count = (await poolNamed(pool, statement)).rowCount;
      total += count;
    }
  }
  return total;
}
