/**
 * A clinic in two processes behind one address, apps of others on a server of their own with the stock SMART client, and people in a browser.
 * @see https://docs.smarthealthit.org/client-js/
 */
import { readFileSync } from 'node:fs';
import http, { type RequestListener, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import type { Appointment, Encounter, Practitioner } from '@medplum/fhirtypes';
import type { BrowserContext, Page } from 'playwright-core';
import type { NewClient } from '../../src/auth/clients/registry.ts';
import { registerClient } from '../../src/auth/clients/registry.ts';
import { openWorld, PASSWORD, type World } from '../auth/pages-world.ts';
import { put } from '../support/federation-driver.ts';
import { startIdentityServer } from '../support/identity-server.ts';

const listening = async (handle: RequestListener): Promise<{ readonly server: Server; readonly origin: string }> => {
  const server = http.createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, origin: `http://localhost:${(server.address() as AddressInfo).port}` };
};

/** Hands each request to the next process. */
const forwarder = (targets: readonly string[]): RequestListener => {
  let turn = 0;
  return (request, response) => {
    const { hostname, port } = new URL(targets[turn++ % targets.length] ?? '');
    const { method, url: path, headers } = request;
    const onward = http.request({ host: hostname, port, ...(method ? { method } : {}), path, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  };
};

const require = createRequire(import.meta.url);
const STOCK = readFileSync(require.resolve('fhirclient/build/fhir-client.pure.min.js'));

/** As the documentation of the client shows it. */
const launchPage = (options: unknown): string => `<!doctype html>
<html lang="en">
  <head><meta charset="utf-8" /><title>Launch</title><script src="/fhir-client.js"></script></head>
  <body><p id="output">…</p>
    <script>
      FHIR.oauth2.authorize(${JSON.stringify(options)}).catch(function (error) {
        document.getElementById('output').textContent = error.message;
      });
    </script>
  </body>
</html>`;

const INDEX_PAGE = `<!doctype html>
<html lang="en">
  <head><meta charset="utf-8" /><title>App</title><script src="/fhir-client.js"></script></head>
  <body><p id="output"></p>
    <script>
      FHIR.oauth2.settings.refreshTokenWithCredentials = location.search.includes('include') ? 'include' : 'same-origin';
      FHIR.oauth2.ready().then(function (client) {
        window.client = client;
        document.getElementById('output').textContent = 'ready';
      }).catch(function (error) {
        document.getElementById('output').textContent = error.message;
      });
    </script>
  </body>
</html>`;

export interface StockApp {
  readonly clientId: string;
  /** Opens it by itself. */
  readonly launchUrl: string;
}

export interface AppOptions extends Partial<NewClient> {
  /** Handed to `FHIR.oauth2.authorize` beside `clientId`, `scope`, `redirectUri` and `iss`. */
  readonly authorize?: Readonly<Record<string, unknown>>;
  /** What it asks for; all that it is registered for, unless told. */
  readonly asks?: string;
}

export interface Clinic {
  readonly world: World;
  /** Where both processes are reached. */
  readonly origin: string;
  readonly fhirBase: string;
  /** Where the apps are. */
  readonly apps: string;
  app(options?: AppOptions): Promise<StockApp>;
  /** Serves a page as it is, beside the apps. */
  page(path: string, html: string): void;
  close(): Promise<void>;
}

const appointment = (id: string, patient: string, status: Appointment['status']): Appointment => ({
  resourceType: 'Appointment',
  id,
  status,
  ...(status === 'cancelled' ? { cancelationReason: { text: 'away' } } : {}),
  start: '2026-12-01T09:00:00Z',
  end: '2026-12-01T09:30:00Z',
  participant: [`Patient/${patient}`, ...(patient === 'stranger' ? ['Practitioner/dr-lee'] : [])].map((reference) => ({
    actor: { reference },
    status: 'accepted',
  })),
});
const ENCOUNTER: Encounter = {
  resourceType: 'Encounter',
  id: 'visit',
  status: 'in-progress',
  class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'AMB' },
  subject: { reference: 'Patient/maria' },
};
const DOCTOR: Practitioner = { resourceType: 'Practitioner', id: 'dr-lee', name: [{ family: 'Lee', given: ['Ann'] }] };

const APP_SCOPES =
  'openid fhirUser launch launch/patient launch/encounter offline_access online_access patient/*.rs patient/Patient.rs patient/Appointment.rs patient/Appointment.rs?status=booked user/*.rs';

export async function openClinic(): Promise<Clinic> {
  const targets: string[] = [];
  const front = await listening(forwarder(targets));
  const env = { PUBLIC_URL: front.origin };
  const world = await openWorld({ env });
  const second = await startIdentityServer({ env, database: world.server.database });
  targets.push(world.server.listens, second.listens);
  await put(
    world.server,
    DOCTOR,
    appointment('of-maria', 'maria', 'booked'),
    appointment('of-maria-off', 'maria', 'cancelled'),
    appointment('of-leo', 'leo', 'booked'),
    appointment('of-stranger', 'stranger', 'booked'),
    ENCOUNTER,
  );
  const pages = new Map<string, string>();
  const serve = await listening(({ url = '' }, response) => {
    const { pathname } = new URL(url, 'http://localhost');
    const page = /\/fhir-client(?:\.pure\.min)?\.js$/.test(pathname) ? STOCK : pages.get(pathname);
    response.writeHead(page === undefined ? 404 : 200, {
      'content-type': pathname.endsWith('.js') ? 'text/javascript' : 'text/html; charset=utf-8',
    });
    response.end(page ?? '');
  });
  let count = 0;
  const fhirBase = `${front.origin}/fhir/R4`;
  return {
    world,
    origin: front.origin,
    fhirBase,
    apps: serve.origin,
    async app({ authorize = {}, asks, ...client } = {}) {
      const path = `/app${++count}`;
      const launchUrl = `${serve.origin}${path}/launch.html`;
      const redirectUri = `${serve.origin}${path}/index.html`;
      const scope = client.scope ?? APP_SCOPES;
      const { jwksUri } = client;
      const { clientId, secret } = await registerClient(
        world.server.kairos.identity,
        {
          kind: 'app',
          name: 'Heart Diary',
          auth: 'none',
          redirectUris: [redirectUri],
          postLogoutRedirectUris: [],
          launchUrl,
          ...client,
          scope,
        },
        'test',
      );
      const options = {
        clientId,
        scope: asks ?? scope,
        redirectUri,
        ...(secret === undefined ? {} : { clientSecret: secret }),
        ...(jwksUri === undefined ? {} : { clientPublicKeySetUrl: jwksUri }),
        ...authorize,
      };
      pages.set(`${path}/launch.html`, launchPage(options));
      pages.set(`${path}/index.html`, INDEX_PAGE);
      return { clientId, launchUrl: `${launchUrl}?iss=${encodeURIComponent(fhirBase)}` };
    },
    page: (path, html) => void pages.set(path, html),
    async close() {
      for (const { server } of [serve, front]) {
        server.close();
        server.closeAllConnections();
      }
      await second.close();
      await world.close();
    },
  };
}

/** On our sign-in page. */
export async function signIn(page: Page, email: string): Promise<void> {
  await page.fill('#email', email);
  await page.fill('#password', PASSWORD);
  await page.click('form[action="/signin"] button');
}

/** On our consent page. */
export const allow = (page: Page): Promise<void> => page.click('button[name=decision][value=allow]');

/** What the app shows when it is open: `ready`, or what was wrong. */
export async function shown(page: Page): Promise<string> {
  await page.waitForURL(/\/app\d+\/index\.html/);
  await page.waitForFunction(`document.getElementById('output').textContent !== ''`);
  return (await page.textContent('#output')) ?? '';
}

/** What the token endpoint said, as the client keeps it. */
export const tokens = (page: Page): Promise<Readonly<Record<string, unknown>>> =>
  page.evaluate('client.state.tokenResponse');

export interface Answer {
  readonly status: number;
  readonly value?: unknown;
  readonly message?: string;
}

/** Asks the client something. @param expression of a promise */
export const ask = (page: Page, expression: string): Promise<Answer> =>
  page.evaluate(
    `(${expression}).then((value) => ({ status: 200, value }), (error) => ({ status: error.status ?? 0, message: error.message }))`,
  );

export const request = (page: Page, url: string): Promise<Answer> =>
  ask(page, `client.request(${JSON.stringify(url)})`);

/** Ids of what a search found. */
export async function found(page: Page, url: string): Promise<readonly string[]> {
  const ids = await ask(
    page,
    `client.request(${JSON.stringify(url)}).then((b) => (b.entry || []).map((e) => e.resource.resourceType + '/' + e.resource.id).sort())`,
  );
  if (!Array.isArray(ids.value)) throw new Error(`${ids.status} ${ids.message ?? ''}`);
  return ids.value.map(String);
}

/** Goes on asking with the client's token. @returns when, in milliseconds, the last request was begun that was answered */
export async function untilRefused(page: Page, url: string): Promise<{ readonly status: number; readonly ms: number }> {
  const expression = `(async () => {
    const begun = performance.now();
    let ms = 0;
    for (;;) {
      const at = performance.now() - begun;
      const { status } = await fetch(${JSON.stringify(url)}, { headers: { authorization: client.getAuthorizationHeader() } });
      if (status === 401 || at > 3000) return { status, ms };
      ms = at;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  })()`;
  return page.evaluate(expression);
}

/** A window with this person signed in by our page, and the app open. */
export async function launched(
  context: BrowserContext,
  app: StockApp,
  email: string,
  patient: string | undefined,
  consent: (page: Page) => Promise<unknown> = () => Promise.resolve(),
): Promise<Page> {
  const page = await context.newPage();
  await page.goto(app.launchUrl);
  await page.waitForURL(/\/(?:signin|patient|consent)\b/);
  if (new URL(page.url()).pathname === '/signin') await signIn(page, email);
  if (patient !== undefined) await page.getByRole('button', { name: patient }).click();
  await page.waitForURL(/\/consent$/);
  await consent(page);
  await allow(page);
  const text = await shown(page);
  if (text !== 'ready') throw new Error(text);
  return page;
}
