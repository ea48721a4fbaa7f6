/** A standalone launch, from the authorization request to the last token. @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html */
import { createLocalJWKSet, jwtVerify, type JSONWebKeySet } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Account } from '../../src/auth/accounts/account.ts';
import type { Session } from '../../src/auth/session/session.ts';
import {
  asApp,
  authorize,
  Browser,
  exchange,
  introspect,
  makeAccount,
  makeApp,
  refresh,
  signIn,
  type TestApp,
} from '../support/app-driver.ts';
import { startIdentityServer, type IdentityServer } from '../support/identity-server.ts';

let server: IdentityServer;
let account: Account;
let app: TestApp;
let confidential: TestApp;
let browser: Browser;
let session: Session;

beforeAll(async () => {
  server = await startIdentityServer();
  account = await makeAccount(server, ['patient'], ['Patient/1']);
  app = await makeApp(server);
  confidential = await makeApp(server, { auth: 'client_secret_basic' });
  browser = new Browser();
  session = await signIn(server, browser, account);
});
afterAll(() => server.close());

describe('SMART App Launch 2.2: standalone', () => {
  test('login, patient, consent; then code and state come back with the issuer (RFC 9207)', async () => {
    const flow = await authorize(server, new Browser(), app, session, {}, {}).catch((error: unknown) => error);
    expect(flow).toBeInstanceOf(Error);
    const { answer, prompts } = await authorize(server, browser, app, session);
    expect(prompts).toEqual(['login', 'patient', 'consent']);
    expect(answer.get('state')).toBe('state-1');
    expect(answer.get('iss')).toBe(server.issuer);
    expect(answer.get('code')).toMatch(/^[\w-]{43}$/);
  });

  test('the token reply tells scope, context and identity, and is not stored', async () => {
    const flow = await authorize(server, browser, app, session);
    const { status, headers, body } = await exchange(server, app, flow);
    expect(status).toBe(200);
    expect(headers.get('cache-control')).toContain('no-store');
    expect(headers.get('pragma')).toContain('no-cache');
    expect(body).toMatchObject({
      token_type: 'Bearer',
      expires_in: 600,
      scope: 'openid fhirUser launch/patient offline_access patient/*.rs',
      patient: '1',
      need_patient_banner: true,
      smart_style_url: `${server.origin}/smart-style.json`,
    });
    expect(body['fhirUser']).toBeUndefined();
    const jwks = (await (await fetch(`${server.issuer}/jwks`)).json()) as JSONWebKeySet;
    const { payload, protectedHeader } = await jwtVerify(String(body['id_token']), createLocalJWKSet(jwks), {
      issuer: server.issuer,
      audience: app.clientId,
    });
    expect(protectedHeader.alg).toBe('RS256');
    expect(payload).toMatchObject({ sub: account.id, fhirUser: `${server.fhirBase}/Patient/1` });
  });

  test('refresh repeats the context, rotates for public apps, and not for those with a secret', async () => {
    const first = (await exchange(server, app, await authorize(server, browser, app, session))).body;
    const second = await refresh(server, app, first['refresh_token']);
    expect(second.status).toBe(200);
    expect(second.body).toMatchObject({ patient: '1', scope: first['scope'], need_patient_banner: true });
    expect(second.body['refresh_token']).not.toBe(first['refresh_token']);

    const kept = (await exchange(server, confidential, await authorize(server, browser, confidential, session))).body;
    const again = await refresh(server, confidential, kept['refresh_token']);
    expect(again.status).toBe(200);
    expect(again.body['refresh_token']).toBe(kept['refresh_token']);
  });

  test('RFC 7662: introspection tells what the reply told, with sub, iss and fhirUser', async () => {
    const { body } = await exchange(server, confidential, await authorize(server, browser, confidential, session));
    const told = await introspect(server, confidential, body['access_token']);
    expect(told.status).toBe(200);
    expect(told.body).toMatchObject({
      active: true,
      client_id: confidential.clientId,
      scope: body['scope'],
      patient: '1',
      sub: account.id,
      iss: server.issuer,
      fhirUser: `${server.fhirBase}/Patient/1`,
    });
    expect(Number.isInteger(told.body['exp'])).toBe(true);
    const unknown = await introspect(server, confidential, 'x'.repeat(43));
    expect([unknown.status, unknown.body]).toEqual([200, { active: false }]);
  });

  test('RFC 7009: revoking the refresh token ends its access tokens; unknown tokens are 200', async () => {
    const { body } = await exchange(server, confidential, await authorize(server, browser, confidential, session));
    expect((await asApp(server, confidential, '/revoke', { token: String(body['refresh_token']) })).status).toBe(200);
    expect((await introspect(server, confidential, body['access_token'])).body).toEqual({ active: false });
    expect((await refresh(server, confidential, body['refresh_token'])).status).toBe(400);
    expect((await asApp(server, confidential, '/revoke', { token: 'unknown' })).status).toBe(200);
  });
});
