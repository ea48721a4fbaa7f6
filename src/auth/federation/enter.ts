/** Begins our session for somebody whom a remote side has vouched for. */
import { poolNamed } from '../../platform/database/pool.ts';
import type { Account } from '../accounts/account.ts';
import type { AuthParts } from '../parts.ts';
import { STEP_UP_SECONDS } from '../session/limits.ts';
import { endSession, nowSeconds, rotateSession, startSession, type Session, type Started } from '../session/session.ts';
import type { Proven } from './code-flow.ts';

/**
 * A session of the same account goes on under a new id; one of another account ends. The remote side may have known the person for hours, so
 * only a fresh proof there counts for the sensitive acts here.
 * @param device label of the browser
 */
export async function enter(
  parts: AuthParts,
  account: Account,
  proven: Proven,
  before: Session | undefined,
  device: string,
): Promise<Started> {
  const amr = proven.mfa ? ['fed', 'mfa'] : ['fed'];
  const same = before?.accountId === account.id ? before : undefined;
  if (before && !same) await endSession(parts, before.uid);
  const started =
    (same && (await rotateSession(parts, same, account, amr))) ?? (await startSession(parts, account, { amr, device }));
  const isFresh = proven.authTime !== undefined && nowSeconds(parts) - proven.authTime <= STEP_UP_SECONDS;
  if (isFresh || started.session.stepUpAt === undefined) return started;
  const stepUpAt = same?.stepUpAt;
  await poolNamed(parts.pool, `update auth_session set step_up_at = to_timestamp($2::float8) where uid = $1`, [
    started.session.uid,
    stepUpAt ?? null,
  ]);
  return { ...started, session: { ...started.session, stepUpAt } };
}
