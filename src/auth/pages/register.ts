/** `/register` and `/verify`: patients open an account, by way of a link to their address; and the link that proves a new address. */
import { html } from 'hono/html';
import { confirmEmailChange } from '../accounts/change.ts';
import { completeRegistration, register } from '../accounts/register.ts';
import { peekTicket, type Ticket } from '../accounts/ticket.ts';
import { refuse } from '../refusal.ts';
import { browserOf, goOn, orExplain, personOf, withPath } from './acting.ts';
import { field, passwordField, postForm } from './fields.ts';
import type { PageOptions } from './layout.ts';
import { goTo, showPage, type Visit } from './visit.ts';

function registerPage(visit: Visit, wrong = false): PageOptions {
  const { t } = visit;
  const body = html`<div class="card">
      <h1>${t.register.title}</h1>
      <p class="lead">${t.register.lead}</p>
      ${postForm(
        visit,
        '/register',
        html`${field({
            name: 'email',
            label: t.fields.email,
            type: 'email',
            autocomplete: 'email',
            value: visit.form.text('email').slice(0, 320),
            wrong,
            focus: true,
          })}<button class="primary wide-button">${t.register.submit}</button>`,
      )}
    </div>
    <p class="more">${t.register.have} <a href="/signin">${t.common.signIn}</a></p>`;
  return { title: t.register.title, body };
}

export const showRegister = (visit: Visit): Response =>
  visit.account ? goTo(visit, '/account') : showPage(visit, registerPage(visit));

/** The same for addresses that have an account, and for those that have none. */
function sentPage(visit: Visit): Response {
  const { t } = visit;
  const body = html`<div class="card">
    <h1>${t.register.sentTitle}</h1>
    <p>${t.register.sent}</p>
    <p class="quiet small">${t.register.sentHint}</p>
    <div class="actions"><a class="button" href="/">${t.common.home}</a></div>
  </div>`;
  return showPage(visit, { title: t.register.sentTitle, body });
}

export const doRegister = (visit: Visit): Promise<Response> =>
  orExplain(
    visit,
    async () => {
      const { source } = browserOf(visit);
      await register(visit.parts, { email: visit.form.text('email'), locale: visit.language, source });
      return sentPage(visit);
    },
    () => registerPage(visit, true),
  );

const ticketOf = (visit: Visit): string =>
  visit.request.method === 'POST' ? visit.form.exact('ticket') : visit.query.exact('ticket');

const lookUp = (visit: Visit): Promise<Ticket | undefined> =>
  peekTicket(visit.parts, ['registration', 'email'], ticketOf(visit));

/** A link that is good for nothing any more. */
export function uselessLink(visit: Visit, again: string, label: string): Response {
  const { t } = visit;
  const body = html`<div class="card">
    <h1>${t.verify.failedTitle}</h1>
    <p>${t.refusals.ticket}</p>
    <div class="actions"><a class="button primary" href="${again}">${label}</a></div>
  </div>`;
  return showPage(visit, { title: t.verify.failedTitle, body }, { status: 400 });
}

function completePage(visit: Visit, ticket: Ticket, wrong?: string): PageOptions {
  const { t } = visit;
  const email = ticket.payload['email'];
  const body = html`<div class="card">
    <h1>${t.register.completeTitle}</h1>
    <p class="lead">${t.register.completeLead}</p>
    ${postForm(
      visit,
      '/verify',
      html`<p class="label">${t.fields.email}</p>
        <p>${typeof email === 'string' ? email : ''}</p>
        <input
          type="hidden"
          name="username"
          autocomplete="username"
          value="${typeof email === 'string' ? email : ''}"
        />
        ${field({
          name: 'name',
          label: t.fields.name,
          autocomplete: 'name',
          value: visit.form.text('name').slice(0, 200),
          maxlength: 200,
          wrong: wrong === 'name',
          focus: true,
        })}
        ${passwordField(visit, { isNew: true, wrong: wrong?.startsWith('password') ?? false })}
        <button class="primary wide-button">${t.register.submit}</button>`,
      { ticket: ticketOf(visit) },
    )}
  </div>`;
  return { title: t.register.completeTitle, body, scripts: ['password.js'] };
}

function emailPage(visit: Visit, ticket: Ticket): PageOptions {
  const { t, account } = visit;
  const email = ticket.payload['email'];
  const here = `/verify?ticket=${encodeURIComponent(ticketOf(visit))}`;
  const body = html`<div class="card">
    <h1>${t.verify.title}</h1>
    <p><strong>${typeof email === 'string' ? email : ''}</strong></p>
    ${
      account && account.id !== ticket.accountId
        ? html`<p>${t.verify.another}</p>
            <a class="button primary wide-button" href="/signout">${t.common.signOut}</a>`
        : account
          ? postForm(visit, '/verify', html`<button class="primary wide-button">${t.verify.submit}</button>`, {
              ticket: ticketOf(visit),
            })
          : html`<p>${t.verify.signInFirst}</p>
              <a class="button primary wide-button" href="${withPath('/signin', here)}">${t.common.signIn}</a>`
    }
  </div>`;
  return { title: t.verify.title, body };
}

export async function showVerify(visit: Visit): Promise<Response> {
  const ticket = await lookUp(visit);
  if (!ticket) return uselessLink(visit, '/register', visit.t.signIn.register);
  return showPage(visit, ticket.kind === 'registration' ? completePage(visit, ticket) : emailPage(visit, ticket));
}

export async function doVerify(visit: Visit): Promise<Response> {
  const ticket = await lookUp(visit);
  if (!ticket) return uselessLink(visit, '/register', visit.t.signIn.register);
  const { parts, form, account, session } = visit;
  if (ticket.kind === 'email')
    return orExplain(
      visit,
      async () => {
        if (!account || !session) throw refuse('session');
        await confirmEmailChange(parts, { person: personOf({ ...visit, account, session }), ticket: ticketOf(visit) });
        return goTo(visit, '/account?done=email');
      },
      () => emailPage(visit, ticket),
    );
  return orExplain(
    visit,
    async () => {
      const given = { ticket: ticketOf(visit), name: form.text('name'), password: form.exact('password') };
      return goOn(visit, await completeRegistration(parts, { ...browserOf(visit), ...given }), '/account/people');
    },
    (refusal) => completePage(visit, ticket, refusal.code),
  );
}
