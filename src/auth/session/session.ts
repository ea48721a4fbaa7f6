/**
 * Sessions of people in our pages. They live in the database: the cookie holds a secret whose hash finds the row. All times are seconds
 * since the epoch. @see https://cheatsheetseries.owasp.org/cheatsheets/Session_Management_Cheat_Sheet.html
 */
import type { Reply } from '../../platform/database/named-query.ts';
import { poolNamed } from '../../platform/database/pool.ts';
import { newId } from '../../platform/id.ts';
import { newSecret, secretHash } from '../../platform/keys.ts';
import type { Account } from '../accounts/account.ts';
import { hasSecondFactor } from '../mfa/factors.ts';
import type { AuthParts } from '../parts.ts';
import { cookieValue, setCookie } from './cookies.ts';
import { HALF_WAY_SECONDS, limitsOf, STEP_UP_SECONDS } from './limits.ts';

export interface Session {
  /** Stays the same for the life of the session; no secret. */
  readonly uid: string;
  readonly accountId: string;
  readonly authTime: number;
  /** When identity was last proven with all that the account has; undefined: not yet. */
  readonly stepUpAt: number | undefined;
  /** How: `pwd`, `otp`, `pop` (passkey), `user`, `fed` (another provider), `mfa`. @see https://www.rfc-editor.org/rfc/rfc8176 */
  readonly amr: readonly string[];
  readonly idleEndsAt: number;
  readonly endsAt: number;
}

export const nowSeconds = ({ clock }: Pick<AuthParts, 'clock'>): number => clock.now() / 1000;

const COLUMNS = `s.uid, s.account_id, floor(extract(epoch from s.auth_time)), floor(extract(epoch from s.step_up_at)), to_json(s.amr),
  extract(epoch from s.last_seen_at + make_interval(secs => s.idle_seconds)), extract(epoch from s.expires_at)`;

/** $1 is the present moment in seconds. */
const LIVES = `s.ended_at is null and s.expires_at > to_timestamp($1) and s.last_seen_at + make_interval(secs => s.idle_seconds) > to_timestamp($1)`;

const toSession = (row: Reply['rows'][number]): Session => ({
  uid: row[0] ?? '',
  accountId: row[1] ?? '',
  authTime: Number(row[2]),
  stepUpAt: row[3] === null || row[3] === undefined ? undefined : Number(row[3]),
  amr: JSON.parse(row[4] ?? '[]') as string[],
  idleEndsAt: Math.min(Number(row[5]), Number(row[6])),
  endsAt: Number(row[6]),
});

/** The session that a request's cookies belong to, as long as it lives and its account is active. Looking does not count as activity. */
export async function sessionOf(parts: AuthParts, cookieHeader: string | undefined): Promise<Session | undefined> {
  const secret = cookieValue(parts, cookieHeader, 'sid');
  if (secret === undefined) return undefined;
  const { rows } = await poolNamed(
    parts.pool,
    `select ${COLUMNS} from auth_session s join auth_account a on a.id = s.account_id
     where s.id_hash = $2 and ${LIVES} and a.status = 'active'`,
    [nowSeconds(parts), secretHash(secret)],
  );
  return rows[0] && toSession(rows[0]);
}

export interface Started {
  readonly session: Session;
  /** Value of a Set-Cookie header. */
  readonly cookie: string;
}

/**
 * Begins a session for whoever has just proven to be this account. Without the second factor that the account has, it is a session half-way:
 * short, and good for the second factor only (`mfaSatisfied`).
 */
export async function startSession(
  parts: AuthParts,
  account: Pick<Account, 'id' | 'roles'>,
  how: { readonly amr: readonly string[]; readonly device: string },
): Promise<Started> {
  const secret = newSecret();
  const complete = how.amr.includes('mfa') || !(await hasSecondFactor(parts, account.id));
  const { idleSeconds, absoluteSeconds } = limitsOf(account);
  const now = nowSeconds(parts);
  const { rows } = await poolNamed(
    parts.pool,
    `insert into auth_session as s (uid, id_hash, account_id, created_at, last_seen_at, idle_seconds, expires_at, auth_time, step_up_at, amr, device)
     values ($2, $3, $4, to_timestamp($1), to_timestamp($1), $5, to_timestamp($1) + make_interval(secs => $6), to_timestamp($1),
             case when $7 then to_timestamp($1) end, $8, $9)
     returning ${COLUMNS}`,
    [
      now,
      newId(),
      secretHash(secret),
      account.id,
      complete ? idleSeconds : HALF_WAY_SECONDS,
      complete ? absoluteSeconds : HALF_WAY_SECONDS,
      complete,
      how.amr,
      how.device.slice(0, 80),
    ],
  );
  return { session: toSession(rows[0] ?? []), cookie: setCookie(parts, 'sid', secret) };
}

/** Proofs that a sign-in can begin with. */
const FIRST: ReadonlySet<string> = new Set(['pwd', 'pop', 'fed']);

/**
 * Gives a session a new id after a rise of privilege: the cookie of before is worth nothing.
 * @param amr what was proven now
 * @returns undefined when the session has ended meanwhile
 */
export async function rotateSession(
  parts: AuthParts,
  session: Session,
  account: Pick<Account, 'id' | 'roles'>,
  amr: readonly string[],
): Promise<Started | undefined> {
  const secret = newSecret();
  const proven = [...new Set([...session.amr, ...amr])];
  const complete = amr.includes('mfa') || !(await hasSecondFactor(parts, account.id));
  const { idleSeconds, absoluteSeconds } = limitsOf(account);
  const { rows } = await poolNamed(
    parts.pool,
    // A session half-way that is completed now gets its full time, counted from its beginning.
    `update auth_session s set id_hash = $3, amr = $4, last_seen_at = to_timestamp($1),
       auth_time = case when $8 then to_timestamp($1) else s.auth_time end,
       step_up_at = case when $5 then to_timestamp($1) else s.step_up_at end,
       idle_seconds = case when $5 then $6 else s.idle_seconds end,
       expires_at = case when $5 then s.created_at + make_interval(secs => $7) else s.expires_at end
     where s.uid = $2 and ${LIVES} returning ${COLUMNS}`,
    [
      nowSeconds(parts),
      session.uid,
      secretHash(secret),
      proven,
      complete,
      idleSeconds,
      absoluteSeconds,
      amr.some((a) => FIRST.has(a)),
    ],
  );
  return rows[0] && { session: toSession(rows[0]), cookie: setCookie(parts, 'sid', secret) };
}

/** Whether identity was proven so recently that the sensitive acts are allowed. */
export function isSteppedUp(parts: Pick<AuthParts, 'clock'>, session: Session): boolean {
  return session.stepUpAt !== undefined && nowSeconds(parts) - session.stepUpAt <= STEP_UP_SECONDS;
}

const TOUCH_SECONDS = 30;
const REMEMBERED = 10_000;
/** When this process last wrote the activity of a session, in seconds. */
const touched = new WeakMap<AuthParts, Map<string, number>>();

/** Notes activity, at most every 30 seconds. A session that has ended stays ended. */
export async function touchSession(parts: AuthParts, uid: string): Promise<void> {
  const now = nowSeconds(parts);
  let times = touched.get(parts);
  if (!times) touched.set(parts, (times = new Map()));
  const last = times.get(uid);
  if (last !== undefined && now >= last && now - last < TOUCH_SECONDS) return;
  if (times.size >= REMEMBERED) times.clear();
  times.set(uid, now);
  await poolNamed(
    parts.pool,
    `update auth_session s set last_seen_at = to_timestamp($1)
     where s.uid = $2 and ${LIVES} and s.last_seen_at < to_timestamp($1) - make_interval(secs => $3)`,
    [now, uid, TOUCH_SECONDS],
  );
}

/** Asked for by the person: activity at once. @returns undefined when the session has ended */
export async function extendSession(parts: AuthParts, uid: string): Promise<Session | undefined> {
  const { rows } = await poolNamed(
    parts.pool,
    `update auth_session s set last_seen_at = greatest(s.last_seen_at, to_timestamp($1)) where s.uid = $2 and ${LIVES} returning ${COLUMNS}`,
    [nowSeconds(parts), uid],
  );
  return rows[0] && toSession(rows[0]);
}

export interface SessionLeft {
  /** Until it ends unless there is activity, in whole seconds. */
  readonly idleSeconds: number;
  /** Until it ends in any case. */
  readonly absoluteSeconds: number;
}

export function sessionLeft(parts: Pick<AuthParts, 'clock'>, session: Session): SessionLeft {
  const left = (end: number): number => Math.max(0, Math.floor(end - nowSeconds(parts)));
  return { idleSeconds: left(session.idleEndsAt), absoluteSeconds: left(session.endsAt) };
}

export { endSession } from './end.ts';
