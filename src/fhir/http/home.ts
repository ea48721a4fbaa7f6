/** `GET /`: a page for people that says what runs here and links on. */
import { html } from 'hono/html';
import type { Engine } from '../engine.ts';

const STYLE = `
  :root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
  body { max-width: 44rem; margin: 3rem auto; padding: 0 1rem; }
  h1 { margin-bottom: 0; } h2 { margin-top: 2rem; font-size: 1.1rem; }
  code { font-size: .95em; } li { margin: .25rem 0; }
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
        <h1>Kairos</h1>
        <p>
          A FHIR R4 server for appointment scheduling, version ${version}. It speaks JSON; programs talk to
          <a href="${base}/metadata?_pretty=true"><code>${base}</code></a
          >.
        </p>
        <h2>Where to go</h2>
        <ul>
          <li>
            <a href="${base}/metadata?_pretty=true">What it can do</a> (CapabilityStatement), and
            <a href="${base}/metadata?mode=terminology&_pretty=true">with which codes</a>
          </li>
          <li>
            <a href="https://hl7.org/fhir/R4/http.html">The FHIR R4 REST interface</a> that it follows; this server's
            own documents are in the folder <code>docs</code> of its source
          </li>
          <li>Health: <a href="/livez">alive</a>, <a href="/readyz">ready</a>, <a href="/metrics">metrics</a></li>
        </ul>
        <h2>Searches to try</h2>
        <ul>
          ${EXAMPLES.map(
            ([what, path]) =>
              html`<li><a href="${`${base}/${path}&_pretty=true`}">${what}</a><br /><code>GET ${path}</code></li> `,
          )}
        </ul>
        <h2>Types</h2>
        <p>
          ${types.map((type, i) => html`${i === 0 ? '' : ', '}<a href="${`${base}/${type}?_count=10&_pretty=true`}">${type}</a>`)}
        </p>
      </body>
    </html> `;
  return String(page);
}
