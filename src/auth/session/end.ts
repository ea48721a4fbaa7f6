/** Where a person is signed in, and signing out: with a session ends what hangs on it. */
import { poolNamed } from '../../platform/database/pool.ts';
import { inTransaction, type Run } from '../../platform/database/transaction.ts';
import { secretHash } from '../../platform/keys.ts';
import { isRowId } from '../accounts/account.ts';
import { hasSecondFactor } from '../mfa/factors.ts';
import type { AuthParts } from '../parts.ts';

/** A session in the list of its account. Times are milliseconds since the epoch. */
export interface ListedSession {
  readonly uid: string;
  /** `Firefox on Windows`; may be empty. */
  readonly device: string;
  readonly startedAt: number;
  readonly lastSeenAt: number;
  /** It lacks the second factor that the account has: good for nothing else than showing it. */
  readonly isHalfWay: boolean;
}

/** Sessions of an account that live, the one used last first. */
export async function listSessions(parts: AuthParts, accountId: string): Promise<readonly ListedSession[]> {
  const asksForMore = await hasSecondFactor(parts, accountId);
  const { rows } = await poolNamed(
    parts.pool,
    `select uid, device, extract(epoch from created_at) * 1000, extract(epoch from last_seen_at) * 1000, 'mfa' = any(amr) from auth_session
     where account_id = $1 and ended_at is null and expires_at > to_timestamp($2)
       and last_seen_at + make_interval(secs => idle_seconds) > to_timestamp($2)
     order by last_seen_at desc, uid`,
    [accountId, parts.clock.now() / 1000],
  );
  return rows.map(([uid, device, started, seen, complete]) => ({
    uid: uid ?? '',
    device: device ?? '',
    startedAt: Math.round(Number(started)),
    lastSeenAt: Math.round(Number(seen)),
    isHalfWay: asksForMore && complete !== 't',
  }));
}

/** Ends what apps were granted: their tokens are worth nothing any more. */
async function endGrants(run: Run, grantIds: readonly string[]): Promise<void> {
  if (grantIds.length === 0) return;
  await run(`delete from auth_oidc where grant_id = any($1) or (model = 'Grant' and id_hash = any($2))`, [
    grantIds,
    [...grantIds, ...grantIds.map(secretHash)],
  ]);
  await run(`delete from auth_smart_context where grant_id = any($1)`, [grantIds]);
}

const ids = (rows: readonly (readonly (string | null)[])[]): string[] =>
  rows.flatMap(([id]) => (id === null || id === undefined ? [] : [id]));

/** Ends these sessions, what apps were granted only for their duration, and connections to EHRs. */
async function end(run: Run, parts: AuthParts, condition: string, values: readonly unknown[]): Promise<number> {
  const ended = ids(
    (
      await run(
        `update auth_session set ended_at = to_timestamp($1) where ended_at is null and ${condition} returning uid`,
        [parts.clock.now() / 1000, ...values],
      )
    ).rows,
  );
  if (ended.length === 0) return 0;
  await endGrants(
    run,
    ids((await run(`select grant_id from auth_smart_context where session_uid = any($1)`, [ended])).rows),
  );
  await run(`delete from auth_ehr_connection where session_uid = any($1)`, [ended]);
  return ended.length;
}

export async function endSession(parts: AuthParts, uid: string): Promise<void> {
  await inTransaction(parts.pool, (run) => end(run, parts, 'uid = $2', [uid]));
}

/** "Sign out there": ends one session of this account. @returns whether it was one that had not ended */
export async function endSessionOf(parts: AuthParts, accountId: string, uid: string): Promise<boolean> {
  if (!isRowId(uid)) return false;
  return (
    (await inTransaction(parts.pool, (run) => end(run, parts, 'account_id = $2 and uid = $3', [accountId, uid]))) > 0
  );
}

/** Ends all sessions of an account but one. @returns how many */
export function endOtherSessions(parts: AuthParts, accountId: string, keptUid: string): Promise<number> {
  return inTransaction(parts.pool, (run) => end(run, parts, 'account_id = $2 and uid <> $3', [accountId, keptUid]));
}

/** Ends all sessions of an account. @returns how many */
export function endSessions(parts: AuthParts, accountId: string): Promise<number> {
  return inTransaction(parts.pool, (run) => end(run, parts, 'account_id = $2', [accountId]));
}

/**
 * For when somebody else may have had the account: ends its sessions but one, and everything that apps were granted but for that one, for good
 * (`offline_access`) too. @param keptUid undefined: none is kept
 */
export async function endEverything(run: Run, parts: AuthParts, accountId: string, keptUid?: string): Promise<void> {
  await end(run, parts, 'account_id = $2 and uid is distinct from $3', [accountId, keptUid ?? null]);
  await endGrants(
    run,
    ids(
      (
        await run(
          `select grant_id from auth_smart_context where account_id = $1 and ($2::text is null or session_uid is distinct from $2)`,
          [accountId, keptUid ?? null],
        )
      ).rows,
    ),
  );
}
