/** Begins our session for somebody whom a remote side has vouched for. */
import { poolNamed } from '../../platform/database/pool.ts';
import type { Account } from '../accounts/account.ts';
import type { Browser } from '../accounts/browser.ts';
import { beginSession, raiseSession, type SignedIn } from '../accounts/signed-in.ts';
import type { AuthParts } from '../parts.ts';
import { STEP_UP_SECONDS } from '../session/limits.ts';
import { nowSeconds, type Session } from '../session/session.ts';
import type { Proven } from './code-flow.ts';

const isFresh = (parts: AuthParts, { authTime }: Proven): boolean =>
  authTime !== undefined && nowSeconds(parts) - authTime <= STEP_UP_SECONDS;

/**
 * A session of the same account goes on under a new id; one of another account ends. The remote side may have known the person for hours, so
 * only a fresh proof there counts for the sensitive acts here, and the time of signing in is that of there: unknown is long ago, so that
 * `prompt=login` and `max_age` of an app are not met by it.
 */
export async function enter(
  parts: AuthParts,
  account: Account,
  proven: Proven,
  before: Session | undefined,
  browser: Browser,
): Promise<SignedIn> {
  const amr = proven.mfa ? ['fed', 'mfa'] : ['fed'];
  const same = before?.accountId === account.id ? before : undefined;
  const signedIn = same
    ? await raiseSession(parts, { account, session: same }, amr, browser)
    : await beginSession(parts, account, amr, browser);
  const { session } = signedIn;
  const stepUpAt = isFresh(parts, proven) ? session.stepUpAt : same?.stepUpAt;
  const authTime = Math.max(
    0,
    Math.min(Math.floor(nowSeconds(parts)), Math.floor(proven.authTime ?? same?.authTime ?? 0)),
  );
  await poolNamed(
    parts.pool,
    `update auth_session set auth_time = to_timestamp($2::float8), step_up_at = to_timestamp($3::float8) where uid = $1`,
    [session.uid, authTime, stepUpAt ?? null],
  );
  return { ...signedIn, session: { ...session, authTime, stepUpAt } };
}
