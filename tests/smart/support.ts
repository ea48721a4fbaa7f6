/** Two processes of one installation, with people, apps and a patient; and requests as hostile clients write them. */
import { createHash } from 'node:crypto';
import http from 'node:http';
import type { Account } from '../../src/auth/accounts/account.ts';
import type { Session } from '../../src/auth/session/session.ts';
import {
  authorize,
  Browser,
  makeAccount,
  signIn,
  type Decisions,
  type Flow,
  type TestApp,
} from '../support/app-driver.ts';
import {
  startTwoIdentityServers,
  type IdentityServer,
  type IdentityServerOptions,
} from '../support/identity-server.ts';

export const BOOTSTRAP: TestApp = {
  clientId: 'bootstrap',
  secret: 'bootstrap-secret-of-the-tests-0123456789',
  redirectUri: '',
};
export const REGISTRATION_TOKEN = 'initial-access-token-of-the-tests-0123456789';

export interface Installation {
  readonly first: IdentityServer;
  readonly second: IdentityServer;
  readonly both: readonly IdentityServer[];
  /** Patient/1, signed in with `browser`. */
  readonly account: Account;
  readonly session: Session;
  readonly browser: Browser;
  /** From the authorization request to the code, asked of the one process and decided at the other. */
  flow(app: TestApp, parameters?: Readonly<Record<string, string | undefined>>, decisions?: Decisions): Promise<Flow>;
  close(): Promise<void>;
}

/** A token of the system client of the environment. */
export async function systemToken(server: IdentityServer, scope = 'system/*.cruds'): Promise<string> {
  const response = await fetch(`${server.listens}/oauth/token`, {
    method: 'POST',
    headers: { authorization: basicAuth(BOOTSTRAP) },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope }),
  });
  const { access_token: token } = (await response.json()) as { readonly access_token?: string };
  if (token === undefined) throw new Error(`No token of the system: ${response.status}`);
  return token;
}

export const basicAuth = ({ clientId, secret }: TestApp): string =>
  `Basic ${Buffer.from(`${clientId}:${secret ?? ''}`).toString('base64')}`;

async function store(
  server: IdentityServer,
  token: string,
  resource: Readonly<Record<string, unknown>> & { readonly resourceType: string; readonly id: string },
): Promise<void> {
  const response = await fetch(`${server.listens}/fhir/R4/${resource.resourceType}/${resource.id}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/fhir+json' },
    body: JSON.stringify(resource),
  });
  if (!response.ok)
    throw new Error(`${resource.resourceType}/${resource.id}: ${response.status} ${await response.text()}`);
}

export async function startInstallation(options: IdentityServerOptions = {}): Promise<Installation> {
  const [first, second] = await startTwoIdentityServers({
    ...options,
    env: {
      BOOTSTRAP_CLIENT_ID: BOOTSTRAP.clientId,
      BOOTSTRAP_CLIENT_SECRET: BOOTSTRAP.secret ?? '',
      REGISTRATION_TOKEN,
      ...options.env,
    },
  });
  const token = await systemToken(first);
  for (const id of ['1', '2'])
    await store(first, token, {
      resourceType: 'Patient',
      id,
      name: [{ family: `Person${id}` }],
      birthDate: '1980-01-01',
    });
  const account = await makeAccount(first, ['patient'], ['Patient/1']);
  const browser = new Browser();
  const session = await signIn(first, browser, account);
  let turn = 0;
  return {
    first,
    second,
    both: [first, second],
    account,
    session,
    browser,
    flow(app, parameters, decisions) {
      const [asked, decided] = turn++ % 2 === 0 ? [first, second] : [second, first];
      return authorize(asked, browser, app, session, parameters, { at: decided, ...decisions });
    },
    async close() {
      await second.close();
      await first.close();
    },
  };
}

export interface RawReply {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
}

export interface RawRequest {
  readonly method?: string;
  readonly headers?: http.OutgoingHttpHeaders;
  readonly body?: string | Buffer;
}

/** A request byte by byte: `fetch` would put target and headers in order. @param target path with query, as it goes over the wire */
export function raw(
  server: IdentityServer,
  target: string,
  { method = 'GET', headers = {}, body }: RawRequest = {},
): Promise<RawReply> {
  const { hostname, port } = new URL(server.listens);
  return new Promise((resolve, reject) => {
    const request = http.request(
      { host: hostname, port, method, path: target, headers, agent: false, timeout: 20_000 },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text: Buffer.concat(chunks).toString('utf8'),
          }),
        );
        response.on('error', reject);
      },
    );
    request.on('timeout', () => request.destroy(new Error(`No answer to ${method} ${target.slice(0, 200)}`)));
    request.on('error', reject);
    request.end(body);
  });
}

export const FORM = 'application/x-www-form-urlencoded';

/** Parameters as pairs, so that one can come twice. */
export const query = (pairs: readonly (readonly [string, string])[]): string =>
  pairs.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join('&');

export const jsonOf = (text: string): Readonly<Record<string, unknown>> => {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null) throw new Error(`No object: ${text.slice(0, 200)}`);
  return { ...value };
};

/** What must never be seen from outside. */
export const LEAK =
  /\bat (?:async )?[\w.<>]+ \(|node_modules|node:internal|\.ts:\d+|select .{1,400} from |insert into |auth_(?:oidc|client|account|session)\b|ECONN|syntax error/;

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('base64url');

/** Asks until it is so, for a second at most: revocations hold everywhere by then. */
export async function within<T>(ask: () => Promise<T>, wanted: (answer: T) => boolean, limitMs = 1000): Promise<T> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const begun = performance.now();
    const answer = await ask();
    if (wanted(answer) || begun > deadline) return answer;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export const readPatient = async (server: IdentityServer, token: unknown, id = '1'): Promise<number> =>
  (await fetch(`${server.listens}/fhir/R4/Patient/${id}`, { headers: { authorization: `Bearer ${String(token)}` } }))
    .status;
