/**
 * The whole of it with a client that others wrote and certified: openid-client finds everything by discovery, checks what it is given, and each
 * of its requests, as each step of the person, goes to another one of two processes.
 */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  createLocalJWKSet,
  decodeProtectedHeader,
  exportJWK,
  generateKeyPair,
  jwtVerify,
  type CryptoKey,
  type JSONWebKeySet,
} from 'jose';
import * as oidc from 'openid-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { NewClient } from '../../src/auth/clients/registry.ts';
import { rotateSigningKeys } from '../../src/auth/keys/signing.ts';
import { ALL_SCOPES, Browser, makeApp, signIn, type TestApp } from '../support/app-driver.ts';
import { visit, type Wishes } from './person.ts';
import { BOOTSTRAP, readPatient, startInstallation, within, type Installation } from './support.ts';

let inst: Installation;
const SCOPE = 'openid fhirUser launch/patient offline_access patient/Patient.rs patient/Slot.read';
const BYE = 'https://app.example.org/bye';

const keys: Record<string, { secret: CryptoKey; jwk: Readonly<Record<string, unknown>> }> = {};
let keyServer: http.Server;
let keysUrl: string;

beforeAll(async () => {
  for (const alg of ['RS384', 'ES384']) {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    keys[alg] = { secret: privateKey, jwk: { ...(await exportJWK(publicKey)), kid: `key-${alg}`, alg, use: 'sig' } };
  }
  keyServer = http.createServer((_request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ keys: Object.values(keys).map(({ jwk }) => jwk) }));
  });
  await new Promise<void>((resolve) => keyServer.listen(0, '127.0.0.1', resolve));
  keysUrl = `http://localhost:${(keyServer.address() as AddressInfo).port}/jwks.json`;
  inst = await startInstallation();
});
afterAll(async () => {
  keyServer.close();
  await inst.close();
});

let turn = 0;
/** The public address is the first process's: every second request goes to the other one. */
const alternating: oidc.CustomFetch = (url, options) =>
  fetch(turn++ % 2 === 0 ? url : url.replace(inst.first.origin, inst.second.listens), options as RequestInit);

async function discover(
  app: TestApp,
  auth: oidc.ClientAuth,
  algorithm: 'oidc' | 'oauth2' = 'oidc',
): Promise<oidc.Configuration> {
  const config = await oidc.discovery(
    new URL(inst.first.issuer),
    app.clientId,
    { id_token_signed_response_alg: 'RS256' },
    auth,
    {
      algorithm,
      execute: [oidc.allowInsecureRequests],
      [oidc.customFetch]: alternating,
    },
  );
  // Signatures of id_tokens are checked although they come by the back channel.
  oidc.enableNonRepudiationChecks(config);
  return config;
}

/** With the assertion's aud that SMART asks for. */
const signed = (alg: string): oidc.ClientAuth =>
  oidc.PrivateKeyJwt(
    { key: keys[alg]?.secret ?? (undefined as never), kid: `key-${alg}` },
    { [oidc.modifyAssertion]: (_header, payload) => void (payload['aud'] = `${inst.first.issuer}/token`) },
  );

interface Kind {
  readonly client: () => Partial<NewClient>;
  readonly auth: (app: TestApp) => oidc.ClientAuth;
}

const inline = (alg: string): Partial<NewClient> => ({
  auth: 'private_key_jwt',
  jwks: { keys: [{ ...keys[alg]?.jwk }] },
});
const KINDS: Readonly<Record<string, Kind>> = {
  'public, PKCE': { client: () => ({ auth: 'none' }), auth: () => oidc.None() },
  client_secret_basic: {
    client: () => ({ auth: 'client_secret_basic' }),
    auth: ({ secret }) => oidc.ClientSecretBasic(secret),
  },
  client_secret_post: {
    client: () => ({ auth: 'client_secret_post' }),
    auth: ({ secret }) => oidc.ClientSecretPost(secret),
  },
  'private_key_jwt RS384': { client: () => inline('RS384'), auth: () => signed('RS384') },
  'private_key_jwt ES384': { client: () => inline('ES384'), auth: () => signed('ES384') },
  'private_key_jwt RS384 by jwks_uri': {
    client: () => ({ auth: 'private_key_jwt', jwksUri: keysUrl }),
    auth: () => signed('RS384'),
  },
  'private_key_jwt ES384 by jwks_uri': {
    client: () => ({ auth: 'private_key_jwt', jwksUri: keysUrl }),
    auth: () => signed('ES384'),
  },
};

interface Launch {
  readonly url: URL;
  readonly checks: oidc.AuthorizationCodeGrantChecks;
}

async function begin(
  config: oidc.Configuration,
  app: TestApp,
  more: Readonly<Record<string, string>> = {},
): Promise<Launch> {
  const verifier = oidc.randomPKCECodeVerifier();
  const state = oidc.randomState();
  const nonce = oidc.randomNonce();
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri: app.redirectUri,
    scope: SCOPE,
    aud: inst.first.fhirBase,
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    ...more,
  });
  return {
    url,
    checks: { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true },
  };
}

async function launch(
  config: oidc.Configuration,
  app: TestApp,
  browser = inst.browser,
  wishes: Wishes = {},
  more: Readonly<Record<string, string>> = {},
) {
  const { url, checks } = await begin(config, app, more);
  const { redirect, page } = await visit(inst.both, browser, url, wishes);
  if (!redirect) throw new Error(page);
  return oidc.authorizationCodeGrant(config, redirect, checks);
}

const jwks = async (): Promise<JSONWebKeySet> =>
  (await (await fetch(`${inst.second.listens}/oauth/jwks`)).json()) as JSONWebKeySet;

describe.each(Object.entries(KINDS))('openid-client as %s', (_name, kind) => {
  let app: TestApp;
  let config: oidc.Configuration;
  let tokens: Awaited<ReturnType<typeof launch>>;

  beforeAll(async () => {
    app = await makeApp(inst.first, { ...kind.client(), postLogoutRedirectUris: [BYE] });
    config = await discover(app, kind.auth(app));
    tokens = await launch(config, app);
  });

  test('discovery, code with PKCE, state, nonce and iss; the reply of SMART', () => {
    expect(tokens).toMatchObject({
      token_type: 'bearer',
      expires_in: 600,
      scope: SCOPE,
      patient: '1',
      need_patient_banner: true,
    });
    expect(tokens.claims()).toMatchObject({
      iss: inst.first.issuer,
      aud: app.clientId,
      sub: inst.account.id,
      fhirUser: `${inst.first.fhirBase}/Patient/1`,
    });
  });
  test('the id_token is RS256, its key in the key set; fhirUser can be read with the token', async () => {
    const { alg, kid } = decodeProtectedHeader(tokens.id_token ?? '');
    expect(alg).toBe('RS256');
    const set = await jwks();
    expect(set.keys.filter((key) => key.kid === kid).length).toBe(1);
    const { payload } = await jwtVerify(tokens.id_token ?? '', createLocalJWKSet(set), {
      issuer: inst.first.issuer,
      audience: app.clientId,
    });
    const response = await oidc.fetchProtectedResource(
      config,
      tokens.access_token,
      new URL(String(payload['fhirUser'])),
      'GET',
    );
    expect(await response.json()).toMatchObject({ resourceType: 'Patient', id: '1' });
  });
  test('refresh, with the whole and with a part; the new tokens are good', async () => {
    const whole = await oidc.refreshTokenGrant(config, tokens.refresh_token ?? '');
    expect(whole).toMatchObject({ scope: SCOPE, patient: '1' });
    expect(whole.claims()?.sub).toBe(inst.account.id);
    const refreshToken = whole.refresh_token ?? tokens.refresh_token ?? '';
    const part = await oidc.refreshTokenGrant(config, refreshToken, { scope: 'patient/Slot.read' });
    expect(part.scope).toBe('patient/Slot.read');
    expect(await readPatient(inst.second, whole.access_token)).toBe(200);
    expect(await readPatient(inst.first, part.access_token)).toBe(403);
    tokens = Object.assign(whole, { refresh_token: part.refresh_token ?? refreshToken });
  });
  test('introspection and userinfo agree with the id_token', async () => {
    const told = await oidc.tokenIntrospection(config, tokens.access_token);
    expect(told).toMatchObject({
      active: true,
      client_id: app.clientId,
      scope: SCOPE,
      sub: inst.account.id,
      iss: inst.first.issuer,
      patient: '1',
      fhirUser: `${inst.first.fhirBase}/Patient/1`,
    });
    expect(await oidc.fetchUserInfo(config, tokens.access_token, inst.account.id)).toEqual({
      sub: inst.account.id,
      fhirUser: `${inst.first.fhirBase}/Patient/1`,
    });
  });
  test('the signing key changes in between: old id_tokens stay good, new ones are signed by the new key', async () => {
    const { identity, auth } = inst.first.kairos;
    const before = decodeProtectedHeader(tokens.id_token ?? '').kid;
    expect((await rotateSigningKeys(identity, { now: true })).added).toBe(1);
    await identity.pool.query(`update auth_signing_key set signs_from = now() where signs_from > now()`);
    await Promise.all([auth.server.refreshKeys(), inst.second.kairos.auth.server.refreshKeys()]);
    // Others keep the keys that they know for a while, which is why a new one is published a day before it signs.
    config = await discover(app, kind.auth(app));
    const next = await launch(config, app);
    expect(decodeProtectedHeader(next.id_token ?? '').kid).not.toBe(before);
    const set = createLocalJWKSet(await jwks());
    for (const idToken of [tokens.id_token, next.id_token])
      await jwtVerify(idToken ?? '', set, { issuer: inst.first.issuer });
    const refreshed = await oidc.refreshTokenGrant(await discover(app, kind.auth(app)), tokens.refresh_token ?? '');
    tokens = Object.assign(refreshed, { refresh_token: refreshed.refresh_token ?? tokens.refresh_token ?? '' });
  });
  test('revocation ends it in both processes within a second', async () => {
    await oidc.tokenRevocation(config, tokens.refresh_token ?? '');
    for (const server of inst.both)
      expect(
        await within(
          () => readPatient(server, tokens.access_token),
          (status) => status === 401,
        ),
      ).toBe(401);
    expect(await oidc.tokenIntrospection(config, tokens.access_token)).toEqual({ active: false });
    await expect(oidc.refreshTokenGrant(config, tokens.refresh_token ?? '')).rejects.toMatchObject({
      error: 'invalid_grant',
    });
  });
  test('narrowed on the consent page: the grant is smaller', async () => {
    const less = await launch(config, app, inst.browser, {
      keep: (scope) => !scope.includes('Slot') && scope !== 'offline_access',
    });
    expect(less.scope?.split(' ').sort()).toEqual(['fhirUser', 'launch/patient', 'openid', 'patient/Patient.rs']);
    expect(less.refresh_token).toBeUndefined();
  });
  test('denied: the client is told so', async () => {
    await expect(launch(config, app, inst.browser, { deny: true })).rejects.toMatchObject({ error: 'access_denied' });
  });
  test('RP-initiated logout: the session is over in our pages too, and the app comes back with its state', async () => {
    const browser = new Browser();
    const session = await signIn(inst.first, browser, inst.account);
    const online = await launch(
      config,
      app,
      browser,
      {},
      { scope: 'openid online_access launch/patient patient/Patient.rs' },
    );
    expect(online.refresh_token).toEqual(expect.any(String));
    const url = oidc.buildEndSessionUrl(config, {
      id_token_hint: online.id_token ?? '',
      post_logout_redirect_uri: BYE,
      state: 'st&te',
    });
    const { page } = await visit(inst.both, browser, url);
    const xsrf = /name="xsrf" value="([^"]+)"/.exec(page)?.[1] ?? '';
    const confirmed = await browser.fetch(`${inst.second.listens}/oauth/logout/confirm`, {
      method: 'POST',
      headers: { origin: inst.first.origin },
      body: new URLSearchParams({ xsrf, logout: 'yes' }),
    });
    expect(confirmed.status).toBe(303);
    expect(confirmed.headers.get('location')).toBe(`${BYE}?state=st%26te`);
    const { rows } = await inst.first.kairos.pool.query<{ ended: boolean }>(
      `select ended_at is not null as ended from auth_session where uid = $1`,
      [session.uid],
    );
    expect(JSON.stringify(rows)).toMatch(/true|"t"/);
    for (const server of inst.both)
      expect(
        await within(
          () => readPatient(server, online.access_token),
          (status) => status === 401,
        ),
      ).toBe(401);
    await expect(oidc.refreshTokenGrant(config, online.refresh_token ?? '')).rejects.toMatchObject({
      error: 'invalid_grant',
    });
  });
});

describe('openid-client notices what is not as it should be', () => {
  test('an answer of another issuer, another state, another nonce', async () => {
    const app = await makeApp(inst.first);
    const config = await discover(app, oidc.None());
    const { url, checks } = await begin(config, app);
    const { redirect } = await visit(inst.both, inst.browser, url);
    const forged = new URL(redirect ?? 'about:none');
    forged.searchParams.set('iss', 'https://evil.example/oauth');
    await expect(oidc.authorizationCodeGrant(config, forged, checks)).rejects.toThrow(/invalid response|issuer/);
    await expect(
      oidc.authorizationCodeGrant(config, redirect ?? forged, { ...checks, expectedState: 'x' }),
    ).rejects.toThrow(/invalid response|state/);
    await expect(
      oidc.authorizationCodeGrant(config, redirect ?? forged, { ...checks, expectedNonce: 'x' }),
    ).rejects.toThrow(/unexpected JWT claim/);
  });
  test('errors come back with iss and state, and are read as such', async () => {
    const app = await makeApp(inst.first);
    const config = await discover(app, oidc.None());
    const { url, checks } = await begin(config, app, { aud: 'https://evil.example/fhir' });
    const { redirect } = await visit(inst.both, inst.browser, url);
    await expect(oidc.authorizationCodeGrant(config, redirect ?? url, checks)).rejects.toMatchObject({
      error: 'invalid_request',
    });
  });
});

describe('openid-client as a system', () => {
  test.each<[string, () => Promise<readonly [TestApp, oidc.ClientAuth]>]>([
    [
      'RS384',
      async () => [
        await makeApp(inst.first, { ...inline('RS384'), kind: 'backend', redirectUris: [], scope: 'system/*.cruds' }),
        signed('RS384'),
      ],
    ],
    [
      'ES384',
      async () => [
        await makeApp(inst.first, { ...inline('ES384'), kind: 'bulk', redirectUris: [], scope: 'system/*.rs' }),
        signed('ES384'),
      ],
    ],
    [
      'ES384 by jwks_uri',
      async () => [
        await makeApp(inst.first, {
          auth: 'private_key_jwt',
          jwksUri: keysUrl,
          kind: 'backend',
          redirectUris: [],
          scope: 'system/*.rs',
        }),
        signed('ES384'),
      ],
    ],
    ['the client of the environment', async () => [BOOTSTRAP, oidc.ClientSecretBasic(BOOTSTRAP.secret)]],
  ])('client_credentials with %s', async (_name, make) => {
    const [app, auth] = await make();
    const config = await discover(app, auth, 'oauth2');
    const tokens = await oidc.clientCredentialsGrant(config, { scope: 'system/Patient.rs' });
    expect(tokens).toMatchObject({ token_type: 'bearer', expires_in: 300, scope: 'system/Patient.rs' });
    expect(tokens.refresh_token).toBeUndefined();
    const patient = await oidc.fetchProtectedResource(
      config,
      tokens.access_token,
      new URL(`${inst.first.fhirBase}/Patient/2`),
      'GET',
    );
    expect(await patient.json()).toMatchObject({ id: '2' });
    expect((await oidc.tokenIntrospection(config, tokens.access_token)).active).toBe(true);
    await oidc.tokenRevocation(config, tokens.access_token);
    expect((await oidc.tokenIntrospection(config, tokens.access_token)).active).toBe(false);
    for (const server of inst.both)
      expect(
        await within(
          () => readPatient(server, tokens.access_token),
          (s) => s === 401,
        ),
      ).toBe(401);
    await expect(oidc.clientCredentialsGrant(config, { scope: 'launch fhirUser' })).rejects.toMatchObject({
      error: 'invalid_scope',
    });
  });
});

test('RFC 7591 by openid-client: it registers itself and uses what it was given', async () => {
  const config = await oidc.dynamicClientRegistration(
    new URL(inst.first.issuer),
    {
      client_name: 'Self-made',
      redirect_uris: ['https://self.example.org/cb'],
      scope: ALL_SCOPES,
      token_endpoint_auth_method: 'client_secret_post',
    },
    undefined,
    {
      execute: [oidc.allowInsecureRequests],
      [oidc.customFetch]: alternating,
      initialAccessToken: 'initial-access-token-of-the-tests-0123456789',
    },
  );
  const { client_id: clientId } = config.clientMetadata();
  const tokens = await launch(config, { clientId, secret: undefined, redirectUri: 'https://self.example.org/cb' });
  expect(await readPatient(inst.second, tokens.access_token)).toBe(200);
});
