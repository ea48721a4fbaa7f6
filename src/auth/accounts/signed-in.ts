/** What follows whenever somebody has proven who they are. */
import { poolNamed } from '../../platform/database/pool.ts';
import { inTransaction } from '../../platform/database/transaction.ts';
import { writeTo } from '../mail/mail.ts';
import { mfaSatisfied, type MfaState } from '../mfa/policy.ts';
import type { AuthParts } from '../parts.ts';
import { refuse } from '../refusal.ts';
import { deviceLabel } from '../session/device.ts';
import { rememberDevice } from '../session/known-device.ts';
import { endSession, rotateSession, sessionOf, startSession, type Session, type Started } from '../session/session.ts';
import type { Account } from './account.ts';
import type { Person } from './actor.ts';
import type { Browser } from './browser.ts';

export interface SignedIn {
  readonly session: Session;
  readonly account: Account;
  /** Where to go on: only `ok` is signed in. */
  readonly mfa: MfaState;
  /** Set-Cookie values. */
  readonly cookies: readonly string[];
}

/** @throws Refusal `session` when the session has ended meanwhile */
async function finish(
  parts: AuthParts,
  account: Account,
  started: Started | undefined,
  browser: Browser,
): Promise<SignedIn> {
  if (!started) throw refuse('session');
  const { session, cookie } = started;
  const mfa = await mfaSatisfied(parts, account, session);
  const { id: accountId, roles } = account;
  await parts.observe({ kind: 'signed-in', accountId, roles, amr: session.amr, address: browser.source });
  if (mfa !== 'ok') return { session, account, mfa, cookies: [cookie] };
  const remembered = await rememberDevice(parts, account.id, browser.cookieHeader);
  if (remembered.isNew) {
    const device = deviceLabel(browser.userAgent);
    await inTransaction(parts.pool, (run) =>
      writeTo(parts, run, account, 'new-device', { device, account: `${parts.publicUrl}/account/sessions` }),
    );
  }
  await poolNamed(parts.pool, `update auth_account set last_login_at = to_timestamp($2) where id = $1`, [
    account.id,
    parts.clock.now() / 1000,
  ]);
  return { session, account, mfa, cookies: [cookie, remembered.cookie] };
}

/** A new session; the one that the browser had before ends, whosever it was. */
export async function beginSession(
  parts: AuthParts,
  account: Account,
  amr: readonly string[],
  browser: Browser,
): Promise<SignedIn> {
  const before = await sessionOf(parts, browser.cookieHeader);
  if (before) await endSession(parts, before.uid);
  return finish(
    parts,
    account,
    await startSession(parts, account, { amr, device: deviceLabel(browser.userAgent) }),
    browser,
  );
}

/** The session goes on under a new id, with what was proven now. */
export const raiseSession = async (
  parts: AuthParts,
  { account, session }: Person,
  amr: readonly string[],
  browser: Browser,
): Promise<SignedIn> => finish(parts, account, await rotateSession(parts, session, account, amr), browser);
