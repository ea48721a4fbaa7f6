/** `/account/apps`: every app that was let in, what it may do, and putting an end to it. */
import { html } from 'hono/html';
import { patientName } from '../access/people.ts';
import { listGrants, revokeGrantOf, type ConnectedApp } from '../provider/grants.ts';
import { momentText, postButton } from './fields.ts';
import type { Html } from './layout.ts';
import { scopeWords } from './scope-words.ts';
import { goTo, showPage, type OwnVisit } from './visit.ts';

type Patients = ReadonlyMap<string, string | undefined>;

function details(visit: OwnVisit, grant: ConnectedApp, patients: Patients): Html {
  const { t } = visit;
  const told = grant.scopes.filter(({ text }) => text !== 'offline_access' && text !== 'online_access');
  const patient = patients.get(grant.patient ?? '');
  return html`<dl>
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
  </dl>`;
}

/** What an app was let do at several times is told once, as it was the last time. */
const sameness = ({ patient, offline, scopes }: ConnectedApp): string =>
  JSON.stringify([patient, offline, scopes.map(({ text }) => text)]);

/** @param grants of one app, the newest first */
function app(visit: OwnVisit, grants: readonly ConnectedApp[], patients: Patients): Html | undefined {
  const [newest] = grants;
  if (!newest) return undefined;
  const told = Map.groupBy(grants, sameness)
    .values()
    .flatMap((alike) => alike.slice(0, 1));
  return html`<section class="card">
    <div class="row">
      <h2>${newest.clientName}</h2>
      ${postButton(visit, '/account/apps/revoke', visit.t.apps.revoke, { grant: newest.grantId }, 'compact danger', newest.clientName)}
    </div>
    ${[...told].map((grant) => details(visit, grant, patients))}
  </section>`;
}

export async function showApps(visit: OwnVisit): Promise<Response> {
  const { t, parts, account } = visit;
  const grants = await listGrants(parts, account.id);
  const patients: Patients = new Map(
    await Promise.all(
      [...new Set(grants.flatMap(({ patient }) => patient ?? []))].map(
        async (patient) => [patient, await patientName(parts, patient)] as const,
      ),
    ),
  );
  const apps = [...Map.groupBy(grants, ({ clientId }) => clientId).values()];
  const body = html`<h1>${t.apps.title}</h1>
    <p class="lead">${t.apps.lead}</p>
    ${
      apps.length === 0
        ? html`<div class="card"><p>${t.apps.none}</p></div>`
        : html`<div class="stack">${apps.map((own) => app(visit, own, patients))}</div>`
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
