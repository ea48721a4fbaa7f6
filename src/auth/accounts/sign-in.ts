/** Signing in by address and password. Whatever is wrong, the answer is the same and takes the same time. */
import { poolNamed } from '../../platform/database/pool.ts';
import { spendGuess } from '../attempts.ts';
import type { AuthParts } from '../parts.ts';
import { Refusal, refuse } from '../refusal.ts';
import { knownDevice } from '../session/known-device.ts';
import { accountByEmail, accountById, emailTag, type Account } from './account.ts';
import type { Person } from './actor.ts';
import type { Browser } from './browser.ts';
import { normaliseEmail } from './email.ts';
import { beginSession, raiseSession, type SignedIn } from './signed-in.ts';

async function storedHash({ pool }: AuthParts, accountId: string | undefined): Promise<string | undefined> {
  const { rows } = await poolNamed(pool, `select password_hash from auth_account where id = $1`, [accountId ?? '']);
  return rows[0]?.[0] ?? undefined;
}

/**
 * Counts the guess, and compares. A hash that is no longer made that way is made anew.
 * @throws Refusal `limited`, `busy`, `credentials`
 */
async function demandPassword(
  parts: AuthParts,
  account: Account | undefined,
  who: string,
  password: string,
  browser: Browser,
): Promise<Account> {
  const device = await knownDevice(parts, account?.id, browser.cookieHeader);
  const spent = await spendGuess(parts, 'password', who, { source: browser.source, device });
  const stored = await storedHash(parts, account?.id);
  const verified = await parts.passwords.verify(password, stored).catch(async (error: unknown) => {
    // Nothing was compared.
    await spent.refund();
    throw error;
  });
  if (verified === 'wrong' || account?.status !== 'active') throw refuse('credentials');
  await spent.refund();
  if (verified === 'outdated') {
    await poolNamed(parts.pool, `update auth_account set password_hash = $2 where id = $1 and password_hash = $3`, [
      account.id,
      await parts.passwords.hash(password),
      stored,
    ]);
  }
  return account;
}

/**
 * @returns the session begun; it may still lack its second factor (`mfa`)
 * @throws Refusal `credentials`, `limited`, `busy`
 */
export async function signIn(
  parts: AuthParts,
  { email, password, ...browser }: Browser & { readonly email: string; readonly password: string },
): Promise<SignedIn> {
  const account = await accountByEmail(parts, email);
  // One budget for all ways to write an address.
  const who = emailTag(parts, normaliseEmail(email) ?? email.slice(0, 320));
  return beginSession(parts, await demandPassword(parts, account, who, password, browser), ['pwd'], browser);
}

/**
 * Who is signed in proves the password again: the step-up of accounts without a factor.
 * @throws Refusal `credentials`, `limited`, `busy`, `session`
 */
export async function proveByPassword(
  parts: AuthParts,
  { password, person, ...browser }: Browser & { readonly password: string; readonly person: Person },
): Promise<SignedIn> {
  await checkPassword(parts, { password, person, ...browser });
  return raiseSession(parts, person, ['pwd'], browser);
}

/** As above, and the session stays as it is. */
export async function checkPassword(
  parts: AuthParts,
  { password, person, ...browser }: Browser & { readonly password: string; readonly person: Person },
): Promise<void> {
  const account = await accountById(parts, person.account.id);
  const tag = emailTag(parts, account?.email ?? person.account.email);
  await demandPassword(parts, account, tag, password, browser).catch((error: unknown) => {
    // Whose account it is is known here.
    throw error instanceof Refusal && error.code === 'credentials' ? refuse('wrong-password') : error;
  });
}
