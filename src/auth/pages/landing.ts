/** `GET /`: who is signed in, what runs here, and the ways on. */
import { html } from 'hono/html';
import { VERSION } from '../../fhir/interaction/capabilities.ts';
import { DIRECTORY } from '../access/policy.ts';
import type { Account } from '../accounts/account.ts';
import { demoAccounts } from './demo-logins.ts';
import { linksFor, type Html } from './layout.ts';
import type { Texts } from './texts/languages.ts';
import { showPage, type Visit } from './visit.ts';

/** Searches that show something on the demo clinic and need no sign-in, by what they ask. */
const examples = (today: string): readonly (readonly [what: keyof Texts['landing']['examples'], path: string])[] => [
  ['services', 'HealthcareService?_count=10'],
  ['slots', `Slot?status=free&start=ge${today}&_sort=start&_count=20`],
  [
    'practitioners',
    'PractitionerRole?_include=PractitionerRole:practitioner&_include=PractitionerRole:location&_count=10',
  ],
];

const welcome = (visit: Visit): Html => {
  const { t, account } = visit;
  if (account)
    return html`<section class="card">
      <h2>${t.landing.yourPages}</h2>
      <ul class="chips">
        ${linksFor(visit).map(({ path, text }) => html`<li><a href="${path}">${text}</a></li>`)}
      </ul>
    </section>`;
  return html`<section class="card">
    <h2>${t.common.signIn}</h2>
    <p>${t.landing.signInLead}</p>
    <div class="actions">
      <a class="button primary" href="/signin">${t.common.signIn}</a>
      <a class="button" href="/register">${t.landing.register}</a>
    </div>
  </section>`;
};

async function demo(visit: Visit): Promise<Html | undefined> {
  const { t, account, parts } = visit;
  const accounts = account ? [] : await demoAccounts(parts);
  if (accounts.length === 0) return undefined;
  const roles = (a: Account): string =>
    [...a.roles.map((role) => t.roles[role]), ...a.staffKinds.map((kind) => t.staffKinds[kind])].join(', ');
  return html`<section class="card">
    <h2>${t.landing.demo}</h2>
    <p>${t.landing.demoLead}</p>
    <ul class="rows small">
      ${accounts.map((a) => html`<li><code>${a.email}</code><br /><span class="quiet">${a.name} · ${roles(a)}</span></li>`)}
    </ul>
    <p>${t.landing.demoWhere}</p>
    ${parts.settings.smtpUrl === undefined ? html`<p><a class="more-link" href="/dev/mail">${t.landing.demoMail}</a></p>` : undefined}
  </section>`;
}

function running({ t, parts }: Visit): Html {
  const base = parts.fhirBase;
  return html`<section class="card">
    <h2>${t.landing.running}</h2>
    <ul class="rows">
      <li>
        <a href="${base}/metadata?_pretty=true">${t.landing.capability}</a><br /><code class="quiet"
          >CapabilityStatement</code
        >
      </li>
      <li>
        <a href="${base}/metadata?mode=terminology&_pretty=true">${t.landing.terminology}</a><br /><code class="quiet"
          >TerminologyCapabilities</code
        >
      </li>
      <li>
        <a href="${base}/.well-known/smart-configuration">${t.landing.smart}</a><br /><code class="quiet"
          >smart-configuration</code
        >
      </li>
      <li>
        ${t.landing.health} <a href="/livez">${t.landing.alive}</a> · <a href="/readyz">${t.landing.ready}</a> ·
        <a href="/metrics">${t.landing.metrics}</a>
      </li>
      <li>
        <a href="https://hl7.org/fhir/R4/http.html">${t.landing.rest}</a><br /><span class="quiet small"
          >${t.landing.docs}</span
        >
      </li>
    </ul>
  </section>`;
}

export async function showLanding(visit: Visit): Promise<Response> {
  const { t, account, parts } = visit;
  const base = parts.fhirBase;
  const demoCard = await demo(visit);
  const types = [...parts.engine.resources.keys()].sort();
  const body = html`<h1>${account ? t.landing.welcome(account.name) : t.landing.title}</h1>
    <p class="lead">
      ${t.landing.lead} ${t.landing.leadTechnical(VERSION)} <a href="${base}/metadata?_pretty=true">${base}</a>
    </p>
    <div class="stack">
      <div class="grid">
        <div class="stack">${welcome(visit)} ${running(visit)}</div>
        ${demoCard}
        <section class="card">
          <h2>${t.landing.searches}</h2>
          <p class="quiet small">${t.landing.searchesNote}</p>
          <ul class="rows">
            ${examples(new Date(parts.clock.now()).toISOString().slice(0, 10)).map(
              ([what, path]) =>
                html`<li>
                  <a href="${`${base}/${path}&_pretty=true`}">${t.landing.examples[what]}</a><br /><code class="quiet"
                    >GET ${path}</code
                  >
                </li>`,
            )}
          </ul>
        </section>
      </div>
      <section class="card">
        <h2>${t.landing.types(types.length)}</h2>
        <ul class="chips">
          ${types.map((type) =>
            DIRECTORY[type] === undefined
              ? html`<li><span>${type}</span></li>`
              : html`<li><a href="${`${base}/${type}?_count=10&_pretty=true`}">${type}</a></li>`,
          )}
        </ul>
      </section>
    </div>`;
  return showPage(visit, { title: t.landing.title, body, width: 'wide' });
}
