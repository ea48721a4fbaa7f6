/** Malformed and hostile authorization requests: none gives a code, and none sends the browser where the app did not register. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { authorizeParameters, makeApp, pkce, type TestApp } from '../support/app-driver.ts';
import { FORM, LEAK, query, raw, startInstallation, type Installation, type RawReply } from './support.ts';

let inst: Installation;
let app: TestApp;
let other: TestApp;
let confidential: TestApp;
const PORT_URI = 'http://localhost:7777/cb';

beforeAll(async () => {
  inst = await startInstallation();
  app = await makeApp(inst.first, {
    redirectUris: ['https://app.example.org/callback', PORT_URI, 'https://app.example.org/q?x=1'],
  });
  other = await makeApp(inst.first, { redirectUris: ['https://other.example.org/callback'] });
  confidential = await makeApp(inst.first, { auth: 'client_secret_basic' });
});
afterAll(() => inst.close());

type Pairs = readonly (readonly [string, string])[];
/** Parameters of a good request, changed: undefined leaves one out, an array sends several. */
type Change = Readonly<Record<string, string | readonly string[] | undefined>>;

function pairsOf(change: Change, of = app): Pairs {
  const good = authorizeParameters(inst.first, of, pkce().challenge);
  for (const name of Object.keys(change)) good.delete(name);
  return [
    ...good,
    ...Object.entries(change).flatMap(([name, value]): (readonly [string, string])[] =>
      value === undefined ? [] : typeof value === 'string' ? [[name, value]] : value.map((v) => [name, v]),
    ),
  ];
}

let turn = 0;
const byGet = (encoded: string): Promise<RawReply> =>
  raw(inst.both[turn++ % 2] ?? inst.first, `/oauth/authorize?${encoded}`, {
    headers: { accept: 'text/html', cookie: inst.browser.header('/oauth/authorize') },
  });

/** Posts, and follows to where the parameters come again. */
async function byPost(encoded: string): Promise<RawReply> {
  const posted = await raw(inst.both[turn++ % 2] ?? inst.first, '/oauth/authorize', {
    method: 'POST',
    headers: { accept: 'text/html', 'content-type': FORM, cookie: inst.browser.header('/oauth/authorize') },
    body: encoded,
  });
  if (posted.status !== 303) return posted;
  const location = posted.headers.location ?? '';
  expect(location.startsWith(`${inst.first.issuer}/authorize?`)).toBe(true);
  return byGet(location.slice(location.indexOf('?') + 1));
}

const noLeak = ({ status, text }: RawReply): void => {
  expect(status).toBeLessThan(500);
  expect(text).not.toMatch(LEAK);
};

/** A page, and no way out of it to somewhere else. */
function expectPage(reply: RawReply, code: string): void {
  noLeak(reply);
  expect(reply.status).toBe(400);
  expect(reply.headers.location).toBeUndefined();
  expect(reply.text).toContain(code);
  expect(reply.headers['content-type']).toContain('text/html');
  expect(reply.headers['cache-control']).toContain('no-store');
  expect(reply.headers['content-security-policy']).toContain("frame-ancestors 'none'");
  expect(reply.headers['x-content-type-options']).toBe('nosniff');
  expect(reply.text).not.toMatch(/<script(?! src)|http-equiv="refresh"/i);
}

function expectRedirect(reply: RawReply, error: string, state: string | null = 'state-1'): void {
  noLeak(reply);
  expect([302, 303]).toContain(reply.status);
  // Errors of other response types and modes come in their place, behind the hash.
  const location = new URL((reply.headers.location ?? 'about:none').replace('#', '?'));
  expect(`${location.origin}${location.pathname}`).toBe('https://app.example.org/callback');
  expect(location.searchParams.get('error')).toBe(error);
  expect(location.searchParams.get('state')).toBe(state);
  expect(location.searchParams.get('iss')).toBe(inst.first.issuer);
  expect(location.searchParams.get('code')).toBeNull();
  expect(reply.headers['cache-control']).toContain('no-store');
}

const methods = [
  ['GET', byGet],
  ['POST', byPost],
] as const;

describe.each(methods)('RFC 6749 4.1.2.1, by %s: no redirect to what is not registered', (_name, send) => {
  test.each<[string, () => Change, string]>([
    ['no client_id', () => ({ client_id: undefined }), 'invalid_request'],
    ['blank client_id', () => ({ client_id: '' }), 'invalid_request'],
    ['unknown client', () => ({ client_id: 'nobody' }), 'invalid_client'],
    ['client_id with quotes', () => ({ client_id: `x' or '1'='1` }), 'invalid_client'],
    ['client_id that is markup', () => ({ client_id: '<script>alert(1)</script>' }), 'invalid_client'],
    ['client_id of a prototype', () => ({ client_id: '__proto__' }), 'invalid_client'],
    ['huge client_id', () => ({ client_id: 'x'.repeat(6000) }), 'invalid_client'],
    ['two client_ids', () => ({ client_id: [app.clientId, other.clientId] }), 'invalid_request'],
    ['a client that is a system', () => ({ client_id: 'bootstrap' }), 'invalid_'],
    ['no redirect_uri', () => ({ redirect_uri: undefined }), 'invalid_request'],
    ['blank redirect_uri', () => ({ redirect_uri: '' }), 'invalid_re'],
    [
      'two redirect_uris',
      () => ({ redirect_uri: ['https://app.example.org/callback', 'https://evil.example/'] }),
      'invalid_request',
    ],
    [
      'same redirect_uri twice',
      () => ({ redirect_uri: ['https://app.example.org/callback', 'https://app.example.org/callback'] }),
      'invalid_request',
    ],
  ])('%s', async (_title, change, code) => expectPage(await send(query(pairsOf(change()))), code));

  test.each([
    ['extra path', 'https://app.example.org/callback/more'],
    ['trailing slash', 'https://app.example.org/callback/'],
    ['path in capitals', 'https://app.example.org/Callback'],
    ['host in capitals', 'https://APP.example.org/callback'],
    ['scheme in capitals', 'HTTPS://app.example.org/callback'],
    ['http', 'http://app.example.org/callback'],
    ['default port', 'https://app.example.org:443/callback'],
    ['other port', 'https://app.example.org:8443/callback'],
    ['user name', 'https://x@app.example.org/callback'],
    ['user name that looks like the host', 'https://app.example.org@evil.example/callback'],
    ['fragment', 'https://app.example.org/callback#x'],
    ['empty fragment', 'https://app.example.org/callback#'],
    ['query', 'https://app.example.org/callback?x=1'],
    ['empty query', 'https://app.example.org/callback?'],
    ['dot segment', 'https://app.example.org/x/../callback'],
    ['encoded dot segment', 'https://app.example.org/x/%2e%2e/callback'],
    ['encoded letter', 'https://app.example.org/%63allback'],
    ['encoded slash', 'https://app.example.org/callback%2f..%2fevil'],
    ['backslash', 'https://app.example.org\\@evil.example/callback'],
    ['dot at the end of the host', 'https://app.example.org./callback'],
    ['subdomain', 'https://x.app.example.org/callback'],
    ['suffix', 'https://app.example.org.evil.example/callback'],
    ['prefix alone', 'https://app.example.org'],
    ['another app’s', 'https://other.example.org/callback'],
    ['the registered query in another order', 'https://app.example.org/q?x=1&'],
    ['script', 'javascript:alert(1)//https://app.example.org/callback'],
    ['data', 'data:text/html,x'],
    ['relative', '/callback'],
    ['host without scheme', '//app.example.org/callback'],
    ['leading blank', ' https://app.example.org/callback'],
    ['tab within', 'https://app.example.org/call\tback'],
    ['line break', 'https://app.example.org/callback\r\nset-cookie: x=1'],
    ['homograph', 'https://аpp.example.org/callback'],
    ['another loopback port', 'http://localhost:7778/cb'],
    ['loopback by address', 'http://127.0.0.1:7777/cb'],
    ['long', `https://app.example.org/callback?${'x'.repeat(5000)}`],
  ])('redirect_uri with %s', async (_title, redirectUri) =>
    expectPage(await send(query(pairsOf({ redirect_uri: redirectUri }))), 'invalid_redirect_uri'),
  );
});

describe.each(methods)(
  'RFC 6749 4.1.2.1, by %s: errors go back to the app with its state and our issuer',
  (_name, send) => {
    test.each<[string, () => Change, string]>([
      ['no response_type', () => ({ response_type: undefined }), 'invalid_request'],
      ['response_type token', () => ({ response_type: 'token' }), 'unsupported_response_type'],
      ['response_type id_token', () => ({ response_type: 'id_token' }), 'unsupported_response_type'],
      ['response_type code token', () => ({ response_type: 'code token' }), 'unsupported_response_type'],
      ['response_type none', () => ({ response_type: 'none' }), 'unsupported_response_type'],
      ['two response_types', () => ({ response_type: ['code', 'token'] }), 'invalid_request'],
      ['RFC 7636 4.4.1: no challenge', () => ({ code_challenge: undefined }), 'invalid_request'],
      ['blank challenge', () => ({ code_challenge: '' }), 'invalid_request'],
      ['challenge without method', () => ({ code_challenge_method: undefined }), 'invalid_request'],
      [
        'neither challenge nor method',
        () => ({ code_challenge: undefined, code_challenge_method: undefined }),
        'invalid_request',
      ],
      ['method plain', () => ({ code_challenge_method: 'plain' }), 'invalid_request'],
      ['method s256', () => ({ code_challenge_method: 's256' }), 'invalid_request'],
      ['method S512', () => ({ code_challenge_method: 'S512' }), 'invalid_request'],
      ['short challenge', () => ({ code_challenge: 'x'.repeat(42) }), 'invalid_request'],
      ['long challenge', () => ({ code_challenge: 'x'.repeat(129) }), 'invalid_request'],
      ['challenge with other characters', () => ({ code_challenge: `${'x'.repeat(42)}+` }), 'invalid_request'],
      ['two challenges', () => ({ code_challenge: [pkce().challenge, pkce().challenge] }), 'invalid_request'],
      ['no aud', () => ({ aud: undefined }), 'invalid_request'],
      ['blank aud', () => ({ aud: '' }), 'invalid_request'],
      ['another server’s aud', () => ({ aud: 'https://fhir.example.org/r4' }), 'invalid_request'],
      ['a part of the aud', () => ({ aud: inst.first.origin }), 'invalid_request'],
      ['the aud and more', () => ({ aud: `${inst.first.fhirBase}/Patient` }), 'invalid_request'],
      ['the aud and letters', () => ({ aud: `${inst.first.fhirBase}4` }), 'invalid_request'],
      ['aud with two slashes', () => ({ aud: `${inst.first.fhirBase}//` }), 'invalid_request'],
      ['aud with another port', () => ({ aud: inst.second.listens + '/fhir/R4' }), 'invalid_request'],
      ['aud by address', () => ({ aud: inst.first.fhirBase.replace('localhost', '127.0.0.1') }), 'invalid_request'],
      ['aud in capitals', () => ({ aud: inst.first.fhirBase.replace('localhost', 'LOCALHOST') }), 'invalid_request'],
      ['aud with query', () => ({ aud: `${inst.first.fhirBase}?x` }), 'invalid_request'],
      ['aud with user', () => ({ aud: inst.first.fhirBase.replace('//', '//x@') }), 'invalid_request'],
      ['aud of the issuer', () => ({ aud: inst.first.issuer }), 'invalid_request'],
      ['two auds', () => ({ aud: [inst.first.fhirBase, inst.first.fhirBase] }), 'invalid_request'],
      ['a good aud and a bad one', () => ({ aud: [inst.first.fhirBase, 'https://evil.example'] }), 'invalid_request'],
      ['another resource (RFC 8707)', () => ({ resource: 'https://evil.example/' }), 'invalid_target'],
      ['no scope', () => ({ scope: undefined }), 'invalid_scope'],
      ['blank scope', () => ({ scope: ' ' }), 'invalid_scope'],
      ['two scopes parameters', () => ({ scope: ['openid', 'patient/*.rs'] }), 'invalid_request'],
      ['unknown scopes alone', () => ({ scope: 'email patient/Patient.sr superuser' }), 'invalid_scope'],
      ['a type that there is not', () => ({ scope: 'patient/Dragon.rs' }), 'invalid_scope'],
      ['scopes of systems', () => ({ scope: 'system/*.rs' }), 'invalid_scope'],
      ['scopes of a launch without one', () => ({ scope: 'launch launch/encounter' }), 'invalid_scope'],
      ['blanks before scopes', () => ({ scope: ' openid' }), 'invalid_scope'],
      ['quotes in scopes', () => ({ scope: 'openid "x"' }), 'invalid_scope'],
      ['huge scope', () => ({ scope: 'x'.repeat(6000) }), 'invalid_scope'],
      ['request', () => ({ request: 'eyJhbGciOiJub25lIn0.e30.' }), 'request_not_supported'],
      ['request_uri', () => ({ request_uri: 'https://evil.example/request' }), 'request_uri_not_supported'],
      [
        'request_uri of PAR',
        () => ({ request_uri: 'urn:ietf:params:oauth:request_uri:x' }),
        'request_uri_not_supported',
      ],
      ['registration', () => ({ registration: '{}' }), 'registration_not_supported'],
      ['prompt none without a session of the provider', () => ({ prompt: 'none' }), 'login_required'],
      ['prompt none and login', () => ({ prompt: 'none login' }), 'invalid_request'],
      ['unknown prompt', () => ({ prompt: 'mfa' }), 'invalid_request'],
      ['our own prompt', () => ({ prompt: 'patient' }), 'invalid_request'],
      ['two prompts', () => ({ prompt: ['login', 'none'] }), 'invalid_request'],
      ['max_age below zero', () => ({ max_age: '-1' }), 'invalid_request'],
      ['max_age that is no number', () => ({ max_age: 'soon' }), 'invalid_request'],
      ['max_age beyond numbers', () => ({ max_age: '1e400' }), 'invalid_request'],
      ['id_token_hint that is none', () => ({ id_token_hint: 'x.y.z' }), 'invalid_request'],
      [
        'id_token_hint without signature',
        () => ({ id_token_hint: 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.' }),
        'invalid_request',
      ],
      ['unknown response_mode', () => ({ response_mode: 'carrier-pigeon' }), 'unsupported_response_mode'],
      ['response_mode fragment', () => ({ response_mode: 'fragment' }), 'invalid_request'],
      ['two nonces', () => ({ nonce: ['a', 'b'] }), 'invalid_request'],
      [
        'a launch that was never made',
        () => ({ launch: 'x'.repeat(43), scope: 'launch patient/*.rs' }),
        'invalid_request',
      ],
      ['huge launch', () => ({ launch: 'x'.repeat(6000) }), 'invalid_request'],
      ['launch with quotes', () => ({ launch: `' or 1=1 --` }), 'invalid_request'],
    ])('%s', async (_title, change, error) => {
      const reply = await send(query(pairsOf(change())));
      expectRedirect(reply, error);
    });

    test('two states: neither comes back', async () => {
      expectRedirect(await send(query(pairsOf({ state: ['a', 'b'] }))), 'invalid_request', null);
    });
  },
);

describe('RFC 6749 4.1.2: state comes back as it was sent', () => {
  test.each([
    ['every visible character', Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join('')],
    ['percent signs', '%41%zz%%2541'],
    ['plus and blank', 'a+b c  d'],
    ['ampersands', 'a&code=stolen&state=x#y'],
    ['line breaks', 'a\r\nSet-Cookie: x=1\r\n\r\nb'],
    ['letters of the world', 'ñ中文🙂\u200F\u202Eé'],
    ['not composed', 'e\u0301'],
    ['a tab and a bell', '\t\u0007'],
    ['markup', '"><script>alert(1)</script>'],
    ['long', 'x'.repeat(6000)],
    ['an array', 'a[]=1'],
  ])('%s', async (_title, state) => {
    for (const send of [byGet, byPost]) {
      const denied = await send(query(pairsOf({ state, scope: 'nothing' })));
      expectRedirect(denied, 'invalid_scope', state);
    }
    const { answer } = await inst.flow(app, { state });
    expect(answer.get('state')).toBe(state);
    expect(answer.get('code')).not.toBeNull();
  });

  test.each(['%FF', '%C3%28', '%ED%A0%80', '%F0%9F%99', '%C0%80'])(
    'bytes that are no text (%s) are refused, since they would come back as others',
    async (bytes) => {
      const good = query(pairsOf({ state: undefined, scope: 'nothing' }));
      for (const reply of [await byGet(`${good}&state=${bytes}`), await byPost(`${good}&state=${bytes}`)]) {
        noLeak(reply);
        const state = /[?&]state=([^&]*)/.exec(reply.headers.location ?? '')?.[1];
        if (state === undefined) expect(reply.status).toBe(400);
        else expect(state).toBe(bytes);
      }
    },
  );

  test('no state: none comes back', async () => {
    expectRedirect(await byGet(query(pairsOf({ state: undefined, scope: 'nothing' }))), 'invalid_scope', null);
  });
});

describe('what is not for the authorization endpoint', () => {
  const names = [
    'response_type',
    'client_id',
    'redirect_uri',
    'scope',
    'state',
    'aud',
    'code_challenge',
    'code_challenge_method',
    'nonce',
    'launch',
    'prompt',
    'max_age',
    'login_hint',
    'ui_locales',
    'acr_values',
    'id_token_hint',
    'display',
    'claims',
    'resource',
    'response_mode',
    'unknown',
  ];
  test.each(names)('NUL in %s is refused', async (name) => {
    const good = query(pairsOf({ [name]: undefined }));
    for (const reply of [
      await byGet(`${good}&${name}=a%00b`),
      await byPost(`${good}&${name}=a%00b`),
      await byPost(`${good}&${name}=a\0b`),
    ]) {
      noLeak(reply);
      expect(reply.status).toBe(400);
      expect(reply.headers.location).toBeUndefined();
    }
  });
  test.each(names)('bytes that are no text in %s end in no error of ours', async (name) => {
    const good = query(pairsOf({ [name]: undefined }));
    for (const bytes of ['%ED%A0%80', '%FF%FE', '%', '%zz'])
      for (const reply of [await byGet(`${good}&${name}=${bytes}`), await byPost(`${good}&${name}=${bytes}`)])
        noLeak(reply);
  });
  test.each(names)('%s as array or object is not taken for text', async (name) => {
    const good = query(pairsOf({}));
    for (const more of [`${name}[]=x`, `${name}[a]=x`, `${name}%5B%5D=x`, '__proto__[x]=1', 'constructor=1'])
      noLeak(await byGet(`${good}&${more}`));
  });

  test.each([
    ['JSON', 'application/json', '{}'],
    ['multipart', 'multipart/form-data; boundary=x', '--x--'],
    ['text', 'text/plain', 'a=b'],
    ['nothing', '', ''],
  ])('POST of %s is 400', async (_title, type, body) => {
    const reply = await raw(inst.first, '/oauth/authorize', {
      method: 'POST',
      headers: type === '' ? {} : { 'content-type': type },
      body,
    });
    noLeak(reply);
    expect(reply.status).toBe(400);
    expect(reply.headers.location).toBeUndefined();
  });
  test('a form beyond every measure is 400', async () => {
    const reply = await raw(inst.first, '/oauth/authorize', {
      method: 'POST',
      headers: { 'content-type': FORM, 'content-length': 100_000 },
      body: `state=${'x'.repeat(99_994)}`,
    });
    expect(reply.status).toBe(400);
  });
  test.each(['PUT', 'DELETE', 'PATCH', 'TRACE', 'PROPFIND', 'OPTIONS'])('%s gives nothing', async (method) => {
    const reply = await raw(inst.first, `/oauth/authorize?${query(pairsOf({}))}`, { method });
    noLeak(reply);
    expect([200, 204, 302, 303]).not.toContain(reply.status);
    expect(reply.headers.location).toBeUndefined();
  });
  test('scripts of other origins may not read it (CORS)', async () => {
    const reply = await raw(inst.first, `/oauth/authorize?${query(pairsOf({ client_id: undefined }))}`, {
      headers: { origin: 'https://app.example.org' },
    });
    expect(reply.headers['access-control-allow-origin']).toBeUndefined();
  });
  test('A2.2 Host and X-Forwarded headers change no address', async () => {
    const spoofed = {
      host: 'evil.example',
      'x-forwarded-host': 'evil.example',
      'x-forwarded-proto': 'https',
      'x-forwarded-port': '1',
      'x-forwarded-prefix': '/evil',
      forwarded: 'host=evil.example;proto=https',
      'x-original-url': '/evil',
      'x-rewrite-url': '/evil',
      'x-http-method-override': 'DELETE',
    };
    const started = await raw(inst.first, `/oauth/authorize?${query(pairsOf({}))}`, { headers: spoofed });
    expect(started.headers.location?.startsWith(`${inst.first.issuer}/interaction/`)).toBe(true);
    const posted = await raw(inst.first, '/oauth/authorize', {
      method: 'POST',
      headers: { ...spoofed, 'content-type': FORM },
      body: query(pairsOf({})),
    });
    expect(posted.headers.location?.startsWith(`${inst.first.issuer}/authorize?`)).toBe(true);
    expect(JSON.stringify([started.headers, started.text, posted.headers])).not.toContain('evil');
  });
});

describe('SMART App Launch 2.2: what is asked for in odd ways is granted as it should be', () => {
  const scopeOf = async (scope: string, of = app): Promise<string> => {
    const flow = await inst.flow(of, { scope });
    const response = await fetch(`${inst.first.issuer}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        client_id: of.clientId,
        code: flow.answer.get('code') ?? '',
        redirect_uri: of.redirectUri,
        code_verifier: flow.verifier,
      }),
    });
    const { scope: granted } = (await response.json()) as { readonly scope?: string };
    return granted ?? `${response.status}`;
  };
  test.each([
    ['unknown ones beside known ones', 'patient/Patient.rs email superuser', 'patient/Patient.rs'],
    ['letters out of order beside good ones', 'patient/Patient.sr patient/Slot.rs', 'patient/Slot.rs'],
    ['types that there are not beside others', 'patient/Dragon.rs patient/Slot.rs', 'patient/Slot.rs'],
    ['those of systems beside others', 'system/*.cruds patient/Slot.rs', 'patient/Slot.rs'],
    ['the same twice', 'patient/Slot.rs patient/Slot.rs', 'patient/Slot.rs'],
    ['v1', 'patient/Patient.read', 'patient/Patient.read'],
    ['v1 and v2', 'patient/Patient.read patient/Slot.rs', 'patient/Patient.read patient/Slot.rs'],
    ['a launch that there is not', 'launch patient/Slot.rs', 'patient/Slot.rs'],
    ['granular', 'patient/Slot.rs?status=free', 'patient/Slot.rs?status=free'],
    ['granular that nobody could enforce', 'patient/Slot.rs?dragons=yes patient/Slot.r', 'patient/Slot.r'],
    ['granular of another syntax', 'patient/Slot.read?status=free patient/Slot.r', 'patient/Slot.r'],
  ])('%s', async (_title, asked, granted) => expect(await scopeOf(asked)).toBe(granted));

  test('aud with a slash at its end', async () => {
    expect((await inst.flow(app, { aud: `${inst.first.fhirBase}/` })).answer.get('code')).not.toBeNull();
  });
  test.each([
    ['login_hint that is markup', { login_hint: '"><img src=x onerror=alert(1)>' }],
    ['login_hint that is long', { login_hint: 'x'.repeat(5000) }],
    ['ui_locales of nowhere', { ui_locales: '../../etc xx-YY' }],
    ['acr_values of nowhere', { acr_values: 'urn:mace:incommon:iap:gold' }],
    ['display', { display: 'wap' }],
    ['claims', { claims: '{"id_token":{"email":null}}' }],
    ['a parameter that there is not', { unknown: 'x' }],
    ['the lists of the future', { dpop_jkt: 'x', authorization_details: '[]' }],
  ])('%s does no harm', async (_title, more) => {
    expect((await inst.flow(app, more)).answer.get('code')).not.toBeNull();
  });
  test('prompt=login and max_age=0 cannot be met by an old session', async () => {
    for (const more of [{ prompt: 'login' }, { max_age: '0' }])
      await expect(inst.flow(app, more)).rejects.toThrow(/sign in again/);
  });
  test('A2.1 a confidential app needs PKCE too', async () => {
    const reply = await byGet(
      query(pairsOf({ code_challenge: undefined, code_challenge_method: undefined }, confidential)),
    );
    expectRedirect(reply, 'invalid_request');
  });
});
