/** Registration of clients, and what it must not cause. @see https://www.rfc-editor.org/rfc/rfc7591 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { enableClient, disableClient, listClients, rotateSecret } from '../../src/auth/clients/registry.ts';
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

  test('private and symmetric keys are refused', async () => {
    const { privateKey } = await generateKeyPair('ES384', { extractable: true });
    for (const bad of [
      await exportJWK(privateKey),
      { kty: 'oct', k: 'AAAA' },
      { ...jwk, crv: 'P-256' },
      { kty: 'RSA', n: 'AQAB', e: 'AQAB' },
      { ...jwk, alg: 'HS256' },
    ]) {
      const { status } = await register({
        client_name: 'x',
        grant_types: ['client_credentials'],
        token_endpoint_auth_method: 'private_key_jwt',
        scope: 'system/*.rs',
        jwks: { keys: [bad] },
      });
      expect(status).toBe(400);
    }
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
    const { body } = await register({
      client_name: 'Trap',
      grant_types: ['client_credentials'],
      token_endpoint_auth_method: 'private_key_jwt',
      scope: 'system/Patient.rs',
      jwks_uri: `${url}/jwks`,
      logo_uri: `${url}/logo`,
      policy_uri: `${url}/policy`,
      tos_uri: `${url}/tos`,
    });
    if (body['client_id'] !== undefined) {
      const reply = await ask(String(body['client_id']));
      expect([reply.status, reply.body['error']]).toEqual([401, 'invalid_client']);
    }
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
