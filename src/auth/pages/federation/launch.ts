/** `/launch` and where it leads: to the patient here, for who works here. @see docs/ehr.md */
import type { Patient } from '@medplum/fhirtypes';
import { html } from 'hono/html';
import type { Access } from '../../../fhir/access.ts';
import { isLive } from '../../../fhir/interaction/version.ts';
import { FhirError } from '../../../fhir/outcome.ts';
import type { Account } from '../../accounts/account.ts';
import { missing } from '../errors.ts';
import { dayText, postButton } from '../fields.ts';
import { goTo, showPage, type OwnVisit, type Visit } from '../visit.ts';
import { cookiesSent, forgetCookie } from '../../federation/flow.ts';
import { accountLinkedTo } from '../../federation/link.ts';
import type { FederationParts } from '../../federation/parts.ts';
import { keepTokens, letWait } from '../../federation/waiting.ts';
import { chartLink } from '../../ehr/chart-link.ts';
import { connectionFor, connectionOf, giveBack } from '../../ehr/connection.ts';
import { enterLaunch } from './enter-launch.ts';
import { rightsOf } from '../../access/acts-for.ts';
import { readingAccess } from '../../access/reading-access.ts';
import { arrive, beginLaunch, ehrOfCallback, finishLaunch } from '../../ehr/launch.ts';
import { registeredEhr } from '../../ehr/registered.ts';

export async function startFromEhr(parts: FederationParts, visit: Visit): Promise<Response> {
  const only = (name: string): string | undefined => (visit.query.has(name) ? visit.query.exact(name) : undefined);
  const { url, cookies } = await beginLaunch(parts, only('iss'), only('launch'), cookiesSent(visit));
  return goTo(visit, url, cookies);
}

export async function returnFromEhr(parts: FederationParts, visit: Visit): Promise<Response> {
  const ehr = ehrOfCallback(parts, visit.params['id']);
  if (!ehr) throw missing();
  const cookieHeader = cookiesSent(visit);
  const { state, proven, identity, launched } = await finishLaunch(parts, ehr, visit.url, cookieHeader);
  const forgotten = forgetCookie(parts, state);
  let account: Account | undefined;
  try {
    account = await accountLinkedTo(parts, identity);
  } catch (error) {
    await giveBack(parts, launched.ehr, launched.tokens);
    throw error;
  }
  if (account) return enterLaunch(parts, visit, account, proven, launched, [forgotten]);
  const { ehr: issuer, context } = launched;
  const next = {
    kind: 'launch',
    launched: { ehr: issuer, context },
    tokens: await keepTokens(parts, launched),
  } as const;
  const { path, cookies } = await letWait(parts, { identity, proven, provider: ehr.name, next }, cookieHeader);
  return goTo(visit, path, [forgotten, ...cookies]);
}

/** Finds the patient of a launch; the person is signed in with all that the policy asks for by now. */
export async function openLaunched(parts: FederationParts, visit: OwnVisit): Promise<Response> {
  const connection = await connectionOf(parts, visit.session.uid, visit.params['connection'] ?? '');
  if (!connection) throw missing();
  return goTo(visit, `/launched/${await arrive(parts, connection)}`);
}

function nameOf({ name = [] }: Patient): string | undefined {
  const shown = name.find((n) => n.use === 'official') ?? name.find((n) => n.use !== 'old') ?? name[0];
  const text = shown?.text ?? [...(shown?.given ?? []), shown?.family].filter((part) => part !== undefined).join(' ');
  return text === '' ? undefined : text;
}

async function chartUrlOf(parts: FederationParts, access: Access, patient: Patient): Promise<string | undefined> {
  try {
    return (await chartLink(parts.engine, access, patient, {})).url;
  } catch (error) {
    if (error instanceof FhirError && error.status < 500) return undefined;
    throw error;
  }
}

/** Until the staff client is there: who it is, and the ways on. Only patients that an EHR has opened in this session. */
export async function showLaunched(parts: FederationParts, visit: OwnVisit): Promise<Response> {
  const { t } = visit;
  const id = visit.params['patient'] ?? '';
  const connection = await connectionFor(parts, visit.session.uid, id);
  if (!connection) throw missing();
  // The EHR, which is registered here, has opened this chart for them.
  const { rights } = await rightsOf(parts.engine, visit.account, [id]);
  const access = readingAccess(parts.engine, visit.account, rights);
  access.demand('read', 'Patient');
  const version = await parts.engine.repository.read('Patient', id, access.to('read'));
  if (!isLive(version)) throw missing();
  const patient = JSON.parse(version.content) as Patient;
  const url = await chartUrlOf(parts, access, patient);
  const { birthDate } = patient;
  const body = html`<h1>${nameOf(patient) ?? t.federation.unnamed}</h1>
    <p class="lead">${t.federation.launchedBy(registeredEhr(parts, connection.issuer).name)}</p>
    <div class="card">
      <dl>
        <dt>${t.federation.born}</dt>
        <dd>${birthDate === undefined ? '–' : birthDate.length === 10 ? dayText(visit, birthDate) : birthDate}</dd>
        <dt>${t.federation.patient}</dt>
        <dd><code>Patient/${id}</code></dd>
      </dl>
      ${url === undefined ? html`<p class="quiet small">${t.federation.noChart}</p>` : undefined}
      <div class="actions">
        ${url === undefined ? undefined : html`<a class="button primary" href="${url}" rel="noreferrer">${t.federation.openChart}</a>`}
        ${postButton(visit, '/signout', t.common.signOut)}
      </div>
    </div>`;
  return showPage(visit, { title: t.federation.launchedTitle, body });
}
