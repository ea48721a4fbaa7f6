/** `/account/apps`: every app that was let in, what it may do, and putting an end to it. */
import { html } from 'hono/html';
import { patientName } from '../access/people.ts';
import { listGrants, revokeGrantOf, type ConnectedApp } from '../provider/grants.ts';
import { momentText, postButton } from './fields.ts';
import type { Html } from './layout.ts';
import { scopeWords } from './scope-words.ts';
import { goTo, showPage, type OwnVisit } from './visit.ts';

function app(visit: OwnVisit, grant: ConnectedApp, patient: string | undefined): Html {
  const { t } = visit;
  const told = grant.scopes.filter(({ text }) => text !== 'offline_access' && text !== 'online_access');
  return html`<section class="card">
    <div class="row">
      <h2>${grant.clientName}</h2>
      ${postButton(visit, '/account/apps/revoke', t.apps.revoke, { grant: grant.grantId }, 'compact danger', grant.clientName)}
    </div>
    <dl>
      ${
        patient === undefined
          ? undefined
          : html`<dt>${t.apps.patient}</dt>
              <dd>${patient}</dd>`
      }
      <dt>${t.apps.since}</dt>
      <dd>${momentText(visit, grant.grantedAt)}</dd>
      ${
        grant.lastUsedAt === undefined
          ? undefined
          : html`<dt>${t.apps.used}</dt>
              <dd>${momentText(visit, grant.lastUsedAt)}</dd>`
      }
      <dt>${t.apps.duration}</dt>
      <dd>${grant.offline ? t.apps.offline : t.apps.online}</dd>
      <dt>${t.apps.may}</dt>
      <dd>
        <ul class="words">
          ${told.map((scope) => html`<li>${scopeWords(scope, t)}</li>`)}
        </ul>
      </dd>
    </dl>
  </section>`;
}

export async function showApps(visit: OwnVisit): Promise<Response> {
  const { t, parts, account } = visit;
  const grants = await listGrants(parts, account.id);
  const patients = await Promise.all(
    grants.map(({ patient }) => (patient === undefined ? undefined : patientName(parts, patient))),
  );
  const body = html`<h1>${t.apps.title}</h1>
    <p class="lead">${t.apps.lead}</p>
    ${
      grants.length === 0
        ? html`<div class="card"><p>${t.apps.none}</p></div>`
        : html`<div class="stack">${grants.map((grant, i) => app(visit, grant, patients[i]))}</div>`
    }`;
  return showPage(visit, {
    title: t.apps.title,
    body,
    section: 'account',
    notice: visit.query.text('done') === 'revoked' ? t.apps.revoked : undefined,
  });
}

export async function revokeApp(visit: OwnVisit): Promise<Response> {
  await revokeGrantOf(visit.parts, visit.account.id, visit.form.text('grant'));
  return goTo(visit, '/account/apps?done=revoked');
}
