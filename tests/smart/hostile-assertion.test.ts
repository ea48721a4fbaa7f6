/**
 * Assertions of clients (RFC 7523, SMART backend services): by jose, good ones and every other kind; none is good twice, and what stands in
 * one causes no request to anywhere.
 */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  exportJWK,
  generateKeyPair,
  SignJWT,
  type CryptoKey,
  type JWK,
  type JWTHeaderParameters,
  type JWTPayload,
} from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PublicJwks } from '../../src/auth/clients/client.ts';
import { sweepIdentity } from '../../src/auth/sweep.ts';
import { makeApp, post, type TestApp, type TokenReply } from '../support/app-driver.ts';
import type { IdentityServer } from '../support/identity-server.ts';
import { LEAK, startInstallation, type Installation } from './support.ts';

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const BACKEND = { kind: 'backend', auth: 'private_key_jwt', redirectUris: [], scope: 'system/*.rs' } as const;

interface Key {
  readonly alg: string;
  readonly kid: string;
  readonly secret: CryptoKey;
  readonly jwk: JWK;
}

async function makeKey(alg: string, kid: string): Promise<Key> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { alg, kid, secret: privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

const setOf = (...keys: readonly Key[]): PublicJwks => ({ keys: keys.map(({ jwk }) => ({ ...jwk })) });

/** A server that counts what comes, and answers as it is told. */
interface Trap {
  readonly url: string;
  readonly hits: string[];
  answer: (response: http.ServerResponse) => void;
  close(): void;
}

async function openTrap(): Promise<Trap> {
  const hits: string[] = [];
  const trap: { answer: Trap['answer'] } = { answer: (response) => void response.end('{}') };
  const server = http.createServer((request, response) => {
    hits.push(request.url ?? '');
    trap.answer(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(trap, {
    url: `http://localhost:${(server.address() as AddressInfo).port}`,
    hits,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  });
}

let inst: Installation;
let trap: Trap;
let rsa: Key;
let ec: Key;
let stranger: Key;
let inline: TestApp;
let published: TestApp;
let secretClient: TestApp;

beforeAll(async () => {
  [inst, trap, rsa, ec, stranger] = await Promise.all([
    startInstallation(),
    openTrap(),
    makeKey('RS384', 'rsa-1'),
    makeKey('ES384', 'ec-1'),
    makeKey('RS384', 'rsa-1'),
  ]);
  inline = await makeApp(inst.first, { ...BACKEND, jwks: setOf(rsa, ec) });
  published = await makeApp(inst.first, { ...BACKEND, jwksUri: `${trap.url}/keys` });
  secretClient = await makeApp(inst.first, { ...BACKEND, auth: 'client_secret_basic' });
});
afterAll(async () => {
  trap.close();
  await inst.close();
});

let turn = 0;
const either = (): IdentityServer => inst.both[turn++ % 2] ?? inst.first;
const now = (): number => Math.floor(Date.now() / 1000);
const tokenUrl = (): string => `${inst.first.issuer}/token`;

type Claims = Readonly<Record<string, unknown>>;

interface Given {
  readonly client?: TestApp;
  readonly key?: Key;
  readonly claims?: Claims;
  readonly header?: Readonly<Record<string, unknown>>;
}

/** An assertion that is good but for what is given; claims that are undefined are left out. */
function assertionOf({ client = inline, key = rsa, claims = {}, header = {} }: Given = {}): Promise<string> {
  const payload: Claims = {
    iss: client.clientId,
    sub: client.clientId,
    aud: tokenUrl(),
    exp: now() + 240,
    jti: crypto.randomUUID(),
    ...claims,
  };
  const protectedHeader = { alg: key.alg, kid: key.kid, typ: 'JWT', ...header };
  return new SignJWT(JSON.parse(JSON.stringify(payload)) as JWTPayload)
    .setProtectedHeader(JSON.parse(JSON.stringify(protectedHeader)) as JWTHeaderParameters)
    .sign(key.secret);
}

const present = (
  assertion: string,
  more: Readonly<Record<string, string>> = {},
  server = either(),
): Promise<TokenReply> =>
  post(server, '/token', {
    grant_type: 'client_credentials',
    scope: 'system/*.rs',
    client_assertion_type: ASSERTION_TYPE,
    client_assertion: assertion,
    ...more,
  });

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const claimsFor = (client: TestApp): JWTPayload => ({
  iss: client.clientId,
  sub: client.clientId,
  aud: tokenUrl(),
  exp: now() + 240,
  jti: crypto.randomUUID(),
});

function expectRefused({ status, body, headers }: TokenReply, statuses: readonly number[] = [401]): void {
  expect(JSON.stringify(body)).not.toMatch(LEAK);
  expect([statuses, body]).toEqual([expect.arrayContaining([status]), expect.anything()]);
  expect(['invalid_client', ...(status === 400 ? ['invalid_request'] : [])]).toContain(body['error']);
  expect(headers.get('cache-control')).toContain('no-store');
}

describe('SMART 2.2 backend services 5.1.3: good assertions', () => {
  test.each<[string, () => Given]>([
    ['RS384', () => ({})],
    ['ES384', () => ({ key: ec })],
    ['without kid', () => ({ header: { kid: undefined } })],
    ['without typ', () => ({ header: { typ: undefined } })],
    ['aud in a list', () => ({ claims: { aud: [tokenUrl()] } })],
    ['with iat and nbf', () => ({ claims: { iat: now(), nbf: now() } })],
  ])('%s', async (_title, given) => {
    const { status, body } = await present(await assertionOf(given()));
    expect([status, body['error_description']]).toEqual([200, undefined]);
    expect(body).toEqual({
      access_token: expect.any(String),
      token_type: 'Bearer',
      expires_in: 300,
      scope: 'system/*.rs',
    });
  });
});

describe('RFC 7523 3: claims', () => {
  test.each<[string, () => Claims]>([
    ['no iss', () => ({ iss: undefined })],
    ['another iss', () => ({ iss: published.clientId })],
    ['an unknown iss', () => ({ iss: 'nobody' })],
    ['no sub', () => ({ sub: undefined })],
    ['another sub', () => ({ sub: published.clientId })],
    ['an unknown sub', () => ({ sub: 'nobody' })],
    ['both another’s', () => ({ iss: published.clientId, sub: published.clientId })],
    ['both of a client with a secret', () => ({ iss: secretClient.clientId, sub: secretClient.clientId })],
    ['no aud', () => ({ aud: undefined })],
    ['the issuer as aud', () => ({ aud: inst.first.issuer })],
    ['the FHIR base as aud', () => ({ aud: inst.first.fhirBase })],
    ['another server’s aud', () => ({ aud: 'https://evil.example/token' })],
    ['aud with a slash more', () => ({ aud: `${tokenUrl()}/` })],
    ['aud of the other process', () => ({ aud: `${inst.second.listens}/oauth/token` })],
    ['aud of another endpoint', () => ({ aud: `${inst.first.issuer}/introspect` })],
    ['several auds', () => ({ aud: [tokenUrl(), 'https://evil.example/token'] })],
    ['no auds', () => ({ aud: [] })],
    ['no exp', () => ({ exp: undefined })],
    ['no jti', () => ({ jti: undefined })],
    ['blank jti', () => ({ jti: '' })],
    ['exp 70 s ago', () => ({ exp: now() - 70 })],
    ['exp 20 s ago', () => ({ exp: now() - 20 })],
    ['exp in 370 s', () => ({ exp: now() + 370 })],
    ['exp in a year', () => ({ exp: now() + 31_536_000 })],
    ['nbf in 70 s', () => ({ nbf: now() + 70 })],
    ['nbf in 20 s', () => ({ nbf: now() + 20 })],
  ])('%s: invalid_client', async (_title, claims) =>
    expectRefused(await present(await assertionOf({ claims: claims() })), [400, 401]),
  );

  test.each<[string, string]>([
    ['exp', '"soon"'],
    ['exp', 'null'],
    ['exp', '1e99'],
    ['exp', '-1'],
    ['nbf', '"x"'],
    ['iat', '"x"'],
    ['jti', '1'],
    ['jti', '{}'],
    ['jti', '["a"]'],
    ['iss', '1'],
    ['iss', '["x"]'],
    ['iss', '{}'],
    ['sub', '1'],
    ['sub', '["x"]'],
    ['sub', '{"a":1}'],
    ['sub', 'true'],
    ['sub', '"\\u0000"'],
    ['sub', '"\\ud800"'],
    ['aud', '1'],
    ['aud', '{}'],
    ['aud', '[1]'],
    ['aud', '[null]'],
  ])('%s of another kind (%s): refused, and no error of ours', async (name, value) => {
    const payload = JSON.stringify({ ...claimsFor(inline), [name]: '@' }).replace('"@"', value);
    const { importJWK, CompactSign } = await import('jose');
    void importJWK;
    const assertion = await new CompactSign(Buffer.from(payload))
      .setProtectedHeader({ alg: 'RS384', kid: rsa.kid })
      .sign(rsa.secret);
    expectRefused(await present(assertion), [400, 401]);
  });

  test.each<[string, () => Claims]>([
    ['clock 70 s behind', () => ({ iat: now() - 70, nbf: now() - 70, exp: now() - 70 + 300 })],
    ['clock 70 s ahead', () => ({ iat: now() + 70, exp: now() + 70 + 200 })],
    ['exp 5 s ago', () => ({ exp: now() - 5 })],
    ['exp now', () => ({ exp: now() })],
    ['exp in 1 s', () => ({ exp: now() + 1 })],
    ['exp in 300 s', () => ({ exp: now() + 300 })],
    ['nbf in 10 s', () => ({ nbf: now() + 10 })],
  ])('A2.7 %s: good once, of ten at a time in two processes, and never again', async (_title, claims) => {
    const assertion = await assertionOf({ claims: claims() });
    const replies = await Promise.all(Array.from({ length: 10 }, (_, i) => present(assertion, {}, inst.both[i % 2])));
    expect(replies.filter(({ status }) => status === 200).length).toBe(1);
    for (const reply of replies.filter(({ status }) => status !== 200)) expectRefused(reply);
    await sweepIdentity(inst.first.kairos.identity, new AbortController().signal);
    for (const server of inst.both) expectRefused(await present(assertion, {}, server));
  });
  test('A2.7 a jti comes once in whatever assertion, but each client has its own', async () => {
    const jti = crypto.randomUUID();
    expect((await present(await assertionOf({ claims: { jti } }), {}, inst.first)).status).toBe(200);
    expectRefused(await present(await assertionOf({ claims: { jti, exp: now() + 100 } }), {}, inst.second));
    const another = await makeApp(inst.first, { ...BACKEND, jwks: setOf(rsa) });
    expect((await present(await assertionOf({ client: another, claims: { jti } }))).status).toBe(200);
  });
  test('A2.7 what was refused for its scope is used up all the same', async () => {
    const assertion = await assertionOf();
    expect((await present(assertion, { scope: 'launch' }, inst.first)).body).toMatchObject({ error: 'invalid_scope' });
    expectRefused(await present(assertion, {}, inst.second));
  });
});

describe('A2.4 RFC 8725: algorithms, keys and headers', () => {
  test.each<[string, () => Promise<string>]>([
    ['alg none', async () => `${encode({ alg: 'none' })}.${encode(claimsFor(inline))}.`],
    ['alg None with a signature', async () => `${encode({ alg: 'None' })}.${encode(claimsFor(inline))}.AAAA`],
    ['no alg', async () => `${encode({ typ: 'JWT' })}.${encode(claimsFor(inline))}.AAAA`],
    ['alg that there is not', async () => `${encode({ alg: 'RS1024' })}.${encode(claimsFor(inline))}.AAAA`],
    ['alg that is no text', async () => `${encode({ alg: ['RS384'] })}.${encode(claimsFor(inline))}.AAAA`],
    ...(['HS256', 'HS384', 'HS512'] as const).map((alg): [string, () => Promise<string>] => [
      `${alg} with the public key as secret`,
      () =>
        new SignJWT(claimsFor(inline))
          .setProtectedHeader({ alg, kid: rsa.kid })
          .sign(Buffer.from(JSON.stringify(rsa.jwk).padEnd(64))),
    ]),
    ['another key of the same kid', () => assertionOf({ key: stranger })],
    ['a key of another client', async () => assertionOf({ key: await makeKey('RS384', 'x') })],
    ['a signature that is missing', async () => (await assertionOf()).replace(/[^.]+$/, '')],
    [
      'a signature of another assertion',
      async () => `${(await assertionOf()).replace(/[^.]+$/, '')}${(await assertionOf()).split('.')[2] ?? ''}`,
    ],
    [
      'an ES384 signature of zeros',
      async () =>
        `${encode({ alg: 'ES384', kid: 'ec-1' })}.${encode(claimsFor(inline))}.${Buffer.alloc(96).toString('base64url')}`,
    ],
    ['two parts', async () => (await assertionOf()).split('.').slice(0, 2).join('.')],
    ['five parts', async () => `${await assertionOf()}.a.b`],
    ['no JWT', async () => 'x'],
    ['dots', async () => '...'],
    ['no JSON', async () => 'eHg.eHg.eHg'],
    ['a list as claims', async () => `${encode({ alg: 'RS384' })}.${encode([])}.AAAA`],
    ['null as claims', async () => `${encode({ alg: 'RS384' })}.${encode(null)}.AAAA`],
    [
      'JSON of a JWS',
      async () =>
        JSON.stringify({ payload: encode(claimsFor(inline)), protected: encode({ alg: 'none' }), signature: '' }),
    ],
    ['long', async () => 'x'.repeat(40_000)],
  ])('%s', async (_title, assertion) =>
    expectRefused(await present(await assertion(), { client_id: inline.clientId }), [400, 401]),
  );

  test.each(['RS256', 'RS512', 'PS384', 'ES256', 'ES512', 'EdDSA'])(
    '%s, which is not for SMART, with a key that would do',
    async (alg) => {
      const { privateKey } = await generateKeyPair(alg, { extractable: true });
      expectRefused(await present(await assertionOf({ key: { alg, kid: 'rsa-1', secret: privateKey, jwk: {} } })));
    },
  );

  test.each<[string, () => Promise<Readonly<Record<string, unknown>>>]>([
    ['jwk of its own key', async () => ({ jwk: stranger.jwk })],
    ['jku', async () => ({ jku: `${trap.url}/jku` })],
    ['x5u', async () => ({ x5u: `${trap.url}/x5u` })],
    ['x5c', async () => ({ x5c: ['MIIB'] })],
    ['kid that is a path', async () => ({ kid: '../../../../etc/passwd' })],
    ['kid that is an address', async () => ({ kid: `${trap.url}/kid` })],
    ['kid that is SQL', async () => ({ kid: `' or '1'='1` })],
    ['kid with NUL', async () => ({ kid: 'rsa-1\0' })],
    ['kid that is long', async () => ({ kid: 'x'.repeat(10_000) })],
    ['kid that is a list', async () => ({ kid: ['rsa-1'] })],
    ['kid that is an object', async () => ({ kid: { a: 1 } })],
    ['kid of every object', async () => ({ kid: '__proto__' })],
    ['crit', async () => ({ crit: ['x'], x: 1 })],
    ['zip', async () => ({ zip: 'DEF' })],
  ])('header with %s: the key of another stays one, and nothing is fetched', async (_title, header) => {
    const before = trap.hits.length;
    const forged = encode({ alg: 'RS384', kid: 'rsa-1', ...(await header()) });
    const claims = encode(claimsFor(inline));
    const signature = await crypto.subtle.sign(
      'RSASSA-PKCS1-v1_5',
      stranger.secret,
      Buffer.from(`${forged}.${claims}`),
    );
    expectRefused(await present(`${forged}.${claims}.${Buffer.from(signature).toString('base64url')}`), [400, 401]);
    expect(trap.hits.slice(before)).toEqual([]);
  });
  test('jku of another address is refused though the key is right; that of a client with inline keys, too', async () => {
    const before = trap.hits.length;
    for (const jku of [`${trap.url}/jku`, '', 'x'])
      expectRefused(await present(await assertionOf({ header: { jku } })), jku === '' ? [200, 401] : [401]);
    expect(trap.hits.slice(before)).toEqual([]);
  });
});

describe('RFC 7521 4.2: parameters', () => {
  test.each<[string, Readonly<Record<string, string>>]>([
    ['blank assertion', { client_assertion: '' }],
    ['blank type', { client_assertion_type: '' }],
    ['another type', { client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer' }],
    ['no type', { client_assertion_type: 'x' }],
    ['another client_id', { client_id: 'nobody' }],
    ['a secret too', { client_secret: 'x' }],
  ])('%s', async (_title, more) => expectRefused(await present(await assertionOf(), more), [400, 401]));

  test('without assertion, with the client_id alone, with a secret it does not have', async () => {
    const form = { grant_type: 'client_credentials', scope: 'system/*.rs' };
    expectRefused(await post(either(), '/token', form), [400]);
    expectRefused(await post(either(), '/token', { ...form, client_id: inline.clientId }));
    expectRefused(await post(either(), '/token', { ...form, client_id: inline.clientId, client_secret: 'x' }));
    expectRefused(
      await post(either(), '/token', form, {
        authorization: `Basic ${Buffer.from(`${inline.clientId}:x`).toString('base64')}`,
      }),
    );
  });
  test('a client with a secret cannot use an assertion signed with it', async () => {
    const assertion = await new SignJWT(claimsFor(secretClient))
      .setProtectedHeader({ alg: 'HS384' })
      .sign(Buffer.from((secretClient.secret ?? '').padEnd(48)));
    expectRefused(await present(assertion), [400, 401]);
  });
});

describe('SMART 2.2 5.1.3: keys at a URL', () => {
  const serve =
    (body: unknown, cacheControl = 'max-age=300') =>
    (response: http.ServerResponse): void => {
      response.writeHead(200, { 'content-type': 'application/json', 'cache-control': cacheControl });
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    };
  const clientWith = async (answer: Trap['answer']): Promise<TestApp> => {
    trap.answer = answer;
    return makeApp(inst.first, { ...BACKEND, jwksUri: `${trap.url}/keys/${crypto.randomUUID()}` });
  };

  test('they are fetched, remembered as long as they may, and fetched again for a key that is new', async () => {
    const client = await clientWith(serve(setOf(rsa)));
    const before = trap.hits.length;
    for (let i = 0; i < 3; i++) expect((await present(await assertionOf({ client }), {}, inst.first)).status).toBe(200);
    expect(trap.hits.length - before).toBe(1);
    const next = await makeKey('ES384', 'ec-2');
    trap.answer = serve(setOf(rsa, next));
    expect((await present(await assertionOf({ client, key: next }), {}, inst.first)).status).toBe(200);
    expect(trap.hits.length - before).toBe(2);
    expect((await present(await assertionOf({ client, key: next }), {}, inst.second)).status).toBe(200);
  });
  test('no-store: each time anew', async () => {
    const client = await clientWith(serve(setOf(rsa), 'no-store'));
    const before = trap.hits.length;
    for (let i = 0; i < 2; i++) expect((await present(await assertionOf({ client }), {}, inst.first)).status).toBe(200);
    expect(trap.hits.length - before).toBe(2);
  });
  test('jku must be the registered URL', async () => {
    trap.answer = serve(setOf(rsa));
    expect((await present(await assertionOf({ client: published, header: { jku: `${trap.url}/keys` } }))).status).toBe(
      200,
    );
    const before = trap.hits.length;
    for (const jku of [
      `${trap.url}/keys/`,
      `${trap.url}/other`,
      `${trap.url}/keys?x`,
      'https://evil.example/keys',
      '',
      1,
    ])
      expectRefused(await present(await assertionOf({ client: published, header: { jku } }), {}, inst.first));
    expect(trap.hits.slice(before).filter((path) => path !== '/keys')).toEqual([]);
  });
  test('made-up kids cause few fetches', async () => {
    const client = await clientWith(serve(setOf(rsa)));
    const before = trap.hits.length;
    await Promise.all(
      Array.from({ length: 40 }, async (_, i) =>
        expectRefused(
          await present(await assertionOf({ client, key: { ...stranger, kid: `made-up-${i}` } }), {}, inst.first),
        ),
      ),
    );
    expect(trap.hits.length - before).toBeLessThanOrEqual(6);
  });
  test.each<[string, () => Trap['answer']]>([
    ['an error', () => (r) => void r.writeHead(500).end()],
    ['nothing', () => (r) => void r.writeHead(404).end()],
    ['a redirect to the keys', () => (r) => void r.writeHead(302, { location: `${trap.url}/elsewhere` }).end()],
    ['no JSON', () => serve('<html>')],
    ['a list', () => serve([])],
    ['no keys', () => serve({})],
    ['keys that are none', () => serve({ keys: ['x', null, 1, {}, { kty: 'RSA' }] })],
    ['another’s keys', () => serve({ keys: [{ ...stranger.jwk, kid: 'x' }] })],
    ['a point beside the curve', () => serve({ keys: [{ kty: 'EC', crv: 'P-384', x: 'AA', y: 'AA', kid: 'rsa-1' }] })],
    ['a symmetric key', () => serve({ keys: [{ kty: 'oct', k: 'AAAA', kid: 'rsa-1' }] })],
    ['more than it may', () => serve(`{"keys":[],"x":"${'x'.repeat(400_000)}"}`)],
    [
      'half of an answer',
      () => (r) => {
        r.writeHead(200, { 'content-length': 100 });
        r.write('{');
        r.destroy();
      },
    ],
  ])('where there is %s: invalid_client', async (_title, answer) => {
    const client = await clientWith(answer());
    expectRefused(await present(await assertionOf({ client })));
    expect(trap.hits).not.toContain('/elsewhere');
  });
  test('a key among others that nobody can use', async () => {
    const client = await clientWith(
      serve({
        keys: [{ kty: 'oct', k: 'AAAA' }, 'x', { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' }, ...setOf(rsa).keys],
      }),
    );
    expect((await present(await assertionOf({ client }))).status).toBe(200);
  });
});
