/**
 * Where oidc-provider is bent to what SMART wants: each test is named after the bend, so that an upgrade of the library which changes it
 * fails loudly. @see docs/smart.md
 */
import { request as httpRequest } from 'node:http';
import { decodeJwt, decodeProtectedHeader, createLocalJWKSet, jwtVerify, type JSONWebKeySet } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Account } from '../../src/auth/accounts/account.ts';
import { rotateSigningKeys } from '../../src/auth/keys/signing.ts';
import { endSession } from '../../src/auth/session/end.ts';
import type { Session } from '../../src/auth/session/session.ts';
import { poolNamed } from '../../src/platform/database/pool.ts';
import {
  ALL_SCOPES,
  APP_URI,
  asApp,
  authorize,
  authorizeParameters,
  Browser,
  exchange,
  introspect,
  makeAccount,
  makeApp,
  pkce,
  post,
  refresh,
  signIn,
  type TestApp,
} from '../support/app-driver.ts';
import { startTwoIdentityServers, type IdentityServer } from '../support/identity-server.ts';

let one: IdentityServer;
let two: IdentityServer;
let account: Account;
let app: TestApp;
let confidential: TestApp;
let browser: Browser;
let session: Session;

beforeAll(async () => {
  [one, two] = await startTwoIdentityServers();
  account = await makeAccount(one, ['patient'], ['Patient/1', 'Patient/2']);
  app = await makeApp(one, { scope: `${ALL_SCOPES} patient/Appointment.rs?status=booked` });
  confidential = await makeApp(one, {
    auth: 'client_secret_post',
    postLogoutRedirectUris: ['https://app.example.org/bye'],
  });
  browser = new Browser();
  session = await signIn(one, browser, account);
});
afterAll(async () => {
  await two.close();
  await one.close();
});

const authorizeUrl = (parameters: Readonly<Record<string, string | undefined>> = {}, of = app): string =>
  `${one.issuer}/authorize?${authorizeParameters(one, of, pkce().challenge, parameters)}`;

/** The error that a request is answered with, on the app's redirect URI. */
async function errorOf(parameters: Readonly<Record<string, string | undefined>>): Promise<URLSearchParams> {
  const response = await browser.fetch(authorizeUrl(parameters));
  const location = response.headers.get('location') ?? '';
  expect(location.startsWith(APP_URI), `${response.status} ${location}`).toBe(true);
  return new URL(location).searchParams;
}

describe('bend 1: offline_access without prompt=consent', () => {
  test('is kept, asked for on our page, and gives a refresh token', async () => {
    const { body } = await exchange(one, app, await authorize(one, browser, app, session));
    expect(body['scope']).toContain('offline_access');
    expect(body['refresh_token']).toBeDefined();
  });

  test('is not given to an app that may not have it', async () => {
    const other = await makeApp(one, { scope: 'openid patient/*.rs' });
    const { body } = await exchange(one, other, await authorize(one, browser, other, session));
    expect(body['scope']).not.toContain('offline_access');
    expect(body['refresh_token']).toBeUndefined();
  });
});

describe('bend 2: granted scopes that are not the requested ones', () => {
  test('those that are left are granted, in the code, the token and its refreshes', async () => {
    const flow = await authorize(one, browser, app, session, {}, { scopes: ['offline_access', 'patient/*.rs'] });
    const { body } = await exchange(one, app, flow);
    expect(body['scope']).toBe('offline_access patient/*.rs');
    // openid was not granted.
    expect(body['id_token']).toBeUndefined();
    expect((await refresh(one, app, body['refresh_token'])).body['scope']).toBe('offline_access patient/*.rs');
  });

  test('a granular one takes the place of the one for the whole type', async () => {
    const granular = 'patient/Appointment.rs?status=booked';
    const flow = await authorize(
      one,
      browser,
      app,
      session,
      { scope: 'patient/Appointment.rs offline_access' },
      { scopes: [granular, 'offline_access'] },
    );
    const { body } = await exchange(one, app, flow);
    expect(body['scope']).toBe(`${granular} offline_access`);
    expect((await refresh(one, app, body['refresh_token'])).body['scope']).toBe(`${granular} offline_access`);
  });

  test('more than was asked for is not granted', async () => {
    const flow = await authorize(
      one,
      browser,
      app,
      session,
      { scope: 'patient/Appointment.rs' },
      { scopes: ['patient/Appointment.cruds', 'patient/Patient.rs', 'offline_access', 'openid'] },
    );
    expect((await exchange(one, app, flow)).body['scope']).toBe('patient/Appointment.rs');
  });

  test('nothing is access_denied', async () => {
    const { answer } = await authorize(one, browser, app, session, {}, { scopes: [] });
    expect([answer.get('error'), answer.get('code'), answer.get('state')]).toEqual(['access_denied', null, 'state-1']);
  });

  test('v1 is answered as v1; unknown words vanish; more than the registration is narrowed', async () => {
    const narrow = await makeApp(one, { scope: 'launch/patient patient/Patient.rs patient/Appointment.rs' });
    const flow = await authorize(one, browser, narrow, session, {
      scope: 'launch/patient patient/Patient.read patient/Appointment.cruds patient/Appointment.sr unknown system/*.rs',
    });
    expect((await exchange(one, narrow, flow)).body['scope']).toBe(
      'launch/patient patient/Patient.read patient/Appointment.rs',
    );
  });

  test('when nothing of it can be granted, the app hears invalid_scope', async () => {
    expect((await errorOf({ scope: 'unknown system/*.rs' })).get('error')).toBe('invalid_scope');
    expect((await errorOf({ scope: undefined })).get('error')).toBe('invalid_scope');
  });

  test('RFC 6749 6: a refresh may ask for less, never for more, and less does not last', async () => {
    const { body } = await exchange(one, confidential, await authorize(one, browser, confidential, session));
    const less = await refresh(one, confidential, body['refresh_token'], { scope: 'patient/*.rs' });
    expect([less.status, less.body['scope'], less.body['id_token']]).toEqual([200, 'patient/*.rs', undefined]);
    const more = await refresh(one, confidential, body['refresh_token'], { scope: 'patient/*.cruds' });
    expect([more.status, more.body['error']]).toEqual([400, 'invalid_scope']);
    expect((await refresh(one, confidential, body['refresh_token'])).body['scope']).toBe(body['scope']);
  });
});

describe('bend 3: one grant per client and session', () => {
  test('the same app, launched again in the same browser for another patient, leaves the first launch alone', async () => {
    const first = (await exchange(one, app, await authorize(one, browser, app, session))).body;
    const second = (await exchange(one, app, await authorize(one, browser, app, session, {}, { patient: 'Patient/2' })))
      .body;
    expect([first['patient'], second['patient']]).toEqual(['1', '2']);
    expect((await introspect(one, confidential, first['access_token'])).body).toMatchObject({
      active: true,
      patient: '1',
    });
    expect((await refresh(one, app, first['refresh_token'])).body['patient']).toBe('1');
    expect((await refresh(one, app, second['refresh_token'])).body['patient']).toBe('2');
  });

  test('online_access ends with the session of our pages, offline_access does not', async () => {
    const own = new Browser();
    const session = await signIn(one, own, account);
    const online = (
      await exchange(one, app, await authorize(one, own, app, session, { scope: 'patient/*.rs online_access' }))
    ).body;
    const offline = (await exchange(one, app, await authorize(one, own, app, session))).body;
    const rotated = await refresh(one, app, online['refresh_token']);
    expect(rotated.status).toBe(200);
    await endSession(one.kairos.identity, session.uid);
    expect((await refresh(two, app, rotated.body['refresh_token'])).status).toBe(400);
    expect((await introspect(two, confidential, rotated.body['access_token'])).body).toEqual({ active: false });
    expect((await refresh(two, app, offline['refresh_token'])).status).toBe(200);
  });

  test('a session that was idle for too long ends online_access, and refreshing does not prolong it', async () => {
    const own = new Browser();
    const session = await signIn(one, own, account);
    const online = (
      await exchange(one, app, await authorize(one, own, app, session, { scope: 'patient/*.rs online_access' }))
    ).body;
    const seen = async (): Promise<string | null | undefined> =>
      (await poolNamed(one.kairos.pool, `select last_seen_at from auth_session where uid = $1`, [session.uid]))
        .rows[0]?.[0];
    await poolNamed(
      one.kairos.pool,
      `update auth_session set last_seen_at = last_seen_at - interval '10 minutes' where uid = $1`,
      [session.uid],
    );
    const before = await seen();
    const rotated = await refresh(one, app, online['refresh_token']);
    expect(rotated.status).toBe(200);
    expect(await seen()).toBe(before);
    await poolNamed(
      one.kairos.pool,
      `update auth_session set last_seen_at = last_seen_at - interval '21 minutes' where uid = $1`,
      [session.uid],
    );
    expect((await refresh(one, app, rotated.body['refresh_token'])).status).toBe(400);
  });
});

describe('bend 5: further members of the token reply', () => {
  test('errors have none, and are not stored either', async () => {
    const { status, headers, body } = await post(one, '/token', {
      grant_type: 'authorization_code',
      client_id: app.clientId,
      code: 'x'.repeat(43),
      redirect_uri: APP_URI,
      code_verifier: 'x'.repeat(43),
    });
    expect(status).toBe(400);
    expect(Object.keys(body).sort()).toEqual(['error', 'error_description']);
    expect([headers.get('cache-control'), headers.get('pragma')]).toEqual(['no-store', 'no-cache']);
  });
});

describe('aud, which the library does not know', () => {
  test.each([
    ['absent', undefined],
    ['another server', 'https://other.example/fhir/R4'],
    ['a part of it', 'http://localhost'],
    ['with more behind it', '{base}/x'],
    ['with two slashes', '{base}//'],
    ['in capitals', '{BASE}'],
  ])('%s: an error and no code', async (_name, aud) => {
    const found = await errorOf({
      aud: aud?.replace('{base}', one.fhirBase).replace('{BASE}', one.fhirBase.toUpperCase()),
    });
    expect([found.get('error'), found.get('code'), found.get('state')]).toEqual(['invalid_request', null, 'state-1']);
  });

  test('with a slash at its end it is ours', async () => {
    const { answer } = await authorize(one, browser, app, session, { aud: `${one.fhirBase}/` });
    expect(answer.get('code')).not.toBeNull();
  });

  test('a resource (RFC 8707) of the client is refused unless it is the same', async () => {
    expect((await errorOf({ resource: 'https://other.example/' })).get('error')).toBe('invalid_target');
  });
});

describe('PKCE: S256 for every app', () => {
  test.each([
    ['no challenge', { code_challenge: undefined, code_challenge_method: undefined }],
    ['no method', { code_challenge_method: undefined }],
    ['plain', { code_challenge_method: 'plain' }],
    ['unknown method', { code_challenge_method: 'S512' }],
    ['blank challenge', { code_challenge: '' }],
  ])('%s: invalid_request', async (_name, parameters) => {
    expect((await errorOf(parameters)).get('error')).toBe('invalid_request');
  });
});

describe('redirect_uri: as registered, or no redirect at all', () => {
  test.each([
    `${APP_URI}/`,
    `${APP_URI}?x=1`,
    `${APP_URI}#x`,
    'https://app.example.org/Callback',
    'https://app.example.org:443/callback/..',
    'https://app.example.org:8443/callback',
    'https://user@app.example.org/callback',
    'https://app.example.org/x/../callback',
    'https://app.example.org/%63allback',
    'https://app.example.org.evil.example/callback',
    'http://app.example.org/callback',
    'javascript:alert(1)',
    '',
  ])('%s', async (uri) => {
    const response = await browser.fetch(authorizeUrl({ redirect_uri: uri }));
    expect([response.status, response.headers.get('location')]).toEqual([400, null]);
  });

  test('an unknown client gets a page too', async () => {
    const response = await browser.fetch(authorizeUrl({ client_id: 'unknown' }));
    expect([response.status, response.headers.get('location')]).toEqual([400, null]);
    expect(response.headers.get('content-type')).toContain('text/html');
    expect(response.headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
  });
});

describe('authorize-post', () => {
  const send = (form: URLSearchParams, query = ''): Promise<Response> =>
    browser.fetch(`${one.issuer}/authorize${query}`, { method: 'POST', body: form });

  test('the Origin header says nothing about where to go', async () => {
    const response = await browser.fetch(`${one.issuer}/authorize`, {
      method: 'POST',
      body: authorizeParameters(one, app, pkce().challenge),
      headers: { origin: 'https://evil.example' },
    });
    expect(response.headers.get('location')?.startsWith(`${one.issuer}/authorize?`)).toBe(true);
  });

  test('comes again by GET with the same parameters, those of the address first', async () => {
    const form = authorizeParameters(one, app, pkce().challenge, { state: 'a b+c&d=é' });
    form.delete('client_id');
    const response = await send(form, `?client_id=${app.clientId}`);
    expect(response.status).toBe(303);
    const location = new URL(response.headers.get('location') ?? '');
    expect(`${location.origin}${location.pathname}`).toBe(`${one.issuer}/authorize`);
    expect(location.searchParams.get('state')).toBe('a b+c&d=é');
    expect((await browser.fetch(location.href)).headers.get('location')).toContain('/interaction/');
  });

  test('a parameter given twice is refused as it is by GET', async () => {
    const form = authorizeParameters(one, app, pkce().challenge);
    const again = await send(form, `?client_id=${app.clientId}`);
    expect((await browser.fetch(again.headers.get('location') ?? '')).status).toBe(400);
  });

  test('is bounded, and only a form', async () => {
    const long = authorizeParameters(one, app, pkce().challenge, { state: 'x'.repeat(20_000) });
    expect((await send(long)).status).toBe(400);
    const json = await browser.fetch(`${one.issuer}/authorize`, {
      method: 'POST',
      body: '{}',
      headers: { 'content-type': 'application/json' },
    });
    expect(json.status).toBe(400);
  });
});

describe('what no client may cause', () => {
  test('NUL in a parameter is 400, not 500', async () => {
    for (const path of [`${authorizeUrl()}%00`, `${one.issuer}/logout?state=%00`])
      expect((await browser.fetch(path)).status).toBe(400);
    const { status } = await post(one, '/token', { grant_type: 'client_credentials', client_id: 'a\0b' });
    expect(status).toBe(401);
  });

  test('programs get JSON also when they accept HTML', async () => {
    for (const path of ['/token', '/introspect', '/revoke']) {
      const { headers, body, status } = await post(one, path, {}, { accept: 'text/html' });
      expect([status, headers.get('content-type')]).toEqual([400, 'application/json; charset=utf-8']);
      expect(body['error']).toBe('invalid_request');
    }
  });

  test('a form of another type, or a long one, is 400', async () => {
    for (const init of [
      { body: '{}', headers: { 'content-type': 'application/json' } },
      { body: new URLSearchParams({ code: 'x'.repeat(60_000) }) },
    ]) {
      const response = await fetch(`${one.issuer}/token`, { method: 'POST', ...init });
      expect(response.status).toBe(400);
      expect(((await response.json()) as { error: string }).error).toBe('invalid_request');
    }
  });
});

describe('CORS: scripts of registered origins', () => {
  const origin = new URL(APP_URI).origin;
  const ask = (from: string): Promise<Response> =>
    fetch(`${one.issuer}/token`, {
      method: 'POST',
      headers: { origin: from },
      body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: 'x', client_id: app.clientId }),
    });

  test('see the reply, with credentials (fhirclient asks for them)', async () => {
    const { headers } = await ask(origin);
    expect(headers.get('access-control-allow-origin')).toBe(origin);
    expect(headers.get('access-control-allow-credentials')).toBe('true');
  });

  test('others do not', async () => {
    const { headers, status } = await ask('https://evil.example');
    expect([status, headers.get('access-control-allow-origin')]).toEqual([400, null]);
    expect(headers.get('access-control-allow-credentials')).toBeNull();
  });

  test('preflights allow credentials to registered origins only', async () => {
    for (const [from, credentials] of [
      [origin, 'true'],
      ['https://evil.example', null],
    ] as const) {
      const { headers, status } = await fetch(`${one.issuer}/token`, {
        method: 'OPTIONS',
        headers: { origin: from, 'access-control-request-method': 'POST' },
      });
      expect([status, headers.get('access-control-allow-credentials')]).toEqual([204, credentials]);
    }
  });
});

describe('signing keys', () => {
  const keysOf = async (server: IdentityServer): Promise<JSONWebKeySet> =>
    (await (await fetch(`${server.listens}/oauth/jwks`)).json()) as JSONWebKeySet;

  test('a new one is published first, signs later, in the middle of an interaction too; every process follows', async () => {
    const before = (await keysOf(one)).keys.map((k) => k.kid);
    expect(await rotateSigningKeys(one.kairos.identity, { now: true })).toEqual({ added: 1, retired: 0 });
    await Promise.all([one, two].map((s) => s.kairos.auth.server.refreshKeys()));
    const published = (await keysOf(two)).keys.map((k) => k.kid);
    expect(published).toHaveLength(before.length + 1);

    const flow = await authorize(one, browser, app, session);
    const first = String((await exchange(one, app, flow)).body['id_token']);
    expect(decodeProtectedHeader(first).kid).toBe(before[0]);

    // Begun under the one, finished under the other.
    const { verifier, challenge } = pkce();
    const begun = await browser.fetch(`${one.issuer}/authorize?${authorizeParameters(one, app, challenge)}`);
    expect(begun.headers.get('location')).toContain('/interaction/');
    await poolNamed(one.kairos.pool, `update auth_signing_key set signs_from = now() where signs_from > now()`);
    await Promise.all([one, two].map((s) => s.kairos.auth.server.refreshKeys()));
    const finished = await authorize(one, browser, app, session);
    expect(verifier).not.toBe(finished.verifier);
    const second = String((await exchange(two, app, finished)).body['id_token']);
    expect(before).not.toContain(decodeProtectedHeader(second).kid);
    for (const token of [first, second])
      await expect(
        jwtVerify(token, createLocalJWKSet(await keysOf(two)), { issuer: one.issuer, audience: app.clientId }),
      ).resolves.toBeDefined();
  });

  test('one that was replaced long ago is retired', async () => {
    await poolNamed(one.kairos.pool, `update auth_signing_key set signs_from = signs_from - interval '3 days'`);
    expect((await rotateSigningKeys(one.kairos.identity)).retired).toBe(1);
    await one.kairos.auth.server.refreshKeys();
    expect((await keysOf(one)).keys).toHaveLength(1);
  });
});

describe('two processes', () => {
  test('finish what the other began', async () => {
    const flow = await authorize(two, browser, app, session, {}, { at: one });
    const { status, body } = await exchange(one, app, flow);
    expect(status).toBe(200);
    expect((await refresh(two, app, body['refresh_token'])).status).toBe(200);
  });
});

describe('signing in', () => {
  test('the time of signing in does not move with the steps; max_age and prompt=login ask anew', async () => {
    const flow = await authorize(one, browser, app, session, { max_age: '3600' });
    const { body } = await exchange(one, app, flow);
    expect(decodeJwt(String(body['id_token']))['auth_time']).toBe(session.authTime);
    // Within the second in which they signed in they have just done so.
    await expect.poll(() => Math.floor(Date.now() / 1000), { timeout: 3_000 }).toBeGreaterThan(session.authTime);
    await expect(authorize(one, browser, app, session, { prompt: 'login' })).rejects.toThrow('sign in again');
    expect((await errorOf({ prompt: 'none' })).get('error')).toBe('interaction_required');
    expect((await errorOf({ prompt: 'none', scope: 'user/*.rs' })).get('error')).toBe('consent_required');
  });

  test('prompt=none without a session is login_required', async () => {
    const response = await new Browser().fetch(authorizeUrl({ prompt: 'none' }));
    const { searchParams } = new URL(response.headers.get('location') ?? '');
    expect(searchParams.get('error')).toBe('login_required');
  });

  test("the library's session without ours is worth nothing", async () => {
    const own = new Browser();
    const session = await signIn(one, own, account);
    await authorize(one, own, app, session);
    await endSession(one.kairos.identity, session.uid);
    const response = await own.fetch(authorizeUrl({ prompt: 'none' }));
    expect(new URL(response.headers.get('location') ?? '').searchParams.get('error')).toBe('login_required');
  });

  test("another person's sign-in in the same browser takes over, and is not signed out by it", async () => {
    const own = new Browser();
    await authorize(one, own, app, await signIn(one, own, account));
    const other = await makeAccount(one, ['patient'], ['Patient/9']);
    const session = await signIn(one, own, other);
    // The library ends what is left of the first one with a form that the page submits.
    const url = authorizeUrl();
    const login = (await own.fetch(url)).headers.get('location') ?? '';
    const { finishLogin } = await import('../../src/auth/provider/interaction.ts');
    const [request, response] = own.sockets(login);
    const resumed = await own.fetch(await finishLogin(one.kairos.auth.server, request, response, session));
    const page = await resumed.text();
    const xsrf = /name="xsrf" value="([^"]+)"/.exec(page)?.[1] ?? '';
    expect(resumed.headers.get('content-security-policy')).toMatch(/script-src[^;]*'sha256-/);
    const confirmed = await own.fetch(`${one.issuer}/logout/confirm`, {
      method: 'POST',
      body: new URLSearchParams({ xsrf, logout: 'yes' }),
    });
    expect(confirmed.status).toBe(303);
    const again = await own.fetch(confirmed.headers.get('location') ?? '');
    expect(again.headers.get('location')).toContain('/patient');
    const { rows } = await poolNamed(one.kairos.pool, `select ended_at from auth_session where uid = $1`, [
      session.uid,
    ]);
    expect(rows[0]?.[0]).toBeNull();
  });
});

describe('OpenID Connect RP-Initiated Logout', () => {
  test('ends our session too, and goes back to the registered address', async () => {
    const own = new Browser();
    const session = await signIn(one, own, account);
    const { body } = await exchange(one, confidential, await authorize(one, own, confidential, session));
    const query = new URLSearchParams({
      id_token_hint: String(body['id_token']),
      post_logout_redirect_uri: 'https://app.example.org/bye',
      state: 's',
    });
    const asked = await own.fetch(`${one.issuer}/logout?${query}`);
    expect(asked.headers.get('content-security-policy')).toContain("form-action 'self' https://app.example.org");
    expect(asked.headers.get('x-frame-options')).toBe('DENY');
    const xsrf = /name="xsrf" value="([^"]+)"/.exec(await asked.text())?.[1] ?? '';
    const done = await own.fetch(`${one.issuer}/logout/confirm`, {
      method: 'POST',
      body: new URLSearchParams({ xsrf, logout: 'yes' }),
    });
    expect(done.headers.get('location')).toBe('https://app.example.org/bye?state=s');
    const { rows } = await poolNamed(one.kairos.pool, `select ended_at from auth_session where uid = $1`, [
      session.uid,
    ]);
    expect(rows[0]?.[0]).not.toBeNull();
    // offline_access was granted for the time after.
    expect((await refresh(one, confidential, body['refresh_token'])).status).toBe(200);
  });

  test('an address that is not registered is refused; a wrong xsrf too', async () => {
    const own = new Browser();
    await signIn(one, own, account);
    const query = new URLSearchParams({
      client_id: confidential.clientId,
      post_logout_redirect_uri: 'https://evil.example/',
    });
    expect((await own.fetch(`${one.issuer}/logout?${query}`)).status).toBe(400);
    const wrong = await own.fetch(`${one.issuer}/logout/confirm`, {
      method: 'POST',
      body: new URLSearchParams({ xsrf: 'x', logout: 'yes' }),
    });
    expect(wrong.status).toBe(400);
  });
});

describe('OpenID Connect UserInfo', () => {
  const ask = (token: unknown, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${one.issuer}/userinfo`, { headers: { authorization: `Bearer ${String(token)}`, ...headers } });

  test('tells sub and fhirUser; refuses tokens without openid, and what is none', async () => {
    const { body } = await exchange(one, app, await authorize(one, browser, app, session));
    const told = await ask(body['access_token'], { origin: new URL(APP_URI).origin });
    expect(await told.json()).toEqual({ sub: account.id, fhirUser: `${one.fhirBase}/Patient/1` });
    expect(told.headers.get('access-control-allow-origin')).toBe(new URL(APP_URI).origin);
    const plain = await exchange(one, app, await authorize(one, browser, app, session, { scope: 'patient/*.rs' }));
    expect((await ask(plain.body['access_token'])).status).toBe(403);
    for (const wrong of [body['id_token'], body['refresh_token'], 'x'.repeat(43)])
      expect((await ask(wrong)).status).toBe(401);
    const none = await fetch(`${one.issuer}/userinfo`);
    expect([none.status, none.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
  });
});

describe('revocation by the other ways', () => {
  test('a disabled client is refused at once, and its tokens are gone', async () => {
    const { disableClient } = await import('../../src/auth/clients/registry.ts');
    const doomed = await makeApp(one);
    const { body } = await exchange(one, doomed, await authorize(one, browser, doomed, session));
    expect(await disableClient(two.kairos.identity, doomed.clientId)).toBe(true);
    expect((await refresh(one, doomed, body['refresh_token'])).status).toBe(401);
    expect((await introspect(one, confidential, body['access_token'])).body).toEqual({ active: false });
    expect((await browser.fetch(authorizeUrl({}, doomed))).status).toBe(400);
  });

  test('connected apps: listed, and ended one by one, by their owner only', async () => {
    const { listGrants, revokeGrantOf } = await import('../../src/auth/provider/grants.ts');
    const own = new Browser();
    const person = await makeAccount(one, ['patient'], ['Patient/7']);
    const session = await signIn(one, own, person);
    const { body } = await exchange(one, app, await authorize(one, own, app, session));
    const [listed, ...others] = await listGrants(one.kairos.identity, person.id);
    expect(others).toEqual([]);
    expect(listed).toMatchObject({ clientId: app.clientId, clientName: 'Test app', patient: '1', offline: true });
    expect(listed?.scopes.map((s) => s.text)).toContain('patient/*.rs');
    const grantId = listed?.grantId ?? '';
    expect(await revokeGrantOf(one.kairos.identity, account.id, grantId)).toBe(false);
    expect(await revokeGrantOf(two.kairos.identity, person.id, grantId)).toBe(true);
    expect((await refresh(one, app, body['refresh_token'])).status).toBe(400);
    expect(await listGrants(one.kairos.identity, person.id)).toEqual([]);
  });

  test('a disabled account cannot refresh', async () => {
    const person = await makeAccount(one, ['patient'], ['Patient/8']);
    const own = new Browser();
    const session = await signIn(one, own, person);
    const { body } = await exchange(one, app, await authorize(one, own, app, session));
    await poolNamed(one.kairos.pool, `update auth_account set status = 'disabled' where id = $1`, [person.id]);
    expect((await refresh(one, app, body['refresh_token'])).status).toBe(400);
  });

  test('who may not act for the patient any more cannot refresh what was opened for them', async () => {
    const person = await makeAccount(one, ['patient'], ['Patient/9', 'Patient/10']);
    const own = new Browser();
    const session = await signIn(one, own, person);
    const tokensFor = async (patient: string) =>
      (await exchange(one, app, await authorize(one, own, app, session, {}, { patient }))).body;
    const kept = await tokensFor('Patient/9');
    const lost = await tokensFor('Patient/10');
    await poolNamed(one.kairos.pool, `delete from auth_profile where account_id = $1 and reference = 'Patient/10'`, [
      person.id,
    ]);
    const refused = await refresh(one, app, lost['refresh_token']);
    expect([refused.status, refused.body]).toEqual([400, expect.objectContaining({ error: 'invalid_grant' })]);
    expect(JSON.stringify(refused.body)).not.toContain('10');
    expect((await refresh(one, app, kept['refresh_token'])).body['patient']).toBe('9');
  });

  test("another client's token is left alone, and 200 all the same", async () => {
    const { body } = await exchange(one, app, await authorize(one, browser, app, session));
    expect((await asApp(one, confidential, '/revoke', { token: String(body['access_token']) })).status).toBe(200);
    expect((await introspect(one, confidential, body['access_token'])).body['active']).toBe(true);
  });
});

describe('the mount', () => {
  test('ignores what the path is only decoded to', async () => {
    const raw = (path: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const sent = httpRequest({ host: '127.0.0.1', port: new URL(one.listens).port, path, method: 'POST' }, (r) => {
          r.resume();
          resolve(r.statusCode ?? 0);
        });
        sent.on('error', reject);
        sent.end();
      });
    expect(await raw('/oauth/token')).toBe(400);
    for (const path of ['/oauth%2ftoken', '/%6f%61uth/token', '//oauth/token', '/oauth//token', '/x/../oauth/token'])
      expect([path, await raw(path)]).toEqual([path, 404]);
  });
});
