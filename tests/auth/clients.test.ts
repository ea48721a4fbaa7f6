/** Registration of clients, and what it must not cause. @see https://www.rfc-editor.org/rfc/rfc7591 */
import { generateKeyPairSync } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  disableClient,
  enableClient,
  listClients,
  registerClient,
  rotateSecret,
} from '../../src/auth/clients/registry.ts';
import { poolNamed } from '../../src/platform/database/pool.ts';
import { makeApp, post, type TestApp } from '../support/app-driver.ts';
import { startIdentityServer, type IdentityServer } from '../support/identity-server.ts';

const TOKEN = 'initial-access-token-of-the-tests-0123456789';
let server: IdentityServer;
let trap: Server;
let trapPort = 0;
let hits = 0;
let jwk: JWK;
let key: CryptoKey;

beforeAll(async () => {
  server = await startIdentityServer({ env: { REGISTRATION_TOKEN: TOKEN, OUTBOUND_PRIVATE: 'off' } });
  trap = createServer((_request, response) => {
    hits++;
    response.end(JSON.stringify({ keys: [jwk] }));
  });
  trap.on('connection', () => hits++);
  await new Promise<void>((resolve) => trap.listen(0, '127.0.0.1', resolve));
  trapPort = (trap.address() as AddressInfo).port;
  const pair = await generateKeyPair('ES384', { extractable: true });
  key = pair.privateKey;
  jwk = { ...(await exportJWK(pair.publicKey)), kid: 'k', alg: 'ES384' };
});
afterAll(async () => {
  await new Promise((resolve) => trap.close(resolve));
  await server.close();
});

type Reply = { readonly status: number; readonly body: Readonly<Record<string, unknown>> };

async function register(body: unknown, token: string | undefined = TOKEN): Promise<Reply> {
  const response = await fetch(`${server.issuer}/register`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Reply['body'] };
}

const APP = {
  client_name: 'Growth chart',
  redirect_uris: ['https://app.example.org/callback'],
  scope: 'launch/patient openid patient/*.rs patient/Appointment.rs?status=booked offline_access',
};

describe('RFC 7591: dynamic registration', () => {
  test('what is not served here is left out, and the reply tells what was taken', async () => {
    const scope = 'launch/patient patient/MedicationRequest.rs patient/Patient.rs patient/Observation.read';
    const { status, body } = await register({ ...APP, scope });
    expect([status, body['scope']]).toEqual([201, 'launch/patient patient/Patient.rs']);
    const none = await register({ ...APP, scope: 'patient/MedicationRequest.rs' });
    expect([none.status, none.body['error']]).toEqual([400, 'invalid_client_metadata']);
  });

  test('is announced, and demands the initial access token', async () => {
    const found = (await (await fetch(`${server.fhirBase}/.well-known/smart-configuration`)).json()) as Reply['body'];
    expect(found['registration_endpoint']).toBe(`${server.issuer}/register`);
    for (const token of ['', `${TOKEN}x`, TOKEN.slice(1)]) expect((await register(APP, token)).status).toBe(401);
    const none = await fetch(`${server.issuer}/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });
    expect(none.status).toBe(401);
  });

  test('an app with SMART scopes gets an id and a secret, or none', async () => {
    const { status, body } = await register(APP);
    expect(status).toBe(201);
    expect(body).toMatchObject({ client_name: 'Growth chart', scope: APP.scope, client_secret_expires_at: 0 });
    expect(body['client_secret']).toMatch(/^[\w-]{43}$/);
    const open = await register({ ...APP, token_endpoint_auth_method: 'none' });
    expect(open.body['client_secret']).toBeUndefined();
    const { rows } = await poolNamed(server.kairos.pool, `select c::text from auth_client c`);
    expect(rows.some(([row]) => row?.includes(String(body['client_secret'])))).toBe(false);
  });

  test.each(['client_credentials', 'authorization_code'])('makes no systems: %s with system scopes', async (grant) => {
    const { status, body } = await register({
      client_name: 'Loader',
      grant_types: [grant],
      ...(grant === 'client_credentials' ? {} : { redirect_uris: APP.redirect_uris }),
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [jwk] },
      scope: 'system/Patient.rs',
    });
    expect([status, body['error']]).toEqual([400, 'invalid_client_metadata']);
  });

  test.each<[string, unknown]>([
    ['not JSON', '{'],
    ['an array', []],
    ['no name', { ...APP, client_name: undefined }],
    ['a name that hides', { ...APP, client_name: 'Nice\u202Eppa' }],
    ['no redirect URI', { ...APP, redirect_uris: [] }],
    ['a redirect URI that is none', { ...APP, redirect_uris: ['callback'] }],
    ['a redirect URI of another type', { ...APP, redirect_uris: 'https://app.example.org/' }],
    ['a redirect URI with a fragment', { ...APP, redirect_uris: ['https://app.example.org/#x'] }],
    ['a redirect URI with a wildcard', { ...APP, redirect_uris: ['https://*.example.org/'] }],
    ['a redirect URI with a user', { ...APP, redirect_uris: ['https://a@app.example.org/'] }],
    ['a redirect URI with dots', { ...APP, redirect_uris: ['https://app.example.org/a/%2e%2E/b'] }],
    ['a redirect URI by http', { ...APP, redirect_uris: ['http://app.example.org/'] }],
    ['a redirect URI that is a script', { ...APP, redirect_uris: ['javascript:alert(1)'] }],
    ['a redirect URI that is data', { ...APP, redirect_uris: ['data:text/html,x'] }],
    ['no scope', { ...APP, scope: '' }],
    ['an unknown scope', { ...APP, scope: 'everything' }],
    ['a scope of systems for an app', { ...APP, scope: 'system/*.rs' }],
    ['a sector_identifier_uri', { ...APP, sector_identifier_uri: 'https://127.0.0.1/' }],
    ['a software statement', { ...APP, software_statement: 'x' }],
    ['an unknown method', { ...APP, token_endpoint_auth_method: 'tls_client_auth' }],
    ['an unknown grant', { ...APP, grant_types: ['implicit'] }],
    ['both grants', { ...APP, grant_types: ['authorization_code', 'client_credentials'] }],
    ['another response type', { ...APP, response_types: ['token'] }],
    ['a logo that is a script', { ...APP, logo_uri: 'javascript:alert(1)' }],
    ['a logo by http', { ...APP, logo_uri: 'http://evil.example/x.png' }],
    ['keys without private_key_jwt', { ...APP, jwks: { keys: [] } }],
    ['private_key_jwt without keys', { ...APP, token_endpoint_auth_method: 'private_key_jwt' }],
    ['__proto__', '{"__proto__":{"client_name":"x"},"redirect_uris":["https://app.example.org/"],"scope":"openid"}'],
  ])('%s: 400', async (_name, metadata) => {
    const { status, body } = await register(metadata);
    expect(status).toBe(400);
    expect(['invalid_client_metadata', 'invalid_redirect_uri']).toContain(body['error']);
  });

  test('private, symmetric, weak and other keys are refused; what is wrong with them is told', async () => {
    const keyed = (keys: readonly unknown[]): Promise<Reply> =>
      register({ ...APP, token_endpoint_auth_method: 'private_key_jwt', jwks: { keys } });
    expect((await keyed([jwk])).status).toBe(201);
    const { privateKey } = await generateKeyPair('ES384', { extractable: true });
    const { privateKey: rsa } = await generateKeyPair('RS384', { extractable: true });
    const { d: _d, p: _p, q: _q, dp: _dp, dq: _dq, qi: _qi, ...strong } = await exportJWK(rsa);
    expect((await keyed([strong])).status).toBe(201);
    const weak = generateKeyPairSync('rsa', { modulusLength: 2040 }).publicKey.export({ format: 'jwk' });
    for (const [bad, why] of [
      [await exportJWK(privateKey), /public keys only/],
      [await exportJWK(rsa), /public keys only/],
      [{ kty: 'oct', k: 'AAAA' }, /public keys only/],
      [{ ...jwk, crv: 'P-256' }, /RSA of 2048 bits or more/],
      [{ kty: 'RSA', n: 'AQAB', e: 'AQAB' }, /RSA of 2048 bits or more/],
      [weak, /RSA of 2048 bits or more/],
      [{ ...jwk, alg: 'HS256' }, /RS384 or ES384/],
      [{ ...jwk, kid: 'k\n' }, /kid/],
    ] as const) {
      const { status, body } = await keyed([bad]);
      expect([status, body['error'], body['error_description']]).toEqual([
        400,
        'invalid_client_metadata',
        expect.stringMatching(why),
      ]);
      expect((await keyed([jwk, bad])).status).toBe(400);
    }
  });

  test('keys go with private_key_jwt, and are either sent or published', async () => {
    const jwks = { keys: [jwk] };
    const jwks_uri = 'https://app.example.org/jwks';
    const signs = { ...APP, token_endpoint_auth_method: 'private_key_jwt' };
    for (const good of [
      { ...signs, jwks },
      { ...signs, jwks_uri },
    ])
      expect((await register(good)).status).toBe(201);
    for (const bad of [
      { ...signs, jwks, jwks_uri },
      signs,
      { ...APP, jwks },
      { ...APP, jwks_uri },
      { ...signs, jwks_uri: 'http://app.example.org/jwks' },
    ]) {
      const { status, body } = await register(bad);
      expect([status, body['error']]).toEqual([400, 'invalid_client_metadata']);
      expect(body['error_description']).toMatch(/jwks/);
    }
  });

  test('a system that an operator registers must authenticate', async () => {
    const system = { kind: 'backend', name: 'Loader', redirectUris: [], postLogoutRedirectUris: [] } as const;
    const { identity } = server.kairos;
    await expect(registerClient(identity, { ...system, auth: 'none', scope: 'system/*.rs' }, 'cli')).rejects.toThrow(
      /must authenticate/,
    );
    await expect(
      registerClient(identity, { ...system, auth: 'client_secret_basic', scope: 'system/*.rs' }, 'cli'),
    ).resolves.toMatchObject({ secret: expect.stringMatching(/^[\w-]{43}$/) });
  });

  test('more than 64 KiB is 413', async () => {
    expect((await register({ ...APP, client_name: 'x'.repeat(70_000) })).status).toBe(413);
  });
});

async function ask(clientId: string): Promise<Reply> {
  const signed = await new SignJWT({})
    .setProtectedHeader({ alg: 'ES384', kid: 'k', typ: 'JWT' })
    .setIssuer(clientId)
    .setSubject(clientId)
    .setAudience(`${server.issuer}/token`)
    .setJti(crypto.randomUUID())
    .setExpirationTime('2m')
    .sign(key);
  return post(server, '/token', {
    grant_type: 'client_credentials',
    scope: 'system/Patient.rs',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: signed,
  });
}

describe('security.md A2.12: nothing of ours is reached by what a registration names', () => {
  test.each([
    'https://127.0.0.1',
    'http://127.0.0.1',
    'http://localhost',
    'https://2130706433',
    'https://[::ffff:127.0.0.1]',
  ])('jwks_uri, logo_uri, policy_uri at %s', async (origin) => {
    hits = 0;
    const url = `${origin}:${trapPort}`;
    const { status, body } = await register({
      ...APP,
      client_name: 'Trap',
      token_endpoint_auth_method: 'private_key_jwt',
      jwks_uri: `${url}/jwks`,
      logo_uri: `${url}/logo`,
      policy_uri: `${url}/policy`,
      tos_uri: `${url}/tos`,
    });
    expect([status, body]).toEqual([201, expect.objectContaining({ client_id: expect.any(String) })]);
    // Who asks is looked at before what for: its keys are wanted now.
    const reply = await ask(String(body['client_id']));
    expect([reply.status, reply.body['error']]).toEqual([401, 'invalid_client']);
    expect(hits).toBe(0);
  });
});

describe('secrets', () => {
  const token = (app: TestApp, secret = app.secret): Promise<Reply> =>
    post(server, '/token', {
      grant_type: 'client_credentials',
      scope: 'system/*.rs',
      client_id: app.clientId,
      client_secret: secret ?? '',
    });

  test('are rotated, and end with their client', async () => {
    const app = await makeApp(server, {
      kind: 'backend',
      auth: 'client_secret_post',
      redirectUris: [],
      scope: 'system/*.rs',
    });
    expect((await token(app)).status).toBe(200);
    const next = await rotateSecret(server.kairos.identity, app.clientId);
    expect((await token(app)).status).toBe(401);
    expect((await token(app, next)).status).toBe(200);
    await disableClient(server.kairos.identity, app.clientId);
    expect((await token(app, next)).status).toBe(401);
    expect((await listClients(server.kairos.identity)).find((c) => c.clientId === app.clientId)?.disabled).toBe(true);
    await enableClient(server.kairos.identity, app.clientId);
    expect((await token(app, next)).status).toBe(200);
  });

  test('a secret that was moved to another client does not open', async () => {
    const [one, two] = await Promise.all(
      [1, 2].map(() =>
        makeApp(server, { kind: 'backend', auth: 'client_secret_post', redirectUris: [], scope: 'system/*.rs' }),
      ),
    );
    await poolNamed(
      server.kairos.pool,
      `update auth_client set secret_sealed = (select secret_sealed from auth_client where client_id = $1) where client_id = $2`,
      [one?.clientId, two?.clientId],
    );
    expect((await token({ clientId: two?.clientId ?? '', secret: one?.secret, redirectUri: '' })).status).not.toBe(200);
  });
});
