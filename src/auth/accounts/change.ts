/** What people change of their own account. */
import { poolNamed } from '../../platform/database/pool.ts';
import { inTransaction } from '../../platform/database/transaction.ts';
import { secretHash } from '../../platform/keys.ts';
import { askerBudget, letterBudgets } from '../attempts.ts';
import { sendMail, writeTo } from '../mail/mail.ts';
import { demandMfa, demandStepUp } from '../mfa/policy.ts';
import type { AuthParts } from '../parts.ts';
import { refuse } from '../refusal.ts';
import { accountByEmail, emailTag } from './account.ts';
import type { Person } from './actor.ts';
import type { Browser } from './browser.ts';
import { demandName, localeOf } from './create.ts';
import { normaliseEmail } from './email.ts';
import { demandGoodPassword } from './password-rules.ts';
import { haveAccount, mayWrite } from './register.ts';
import { storePassword } from './reset.ts';
import { checkPassword } from './sign-in.ts';
import { raiseSession, type SignedIn } from './signed-in.ts';
import { issueTicket, peekTicket, takeTicket } from './ticket.ts';

const LINK_SECONDS = 24 * 3_600;

/**
 * This session goes on under a new id; all others end, and so does what apps were granted in them.
 * @param current what it was; not asked of an account that has none, which needs step-up instead
 * @throws Refusal `session`, `step-up`, `credentials`, `limited`, `password-…`, `busy`
 */
export async function changePassword(
  parts: AuthParts,
  input: Browser & { readonly person: Person; readonly current: string; readonly next: string },
): Promise<SignedIn> {
  const { person, current, next, ...browser } = input;
  await demandMfa(parts, person.account, person.session);
  if (person.account.hasPassword) await checkPassword(parts, { person, password: current, ...browser });
  else demandStepUp(parts, person.session);
  await demandGoodPassword(next, person.account);
  const passwordHash = await parts.passwords.hash(next);
  await inTransaction(parts.pool, (run) => storePassword(run, parts, person.account, passwordHash, person.session.uid));
  return raiseSession(parts, person, ['pwd'], browser);
}

/**
 * Mails a link to the new address. If somebody else has it, that person is told, and nobody else.
 * @throws Refusal `session`, `step-up`, `email`, `limited`
 */
export async function requestEmailChange(
  parts: AuthParts,
  input: { readonly person: Person; readonly email: string; readonly source: string },
): Promise<void> {
  const { account, session } = input.person;
  await demandMfa(parts, account, session);
  demandStepUp(parts, session);
  const email = normaliseEmail(input.email);
  if (email === undefined) throw refuse('email');
  const what = 'email';
  if (!(await mayWrite(parts, [askerBudget(what, input.source)], letterBudgets(what, emailTag(parts, email))))) return;
  const other = await accountByEmail(parts, email);
  await inTransaction(parts.pool, async (run) => {
    const seconds = LINK_SECONDS;
    if (other) {
      await issueTicket(run, parts, { kind: 'none', seconds: 0 });
      if (other.status === 'active') await writeTo(parts, run, other, 'have-account', haveAccount(parts));
      return;
    }
    const ticket = await issueTicket(run, parts, { kind: 'email', accountId: account.id, payload: { email }, seconds });
    const values = { link: `${parts.publicUrl}/verify?ticket=${ticket}` };
    // Without the name: nobody has proven yet whose address it is, and the name is what somebody typed.
    await sendMail(parts, run, { kind: 'email', to: email, locale: account.locale, values });
  });
}

/**
 * Who has the link and is signed in to the account that asked: otherwise a stranger's account could be given somebody's address.
 * @throws Refusal `session`, `ticket`, `taken` (who has the link has the address)
 */
export async function confirmEmailChange(
  parts: AuthParts,
  { person, ticket: secret }: { readonly person: Person; readonly ticket: string },
): Promise<void> {
  const { account, session } = person;
  await demandMfa(parts, account, session);
  const ticket = await peekTicket(parts, ['email'], secret);
  const email = ticket?.payload['email'];
  if (ticket?.accountId !== account.id || typeof email !== 'string') throw refuse('ticket');
  await inTransaction(parts.pool, async (run) => {
    await takeTicket(run, parts, 'email', secretHash(secret));
    const { rowCount } = await run(
      `update auth_account set email_tag = $2, email_sealed = $3 where id = $1 and not exists (select from auth_account where email_tag = $2)`,
      [account.id, emailTag(parts, email), parts.keys.seal('auth_account.email_sealed', account.id, email)],
    );
    if (rowCount === 0) throw refuse('taken');
    // They were mailed to the old address.
    await run(
      `update auth_ticket set used_at = to_timestamp($2) where account_id = $1 and kind = 'reset' and used_at is null`,
      [account.id, parts.clock.now() / 1000],
    );
    await writeTo(parts, run, account, 'email-changed', {});
  }).catch((error: unknown) => {
    // Somebody took the address in the same moment.
    if ((error as { code?: unknown }).code === '23505') throw refuse('taken');
    throw error;
  });
}

/** @throws Refusal `session`, `name` */
export async function changeName(parts: AuthParts, { account, session }: Person, text: string): Promise<void> {
  await demandMfa(parts, account, session);
  await poolNamed(parts.pool, `update auth_account set name_sealed = $2 where id = $1`, [
    account.id,
    parts.keys.seal('auth_account.name_sealed', account.id, demandName(text)),
  ]);
}

/** The language of letters. @throws Refusal `session` */
export async function changeLocale(parts: AuthParts, { account, session }: Person, locale: string): Promise<void> {
  await demandMfa(parts, account, session);
  await poolNamed(parts.pool, `update auth_account set locale = $2 where id = $1`, [account.id, localeOf(locale)]);
}
