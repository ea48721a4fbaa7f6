/** Patients open an account themselves: the address is proven before there is one, and the answer is the same whether or not it is known. */
import { inTransaction } from '../../platform/database/transaction.ts';
import { secretHash } from '../../platform/keys.ts';
import { askerBudget, letterBudgets, spend, type Budget } from '../attempts.ts';
import { sendMail, writeTo } from '../mail/mail.ts';
import type { AuthParts } from '../parts.ts';
import { refuse, Refusal } from '../refusal.ts';
import { accountByEmail, accountById, emailTag } from './account.ts';
import type { Browser } from './browser.ts';
import { createAccount, demandName, localeOf } from './create.ts';
import { normaliseEmail } from './email.ts';
import { demandGoodPassword } from './password-rules.ts';
import { beginSession, type SignedIn } from './signed-in.ts';
import { issueTicket, peekTicket, takeTicket } from './ticket.ts';

const LINK_SECONDS = 24 * 3_600;

/** The letter that tells the owner of an address that somebody gave it. */
export const haveAccount = ({ publicUrl }: AuthParts) => ({
  signIn: `${publicUrl}/signin`,
  reset: `${publicUrl}/reset`,
});

/**
 * Whether an address may be written to now; who asks too often is told, but never that an address was written to too often.
 * @throws Refusal `limited`
 */
export async function mayWrite(
  parts: AuthParts,
  asker: readonly Budget[],
  letters: readonly Budget[],
): Promise<boolean> {
  await spend(parts, asker);
  try {
    await spend(parts, letters);
    return true;
  } catch (error) {
    if (error instanceof Refusal) return false;
    throw error;
  }
}

/** Mails a link that proves the address, or that there is an account. @throws Refusal `email` (no address), `limited` */
export async function register(
  parts: AuthParts,
  { email: typed, locale, source }: { readonly email: string; readonly locale: string; readonly source: string },
): Promise<void> {
  const email = normaliseEmail(typed);
  if (email === undefined) throw refuse('email');
  const what = 'registration';
  if (!(await mayWrite(parts, [askerBudget(what, source)], letterBudgets(what, emailTag(parts, email))))) return;
  const account = await accountByEmail(parts, email);
  await inTransaction(parts.pool, async (run) => {
    if (account) {
      await issueTicket(run, parts, { kind: 'none', seconds: 0 });
      if (account.status === 'active') await writeTo(parts, run, account, 'have-account', haveAccount(parts));
      return;
    }
    const payload = { email, locale: localeOf(locale) };
    const ticket = await issueTicket(run, parts, { kind: 'registration', payload, seconds: LINK_SECONDS });
    const values = { link: `${parts.publicUrl}/verify?ticket=${ticket}` };
    await sendMail(parts, run, { kind: 'registration', to: email, locale: payload.locale, values });
  });
}

/**
 * Opens the account, and signs in. @param ticket of the link
 * @throws Refusal `ticket`, `name`, `password-…`, `taken` (who has the link has the address), `busy`
 */
export async function completeRegistration(
  parts: AuthParts,
  input: Browser & { readonly ticket: string; readonly name: string; readonly password: string },
): Promise<SignedIn> {
  const ticket = await peekTicket(parts, ['registration'], input.ticket);
  const { email, locale } = ticket?.payload ?? {};
  if (typeof email !== 'string') throw refuse('ticket');
  const name = demandName(input.name);
  await demandGoodPassword(input.password, { email, name });
  const passwordHash = await parts.passwords.hash(input.password);
  const id = await inTransaction(parts.pool, async (run) => {
    await takeTicket(run, parts, 'registration', secretHash(input.ticket));
    const created = await createAccount(run, parts, {
      email,
      name,
      roles: ['patient'],
      by: 'self',
      locale: localeOf(typeof locale === 'string' ? locale : undefined),
      passwordHash,
    });
    if (created === undefined) throw refuse('taken');
    return created;
  });
  const account = await accountById(parts, id);
  if (!account) throw refuse('ticket');
  return beginSession(parts, account, ['pwd'], input);
}
