/** `/reset`: a new password by a mailed link. */
import { html } from 'hono/html';
import { completeReset, requestReset } from '../accounts/reset.ts';
import { peekTicket } from '../accounts/ticket.ts';
import { browserOf, orExplain } from './acting.ts';
import { field, passwordField, postForm } from './fields.ts';
import type { PageOptions } from './layout.ts';
import { uselessLink } from './register.ts';
import { goTo, showPage, type Visit } from './visit.ts';

function askPage(visit: Visit, wrong = false): PageOptions {
  const { t } = visit;
  const body = html`<div class="card">
    <h1>${t.reset.title}</h1>
    <p class="lead">${t.reset.lead}</p>
    ${postForm(
      visit,
      '/reset',
      html`${field({
          name: 'email',
          label: t.fields.email,
          type: 'email',
          autocomplete: 'username',
          value: visit.form.text('email').slice(0, 320),
          wrong,
          focus: true,
        })}<button class="primary wide-button">${t.reset.submit}</button>`,
    )}
    <div class="actions"><a class="button" href="/signin">${t.common.back}</a></div>
  </div>`;
  return { title: t.reset.title, body };
}

function choosePage(visit: Visit, ticket: string, wrong = false): PageOptions {
  const { t } = visit;
  const body = html`<div class="card">
    <h1>${t.reset.choose}</h1>
    <p class="lead">${t.reset.note}</p>
    ${postForm(
      visit,
      '/reset/choose',
      html`${passwordField(visit, { isNew: true, wrong, focus: true })}<button class="primary wide-button">
          ${t.reset.set}
        </button>`,
      { ticket },
    )}
  </div>`;
  return { title: t.reset.choose, body, scripts: ['password.js'] };
}

const isGood = async ({ parts }: Visit, ticket: string): Promise<boolean> =>
  (await peekTicket(parts, ['reset'], ticket)) !== undefined;

export async function showReset(visit: Visit): Promise<Response> {
  const ticket = visit.query.exact('ticket');
  if (ticket === '') return showPage(visit, askPage(visit));
  return (await isGood(visit, ticket))
    ? showPage(visit, choosePage(visit, ticket))
    : uselessLink(visit, '/reset', visit.t.reset.again);
}

export const askReset = (visit: Visit): Promise<Response> =>
  orExplain(
    visit,
    async () => {
      const { t } = visit;
      await requestReset(visit.parts, { ...browserOf(visit), email: visit.form.text('email') });
      const body = html`<div class="card">
        <h1>${t.reset.sentTitle}</h1>
        <p>${t.reset.sent}</p>
        <p class="quiet small">${t.register.sentHint}</p>
        <div class="actions"><a class="button" href="/">${t.common.home}</a></div>
      </div>`;
      return showPage(visit, { title: t.reset.sentTitle, body });
    },
    () => askPage(visit, true),
  );

export async function doReset(visit: Visit): Promise<Response> {
  const ticket = visit.form.exact('ticket');
  if (!(await isGood(visit, ticket))) return uselessLink(visit, '/reset', visit.t.reset.again);
  return orExplain(
    visit,
    async () => {
      await completeReset(visit.parts, { ticket, password: visit.form.exact('password') });
      return goTo(visit, '/signin?reason=changed');
    },
    () => choosePage(visit, ticket, true),
  );
}
