/** A new password by a mailed link. It ends whatever was begun with the old one, and leaves the second factor alone. @see https://cheatsheetseries.owasp.org/cheatsheets/Forgot_Password_Cheat_Sheet.html */
import { inTransaction, type Run } from '../../platform/database/transaction.ts';
import { secretHash } from '../../platform/keys.ts';
import { askerBudget, resetBudgets } from '../attempts.ts';
import { writeTo } from '../mail/mail.ts';
import type { AuthParts } from '../parts.ts';
import { refuse } from '../refusal.ts';
import { endEverything } from '../session/end.ts';
import { knownDevice } from '../session/known-device.ts';
import { sessionOf } from '../session/session.ts';
import { accountByEmail, accountById, emailTag, lockAccount, type Account } from './account.ts';
import type { Browser } from './browser.ts';
import { normaliseEmail } from './email.ts';
import { demandGoodPassword } from './password-rules.ts';
import { mayWrite } from './register.ts';
import { issueTicket, peekTicket, takeTicket } from './ticket.ts';

const LINK_SECONDS = 30 * 60;

const resetLink = ({ publicUrl }: AuthParts, ticket: string): string => `${publicUrl}/reset?ticket=${ticket}`;

/** A browser that the account is signed in from, or was before; undefined: a stranger's. */
async function ownBrowser(
  parts: AuthParts,
  accountId: string | undefined,
  cookieHeader: string | undefined,
): Promise<string | undefined> {
  const session = await sessionOf(parts, cookieHeader);
  const device = await knownDevice(parts, accountId, cookieHeader);
  return device ?? (accountId !== undefined && session?.accountId === accountId ? 'session' : undefined);
}

/** Mails a link if there is an account. @throws Refusal `email` (no address), `limited` */
export async function requestReset(
  parts: AuthParts,
  input: Pick<Browser, 'source'> & Partial<Pick<Browser, 'cookieHeader'>> & { readonly email: string },
): Promise<void> {
  const email = normaliseEmail(input.email);
  if (email === undefined) throw refuse('email');
  const { source, cookieHeader } = input;
  const found = await accountByEmail(parts, email);
  const device = await ownBrowser(parts, found?.id, cookieHeader);
  const asker = device === undefined ? [askerBudget('reset', source)] : [];
  if (!(await mayWrite(parts, asker, resetBudgets(emailTag(parts, email), { source, device })))) return;
  await inTransaction(parts.pool, async (run) => {
    // As it is now: after a change of address nothing more goes to the old one.
    const account = await lockAccount(run, parts, found?.id ?? '');
    if (account?.status !== 'active' || account.email !== email) {
      await issueTicket(run, parts, { kind: 'none', seconds: 0 });
      return;
    }
    await writeTo(parts, run, account, 'reset', { link: await resetLinkFor(run, parts, account.id) });
  });
}

/** A link for the operator to hand over. */
export async function resetLinkFor(run: Run, parts: AuthParts, accountId: string): Promise<string> {
  return resetLink(parts, await issueTicket(run, parts, { kind: 'reset', accountId, seconds: LINK_SECONDS }));
}

/**
 * Stores a new password, and ends what the old one began.
 * @param keptUid session that stays; undefined: none, and no browser is known any more
 */
export async function storePassword(
  run: Run,
  parts: AuthParts,
  account: Account,
  passwordHash: string,
  keptUid?: string,
): Promise<void> {
  const now = parts.clock.now() / 1000;
  await run(`update auth_account set password_hash = $2, password_changed_at = to_timestamp($3) where id = $1`, [
    account.id,
    passwordHash,
    now,
  ]);
  await run(
    `update auth_ticket set used_at = to_timestamp($2) where account_id = $1 and kind in ('reset', 'email') and used_at is null`,
    [account.id, now],
  );
  await endEverything(run, parts, account.id, keptUid);
  if (keptUid === undefined) await run(`delete from auth_known_device where account_id = $1`, [account.id]);
  await writeTo(parts, run, account, 'password-changed', { reset: `${parts.publicUrl}/reset` });
}

/** @throws Refusal `ticket`, `password-…`, `busy` */
export async function completeReset(
  parts: AuthParts,
  { ticket, password }: { readonly ticket: string; readonly password: string },
): Promise<void> {
  const { accountId } = (await peekTicket(parts, ['reset'], ticket)) ?? {};
  const account = accountId === undefined ? undefined : await accountById(parts, accountId);
  if (account?.status !== 'active') throw refuse('ticket');
  await demandGoodPassword(password, account);
  const passwordHash = await parts.passwords.hash(password);
  await inTransaction(parts.pool, async (run) => {
    await takeTicket(run, parts, 'reset', secretHash(ticket));
    await storePassword(run, parts, account, passwordHash);
  });
}
