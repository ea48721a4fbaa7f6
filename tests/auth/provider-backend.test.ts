/** Systems that act for themselves. @see https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK, type JWTHeaderParameters } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { NewClient } from '../../src/auth/clients/registry.ts';
import { introspect, makeApp, post, type TestApp, type TokenReply } from '../support/app-driver.ts';
import { startTwoIdentityServers, type IdentityServer } from '../support/identity-server.ts';

const SECRET = 'bootstrap-secret-of-the-tests';
const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

let one: IdentityServer;
let two: IdentityServer;

interface Pair {
  readonly key: CryptoKey;
  readonly jwk: JWK;
  readonly alg: 'RS384' | 'ES384';
}

async function newPair(alg: Pair['alg'], kid: string): Promise<Pair> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { key: privateKey, alg, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

let es: Pair;
let rs: Pair;
let bulk: TestApp;
let backend: TestApp;

const system = (how: Partial<NewClient>): Promise<TestApp> =>
  makeApp(one, { kind: 'backend', auth: 'private_key_jwt', redirectUris: [], scope: 'system/*.cruds', ...how });

beforeAll(async () => {
  [one, two] = await startTwoIdentityServers({
    env: { BOOTSTRAP_CLIENT_ID: 'robot', BOOTSTRAP_CLIENT_SECRET: SECRET },
  });
  [es, rs] = await Promise.all([newPair('ES384', 'es'), newPair('RS384', 'rs')]);
  bulk = await system({ kind: 'bulk', scope: 'system/*.rs', jwks: { keys: [es.jwk, rs.jwk] } });
  backend = await system({ jwks: { keys: [es.jwk, rs.jwk] } });
});
afterAll(async () => {
  await two.close();
  await one.close();
});

interface Assertion {
  readonly header?: Record<string, unknown>;
  readonly claims?: Record<string, unknown>;
  readonly pair?: Pair;
}

function signed(client: TestApp, { header = {}, claims = {}, pair = es }: Assertion = {}): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const all: Record<string, unknown> = {
    iss: client.clientId,
    sub: client.clientId,
    aud: `${one.issuer}/token`,
    exp: now + 240,
    iat: now,
    jti: crypto.randomUUID(),
    ...claims,
  };
  for (const [name, value] of Object.entries(all)) if (value === undefined) delete all[name];
  return new SignJWT(all)
    .setProtectedHeader({ alg: pair.alg, kid: pair.jwk.kid ?? '', typ: 'JWT', ...header } as JWTHeaderParameters)
    .sign(pair.key);
}

const ask = async (
  client: TestApp,
  assertion: Assertion | string = {},
  form: Readonly<Record<string, string | undefined>> = {},
): Promise<TokenReply> => {
  const all: Record<string, string | undefined> = {
    grant_type: 'client_credentials',
    scope: 'system/*.rs',
    client_assertion_type: JWT_BEARER,
    client_assertion: typeof assertion === 'string' ? assertion : await signed(client, assertion),
    ...form,
  };
  return post(
    one,
    '/token',
    Object.fromEntries(Object.entries(all).filter((p): p is [string, string] => p[1] !== undefined)),
  );
};

describe('backend services: a token for an assertion', () => {
  test.each(['ES384', 'RS384'] as const)('%s', async (alg) => {
    const { status, headers, body } = await ask(bulk, { pair: alg === 'ES384' ? es : rs });
    expect(status).toBe(200);
    expect(body).toEqual({
      access_token: expect.stringMatching(/^[\w-]{43}$/) as string,
      token_type: 'Bearer',
      expires_in: 300,
      scope: 'system/*.rs',
    });
    expect([headers.get('cache-control'), headers.get('pragma')]).toEqual(['no-store', 'no-cache']);
  });

  test('it is good for FHIR, and introspects as a token of nobody', async () => {
    const { body } = await ask(backend, {}, { scope: 'system/Patient.cruds system/Patient.rs' });
    const token = String(body['access_token']);
    const put = await fetch(`${one.fhirBase}/Patient/from-backend`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/fhir+json' },
      body: JSON.stringify({ resourceType: 'Patient', id: 'from-backend', name: [{ family: 'Test' }] }),
    });
    expect(put.status).toBe(201);
    const told = (await introspect(one, { clientId: 'robot', secret: SECRET, redirectUri: '' }, token)).body;
    expect(told).toMatchObject({ active: true, client_id: backend.clientId, scope: body['scope'] });
    expect(told['sub']).toBeUndefined();
  });
});

describe('backend services: scopes', () => {
  test.each<[string | undefined, string | undefined]>([
    [undefined, undefined],
    ['', undefined],
    ['launch fhirUser', undefined],
    ['openid', undefined],
    ['patient/*.rs', undefined],
    ['user/Patient.read', undefined],
    ['system/Nothing.rs', undefined],
    ['system/Patient.nothing', undefined],
    ['system/Patient.sr', undefined],
    ['system/Patient.write', undefined],
    ['system/Patient.c', undefined],
    ['system/Patient.cu', undefined],
    ['system/Patient.cud', undefined],
    ['system/Patient.u', undefined],
    ['system/Patient.d', undefined],
    ['system/*.read', 'system/*.read'],
    ['system/*.rs', 'system/*.rs'],
    ['system/*.*', 'system/*.read'],
    ['system/*.cruds', 'system/*.rs'],
    ['system/Patient.read system/Encounter.rs', 'system/Patient.read system/Encounter.rs'],
    ['launch system/Patient.rs unknown', 'system/Patient.rs'],
  ])('bulk: %s → %s', async (scope, granted) => {
    const { status, body } = await ask(bulk, {}, { scope });
    if (granted === undefined) expect([status, body['error']]).toEqual([400, 'invalid_scope']);
    else expect([status, body['scope']]).toEqual([200, granted]);
  });

  test('a backend that may write gets what it asks for', async () => {
    expect((await ask(backend, {}, { scope: 'system/Patient.cruds system/Slot.write' })).body['scope']).toBe(
      'system/Patient.cruds system/Slot.write',
    );
  });
});

describe('the request', () => {
  test.each<[string, Readonly<Record<string, string | undefined>>, number, string]>([
    ['no grant_type', { grant_type: undefined }, 400, 'invalid_request'],
    ['another grant_type', { grant_type: 'not_a_grant_type' }, 400, 'unsupported_grant_type'],
    ['a grant_type of apps', { grant_type: 'authorization_code' }, 400, 'unauthorized_client'],
    ['no client_assertion_type', { client_assertion_type: undefined }, 400, 'invalid_request'],
    ['another client_assertion_type', { client_assertion_type: 'not_an_assertion_type' }, 400, 'invalid_request'],
    ['no client_assertion', { client_assertion: undefined }, 400, 'invalid_request'],
    ['a client_assertion that is none', { client_assertion: 'not.an.assertion' }, 400, 'invalid_request'],
    ['a secret beside it', { client_secret: 'x' }, 400, 'invalid_request'],
    ['another client_id beside it', { client_id: 'robot' }, 400, 'invalid_request'],
  ])('%s', async (_name, form, status, error) => {
    const reply = await ask(bulk, {}, form);
    expect([reply.status, reply.body['error']]).toEqual([status, error]);
  });
});

describe('RFC 7523 3: the assertion', () => {
  const now = (): number => Math.floor(Date.now() / 1000);
  test.each<[string, () => Assertion]>([
    ['aud is the issuer', () => ({ claims: { aud: one.issuer } })],
    ['aud is another endpoint', () => ({ claims: { aud: `${one.issuer}/introspect` } })],
    ['aud is elsewhere', () => ({ claims: { aud: 'https://evil.example/token' } })],
    ['aud is several', () => ({ claims: { aud: [`${one.issuer}/token`, 'https://evil.example/token'] } })],
    ['aud is missing', () => ({ claims: { aud: undefined } })],
    ['iss is another', () => ({ claims: { iss: 'robot' } })],
    ['iss is missing', () => ({ claims: { iss: undefined } })],
    ['sub is missing', () => ({ claims: { sub: undefined } })],
    ['sub is unknown', () => ({ claims: { sub: 'unknown', iss: 'unknown' } })],
    ['jti is missing', () => ({ claims: { jti: undefined } })],
    ['exp is missing', () => ({ claims: { exp: undefined } })],
    ['exp is past', () => ({ claims: { exp: now() - 70 } })],
    ['exp is too far', () => ({ claims: { exp: now() + 400 } })],
    ['nbf is ahead', () => ({ claims: { nbf: now() + 70 } })],
    ['jku is not registered', () => ({ header: { jku: 'https://evil.example/jwks' } })],
    ['kid is unknown', () => ({ header: { kid: 'unknown' } })],
    ['kid is a path', () => ({ header: { kid: '../../etc/passwd' } })],
    ['kid is the other key', () => ({ header: { kid: 'rs' } })],
  ])('%s: refused', async (_name, assertion) => {
    const { status, body } = await ask(bulk, assertion());
    expect([400, 401]).toContain(status);
    expect(['invalid_client', 'invalid_request']).toContain(body['error']);
  });

  test('clocks may differ by some seconds', async () => {
    expect((await ask(bulk, { claims: { exp: now() - 5 } })).status).toBe(200);
    expect((await ask(bulk, { claims: { iat: now() + 5, nbf: now() + 5 } })).status).toBe(200);
  });

  const unsigned = (header: object, claims: object, signature = ''): string =>
    [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.') + `.${signature}`;

  test('alg none, HS256 with the public key, keys in the header, another key: refused, and nothing is fetched', async () => {
    let hits = 0;
    const trap = createServer((_request, response) => {
      hits++;
      response.end('{}');
    });
    await new Promise<void>((resolve) => trap.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(trap.address() as AddressInfo).port}/jwks`;
    const claims = {
      iss: bulk.clientId,
      sub: bulk.clientId,
      aud: `${one.issuer}/token`,
      exp: now() + 200,
      jti: crypto.randomUUID(),
    };
    const other = await newPair('ES384', 'es');
    const hmac = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256', kid: 'rs' })
      .sign(Buffer.from(JSON.stringify(rs.jwk)));
    for (const assertion of [
      unsigned({ alg: 'none' }, claims),
      unsigned({ alg: 'None', kid: 'es' }, claims),
      hmac,
      await signed(bulk, { pair: other }),
      await signed(bulk, { pair: other, header: { jwk: other.jwk } }),
      await signed(bulk, { pair: other, header: { jku: url } }),
      await signed(bulk, { pair: other, header: { x5u: url } }),
      await signed(bulk, { pair: other, header: { kid: url } }),
    ]) {
      const { status, body } = await ask(bulk, assertion);
      expect([status, body['error']]).toEqual([401, 'invalid_client']);
    }
    expect(hits).toBe(0);
    await new Promise((resolve) => trap.close(resolve));
  });
});

describe('keys at a URL', () => {
  let keyServer: Server;
  let url: string;
  let keys: readonly JWK[] = [];
  let fetches = 0;
  let cacheControl = 'max-age=3600';
  let status = 200;

  beforeAll(async () => {
    keyServer = createServer((_request, response) => {
      fetches++;
      response.writeHead(status, { 'Cache-Control': cacheControl, 'Content-Type': 'application/json' });
      response.end(JSON.stringify({ keys }));
    });
    await new Promise<void>((resolve) => keyServer.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(keyServer.address() as AddressInfo).port}`;
  });
  afterAll(() => new Promise((resolve) => keyServer.close(resolve)));

  test('are cached, fetched again for an unknown kid, and not without bound', async () => {
    const [first, second] = await Promise.all([newPair('ES384', 'a'), newPair('ES384', 'b')]);
    keys = [first.jwk];
    fetches = 0;
    const client = await system({ jwksUri: `${url}/cached` });
    for (let i = 0; i < 3; i++) expect((await ask(client, { pair: first })).status).toBe(200);
    expect(fetches).toBe(1);
    // It rotates: the key that nobody knows yet is fetched at once.
    keys = [second.jwk, first.jwk];
    expect((await ask(client, { pair: second })).status).toBe(200);
    expect(fetches).toBe(2);
    for (let i = 0; i < 10; i++)
      expect((await ask(client, { pair: second, header: { kid: `x${i}` } })).status).toBe(401);
    expect(fetches).toBeLessThanOrEqual(5);
    // And whoever made that noise does not lock it out.
    expect((await ask(client, { pair: second })).status).toBe(200);
  });

  test('a key that was withdrawn is refused when what was kept is too old', async () => {
    const [first, second] = await Promise.all([newPair('ES384', 'a'), newPair('ES384', 'b')]);
    cacheControl = 'no-store';
    keys = [first.jwk];
    const client = await system({ jwksUri: `${url}/fresh` });
    expect((await ask(client, { pair: first })).status).toBe(200);
    keys = [second.jwk];
    expect((await ask(client, { pair: first })).status).toBe(401);
    expect((await ask(client, { pair: second })).status).toBe(200);
    cacheControl = 'max-age=3600';
  });

  test('jku may repeat the registered URL; a server that fails is invalid_client', async () => {
    const pair = await newPair('RS384', 'a');
    keys = [pair.jwk];
    const client = await system({ jwksUri: `${url}/jku` });
    expect((await ask(client, { pair, header: { jku: `${url}/jku` } })).status).toBe(200);
    expect((await ask(client, { pair, header: { jku: `${url}/jku/` } })).status).toBe(401);
    status = 500;
    const broken = await system({ jwksUri: `${url}/broken` });
    expect((await ask(broken, { pair })).body['error']).toBe('invalid_client');
    status = 200;
  });
});

describe('the client of the environment', () => {
  const robot: TestApp = { clientId: 'robot', secret: SECRET, redirectUri: '' };
  const token = (headers: Record<string, string>, form: Record<string, string> = {}): Promise<TokenReply> =>
    post(two, '/token', { grant_type: 'client_credentials', scope: 'system/*.cruds', ...form }, headers);
  const basic = (id: string, secret: string): Record<string, string> => ({
    authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`,
  });

  test('authenticates with its secret, in the header or the form', async () => {
    expect((await token(basic('robot', SECRET))).body).toMatchObject({ scope: 'system/*.cruds', expires_in: 300 });
    expect((await token({}, { client_id: 'robot', client_secret: SECRET })).status).toBe(200);
    const wrong = await token(basic('robot', `${SECRET}x`));
    expect([wrong.status, wrong.body['error']]).toEqual([401, 'invalid_client']);
    expect(wrong.headers.get('www-authenticate')).toMatch(/^Basic /);
    expect((await token(basic('unknown', SECRET))).status).toBe(401);
    expect((await token({}, { client_id: 'robot' })).status).toBe(401);
    expect(robot.secret).toBe(SECRET);
  });
});
