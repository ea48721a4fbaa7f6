/** An app and the browser of its user, driven by hand: requests over HTTP, and the decisions that our pages would hand in. */
import { createHash, randomBytes } from 'node:crypto';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { registerClient, type NewClient } from '../../src/auth/clients/registry.ts';
import {
  choosePatient,
  denyConsent,
  finishLogin,
  grantConsent,
  interactionOf,
} from '../../src/auth/provider/interaction.ts';
import type { Account, Role } from '../../src/auth/accounts/account.ts';
import { accountById } from '../../src/auth/accounts/account.ts';
import { startSession, type Session } from '../../src/auth/session/session.ts';
import { newId } from '../../src/platform/id.ts';
import type { IdentityServer } from './identity-server.ts';

interface Cookie {
  readonly name: string;
  readonly value: string;
  readonly path: string;
}

/** Keeps cookies by path, as browsers do, and follows nothing by itself. */
export class Browser {
  #cookies: readonly Cookie[] = [];

  set(setCookie: string): void {
    const [pair = '', ...attributes] = setCookie.split(';').map((part) => part.trim());
    const equals = pair.indexOf('=');
    const path = attributes.find((a) => a.toLowerCase().startsWith('path='))?.slice(5) ?? '/';
    const cookie = { name: pair.slice(0, equals), value: pair.slice(equals + 1), path };
    const gone = cookie.value === '' || /expires=Thu, 01 Jan 1970|max-age=0/i.test(setCookie);
    this.#cookies = [
      ...this.#cookies.filter((c) => c.name !== cookie.name || c.path !== path),
      ...(gone ? [] : [cookie]),
    ];
  }

  header(path: string): string {
    return this.#cookies
      .filter((c) => path === c.path || path.startsWith(c.path.endsWith('/') ? c.path : `${c.path}/`))
      .map((c) => `${c.name}=${c.value}`)
      .join('; ');
  }

  async fetch(url: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set('cookie', this.header(new URL(url).pathname));
    const response = await fetch(url, { redirect: 'manual', ...init, headers });
    for (const cookie of response.headers.getSetCookie()) this.set(cookie);
    return response;
  }

  /** What one of our handlers would be given for a request to this address. */
  sockets(url: string): readonly [IncomingMessage, ServerResponse] {
    const { pathname, host } = new URL(url);
    const request = new IncomingMessage(new Socket());
    Object.assign(request, { url: pathname, method: 'POST' });
    request.headers = { cookie: this.header(pathname), host };
    return [request, new ServerResponse(request)];
  }
}

export const pkce = (): { readonly verifier: string; readonly challenge: string } => {
  const verifier = randomBytes(32).toString('base64url');
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') };
};

/** An account without a password, for sessions that tests begin by themselves. */
export async function makeAccount(
  { kairos: { identity } }: IdentityServer,
  roles: readonly Role[],
  profiles: readonly string[] = [],
): Promise<Account> {
  const id = newId();
  await identity.pool.query(
    `insert into auth_account (id, email_tag, email_sealed, name_sealed, roles, status, webauthn_user_id) values ($1, $2, $3, $4, $5, 'active', $1)`,
    [
      id,
      identity.keys.tag('auth_account.email', `${id}@example.org`),
      identity.keys.seal('auth_account.email_sealed', id, `${id}@example.org`),
      identity.keys.seal('auth_account.name_sealed', id, 'Test Person'),
      roles,
    ],
  );
  for (const reference of profiles)
    await identity.pool.query(`insert into auth_profile (account_id, reference, linked_by) values ($1, $2, 'test')`, [
      id,
      reference,
    ]);
  const account = await accountById(identity, id);
  if (!account) throw new Error('The account was not made');
  return account;
}

export async function signIn(server: IdentityServer, browser: Browser, account: Account): Promise<Session> {
  const { session, cookie } = await startSession(server.kairos.identity, account, {
    amr: ['pwd', 'mfa'],
    device: 'test',
  });
  browser.set(cookie);
  return session;
}

export interface TestApp {
  readonly clientId: string;
  readonly secret: string | undefined;
  readonly redirectUri: string;
}

export const APP_URI = 'https://app.example.org/callback';
export const ALL_SCOPES =
  'openid fhirUser profile launch launch/patient launch/encounter offline_access online_access patient/*.cruds user/*.cruds';

export async function makeApp(server: IdentityServer, how: Partial<NewClient> = {}): Promise<TestApp> {
  const client: NewClient = {
    kind: 'app',
    name: 'Test app',
    auth: 'none',
    redirectUris: [APP_URI],
    postLogoutRedirectUris: [],
    scope: ALL_SCOPES,
    ...how,
  };
  const { clientId, secret } = await registerClient(server.kairos.identity, client, 'test');
  return { clientId, secret, redirectUri: client.redirectUris[0] ?? '' };
}

export interface Decisions {
  readonly patient?: string;
  /** Scopes as the person leaves them; undefined: all. */
  readonly scopes?: readonly string[];
  readonly deny?: boolean;
  /** Where the decisions are handed in; the server of the request unless told. */
  readonly at?: IdentityServer;
}

export interface Flow {
  /** Query of the redirect to the app. */
  readonly answer: URLSearchParams;
  readonly redirect: string;
  readonly verifier: string;
  readonly prompts: readonly string[];
}

/** The parameters of a good authorization request. */
export function authorizeParameters(
  server: IdentityServer,
  app: TestApp,
  challenge: string,
  given: Readonly<Record<string, string | undefined>> = {},
): URLSearchParams {
  const all: Readonly<Record<string, string | undefined>> = {
    response_type: 'code',
    client_id: app.clientId,
    redirect_uri: app.redirectUri,
    scope: 'openid fhirUser launch/patient offline_access patient/*.rs',
    state: 'state-1',
    aud: server.kairos.identity.fhirBase,
    code_challenge: challenge,
    code_challenge_method: 'S256',
    ...given,
  };
  return new URLSearchParams(Object.entries(all).filter((pair): pair is [string, string] => pair[1] !== undefined));
}

/** One step of our pages. */
async function decide(
  server: IdentityServer,
  browser: Browser,
  url: string,
  session: Session,
  { patient = 'Patient/1', scopes, deny }: Decisions,
): Promise<{ readonly prompt: string; readonly next: string }> {
  const { auth } = server.kairos;
  const [request, response] = browser.sockets(url);
  const view = await interactionOf(auth.server, request, response);
  const next =
    view.prompt === 'login'
      ? await finishLogin(auth.server, request, response, session)
      : view.prompt === 'patient'
        ? await choosePatient(auth.server, request, response, patient)
        : deny
          ? await denyConsent(auth.server, request, response)
          : await grantConsent(auth.server, request, response, scopes ?? view.scopes.map((s) => s.text));
  return { prompt: view.prompt, next };
}

/** From the authorization request to the redirect back to the app. */
export async function authorize(
  server: IdentityServer,
  browser: Browser,
  app: TestApp,
  session: Session,
  parameters: Readonly<Record<string, string | undefined>> = {},
  decisions: Decisions = {},
): Promise<Flow> {
  const { verifier, challenge } = pkce();
  const query = authorizeParameters(server, app, challenge, parameters);
  let url = `${server.kairos.identity.issuer}/authorize?${query}`;
  const prompts: string[] = [];
  for (let steps = 0; steps < 10; steps++) {
    // Whichever process is asked, the address is the public one.
    const here = url.startsWith(server.kairos.identity.publicUrl)
      ? `${server.listens}${url.slice(server.kairos.identity.publicUrl.length)}`
      : url;
    const response = await browser.fetch(here);
    const location = response.headers.get('location');
    if (location === null) throw new Error(`${response.status} ${(await response.text()).slice(0, 500)}`);
    if (!location.startsWith(server.kairos.identity.issuer)) {
      return { answer: new URL(location).searchParams, redirect: location, verifier, prompts };
    }
    if (location.includes('/interaction/')) {
      const { prompt, next } = await decide(decisions.at ?? server, browser, location, session, decisions);
      prompts.push(prompt);
      url = next;
    } else url = location;
  }
  throw new Error('The authorization request goes in circles');
}

const basic = ({ clientId, secret }: TestApp): Record<string, string> =>
  secret === undefined ? {} : { authorization: `Basic ${Buffer.from(`${clientId}:${secret}`).toString('base64')}` };

export interface TokenReply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readonly<Record<string, unknown>>;
}

export async function post(
  server: IdentityServer,
  path: string,
  form: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
): Promise<TokenReply> {
  const response = await fetch(`${server.listens}/oauth${path}`, {
    method: 'POST',
    body: new URLSearchParams(form),
    headers,
    redirect: 'manual',
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: text.startsWith('{') ? (JSON.parse(text) as TokenReply['body']) : { text },
  };
}

/** A request to an endpoint that authenticates the app. */
export const asApp = (
  server: IdentityServer,
  app: TestApp,
  path: string,
  form: Readonly<Record<string, string>>,
): Promise<TokenReply> =>
  post(server, path, app.secret === undefined ? { client_id: app.clientId, ...form } : form, basic(app));

export const exchange = (server: IdentityServer, app: TestApp, flow: Flow): Promise<TokenReply> =>
  asApp(server, app, '/token', {
    grant_type: 'authorization_code',
    code: flow.answer.get('code') ?? '',
    redirect_uri: app.redirectUri,
    code_verifier: flow.verifier,
  });

export const refresh = (
  server: IdentityServer,
  app: TestApp,
  token: unknown,
  form: Readonly<Record<string, string>> = {},
): Promise<TokenReply> =>
  asApp(server, app, '/token', { grant_type: 'refresh_token', refresh_token: String(token), ...form });

/** As if what was used just now had been used some seconds ago: a second use at the same time is no theft. */
export const waitForReuse = async ({ kairos }: IdentityServer): Promise<void> =>
  void (await kairos.pool.query(
    `update auth_oidc set consumed_at = consumed_at - interval '5 s', last_used_at = last_used_at - interval '5 s' where model = 'RefreshToken' and consumed_at is not null`,
  ));

export const introspect = (server: IdentityServer, app: TestApp, token: unknown): Promise<TokenReply> =>
  asApp(server, app, '/introspect', { token: String(token) });
