/** An invitation that is accepted with an identity elsewhere: the account is made without a password. */
import { html } from 'hono/html';
import { inTransaction } from '../../../platform/database/transaction.ts';
import { accountById, type Account } from '../../accounts/account.ts';
import { createAccount, demandName } from '../../accounts/create.ts';
import { openInvitation, takeInvitation } from '../../accounts/invite.ts';
import { enter } from '../../federation/enter.ts';
import { failure } from '../../federation/failure.ts';
import { cookiesSent, forgetCookie } from '../../federation/flow.ts';
import { linkIn } from '../../federation/link.ts';
import type { FederationParts } from '../../federation/parts.ts';
import { lookAtWaiting, takeWaiting, type Waiting } from '../../federation/waiting.ts';
import { browserOf, goOn, orExplain } from '../acting.ts';
import { field, postForm } from '../fields.ts';
import type { PageOptions } from '../layout.ts';
import { showPage, type Visit } from '../visit.ts';
import { refuse } from '../../refusal.ts';

async function options(
  visit: Visit,
  { provider, proven }: Waiting,
  ticket: string,
  state: string,
  wrong = false,
): Promise<PageOptions> {
  const { t } = visit;
  const { email, roles } = await openInvitation(visit.parts, ticket);
  const body = html`<div class="card">
    <h1>${t.invitation.title}</h1>
    <p class="lead">${t.federation.invitedLead(provider)}</p>
    <p>${email}: ${t.scope.list(roles.map((role) => t.roles[role]))}</p>
    ${postForm(
      visit,
      '/signin/invited',
      html`${field({
          name: 'name',
          label: t.fields.name,
          autocomplete: 'name',
          value: wrong ? visit.form.text('name').slice(0, 200) : (proven.called ?? ''),
          maxlength: 200,
          wrong,
        })} <button class="primary wide-button">${t.federation.invitedSubmit}</button>`,
      { flow: state },
    )}
  </div>`;
  return { title: t.invitation.title, body };
}

export const invitedPage = async (visit: Visit, waiting: Waiting, ticket: string, state: string): Promise<Response> =>
  showPage(visit, await options(visit, waiting, ticket, state));

/** The account, its link and the use of the ticket are one: none of them is left alone. @throws Refusal `ticket`, `taken` */
async function accept(parts: FederationParts, ticket: string, name: string, { identity }: Waiting): Promise<Account> {
  const invitation = await openInvitation(parts, ticket);
  if (invitation.hasAccount) throw refuse('taken');
  const id = await inTransaction(parts.pool, async (run) => {
    await takeInvitation(run, parts, ticket);
    const created = await createAccount(run, parts, { ...invitation, name, passwordHash: undefined });
    if (created === undefined) throw refuse('taken');
    await linkIn(run, parts, created, identity);
    return created;
  });
  const account = await accountById(parts, id);
  if (!account) throw refuse('ticket');
  return account;
}

/** `POST /signin/invited` */
export async function doInvited(parts: FederationParts, visit: Visit): Promise<Response> {
  const state = visit.form.exact('flow');
  const waiting = await lookAtWaiting(parts, state, cookiesSent(visit));
  if (waiting.next.kind !== 'invitation') throw failure('flow');
  const { ticket } = waiting.next;
  return orExplain(
    visit,
    async () => {
      const name = demandName(visit.form.text('name'));
      await takeWaiting(parts, state, cookiesSent(visit));
      const account = await accept(parts, ticket, name, waiting);
      const before = visit.session ?? visit.pending?.session;
      visit.cookies.push(forgetCookie(parts, state));
      return goOn(visit, await enter(parts, account, waiting.proven, before, browserOf(visit)), '/');
    },
    () => options(visit, waiting, ticket, state, true),
  );
}
