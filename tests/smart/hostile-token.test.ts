/** Malformed and hostile requests to the token endpoint, by each grant: always an OAuth error as JSON, and nothing given. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  asApp,
  exchange,
  introspect,
  makeApp,
  pkce,
  post,
  refresh,
  waitForReuse,
  type Flow,
  type TestApp,
} from '../support/app-driver.ts';
import type { IdentityServer } from '../support/identity-server.ts';
import {
  basicAuth,
  BOOTSTRAP,
  FORM,
  jsonOf,
  LEAK,
  query,
  raw,
  readPatient,
  sha256,
  startInstallation,
  within,
  type Installation,
  type RawReply,
} from './support.ts';

let inst: Installation;
let app: TestApp;
let other: TestApp;
let basic: TestApp;
let byPost: TestApp;
let online: TestApp;
let backend: TestApp;
let bulk: TestApp;

beforeAll(async () => {
  inst = await startInstallation();
  const { first } = inst;
  app = await makeApp(first, { redirectUris: ['https://app.example.org/callback', 'https://app.example.org/second'] });
  other = await makeApp(first);
  basic = await makeApp(first, { auth: 'client_secret_basic' });
  byPost = await makeApp(first, { auth: 'client_secret_post' });
  online = await makeApp(first, { scope: 'openid launch/patient patient/*.rs' });
  const system = { auth: 'client_secret_basic', redirectUris: [], scope: 'system/*.cruds' } as const;
  backend = await makeApp(first, { kind: 'backend', ...system });
  bulk = await makeApp(first, { kind: 'bulk', ...system, scope: 'system/*.rs' });
});
afterAll(() => inst.close());

let turn = 0;
const either = (): IdentityServer => inst.both[turn++ % 2] ?? inst.first;

function expectError({ status, headers, text }: RawReply, wanted: number, error: string | readonly string[]): void {
  expect(text).not.toMatch(LEAK);
  expect([status, text]).toEqual([wanted, expect.any(String)]);
  expect(headers['content-type']).toContain('application/json');
  expect(headers['cache-control']).toContain('no-store');
  expect(headers.pragma).toContain('no-cache');
  expect(headers['x-content-type-options']).toBe('nosniff');
  const body = jsonOf(text);
  expect(typeof error === 'string' ? [error] : error).toContain(body['error']);
  expect(Object.keys(body).filter((key) => !['error', 'error_description', 'scope'].includes(key))).toEqual([]);
}

type Pairs = readonly (readonly [string, string])[];
type Change = Readonly<Record<string, string | readonly string[] | undefined>>;

function changed(good: Readonly<Record<string, string>>, change: Change): Pairs {
  return [
    ...Object.entries(good).filter(([name]) => !(name in change)),
    ...Object.entries(change).flatMap(([name, value]): (readonly [string, string])[] =>
      value === undefined ? [] : typeof value === 'string' ? [[name, value]] : value.map((v) => [name, v]),
    ),
  ];
}

const send = (pairs: Pairs | string, headers: Readonly<Record<string, string>> = {}): Promise<RawReply> =>
  raw(either(), '/oauth/token', {
    method: 'POST',
    headers: { 'content-type': FORM, accept: 'text/html,*/*', ...headers },
    body: typeof pairs === 'string' ? pairs : query(pairs),
  });

const codeForm = (flow: Flow): Record<string, string> => ({
  grant_type: 'authorization_code',
  client_id: app.clientId,
  code: flow.answer.get('code') ?? '',
  redirect_uri: app.redirectUri,
  code_verifier: flow.verifier,
});

describe('RFC 6749 4.1.3, 5.2: codes', () => {
  /** None of the rows uses it up. */
  let flow: Flow;
  beforeAll(async () => {
    flow = await inst.flow(app);
  });

  test.each<[string, () => Change, string]>([
    ['no code', () => ({ code: undefined }), 'invalid_request'],
    ['blank code', () => ({ code: '' }), 'invalid_request'],
    ['made-up code', () => ({ code: 'x'.repeat(43) }), 'invalid_grant'],
    ['code of another form', () => ({ code: `' or 1=1 --` }), 'invalid_grant'],
    ['huge code', () => ({ code: 'x'.repeat(30_000) }), 'invalid_grant'],
    ['two codes', () => ({ code: [flow.answer.get('code') ?? '', 'x'] }), 'invalid_request'],
    ['code with a blank', () => ({ code: `${flow.answer.get('code') ?? ''} ` }), 'invalid_grant'],
    ['no redirect_uri', () => ({ redirect_uri: undefined }), 'invalid_request'],
    ['blank redirect_uri', () => ({ redirect_uri: '' }), 'invalid_request'],
    ['the app’s other redirect_uri', () => ({ redirect_uri: 'https://app.example.org/second' }), 'invalid_grant'],
    ['redirect_uri with a slash more', () => ({ redirect_uri: `${app.redirectUri}/` }), 'invalid_grant'],
    ['two redirect_uris', () => ({ redirect_uri: [app.redirectUri, app.redirectUri] }), 'invalid_request'],
    ['RFC 7636 4.6: no verifier', () => ({ code_verifier: undefined }), 'invalid_grant'],
    ['blank verifier', () => ({ code_verifier: '' }), 'invalid_grant'],
    ['wrong verifier', () => ({ code_verifier: pkce().verifier }), 'invalid_grant'],
    ['the challenge as verifier', () => ({ code_verifier: challengeOf(flow) }), 'invalid_grant'],
    ['the verifier in capitals', () => ({ code_verifier: swapCase(flow.verifier) }), 'invalid_grant'],
    ['a verifier of 42 characters', () => ({ code_verifier: flow.verifier.slice(0, 42) }), 'invalid_request'],
    ['a verifier of 129 characters', () => ({ code_verifier: 'x'.repeat(129) }), 'invalid_request'],
    ['the verifier and more', () => ({ code_verifier: `${flow.verifier}x` }), 'invalid_grant'],
    [
      'a verifier with other characters',
      () => ({ code_verifier: `${flow.verifier.slice(0, 42)}é` }),
      'invalid_request',
    ],
    ['two verifiers', () => ({ code_verifier: [flow.verifier, flow.verifier] }), 'invalid_request'],
    ['another app’s id', () => ({ client_id: other.clientId }), 'invalid_grant'],
    ['two client ids', () => ({ client_id: [app.clientId, other.clientId] }), 'invalid_request'],
    ['no client id', () => ({ client_id: undefined }), 'invalid_request'],
  ])('%s', async (_title, change, error) => expectError(await send(changed(codeForm(flow), change())), 400, error));

  test('RFC 8707 2.2: another resource', async () => {
    const reply = await send(changed(codeForm(await inst.flow(app)), { resource: 'https://evil.example/' }));
    expectError(reply, 400, 'invalid_target');
  });
  test('unknown app: 401', async () => {
    expectError(await send(changed(codeForm(flow), { client_id: 'nobody' })), 401, 'invalid_client');
  });
  test('A2.1 none of this used the code up, and it is good once', async () => {
    const reply = await exchange(either(), app, flow);
    expect(reply.status).toBe(200);
    expectError(await send(changed(codeForm(flow), {})), 400, 'invalid_grant');
  });
  test('an app with a secret: its code without the secret, with another’s, by another', async () => {
    const mine = await inst.flow(basic);
    const form = { ...codeForm(mine), client_id: basic.clientId, redirect_uri: basic.redirectUri };
    expectError(await send(changed(form, {})), 401, 'invalid_client');
    expectError(await send(changed(form, { client_secret: byPost.secret })), 401, 'invalid_client');
    expectError(
      await send(changed(form, { client_id: undefined }), { authorization: basicAuth(byPost) }),
      400,
      'invalid_grant',
    );
    expectError(
      await send(changed(form, { client_id: byPost.clientId }), { authorization: basicAuth(basic) }),
      400,
      'invalid_request',
    );
    expectError(
      await send(changed(form, { client_secret: basic.secret }), { authorization: basicAuth(basic) }),
      400,
      'invalid_request',
    );
    expect((await exchange(either(), basic, mine)).status).toBe(200);
  });
  test('60 s after it was given a code is worth nothing', async () => {
    const late = await inst.flow(app);
    await inst.first.kairos.pool.query(
      `update auth_oidc set payload = payload || jsonb_build_object('exp', extract(epoch from now())::int - 20), expires_at = now() - interval '20 s' where model = 'AuthorizationCode' and consumed_at is null`,
    );
    expectError(await send(changed(codeForm(late), {})), 400, 'invalid_grant');
  });
});

const challengeOf = ({ verifier }: Flow): string => sha256(verifier);
const swapCase = (text: string): string =>
  [...text].map((c) => (c === c.toLowerCase() ? c.toUpperCase() : c.toLowerCase())).join('');

describe('RFC 6749 5.2: what is no token request', () => {
  const grant = (name: string): Readonly<Record<string, string>> => ({ grant_type: name, client_id: app.clientId });
  test.each<[string, () => Change, string]>([
    ['no grant_type', () => ({ grant_type: undefined }), 'invalid_request'],
    ['blank grant_type', () => ({ grant_type: '' }), 'invalid_request'],
    ['unknown grant_type', () => ({ grant_type: 'x' }), 'unsupported_grant_type'],
    ['password', () => ({ grant_type: 'password', username: 'x', password: 'x' }), 'unsupported_grant_type'],
    ['implicit', () => ({ grant_type: 'implicit' }), 'unsupported_grant_type'],
    ['device code', () => ({ grant_type: 'urn:ietf:params:oauth:grant-type:device_code' }), 'unsupported_grant_type'],
    [
      'token exchange',
      () => ({ grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange' }),
      'unsupported_grant_type',
    ],
    [
      'JWT bearer',
      () => ({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: 'x' }),
      'unsupported_grant_type',
    ],
    ['CIBA', () => ({ grant_type: 'urn:openid:params:grant-type:ciba' }), 'unsupported_grant_type'],
    ['a name of every object', () => ({ grant_type: '__proto__' }), 'unsupported_grant_type'],
    ['constructor', () => ({ grant_type: 'constructor' }), 'unsupported_grant_type'],
    ['two grant_types', () => ({ grant_type: ['authorization_code', 'refresh_token'] }), 'invalid_request'],
    [
      'client_credentials by an app',
      () => ({ grant_type: 'client_credentials', scope: 'system/*.rs' }),
      'unauthorized_client',
    ],
  ])('%s', async (_title, change, error) => {
    const reply = await send(changed(grant('authorization_code'), change()));
    // The library says invalid_request where the grant is not the app's.
    expectError(reply, 400, error === 'unauthorized_client' ? ['unauthorized_client', 'invalid_request'] : error);
  });

  test.each([
    ['JSON', 'application/json', '{"grant_type":"client_credentials"}'],
    ['text', 'text/plain', 'grant_type=client_credentials'],
    [
      'multipart',
      'multipart/form-data; boundary=x',
      '--x\r\ncontent-disposition: form-data; name="grant_type"\r\n\r\nclient_credentials\r\n--x--',
    ],
    ['XML', 'application/xml', '<x/>'],
    ['a type in odd letters', 'application/x-www-form-urlencodedx', 'grant_type=client_credentials'],
    ['no type', '', 'grant_type=client_credentials'],
  ])('%s as body', async (_title, type, body) => {
    const headers = type === '' ? {} : { 'content-type': type };
    const reply = await raw(either(), '/oauth/token', {
      method: 'POST',
      headers: { ...headers, authorization: basicAuth(BOOTSTRAP) },
      body,
    });
    expectError(reply, 400, 'invalid_request');
  });
  test('parameters in the address do not count', async () => {
    const reply = await raw(
      either(),
      `/oauth/token?${query([
        ['grant_type', 'client_credentials'],
        ['scope', 'system/*.rs'],
      ])}`,
      {
        method: 'POST',
        headers: { authorization: basicAuth(BOOTSTRAP), 'content-type': FORM },
        body: '',
      },
    );
    expectError(reply, 400, 'invalid_request');
  });
  test('a body beyond every measure', async () => {
    expectError(await send(`grant_type=${'x'.repeat(200_000)}`), 400, 'invalid_request');
  });
  test.each(['utf-16', 'utf-7', 'x-nonsense', 'iso-8859-1'])('charset %s', async (charset) => {
    const { status, text } = await send('grant_type=x', { 'content-type': `${FORM}; charset=${charset}` });
    expect(status).toBe(400);
    expect(text).not.toMatch(LEAK);
  });
  test.each(['GET', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'PROPFIND'])('%s', async (method) => {
    const reply = await raw(either(), `/oauth/token?grant_type=client_credentials`, {
      method,
      headers: { authorization: basicAuth(BOOTSTRAP) },
    });
    expect([404, 405]).toContain(reply.status);
    expect(reply.text).not.toContain('access_token');
  });
  test.each([
    'grant_type',
    'code',
    'redirect_uri',
    'code_verifier',
    'client_id',
    'client_secret',
    'scope',
    'refresh_token',
    'resource',
    'client_assertion',
    'client_assertion_type',
    'unknown',
  ])('NUL, bytes that are no text, and odd names in %s', async (name) => {
    for (const value of ['a%00b', 'a\0b', '%ED%A0%80', '%FF', '%', '\u{D800}'])
      for (const grantType of ['authorization_code', 'refresh_token', 'client_credentials']) {
        const body = `grant_type=${grantType}&client_id=${app.clientId}&scope=patient/*.rs&code=x&refresh_token=x&${name}=${value}`;
        const { status, text } = await send(body);
        expect([400, 401]).toContain(status);
        expect(text).not.toMatch(LEAK);
      }
  });
});

describe('RFC 6749 2.3.1: who asks', () => {
  const form: Pairs = [
    ['grant_type', 'client_credentials'],
    ['scope', 'system/*.rs'],
  ];
  const b64 = (text: string): string => Buffer.from(text).toString('base64');
  test.each<[string, () => string, number, string]>([
    ['wrong secret', () => `Basic ${b64(`${backend.clientId}:wrong`)}`, 401, 'invalid_client'],
    [
      'secret in other letters',
      () => `Basic ${b64(`${backend.clientId}:${swapCase(backend.secret ?? '')}`)}`,
      401,
      'invalid_client',
    ],
    ['secret and more', () => `Basic ${b64(`${backend.clientId}:${backend.secret ?? ''}x`)}`, 401, 'invalid_client'],
    ['blank secret', () => `Basic ${b64(`${backend.clientId}:`)}`, 400, 'invalid_request'],
    ['unknown client', () => `Basic ${b64('nobody:secret')}`, 401, 'invalid_client'],
    ['no colon', () => `Basic ${b64('nobody')}`, 400, 'invalid_request'],
    ['no base64', () => 'Basic %%%', 400, 'invalid_request'],
    ['nothing', () => 'Basic ', 400, 'invalid_request'],
    ['a bearer token', () => 'Bearer x', 400, 'invalid_request'],
    ['digest', () => 'Digest username="x"', 400, 'invalid_request'],
    ['bad percent', () => `Basic ${b64(`${backend.clientId}:%zz`)}`, 400, 'invalid_request'],
    ['NUL', () => `Basic ${b64(`${backend.clientId}\0:x`)}`, 400, 'invalid_request'],
    ['a public app with a secret', () => `Basic ${b64(`${app.clientId}:x`)}`, 401, 'invalid_client'],
    ['the secret of another', () => `Basic ${b64(`${backend.clientId}:${bulk.secret ?? ''}`)}`, 401, 'invalid_client'],
    ['a million colons', () => `Basic ${b64(':'.repeat(20_000))}`, 400, 'invalid_request'],
  ])('Basic with %s', async (_title, authorization, status, error) => {
    const reply = await send(form, { authorization: authorization() });
    expectError(reply, status, error);
    if (status === 401) expect(reply.headers['www-authenticate']).toMatch(/^Basic /);
  });
  test('a public client gets nothing for itself', async () => {
    expectError(await send([...form, ['client_id', app.clientId]]), 400, ['invalid_request', 'unauthorized_client']);
  });
});

describe('smart.md 4.1: scopes of backend services', () => {
  test.each<[string, () => TestApp, string | undefined]>([
    ...(
      [
        undefined,
        '',
        'launch fhirUser',
        'openid',
        'patient/*.rs',
        'user/*.cruds',
        'system/Patient.unknown',
        'system/Dragon.rs',
        'system/Patient.sr',
        'system/*',
        'system/.rs',
        'SYSTEM/*.rs',
        'system/*.rs,system/Patient.rs',
      ] as const
    ).map((scope): [string, () => TestApp, string | undefined] => [`bulk ${scope ?? 'absent'}`, () => bulk, scope]),
    ...(['write', 'c', 'cu', 'cud', 'u', 'd', 'cd'] as const).map((action): [string, () => TestApp, string] => [
      `bulk system/Patient.${action}`,
      () => bulk,
      `system/Patient.${action}`,
    ]),
    ...(['launch fhirUser', '', 'patient/*.rs', 'system/Dragon.rs', 'system/Patient.dcu'] as const).map(
      (scope): [string, () => TestApp, string] => [`backend ${scope}`, () => backend, scope],
    ),
  ])('%s: invalid_scope', async (_title, client, scope) => {
    expectError(
      await send(changed({ grant_type: 'client_credentials' }, scope === undefined ? {} : { scope }), {
        authorization: basicAuth(client()),
      }),
      400,
      'invalid_scope',
    );
  });
  test.each<[string, () => TestApp, string, string]>([
    ['bulk', () => bulk, 'system/*.read', 'system/*.read'],
    ['bulk', () => bulk, 'system/*.rs', 'system/*.rs'],
    ['bulk', () => bulk, 'system/*.*', 'system/*.read'],
    ['bulk', () => bulk, 'system/*.cruds', 'system/*.rs'],
    ['bulk', () => bulk, 'system/Patient.read system/Slot.rs', 'system/Patient.read system/Slot.rs'],
    ['bulk', () => bulk, 'system/Patient.write system/Slot.rs', 'system/Slot.rs'],
    ['bulk', () => bulk, 'system/*.rs openid launch', 'system/*.rs'],
    ['backend', () => backend, 'system/*.cruds', 'system/*.cruds'],
    ['backend', () => backend, 'system/*.write', 'system/*.write'],
    ['backend', () => backend, 'system/Patient.*', 'system/Patient.*'],
    ['backend', () => backend, 'system/Slot.rs?status=free', 'system/Slot.rs?status=free'],
  ])('%s asks for %3$s', async (_title, client, scope, granted) => {
    const reply = await send(changed({ grant_type: 'client_credentials' }, { scope }), {
      authorization: basicAuth(client()),
    });
    expect(reply.status).toBe(200);
    const body = jsonOf(reply.text);
    expect(body).toEqual({ access_token: expect.any(String), token_type: 'Bearer', expires_in: 300, scope: granted });
  });
});

describe('RFC 6749 6, RFC 9700 4.14: refresh', () => {
  const issued = async (client: TestApp, scope?: string): Promise<Readonly<Record<string, unknown>>> => {
    const { status, body } = await exchange(
      either(),
      client,
      await inst.flow(client, scope === undefined ? {} : { scope }),
    );
    expect(status).toBe(200);
    return body;
  };
  const FULL = 'launch/patient offline_access patient/Patient.rs patient/Slot.rs openid';

  test.each<[string, () => Change, string]>([
    ['no token', () => ({ refresh_token: undefined }), 'invalid_request'],
    ['blank token', () => ({ refresh_token: '' }), 'invalid_request'],
    ['made-up token', () => ({ refresh_token: 'x'.repeat(43) }), 'invalid_grant'],
    ['quotes', () => ({ refresh_token: `' or 1=1 --` }), 'invalid_grant'],
    ['huge token', () => ({ refresh_token: 'x'.repeat(30_000) }), 'invalid_grant'],
    ['two tokens', () => ({ refresh_token: ['x', 'y'] }), 'invalid_request'],
  ])('%s', async (_title, change, error) =>
    expectError(
      await send(changed({ grant_type: 'refresh_token', client_id: app.clientId, refresh_token: 'x' }, change())),
      400,
      error,
    ),
  );

  test('access token, id_token and code are no refresh tokens', async () => {
    const body = await issued(app, FULL);
    for (const name of ['access_token', 'id_token'])
      expect((await refresh(either(), app, body[name])).body).toMatchObject({ error: 'invalid_grant' });
    expect((await refresh(either(), app, (await inst.flow(app)).answer.get('code'))).body).toMatchObject({
      error: 'invalid_grant',
    });
    // And it was not harmed by that.
    expect((await refresh(either(), app, body['refresh_token'])).status).toBe(200);
  });
  test('another app’s token; and it stays good for whom it belongs to', async () => {
    const mine = await issued(app, FULL);
    expect((await refresh(either(), other, mine['refresh_token'])).body).toMatchObject({ error: 'invalid_grant' });
    expect((await refresh(either(), basic, mine['refresh_token'])).body).toMatchObject({ error: 'invalid_grant' });
    expect((await refresh(either(), app, mine['refresh_token'])).status).toBe(200);
  });
  test('without its secret an app with one gets nothing', async () => {
    const mine = await issued(basic, FULL);
    const reply = await send([
      ['grant_type', 'refresh_token'],
      ['client_id', basic.clientId],
      ['refresh_token', String(mine['refresh_token'])],
    ]);
    expectError(reply, 401, 'invalid_client');
  });
  test.each([
    'patient/Patient.cruds',
    'user/Patient.rs',
    `${FULL} patient/Practitioner.rs`,
    'system/*.rs',
    'patient/*.rs',
    'nonsense',
    'patient/Patient.r',
  ])('A2.3 a scope that was not granted (%s) is refused, and harms nothing', async (scope) => {
    const mine = await issued(basic, FULL);
    expect((await refresh(either(), basic, mine['refresh_token'], { scope })).body).toMatchObject({
      error: 'invalid_scope',
    });
    expect((await refresh(either(), basic, mine['refresh_token'])).body['scope']).toBe(mine['scope']);
  });
  test.each<[string, () => TestApp]>([
    ['public', () => app],
    ['confidential', () => basic],
  ])('6: a %s app may ask for less once, and gets the whole again', async (_kind, client) => {
    const mine = await issued(client(), FULL);
    const less = await refresh(either(), client(), mine['refresh_token'], { scope: 'patient/Slot.rs launch/patient' });
    expect(less.status).toBe(200);
    expect(new Set(String(less.body['scope']).split(' '))).toEqual(new Set(['patient/Slot.rs', 'launch/patient']));
    expect(less.body['id_token']).toBeUndefined();
    expect(await readPatient(either(), less.body['access_token'])).toBe(403);
    const whole = await refresh(either(), client(), less.body['refresh_token'] ?? mine['refresh_token']);
    expect(whole.body['scope']).toBe(mine['scope']);
    expect(await readPatient(either(), whole.body['access_token'])).toBe(200);
  });
  test('without offline_access and online_access there is no refresh token', async () => {
    const { body } = await exchange(
      either(),
      online,
      await inst.flow(online, { scope: 'openid patient/*.rs offline_access' }),
    );
    expect(body['access_token']).toEqual(expect.any(String));
    expect(body['refresh_token']).toBeUndefined();
  });
  test('A2.6 a rotated token that comes again ends the family, in both processes within a second', async () => {
    const one = await issued(app, FULL);
    const two = (await refresh(inst.first, app, one['refresh_token'])).body;
    expect(await readPatient(inst.second, two['access_token'])).toBe(200);
    await waitForReuse(inst.first);
    expect((await refresh(inst.second, app, one['refresh_token'])).body).toMatchObject({ error: 'invalid_grant' });
    for (const server of inst.both) {
      expect(
        await within(
          () => readPatient(server, two['access_token']),
          (status) => status === 401,
        ),
      ).toBe(401);
      expect((await refresh(server, app, two['refresh_token'])).body).toMatchObject({ error: 'invalid_grant' });
    }
  });
  test('A2.6 of 20 parallel refreshes one gives tokens, and its family lives on', async () => {
    const mine = await issued(app, FULL);
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, i) => refresh(inst.both[i % 2] ?? inst.first, app, mine['refresh_token'])),
    );
    const good = replies.filter(({ status }) => status === 200);
    expect(good.length).toBe(1);
    expect(
      new Set(replies.filter((r) => r.status !== 200).map((r) => `${r.status} ${String(r.body['error'])}`)),
    ).toEqual(new Set(['400 invalid_grant']));
    expect(await readPatient(either(), good[0]?.body['access_token'])).toBe(200);
    expect((await refresh(either(), app, good[0]?.body['refresh_token'])).status).toBe(200);
  });
});

describe('A2.1 a code that is presented again', () => {
  test('of 50 parallel exchanges in two processes one succeeds, and its family is revoked', async () => {
    const flow = await inst.flow(app, { scope: 'launch/patient offline_access patient/Patient.rs' });
    const replies = await Promise.all(
      Array.from({ length: 50 }, (_, i) => exchange(inst.both[i % 2] ?? inst.first, app, flow)),
    );
    const good = replies.filter(({ status }) => status === 200);
    expect(good.length).toBe(1);
    expect(
      new Set(replies.filter((r) => r.status !== 200).map((r) => `${r.status} ${String(r.body['error'])}`)),
    ).toEqual(new Set(['400 invalid_grant']));
    const token = good[0]?.body;
    for (const server of inst.both) {
      expect(
        await within(
          () => readPatient(server, token?.['access_token']),
          (status) => status === 401,
        ),
      ).toBe(401);
      expect((await refresh(server, app, token?.['refresh_token'])).body).toMatchObject({ error: 'invalid_grant' });
      expect((await introspect(server, basic, token?.['access_token'])).body).toEqual({ active: false });
    }
  });
  test('one after the other, by different processes', async () => {
    const flow = await inst.flow(app, { scope: 'launch/patient patient/Patient.rs' });
    const { body } = await exchange(inst.first, app, flow);
    expect(await readPatient(inst.second, body['access_token'])).toBe(200);
    expect((await exchange(inst.second, app, flow)).status).toBe(400);
    for (const server of inst.both)
      expect(
        await within(
          () => readPatient(server, body['access_token']),
          (status) => status === 401,
        ),
      ).toBe(401);
  });
  test('a wrong verifier does not use it up, so that nobody can spoil it for the app', async () => {
    const flow = await inst.flow(app);
    expect((await exchange(inst.first, app, { ...flow, verifier: pkce().verifier })).status).toBe(400);
    expect((await exchange(inst.second, app, flow)).status).toBe(200);
  });
});

test('what the library would not need stays off: no PAR, device or backchannel endpoint', async () => {
  for (const path of ['/request', '/par', '/device/auth', '/device', '/backchannel', '/challenge', '/reg', '/me'])
    expect((await post(inst.first, path, {})).status).toBe(404);
  expect((await asApp(inst.first, app, '/token/../token', {})).status).toBeGreaterThanOrEqual(400);
});
