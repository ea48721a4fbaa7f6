/**
 * `/oauth/interaction/<uid>/consent`: what an app asks for, in plain words, to be narrowed, granted or refused.
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
 */
import { html } from 'hono/html';
import { compartmentTypes } from '../../fhir/search/compartment.ts';
import { patientChoice } from '../access/people.ts';
import { findClient } from '../clients/registry.ts';
import { denyConsent, grantConsent, type InteractionView } from '../provider/interaction.ts';
import { parseScopes, withoutNameless, type ResourceScope, type Scope } from '../smart/scope.ts';
import { birthText, choice, initials, postForm } from './fields.ts';
import { otherStep, settled, sockets, viewOf } from './interaction.ts';
import type { Html } from './layout.ts';
import { formTarget } from '../form-target.ts';
import { scopeWords } from './scope-words.ts';
import { goTo, showPage, type OwnVisit } from './visit.ts';

type Plain = Exclude<Scope, ResourceScope>['text'];

/** What they tell is decided before: they go with whatever is granted. */
const ALONG: ReadonlySet<string> = new Set<Plain>(['launch', 'launch/patient', 'launch/encounter', 'online_access']);
const IDENTITY: ReadonlySet<string> = new Set<Plain>(['openid', 'fhirUser', 'profile']);

/** A scope with the narrower ones that may be chosen in its place. */
interface Offer {
  readonly scope: ResourceScope;
  readonly parts: readonly ResourceScope[];
}

const isResource = (scope: Scope): scope is ResourceScope => scope.kind === 'resource';

/** v2 letters of a scope, in their order. */
const lettersText = ({ letters }: ResourceScope): string =>
  ['c', 'r', 'u', 'd', 's'].filter((l) => letters.has(l as 'c')).join('');

/** One scope for each type that `*` stands for. */
function perType(visit: OwnVisit, scope: ResourceScope): readonly ResourceScope[] {
  const { engine } = visit.parts;
  const types = scope.level === 'patient' ? compartmentTypes(engine, 'Patient') : [...engine.resources.keys()].sort();
  const action = scope.form === 'v1' ? scope.text.slice(scope.text.indexOf('.') + 1) : lettersText(scope);
  return parseScopes(types.map((type) => `${scope.level}/${type}.${action}`).join(' ')).filter(isResource);
}

const isPartOf = (part: ResourceScope, whole: ResourceScope): boolean =>
  part.filter.length > 0 &&
  part.level === whole.level &&
  part.type === whole.type &&
  part.letters.isSubsetOf(whole.letters);

/** Scopes that filter stand below the one without that they narrow; the others stand for themselves. */
function offersOf(visit: OwnVisit, view: InteractionView, registered: readonly Scope[]): readonly Offer[] {
  const requested = view.scopes.filter(isResource);
  const granular = [...requested, ...registered.filter(isResource)].filter((s) => s.filter.length > 0);
  const distinct = [...new Map(granular.map((s) => [s.text, s])).values()];
  const wholes = requested.filter((scope) => scope.filter.length === 0);
  return requested
    .filter((scope) => scope.filter.length === 0 || !wholes.some((whole) => isPartOf(scope, whole)))
    .map((scope) => ({
      scope,
      parts:
        scope.filter.length > 0
          ? []
          : scope.type === '*'
            ? perType(visit, scope)
            : distinct.filter((part) => isPartOf(part, scope)),
    }));
}

async function offered(visit: OwnVisit, view: InteractionView): Promise<readonly Offer[]> {
  const client = await findClient(visit.parts, view.client.id);
  return offersOf(visit, view, parseScopes(client?.scope ?? ''));
}

const technical = (scope: Scope): Html => html`<code>${scope.text}</code>`;

function offerItem(visit: OwnVisit, { scope, parts }: Offer): Html {
  const { t } = visit;
  const tick = (s: Scope, checked: boolean): Html =>
    choice({ name: 'scope', value: s.text, label: html`<span title="${s.text}">${scopeWords(s, t)}</span>`, checked });
  return html`<li>
    ${tick(scope, true)}
    ${
      parts.length === 0
        ? undefined
        : html`<details>
            <summary>${t.consent.narrower}</summary>
            <p class="hint">${t.consent.narrowerHint}</p>
            <ul class="ticks plain">
              ${parts.map((part) => html`<li>${tick(part, false)}</li>`)}
            </ul>
          </details>`
    }
  </li>`;
}

async function patientCard(visit: OwnVisit, view: InteractionView): Promise<Html | undefined> {
  if (view.patient === undefined) return undefined;
  const { t } = visit;
  const patient = await patientChoice(visit.parts, view.patient);
  const name = patient?.name ?? view.patient;
  const born = patient?.birthDate === undefined ? undefined : `${t.people.born} ${birthText(visit, patient.birthDate)}`;
  return html`<div class="card">
    <h2>${t.consent.patient}</h2>
    <div class="person">
      <span class="face" aria-hidden="true">${initials(name)}</span>
      <div>
        <strong>${name}</strong>${born === undefined ? undefined : html`<br /><span class="quiet small">${born}</span>`}
      </div>
    </div>
  </div>`;
}

function aboutApp({ client }: InteractionView, { t }: OwnVisit): Html | undefined {
  const links = [
    [client.policyUri, t.consent.policy],
    [client.tosUri, t.consent.tos],
  ].filter(([uri]) => uri !== undefined);
  if (links.length === 0) return undefined;
  return html`<p class="small">
    ${t.consent.links}
    ${links.map(([uri, text]) => html` <a class="more-link" href="${uri}" target="_blank" rel="noopener noreferrer">${text}</a>`)}
  </p>`;
}

/** Where nothing else is asked for: what goes along. */
function alongCard({ t }: OwnVisit, { scopes }: InteractionView): Html | undefined {
  const along = scopes.filter(({ text }) => ALONG.has(text));
  if (along.length < scopes.length) return undefined;
  return html`<section class="card">
    <h2>${t.consent.may}</h2>
    <ul>
      ${along.map((scope) => html`<li>${scopeWords(scope, t)}</li>`)}
    </ul>
  </section>`;
}

async function page(visit: OwnVisit, view: InteractionView, error?: string): Promise<Response> {
  const { t, account } = visit;
  const offers = await offered(visit, view);
  const identity = view.scopes.filter(({ text }) => IDENTITY.has(text));
  const online = view.scopes.some(({ text }) => text === 'online_access');
  const path = `/oauth/interaction/${view.uid}/consent`;
  const form = html` ${
      offers.length === 0
        ? alongCard(visit, view)
        : html`<fieldset class="card">
            <legend class="legend">${t.consent.may}</legend>
            <ul class="ticks plain">
              ${offers.map((offer) => offerItem(visit, offer))}
            </ul>
          </fieldset>`
    }
    ${
      identity.length === 0
        ? undefined
        : html`<fieldset class="card">
            <legend class="legend">${t.consent.identity}</legend>
            <ul class="ticks plain">
              ${identity.map(
                (scope) =>
                  html`<li>
                    ${choice({ name: 'scope', value: scope.text, label: scopeWords(scope, t), checked: true })}
                  </li>`,
              )}
            </ul>
          </fieldset>`
    }
    ${
      view.offline
        ? html`<fieldset class="card">
            <legend class="legend">${t.consent.offlineTitle}</legend>
            ${choice({ name: 'scope', value: 'offline_access', label: t.scope.plain.offline_access, checked: true, hint: t.consent.offlineHint })}
          </fieldset>`
        : html`<p class="quiet small">${online ? t.consent.onlineNote : t.consent.shortNote}</p>`
    }
    <details class="small">
      <summary>${t.consent.technical}</summary>
      <p>${view.scopes.map((scope) => html`${technical(scope)} `)}</p>
    </details>
    <div class="actions even">
      <button class="primary" name="decision" value="allow">${t.consent.allow}</button>
      <button name="decision" value="deny">${t.consent.deny}</button>
    </div>
    <p class="quiet small">${t.consent.unverified} ${t.consent.later}</p>`;
  const body = html`<div class="stack">
    <div>
      <h1>${t.consent.title(view.client.name)}</h1>
      <p class="lead">${t.consent.asks(view.client.name)}</p>
      <p class="small quiet">
        ${t.consent.account}: <strong>${account.name}</strong>, ${account.email} ·
        <a href="/signout">${t.consent.notYou}</a>
      </p>
      ${aboutApp(view, visit)}
    </div>
    ${await patientCard(visit, view)} ${postForm(visit, path, html`<div class="stack">${form}</div>`)}
  </div>`;
  return showPage(
    visit,
    { title: t.consent.title(view.client.name), body, width: 'medium', plain: true, error },
    { status: error === undefined ? 200 : 400, formTargets: formTarget(view.redirectUri) },
  );
}

export async function showConsent(visit: OwnVisit): Promise<Response> {
  const view = await viewOf(visit);
  return otherStep(visit, view) ?? page(visit, view);
}

/** Narrower scopes that are ticked stand in the place of the wider one above them. */
function chosen(view: InteractionView, offers: readonly Offer[], ticked: ReadonlySet<string>): readonly Scope[] {
  const resources = offers.flatMap(({ scope, parts }) => {
    const narrow = parts.filter((part) => ticked.has(part.text));
    return narrow.length > 0 ? narrow : ticked.has(scope.text) ? [scope] : [];
  });
  const others = view.scopes.filter(({ kind, text }) => kind === 'plain' && (ticked.has(text) || ALONG.has(text)));
  return withoutNameless([...others, ...resources]);
}

export async function decideConsent(visit: OwnVisit): Promise<Response> {
  const view = await viewOf(visit);
  const elsewhere = otherStep(visit, view);
  if (elsewhere) return elsewhere;
  const { incoming, outgoing } = sockets(visit);
  const { server } = visit.identity;
  // Anything but a clear yes is a no.
  if (visit.form.text('decision') !== 'allow')
    return goTo(visit, await settled(denyConsent(server, incoming, outgoing)));
  const ticked = new Set(visit.form.all('scope'));
  const granted = chosen(view, await offered(visit, view), ticked);
  const canTick = view.scopes.some(({ text }) => !ALONG.has(text));
  if (canTick && granted.every(({ text }) => ALONG.has(text))) return page(visit, view, visit.t.consent.needOne);
  return goTo(
    visit,
    await settled(
      grantConsent(
        server,
        incoming,
        outgoing,
        granted.map((s) => s.text),
      ),
    ),
  );
}
