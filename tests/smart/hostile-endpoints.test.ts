/** Malformed and hostile requests to introspection, revocation, userinfo, logout, registration, and the documents of discovery. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { asApp, exchange, introspect, makeApp, refresh, type TestApp } from '../support/app-driver.ts';
import type { IdentityServer } from '../support/identity-server.ts';
import {
  basicAuth,
  FORM,
  jsonOf,
  LEAK,
  query,
  raw,
  readPatient,
  REGISTRATION_TOKEN,
  startInstallation,
  within,
  type Installation,
  type RawReply,
} from './support.ts';

let inst: Installation;
let app: TestApp;
let basic: TestApp;
const APP_ORIGIN = 'https://app.example.org';

beforeAll(async () => {
  inst = await startInstallation();
  app = await makeApp(inst.first, { postLogoutRedirectUris: ['https://app.example.org/bye'] });
  basic = await makeApp(inst.first, { auth: 'client_secret_basic' });
  await makeApp(inst.first, { auth: 'client_secret_post', redirectUris: ['https://post.example.org/callback'] });
});
afterAll(() => inst.close());

let turn = 0;
const either = (): IdentityServer => inst.both[turn++ % 2] ?? inst.first;
const tokens = async (client = app, scope?: string): Promise<Readonly<Record<string, unknown>>> =>
  (await exchange(either(), client, await inst.flow(client, scope === undefined ? {} : { scope }))).body;

function expectJson(reply: RawReply, status: number, error?: string | readonly string[]): void {
  expect(reply.text).not.toMatch(LEAK);
  expect([reply.status, reply.text]).toEqual([status, expect.any(String)]);
  expect(reply.headers['cache-control']).toContain('no-store');
  expect(reply.headers.pragma).toContain('no-cache');
  expect(reply.headers['x-content-type-options']).toBe('nosniff');
  if (error === undefined) return;
  expect(reply.headers['content-type']).toContain('application/json');
  expect(typeof error === 'string' ? [error] : error).toContain(jsonOf(reply.text)['error']);
}

describe.each(['/oauth/introspect', '/oauth/revoke'])('RFC 7662 2.1, RFC 7009 2.1: %s', (path) => {
  const send = (body: string, headers: Readonly<Record<string, string>> = {}): Promise<RawReply> =>
    raw(either(), path, { method: 'POST', headers: { 'content-type': FORM, accept: 'text/html', ...headers }, body });
  const auth = (client = basic): Readonly<Record<string, string>> => ({ authorization: basicAuth(client) });

  test.each<[string, () => [string, Readonly<Record<string, string>>?], number, string]>([
    ['nobody asks', () => ['token=x'], 400, 'invalid_request'],
    ['unknown client', () => ['token=x&client_id=nobody'], 401, 'invalid_client'],
    [
      'wrong secret',
      () => ['token=x', { authorization: `Basic ${Buffer.from(`${basic.clientId}:x`).toString('base64')}` }],
      401,
      'invalid_client',
    ],
    ['client with a secret without it', () => [`token=x&client_id=${basic.clientId}`], 401, 'invalid_client'],
    ['two ways to authenticate', () => [`token=x&client_secret=x`, auth()], 400, 'invalid_request'],
    ['no token', () => ['', auth()], 400, 'invalid_request'],
    ['blank token', () => ['token=', auth()], 400, 'invalid_request'],
    ['two tokens', () => ['token=x&token=y', auth()], 400, 'invalid_request'],
    ['JSON', () => ['{"token":"x"}', { ...auth(), 'content-type': 'application/json' }], 400, 'invalid_request'],
    ['a body beyond every measure', () => [`token=${'x'.repeat(100_000)}`, auth()], 400, 'invalid_request'],
  ])('%s', async (_title, request, status, error) => expectJson(await send(...request()), status, error));

  test.each([
    ['made up', 'x'.repeat(43)],
    ['a JWT of another', 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.'],
    ['quotes', `' or 1=1 --`],
    ['NUL', 'a\0b'],
    ['long', 'x'.repeat(40_000)],
    ['letters of the world', '🙂'],
  ])('a token that is none (%s) is no error', async (_title, token) => {
    for (const hint of [
      '',
      '&token_type_hint=refresh_token',
      '&token_type_hint=nonsense',
      '&token_type_hint=__proto__',
    ]) {
      const reply = await send(`${query([['token', token]])}${hint}`, auth());
      // RFC 7009 2.2.1 lets a server refuse a kind of token, which structured ones are.
      if (reply.status === 400) expectJson(reply, 400, 'unsupported_token_type');
      else expectJson(reply, 200);
      if (reply.status === 200 && path.endsWith('introspect')) expect(jsonOf(reply.text)).toEqual({ active: false });
    }
  });
  test.each(['GET', 'PUT', 'DELETE', 'HEAD', 'PATCH'])('%s is not served', async (method) => {
    const reply = await raw(either(), `${path}?token=x`, { method, headers: auth() });
    expect([404, 405]).toContain(reply.status);
  });
});

describe('RFC 7662 2.2: what introspection tells', () => {
  test('a public app sees its own tokens and no others, with a secret one sees all', async () => {
    const mine = await tokens(app);
    const theirs = await tokens(basic);
    expect((await introspect(either(), app, mine['access_token'])).body).toMatchObject({
      active: true,
      client_id: app.clientId,
    });
    expect((await introspect(either(), app, theirs['access_token'])).body).toEqual({ active: false });
    expect((await introspect(either(), basic, mine['access_token'])).body).toMatchObject({
      active: true,
      client_id: app.clientId,
    });
  });
  test('id_tokens and codes are not active', async () => {
    const mine = await tokens(app);
    expect((await introspect(either(), basic, mine['id_token'])).body['active']).not.toBe(true);
    expect((await introspect(either(), basic, (await inst.flow(app)).answer.get('code'))).body).toEqual({
      active: false,
    });
  });
  test('a refresh token tells no more than that it is good', async () => {
    const { body } = await introspect(either(), basic, (await tokens(basic))['refresh_token']);
    expect(body).toMatchObject({ active: true, client_id: basic.clientId });
  });
});

describe('RFC 7009 2: revocation', () => {
  test.each(['access_token', 'refresh_token'])(
    'A2.5 of the %s: the other process refuses within a second',
    async (which) => {
      const mine = await tokens(app, 'launch/patient offline_access patient/Patient.rs');
      for (const server of inst.both) expect(await readPatient(server, mine['access_token'])).toBe(200);
      expect((await asApp(inst.first, app, '/revoke', { token: String(mine[which]) })).status).toBe(200);
      for (const server of inst.both)
        expect(
          await within(
            () => readPatient(server, mine['access_token']),
            (status) => status === 401,
          ),
        ).toBe(401);
      if (which === 'refresh_token') expect((await refresh(inst.second, app, mine['refresh_token'])).status).toBe(400);
      expect((await introspect(inst.second, basic, mine['access_token'])).body).toEqual({ active: false });
    },
  );
  test('2.1 another app cannot revoke it, however it hints', async () => {
    const mine = await tokens(app, 'launch/patient offline_access patient/Patient.rs');
    for (const hint of ['access_token', 'refresh_token'])
      for (const token of [mine['access_token'], mine['refresh_token']])
        expect(
          (await asApp(either(), basic, '/revoke', { token: String(token), token_type_hint: hint })).status,
        ).toBeLessThan(401);
    expect(await readPatient(either(), mine['access_token'])).toBe(200);
    expect((await refresh(either(), app, mine['refresh_token'])).status).toBe(200);
  });
  test('a wrong hint does not help a token (2.1)', async () => {
    const mine = await tokens(app, 'launch/patient offline_access patient/Patient.rs');
    expect(
      (await asApp(either(), app, '/revoke', { token: String(mine['access_token']), token_type_hint: 'refresh_token' }))
        .status,
    ).toBe(200);
    for (const server of inst.both)
      expect(
        await within(
          () => readPatient(server, mine['access_token']),
          (status) => status === 401,
        ),
      ).toBe(401);
  });
});

describe('OpenID Connect Core 5.3: userinfo', () => {
  const ask = (
    headers: Readonly<Record<string, string>>,
    more: { method?: string; query?: string; body?: string } = {},
  ): Promise<RawReply> =>
    raw(either(), `/oauth/userinfo${more.query ?? ''}`, {
      method: more.method ?? 'GET',
      headers: { accept: 'text/html', ...headers },
      ...(more.body === undefined ? {} : { body: more.body }),
    });

  test('tells the subject of the id_token, and no more than was granted', async () => {
    const mine = await tokens(app, 'openid fhirUser patient/*.rs');
    const reply = await ask({ authorization: `Bearer ${String(mine['access_token'])}` });
    expectJson(reply, 200);
    expect(jsonOf(reply.text)).toEqual({ sub: inst.account.id, fhirUser: `${inst.first.fhirBase}/Patient/1` });
    const bare = await tokens(app, 'openid patient/*.rs');
    expect(jsonOf((await ask({ authorization: `bearer ${String(bare['access_token'])}` })).text)).toEqual({
      sub: inst.account.id,
    });
    const without = await tokens(app, 'patient/*.rs');
    expectJson(await ask({ authorization: `Bearer ${String(without['access_token'])}` }), 403, 'insufficient_scope');
  });
  test('RFC 6750 3.1: what is no token', async () => {
    const mine = await tokens(app, 'openid fhirUser patient/*.rs offline_access');
    const token = String(mine['access_token']);
    for (const authorization of [
      '',
      'Bearer',
      'Bearer ',
      'Bearer x',
      `Bearer ${'x'.repeat(43)}`,
      `Basic ${token}`,
      `DPoP ${token}`,
      token,
      `Bearer ${token},Bearer ${token}`,
      `Bearer  ${token}x`,
      `Bearer ${String(mine['id_token'])}`,
      `Bearer ${String(mine['refresh_token'])}`,
      basicAuth(basic),
      `Bearer ${'x'.repeat(20_000)}`,
      `Bearer ${token}\u00e9`,
    ]) {
      const reply = await ask(authorization === '' ? {} : { authorization });
      expectJson(reply, 401, ['invalid_token', 'invalid_request']);
      expect(reply.headers['www-authenticate']).toMatch(/^Bearer/);
    }
    expectJson(await ask({}, { query: `?access_token=${token}` }), 401, ['invalid_token', 'invalid_request']);
    expectJson(await ask({ 'content-type': FORM }, { method: 'POST', body: `access_token=${token}` }), 401, [
      'invalid_token',
      'invalid_request',
    ]);
  });
  test('a revoked token is refused by the other process at once', async () => {
    const mine = await tokens(app, 'openid patient/*.rs');
    await asApp(inst.first, app, '/revoke', { token: String(mine['access_token']) });
    expectJson(
      await raw(inst.second, '/oauth/userinfo', {
        headers: { authorization: `Bearer ${String(mine['access_token'])}` },
      }),
      401,
      'invalid_token',
    );
  });
});

describe('OpenID Connect RP-Initiated Logout 1.0', () => {
  const logout = (
    parameters: string,
    method = 'GET',
    cookie = inst.browser.header('/oauth/logout'),
  ): Promise<RawReply> =>
    method === 'GET'
      ? raw(either(), `/oauth/logout?${parameters}`, { headers: { accept: 'text/html', cookie } })
      : raw(either(), '/oauth/logout', {
          method,
          headers: { accept: 'text/html', cookie, 'content-type': FORM },
          body: parameters,
        });
  let hint: string;
  beforeAll(async () => {
    hint = String((await tokens(app, 'openid patient/*.rs'))['id_token']);
  });
  const tampered = (): string => hint.replace(/\.[^.]+$/, `.${'A'.repeat(342)}`);
  const unsigned = (aud: unknown): string =>
    `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify({ aud, iss: inst.first.issuer, sub: 'x' })).toString('base64url')}.`;

  const rows: readonly (readonly [string, () => string])[] = [
    [
      'an unregistered address',
      () =>
        query([
          ['id_token_hint', hint],
          ['post_logout_redirect_uri', 'https://evil.example/'],
        ]),
    ],
    [
      'an address with a slash more',
      () =>
        query([
          ['id_token_hint', hint],
          ['post_logout_redirect_uri', 'https://app.example.org/bye/'],
        ]),
    ],
    [
      'the redirect_uri of logging in',
      () =>
        query([
          ['client_id', app.clientId],
          ['post_logout_redirect_uri', app.redirectUri],
        ]),
    ],
    [
      'a script',
      () =>
        query([
          ['client_id', app.clientId],
          ['post_logout_redirect_uri', 'javascript:alert(1)'],
        ]),
    ],
    ['unknown client', () => 'client_id=nobody'],
    [
      'a client id that is not the hint’s',
      () =>
        query([
          ['id_token_hint', hint],
          ['client_id', basic.clientId],
        ]),
    ],
    ['a hint that is none', () => 'id_token_hint=x.y.z'],
    ['a hint with another signature', () => query([['id_token_hint', tampered()]])],
    ['a hint without signature', () => query([['id_token_hint', unsigned(app.clientId)]])],
    ['a hint for a list', () => query([['id_token_hint', unsigned([app.clientId])]])],
    ['a hint for an object', () => query([['id_token_hint', unsigned({ x: 1 })]])],
    ['a hint for a number', () => query([['id_token_hint', unsigned(1)]])],
    ['a hint for nobody', () => query([['id_token_hint', unsigned(undefined)]])],
    [
      'two addresses',
      () =>
        query([
          ['client_id', app.clientId],
          ['post_logout_redirect_uri', 'https://app.example.org/bye'],
          ['post_logout_redirect_uri', 'https://evil.example/'],
        ]),
    ],
    ['NUL in state', () => 'state=a%00b'],
    ['NUL in the hint', () => 'id_token_hint=a%00b'],
    ['no text', () => 'state=%ED%A0%80'],
  ];
  test.each(rows)('%s is refused with a page', async (_title, parameters) => {
    for (const method of ['GET', 'POST']) {
      const asked = await logout(parameters(), method);
      const location = asked.headers.location ?? '';
      const reply = asked.status === 303 ? await logout(location.slice(location.indexOf('?') + 1)) : asked;
      expect(reply.text).not.toMatch(LEAK);
      expect([reply.status, reply.text.slice(0, 300)]).toEqual([400, expect.any(String)]);
      expect(reply.headers.location).toBeUndefined();
    }
  });
  test('an address that no client vouches for is left out, and nothing is signed out by looking', async () => {
    const reply = await logout(query([['post_logout_redirect_uri', 'https://evil.example/']]));
    expect(reply.status).toBe(200);
    expect(reply.text).not.toContain('evil');
    expect(reply.headers['content-security-policy']).toContain("frame-ancestors 'none'");
    expect(reply.headers['cache-control']).toContain('no-store');
    expect((await inst.flow(app)).answer.get('code')).not.toBeNull();
  });
  test('confirmation without what the page holds, or with another’s, does nothing', async () => {
    for (const body of [
      'logout=yes',
      'xsrf=x&logout=yes',
      'xsrf=&logout=yes',
      'xsrf=a&xsrf=b&logout=yes',
      'xsrf=a%00b&logout=yes',
      '',
    ]) {
      const reply = await raw(either(), '/oauth/logout/confirm', {
        method: 'POST',
        headers: { accept: 'text/html', 'content-type': FORM, cookie: inst.browser.header('/oauth/logout') },
        body,
      });
      expect(reply.text).not.toMatch(LEAK);
      expect([body, reply.status]).toEqual([body, 400]);
    }
    expect((await inst.flow(app)).answer.get('code')).not.toBeNull();
  });
});

describe('RFC 7591: registration', () => {
  const register = (body: string, headers: Readonly<Record<string, string>> = {}): Promise<RawReply> =>
    raw(either(), '/oauth/register', {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${REGISTRATION_TOKEN}`, ...headers },
      body,
    });
  const good = {
    client_name: 'New app',
    redirect_uris: ['https://new.example.org/cb'],
    scope: 'openid patient/*.rs',
    token_endpoint_auth_method: 'none',
  };

  test('a good one is answered with 201, and its client can be used', async () => {
    const reply = await register(JSON.stringify(good));
    expectJson(reply, 201);
    const clientId = String(jsonOf(reply.text)['client_id']);
    const flow = await inst.flow(
      { clientId, secret: undefined, redirectUri: 'https://new.example.org/cb' },
      { scope: 'openid patient/*.rs' },
    );
    expect(flow.answer.get('code')).not.toBeNull();
  });
  test.each<[string, Readonly<Record<string, string>>]>([
    ['none', { authorization: '' }],
    ['another', { authorization: 'Bearer x' }],
    ['one that begins the same', { authorization: `Bearer ${REGISTRATION_TOKEN}x` }],
    ['in Basic', { authorization: `Basic ${REGISTRATION_TOKEN}` }],
    ['an access token', { authorization: `Bearer ${'x'.repeat(43)}` }],
  ])('initial access token: %s', async (_title, headers) => {
    const reply = await register(JSON.stringify(good), headers);
    expectJson(reply, 401, 'invalid_token');
    expect(reply.headers['www-authenticate']).toMatch(/^Bearer/);
  });

  test.each<[string, unknown, string?]>([
    ['no JSON', undefined],
    ['a list', []],
    ['a text', 'x'],
    ['null', null],
    ['nothing in it', {}],
    ['no redirect_uris', { ...good, redirect_uris: undefined }, 'invalid_redirect_uri'],
    ['none at all', { ...good, redirect_uris: [] }, 'invalid_redirect_uri'],
    ['a text in their place', { ...good, redirect_uris: 'https://new.example.org/cb' }],
    ['numbers', { ...good, redirect_uris: [1] }],
    ...[
      'http://new.example.org/cb',
      'https://new.example.org/cb#x',
      'https://u:p@new.example.org/cb',
      'https://*.example.org/cb',
      'javascript:alert(1)',
      'data:text/html,x',
      'file:///etc/passwd',
      '/cb',
      '',
      'https://new.example.org/\0',
      'https://new.example.org/\ud800',
      'https://new.example.org/a b',
      'https://new.example.org\\@evil.example/',
      `https://new.example.org/${'x'.repeat(3000)}`,
      'https://',
    ].map((uri): [string, unknown, string] => [
      `redirect_uri ${JSON.stringify(uri).slice(0, 60)}`,
      { ...good, redirect_uris: [uri] },
      'invalid_redirect_uri',
    ]),
    [
      'too many',
      { ...good, redirect_uris: Array.from({ length: 50 }, (_, i) => `https://new.example.org/${i}`) },
      'invalid_redirect_uri',
    ],
    ['scopes that there are not', { ...good, scope: 'openid superuser' }],
    ['scopes of the system for an app', { ...good, scope: 'system/*.cruds' }],
    ['no scope', { ...good, scope: '' }],
    ['password grant', { ...good, grant_types: ['password'] }],
    ['app and system at once', { ...good, grant_types: ['authorization_code', 'client_credentials'] }],
    ['implicit', { ...good, response_types: ['token'] }],
    ['unknown method', { ...good, token_endpoint_auth_method: 'client_secret_jwt' }],
    [
      'a system without secret',
      {
        client_name: 'S',
        grant_types: ['client_credentials'],
        scope: 'system/*.rs',
        token_endpoint_auth_method: 'none',
      },
    ],
    ['a secret of its own', { ...good, client_secret: 'x' }],
    ['a name with NUL', { ...good, client_name: 'a\0b' }],
    ['a name that turns the writing', { ...good, client_name: 'a\u202Eb' }],
    ['a name of a lone surrogate', { ...good, client_name: '\ud800' }],
    ['a name of blanks', { ...good, client_name: '  ' }],
    ['a name without end', { ...good, client_name: 'x'.repeat(1000) }],
    ['A2.12 sector_identifier_uri', { ...good, sector_identifier_uri: 'https://evil.example/' }],
    ['software_statement', { ...good, software_statement: 'x.y.z' }],
    ['request_uris', { ...good, request_uris: ['https://evil.example'] }],
    ['backchannel_logout_uri', { ...good, backchannel_logout_uri: 'https://evil.example' }],
    ...[
      'http://169.254.169.254/',
      'ftp://x/',
      'javascript:alert(1)',
      'https://u@x.example/',
      'https://x.example/\0',
      'https://x.example/\ud800',
      'x',
    ].flatMap((uri): [string, unknown][] => [
      [`logo_uri ${JSON.stringify(uri)}`, { ...good, logo_uri: uri }],
      [`jwks_uri ${JSON.stringify(uri)}`, { ...good, token_endpoint_auth_method: 'private_key_jwt', jwks_uri: uri }],
      [`initiate_login_uri ${JSON.stringify(uri)}`, { ...good, initiate_login_uri: uri }],
    ]),
    ['keys for one without', { ...good, jwks: { keys: [] } }],
    ['no keys for one with', { ...good, token_endpoint_auth_method: 'private_key_jwt' }],
    [
      'a private key',
      {
        ...good,
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: { keys: [{ kty: 'RSA', n: 'x'.repeat(400), e: 'AQAB', d: 'x' }] },
      },
    ],
    [
      'a symmetric key',
      { ...good, token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [{ kty: 'oct', k: 'x' }] } },
    ],
    [
      'a short key',
      {
        ...good,
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: { keys: [{ kty: 'RSA', n: 'AQAB', e: 'AQAB' }] },
      },
    ],
    ['a key that is none', { ...good, token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: ['x', null, 1] } }],
    [
      'a key with NUL in it',
      {
        ...good,
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: { keys: [{ kty: 'EC', crv: 'P-384', x: 'a\0', y: 'b', kid: '\0', use: '\ud800' }] },
      },
    ],
    [
      'a key off the curve',
      {
        ...good,
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: { keys: [{ kty: 'EC', crv: 'P-384', x: 'AA', y: 'AA' }] },
      },
    ],
    ['post_logout_redirect_uris of scripts', { ...good, post_logout_redirect_uris: ['javascript:alert(1)'] }],
  ])('%s is 400', async (_title, metadata, error) => {
    const reply = await register(metadata === undefined ? '{x' : JSON.stringify(metadata));
    expectJson(reply, 400, error ?? ['invalid_client_metadata', 'invalid_redirect_uri']);
  });
  test('bodies without end or bottom', async () => {
    expectJson(await register(`"${'x'.repeat(100_000)}"`), 413, 'invalid_client_metadata');
    expectJson(await register('['.repeat(60_000)), 400, 'invalid_client_metadata');
    expectJson(await register(`{"jwks":${'{"a":'.repeat(8000)}1${'}'.repeat(8000)}}`), 400, 'invalid_client_metadata');
    expectJson(await register(''), 400, 'invalid_client_metadata');
    expectJson(
      await register(JSON.stringify({ ...good, jwks: undefined }), { 'content-type': 'text/plain' }),
      400,
      'invalid_client_metadata',
    );
    expectJson(await register(JSON.stringify(good), { 'content-type': FORM }), 400, 'invalid_client_metadata');
  });
  test('names of every object are no client metadata', async () => {
    const reply = await register(
      `{"__proto__":{"grant_types":["client_credentials"]},"constructor":{},"client_name":"P","redirect_uris":["https://p.example/cb"],"scope":"openid","token_endpoint_auth_method":"none"}`,
    );
    expectJson(reply, 201);
    expect(jsonOf(reply.text)['grant_types']).toContain('authorization_code');
  });
  test.each(['GET', 'PUT', 'DELETE', 'PATCH'])('%s is not served', async (method) => {
    expect([404, 405]).toContain((await raw(either(), '/oauth/register', { method })).status);
  });
});

describe('documents that anybody may read', () => {
  const DOCUMENTS = [
    '/fhir/R4/.well-known/smart-configuration',
    '/oauth/.well-known/openid-configuration',
    '/oauth/.well-known/oauth-authorization-server',
    '/.well-known/oauth-authorization-server/oauth',
    '/oauth/jwks',
  ];
  test.each(DOCUMENTS)('%s: JSON for whatever Accept, from any origin, in any method of reading', async (path) => {
    for (const accept of ['*/*', 'text/html', 'application/fhir+json', 'application/xml', 'nonsense', '']) {
      const reply = await raw(either(), path, {
        headers: { ...(accept === '' ? {} : { accept }), origin: 'https://anybody.example' },
      });
      expect(reply.status).toBe(200);
      expect(reply.headers['content-type']).toMatch(/^application\/(json|jwk-set\+json)/);
      expect(['*', 'https://anybody.example']).toContain(reply.headers['access-control-allow-origin']);
      expect(reply.headers['access-control-allow-credentials']).toBeUndefined();
      expect(reply.headers['x-content-type-options']).toBe('nosniff');
    }
    expect((await raw(either(), path, { method: 'HEAD' })).status).toBe(200);
  });
  test.each(DOCUMENTS)('A4.9 %s is the same whatever Host and X-Forwarded headers say', async (path) => {
    const plain = await raw(inst.first, path);
    const spoofed = await raw(inst.second, path, {
      headers: {
        host: 'evil.example',
        'x-forwarded-host': 'evil.example',
        'x-forwarded-proto': 'https',
        'x-forwarded-port': '666',
        forwarded: 'host=evil.example',
        'x-forwarded-for': '1.2.3.4',
      },
    });
    expect(spoofed.status).toBe(200);
    expect(jsonOf(spoofed.text)).toEqual(jsonOf(plain.text));
  });
  test.each(DOCUMENTS)('%s: other methods are refused, odd queries do no harm', async (path) => {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH'])
      expect([404, 405]).toContain((await raw(either(), path, { method })).status);
    for (const odd of ['?x=%00', '?%ff', '?a[]=1&a[]=2', `?${'x'.repeat(10_000)}`, '?__proto__=1'])
      expect((await raw(either(), `${path}${odd}`)).status).toBeLessThan(500);
  });
  test('RFC 7517: the key set holds public members only', async () => {
    const { keys } = jsonOf((await raw(either(), '/oauth/jwks')).text) as {
      readonly keys: readonly Readonly<Record<string, unknown>>[];
    };
    expect(keys.length).toBeGreaterThan(0);
    for (const key of keys) {
      expect(key['kid']).toEqual(expect.any(String));
      for (const secret of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k', 'oth', 'priv'])
        expect(key).not.toHaveProperty(secret);
    }
  });
  test.each([
    '/oauth',
    '/oauth/',
    '/oauth/nothing',
    '/oauth/TOKEN',
    '/oauth//token',
    '/oauth/token/',
    '/OAUTH/token',
    '/oauth/%74oken',
    '/oauth/token%2f',
    '/oauth/token;x',
    '/oauthx',
    '/oauth/.well-known/',
    '/oauth/interaction/',
    '/oauth/interaction/x/y',
    '/oauth/interaction/x/login',
    '/oauth/authorize/x',
    '/oauth/logout/x',
  ])('paths beside the path (%s) are no error of ours', async (path) => {
    for (const method of ['GET', 'POST']) {
      const reply = await raw(either(), path, {
        method,
        headers: method === 'POST' ? { 'content-type': FORM } : {},
        ...(method === 'POST' ? { body: 'a=b' } : {}),
      });
      expect(reply.status).toBeGreaterThanOrEqual(300);
      expect(reply.status).toBeLessThan(500);
      expect(reply.text).not.toMatch(LEAK);
    }
  });
});

describe('Fetch, CORS: which scripts may call what', () => {
  const ORIGINS: readonly (readonly [string, string])[] = [
    ['unregistered', 'https://evil.example'],
    ['null', 'null'],
    ['with a suffix', `${APP_ORIGIN}.evil.example`],
    ['of another scheme', 'http://app.example.org'],
    ['with a port', `${APP_ORIGIN}:8443`],
    ['of another app', 'https://post.example.org'],
  ];
  test.each(['/oauth/token', '/oauth/introspect', '/oauth/revoke'])(
    '%s: a registered origin is echoed and may send credentials',
    async (path) => {
      const reply = await raw(either(), path, {
        method: 'POST',
        headers: { 'content-type': FORM, origin: APP_ORIGIN },
        body: `client_id=${app.clientId}&grant_type=refresh_token&refresh_token=x&token=x`,
      });
      expect(reply.headers['access-control-allow-origin']).toBe(APP_ORIGIN);
      expect(reply.headers['access-control-allow-credentials']).toBe('true');
      expect(reply.headers.vary?.toLowerCase()).toContain('origin');
    },
  );
  test.each(ORIGINS)('an origin that is %s gets nothing to read', async (_title, origin) => {
    const mine = await tokens(app, 'launch/patient offline_access patient/Patient.rs');
    for (const path of ['/oauth/token', '/oauth/introspect', '/oauth/revoke']) {
      const reply = await raw(either(), path, {
        method: 'POST',
        headers: { 'content-type': FORM, origin },
        body: `client_id=${app.clientId}&grant_type=refresh_token&refresh_token=${String(mine['refresh_token'])}&token=${String(mine['access_token'])}`,
      });
      expect(reply.headers['access-control-allow-credentials']).toBeUndefined();
      expect(reply.headers['access-control-allow-origin']).toBeUndefined();
      expect(reply.status).toBe(400);
      expect(reply.text).not.toContain('access_token');
    }
    // Nothing was used up.
    expect((await refresh(either(), app, mine['refresh_token'])).status).toBe(200);
  });
  test.each(['/oauth/token', '/oauth/introspect', '/oauth/revoke', '/oauth/userinfo'])(
    'preflight of %s',
    async (path) => {
      const preflight = (origin: string): Promise<RawReply> =>
        raw(either(), path, {
          method: 'OPTIONS',
          headers: {
            origin,
            'access-control-request-method': 'POST',
            'access-control-request-headers': 'authorization,content-type',
          },
        });
      const known = await preflight(APP_ORIGIN);
      expect([200, 204]).toContain(known.status);
      expect(known.headers['access-control-allow-origin']).toBe(APP_ORIGIN);
      expect(known.headers['access-control-allow-methods']).toContain('POST');
      expect(known.headers['access-control-allow-headers']?.toLowerCase()).toContain('authorization');
      const unknown = await preflight('https://evil.example');
      expect(unknown.headers['access-control-allow-credentials']).toBeUndefined();
    },
  );
  test('userinfo: registered origins of the token’s app, and no others', async () => {
    const authorization = `Bearer ${String((await tokens(app, 'openid patient/*.rs'))['access_token'])}`;
    const ask = (origin: string): Promise<RawReply> =>
      raw(either(), '/oauth/userinfo', { headers: { authorization, origin } });
    expect((await ask(APP_ORIGIN)).headers['access-control-allow-origin']).toBe(APP_ORIGIN);
    for (const [, origin] of ORIGINS)
      expect((await ask(origin)).headers['access-control-allow-origin']).toBeUndefined();
  });
  test('FHIR: preflights are answered, and what a script needs is exposed', async () => {
    const reply = await raw(either(), '/fhir/R4/Patient/1', {
      method: 'OPTIONS',
      headers: {
        origin: APP_ORIGIN,
        'access-control-request-method': 'PUT',
        'access-control-request-headers': 'authorization,content-type,if-match,prefer,if-none-exist',
      },
    });
    expect([200, 204]).toContain(reply.status);
    expect(['*', APP_ORIGIN]).toContain(reply.headers['access-control-allow-origin']);
    for (const name of ['authorization', 'content-type', 'if-match', 'prefer', 'if-none-exist'])
      expect(reply.headers['access-control-allow-headers']?.toLowerCase()).toContain(name);
    const read = await raw(either(), '/fhir/R4/metadata', { headers: { origin: 'https://anybody.example' } });
    expect(['*', 'https://anybody.example']).toContain(read.headers['access-control-allow-origin']);
    expect(read.headers['access-control-expose-headers']?.toLowerCase()).toMatch(/location.*etag|etag.*location/);
  });
});
