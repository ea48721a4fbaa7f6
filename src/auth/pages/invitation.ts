/** `/invitation`: staff and physicians accept theirs; patients with a code from the clinic learn where it goes. */
import { html } from 'hono/html';
import { acceptInvitation, acceptInvitationAs, openInvitation, type OpenInvitation } from '../accounts/invite.ts';
import { Refusal, refuse } from '../refusal.ts';
import { browserOf, goOn, orExplain, personOf, withPath } from './acting.ts';
import { field, passwordField, postForm } from './fields.ts';
import type { PageOptions } from './layout.ts';
import { uselessLink } from './register.ts';
import { goTo, showPage, type Visit } from './visit.ts';

const ticketOf = (visit: Visit): string =>
  visit.request.method === 'POST' ? visit.form.exact('ticket') : visit.query.exact('ticket');

async function lookUp(visit: Visit): Promise<OpenInvitation | undefined> {
  try {
    return await openInvitation(visit.parts, ticketOf(visit));
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}

/** Without a link: codes are typed where one is signed in. */
function codePage(visit: Visit): Response {
  const { t, account } = visit;
  const people = '/account/people';
  const body = html`<div class="card">
    <h1>${t.invitation.codeTitle}</h1>
    <p>${t.invitation.codeLead}</p>
    <div class="actions">
      ${
        account
          ? html`<a class="button primary" href="${people}">${t.invitation.codeSubmit}</a>`
          : html`<a class="button primary" href="${withPath('/signin', people)}">${t.common.signIn}</a
              ><a class="button" href="/register">${t.signIn.register}</a>`
      }
    </div>
  </div>`;
  return showPage(visit, { title: t.invitation.codeTitle, body });
}

function page(visit: Visit, invitation: OpenInvitation, wrong?: string): PageOptions {
  const { t, account } = visit;
  const roles = t.scope.list(invitation.roles.map((role) => t.roles[role]));
  const ticket = ticketOf(visit);
  const here = `/invitation?ticket=${encodeURIComponent(ticket)}`;
  const create = postForm(
    visit,
    '/invitation',
    html`<input type="hidden" name="username" autocomplete="username" value="${invitation.email}" />
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
      <button class="primary wide-button">${t.invitation.submit}</button>`,
    { ticket },
  );
  const providers = visit.parts.settings.upstreams.map(
    ({ id, name }) =>
      html`<p>
        <a class="button wide-button" href="${`/signin/with/${id}?invitation=${encodeURIComponent(ticket)}`}"
          >${t.federation.invitedWith(name)}</a
        >
      </p>`,
  );
  const accept = account
    ? postForm(visit, '/invitation', html`<button class="primary wide-button">${t.invitation.accept}</button>`, {
        ticket,
      })
    : html`<p>${t.invitation.signInFirst}</p>
        <a class="button primary wide-button" href="${withPath('/signin', here)}">${t.common.signIn}</a>`;
  const body = html`<div class="card">
    <h1>${t.invitation.title}</h1>
    <p class="lead">${invitation.hasAccount ? t.invitation.leadKnown(roles) : t.invitation.lead(roles)}</p>
    <p class="label">${t.fields.email}</p>
    <p>${invitation.email}</p>
    ${invitation.hasAccount ? accept : create} ${invitation.hasAccount ? undefined : providers}
  </div>`;
  return { title: t.invitation.title, body, scripts: ['password.js'] };
}

export async function showInvitation(visit: Visit): Promise<Response> {
  if (ticketOf(visit) === '') return codePage(visit);
  const invitation = await lookUp(visit);
  return invitation ? showPage(visit, page(visit, invitation)) : uselessLink(visit, '/', visit.t.common.home);
}

export async function doInvitation(visit: Visit): Promise<Response> {
  const invitation = await lookUp(visit);
  if (!invitation) return uselessLink(visit, '/', visit.t.common.home);
  const { parts, form, account, session } = visit;
  return orExplain(
    visit,
    async () => {
      if (invitation.hasAccount) {
        if (!account || !session) throw refuse('session');
        await acceptInvitationAs(parts, personOf({ ...visit, account, session }), ticketOf(visit));
        // New rights begin with a new sign-in.
        return goTo(visit, '/signin?reason=ended');
      }
      const given = { ticket: ticketOf(visit), name: form.text('name'), password: form.exact('password') };
      return goOn(visit, await acceptInvitation(parts, { ...browserOf(visit), ...given }), '/');
    },
    (refusal) => page(visit, invitation, refusal.code),
  );
}
