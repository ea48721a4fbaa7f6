/** `GET /`: a page for people that says what runs here and links on. */
import { html } from 'hono/html';
import type { Engine } from '../engine.ts';

const STYLE = `
  :root { color-scheme: light dark; --ink: #14213a; --soft: #51607a; --line: #dbe2ec; --card: #fff; --page: #f4f7fb; --accent: #0a6c74; }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e8eef7; --soft: #a3b1c6; --line: #2b3850; --card: #17223a; --page: #0e1729; --accent: #62d0d6; }
  }
  * { box-sizing: border-box; }
  body { margin: 0; background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
  main { max-width: 64rem; margin: 0 auto; padding: 2.5rem 1.25rem 3rem; }
  h1 { margin: 0; font-size: 2.25rem; letter-spacing: -.02em; } h2 { margin: 0 0 .75rem; font-size: 1rem; }
  .lead { margin: .25rem 0 1.75rem; color: var(--soft); max-width: 44rem; }
  .grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); }
  .card { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1.25rem; min-width: 0; }
  .wide { grid-column: 1 / -1; }
  a { color: var(--accent); text-underline-offset: .2em; } a:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
  ul { list-style: none; margin: 0; padding: 0; } li { padding: .4rem 0; border-top: 1px solid var(--line); } li:first-child { border: 0; }
  code { font-size: .85em; color: var(--soft); overflow-wrap: anywhere; }
  .types { display: flex; flex-wrap: wrap; gap: .4rem; }
  .types a { border: 1px solid var(--line); border-radius: 1rem; padding: .15rem .7rem; text-decoration: none; font-size: .9rem; }
  .types a:hover { border-color: var(--accent); }
`;

/** Searches that show something on the demo clinic, by what they ask. */
const EXAMPLES: readonly (readonly [what: string, path: string])[] = [
  ['Free slots, the earliest first', 'Slot?status=free&_sort=start&_count=20'],
  ['Appointments with their patients', 'Appointment?_include=Appointment:patient&_count=10'],
  ['Patients by the beginning of a name', 'Patient?name=a&_count=10'],
  ['Practitioners and their roles', 'Practitioner?_revinclude=PractitionerRole:practitioner&_count=10'],
  ['What changed lately', '_history?_count=10'],
];

export const HOME_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

export function homePage(engine: Engine, version: string): string {
  const base = engine.baseUrl;
  const types = [...engine.resources.keys()].sort();
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>Kairos</title>
        <style>
          ${STYLE}
        </style>
      </head>
      <body>
        <main>
          <h1>Kairos</h1>
          <p class="lead">
            A FHIR R4 server for appointment scheduling, version ${version}. Programs speak JSON with
            <a href="${base}/metadata?_pretty=true">${base}</a>. Nobody signs in yet, so it listens on this machine
            only.
          </p>
          <div class="grid">
            <section class="card">
              <h2>Searches to try</h2>
              <ul>
                ${EXAMPLES.map(
                  ([what, path]) =>
                    html`<li>
                      <a href="${`${base}/${path}&_pretty=true`}">${what}</a><br /><code>GET ${path}</code>
                    </li> `,
                )}
              </ul>
            </section>
            <section class="card">
              <h2>What runs here</h2>
              <ul>
                <li>
                  <a href="${base}/metadata?_pretty=true">What it can do</a><br /><code>CapabilityStatement</code>
                </li>
                <li>
                  <a href="${base}/metadata?mode=terminology&_pretty=true">Which codes it knows</a><br /><code
                    >TerminologyCapabilities</code
                  >
                </li>
                <li>
                  Health: <a href="/livez">alive</a> · <a href="/readyz">ready</a> · <a href="/metrics">metrics</a>
                </li>
                <li>
                  <a href="https://hl7.org/fhir/R4/http.html">The REST interface that it follows</a><br /><code
                    >this server's own documents: docs/ in its source</code
                  >
                </li>
              </ul>
            </section>
            <section class="card wide">
              <h2>${types.length} resource types</h2>
              <div class="types">
                ${types.map((type) => html`<a href="${`${base}/${type}?_count=10&_pretty=true`}">${type}</a> `)}
              </div>
            </section>
          </div>
        </main>
      </body>
    </html> `;
  return String(page);
}
