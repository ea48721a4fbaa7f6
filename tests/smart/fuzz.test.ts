/**
 * Whatever is sent to the authorization server, its documents and the pages of accounts: an answer that is no error of ours, in time. Seeded, so
 * that what was found is found again: FUZZ_SEED and FUZZ_RUNS choose others.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROUTES } from '../../src/auth/pages/routes.ts';
import {
  authorizeParameters,
  Browser,
  exchange,
  makeAccount,
  makeApp,
  pkce,
  signIn,
  type TestApp,
} from '../support/app-driver.ts';
import { basicAuth, FORM, LEAK, query, raw, startInstallation, type Installation, type RawReply } from './support.ts';

const seed = Number(process.env['FUZZ_SEED'] ?? 20_261_123);
const numRuns = Number(process.env['FUZZ_RUNS'] ?? 250);

let inst: Installation;
let app: TestApp;
let basic: TestApp;
let admin: Browser;
/** Values that mean something here. */
let known: readonly string[];
const rejections: unknown[] = [];
const note = (reason: unknown): void => void rejections.push(reason);

beforeAll(async () => {
  process.on('unhandledRejection', note);
  inst = await startInstallation();
  app = await makeApp(inst.first);
  basic = await makeApp(inst.first, { auth: 'client_secret_basic' });
  await signInAgain();
  const { body } = await exchange(inst.first, app, await inst.flow(app));
  known = [
    app.clientId,
    basic.clientId,
    basic.secret ?? '',
    app.redirectUri,
    inst.first.fhirBase,
    inst.first.issuer,
    'code',
    'S256',
    'plain',
    'query',
    'form_post',
    'authorization_code',
    'refresh_token',
    'client_credentials',
    'openid patient/*.rs offline_access',
    'system/*.rs',
    'none',
    'login',
    'consent',
    'Patient/1',
    '0',
    '1',
    'yes',
    'on',
    'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    'eyJhbGciOiJub25lIn0.e30.',
    pkce().challenge,
    '/account',
    '//evil.example',
    'en',
    'es',
    ...[body['access_token'], body['refresh_token'], body['id_token']].map(String),
    (await inst.flow(app)).answer.get('code') ?? '',
  ];
});
afterAll(async () => {
  process.off('unhandledRejection', note);
  await inst.close();
});

async function signInAgain(): Promise<void> {
  const account = await makeAccount(inst.first, ['patient', 'staff', 'admin'], ['Patient/1']);
  admin = new Browser();
  const session = await signIn(inst.first, admin, account);
  await inst.first.kairos.pool.query(`update auth_session set step_up_at = now() where uid = $1`, [session.uid]);
}

const HOSTILE = [
  '',
  ' ',
  '\0',
  'a\0b',
  '\r\nset-cookie: x=1',
  '../../etc/passwd',
  '%',
  '%00',
  '%ff',
  '<script>alert(1)</script>',
  `' or 1=1 --`,
  '"',
  '\\',
  '{{7*7}}',
  '${7*7}',
  '__proto__',
  'constructor',
  'null',
  'undefined',
  'NaN',
  '-1',
  '1e400',
  '9'.repeat(400),
  'x'.repeat(5000),
  '\u202E',
  '\uFEFF',
  '\uFFFF',
  'é\u0301',
  '🙂'.repeat(50),
  '\ud800',
  '[]',
  '{}',
  '[object Object]',
  'true',
  'javascript:alert(1)',
  'https://evil.example/',
  'http://169.254.169.254/',
  '0x10',
  '2026-02-30',
  'x@y',
  'x@example.org',
  '"x"@example.org',
  '\t',
  '\u2028',
  'patient/Dragon.rs',
  'patient/*.sr',
  'a b c',
  '*',
];
const NAMES = [
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
  'id_token_hint',
  'claims',
  'resource',
  'response_mode',
  'request',
  'grant_type',
  'code',
  'code_verifier',
  'refresh_token',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
  'token',
  'token_type_hint',
  'post_logout_redirect_uri',
  'logout',
  'xsrf',
  'access_token',
  'email',
  'password',
  'csrf',
  'return',
  'lang',
  'q',
  'patient',
  'decision',
  'deny',
  'iss',
  'error',
  'error_description',
  '__proto__',
  'x[]',
  'x[a]',
  '',
];
const PATHS = [
  '/oauth/authorize',
  '/oauth/authorize/x',
  '/oauth/token',
  '/oauth/introspect',
  '/oauth/revoke',
  '/oauth/userinfo',
  '/oauth/logout',
  '/oauth/logout/confirm',
  '/oauth/logout/success',
  '/oauth/register',
  '/oauth/jwks',
  '/oauth/.well-known/openid-configuration',
  '/oauth/.well-known/oauth-authorization-server',
  '/.well-known/oauth-authorization-server/oauth',
  '/fhir/R4/.well-known/smart-configuration',
  '/fhir/R4/.well-known/x',
  '/smart-style.json',
  '/oauth',
  '/oauth/',
  '/oauth/interaction/x/login',
  '/oauth/interaction/x/consent',
  '/launch',
  '/fhir/R4/$launch',
  ...ROUTES.map(({ path }) => path.replace(/:\w+/g, 'x')),
];

const value = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...HOSTILE) },
  { weight: 3, arbitrary: fc.nat().map((n) => known[n % known.length] ?? '') },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 60 }) },
);
const wellFormed = (text: string): string => text.toWellFormed();
const encoded = (pairs: readonly (readonly [string, string])[]): string =>
  query(pairs.map(([name, v]) => [wellFormed(name), wellFormed(v)]));
const pairs = fc.array(fc.tuple(fc.constantFrom(...NAMES), value), { maxLength: 8 });
/** Not encoded at all: what of it a request line can hold. */
const rawQuery = fc.string({
  unit: fc.constantFrom('%', '0', 'f', 'F', '&', '=', '?', '+', '[', ']', ';', '/', '\\', 'a', '%00', '%ED%A0%80'),
  maxLength: 40,
});
const headerValue = value.map((v) =>
  wellFormed(v)
    .replace(/[^\x21-\x7E]/g, '')
    .slice(0, 3000),
);

const csrfOf = (html: string): string => /name="csrf" value="([^"]*)"/.exec(html)?.[1] ?? '';

function expectSound(reply: RawReply, what: string): void {
  expect(reply.status < 500 ? '' : `${reply.status} ${what} ${reply.text.slice(0, 300)}`).toBe('');
  expect(LEAK.test(reply.text) ? `${what} ${reply.text.slice(0, 2000)}` : '').toBe('');
  expect(reply.headers['x-powered-by']).toBeUndefined();
}

describe(`seed ${seed}`, () => {
  test('requests of any kind to any address', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          method: fc.constantFrom('GET', 'GET', 'POST', 'POST', 'POST', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'PATCH'),
          path: fc.constantFrom(...PATHS),
          tail: fc.constantFrom('', '', '', '', '/', '//', '/x', ';x', '%2f', '.json', '%00'),
          address: fc.oneof(pairs.map(encoded), rawQuery),
          type: fc.constantFrom(
            FORM,
            FORM,
            FORM,
            'application/json',
            'text/plain',
            'multipart/form-data; boundary=x',
            `${FORM}; charset=utf-16`,
            'x',
            '',
          ),
          body: fc.oneof(
            { weight: 4, arbitrary: pairs.map(encoded) },
            { weight: 1, arbitrary: rawQuery },
            { weight: 1, arbitrary: fc.json().map(wellFormed) },
            { weight: 1, arbitrary: pairs.map((p) => JSON.stringify(Object.fromEntries(p))) },
          ),
          authorization: fc.oneof(
            fc.constant(''),
            headerValue.map((v) => `Bearer ${v}`),
            headerValue.map((v) => `Basic ${v}`),
            fc.tuple(value, value).map(([a, b]) => `Basic ${Buffer.from(`${a}:${b}`).toString('base64')}`),
            fc.constant(0).map(() => basicAuth(basic)),
            headerValue,
          ),
          accept: fc.constantFrom(
            '',
            '*/*',
            'text/html',
            'application/json',
            'application/fhir+json',
            'x',
            'text/html;q=x',
          ),
          origin: fc.constantFrom('', 'own', 'null', 'https://app.example.org', 'https://evil.example', 'x'),
          cookie: fc.oneof(
            fc.constant(''),
            fc.constant('own'),
            headerValue.map((v) => `sid=${v}; op=${v}; form=${v}; interaction=${v}; lang=${v}`),
          ),
          second: fc.boolean(),
        }),
        async ({ method, path, tail, address, type, body, authorization, accept, origin, cookie, second }) => {
          const target = `${path}${tail}${address === '' ? '' : `?${address}`}`.replace(/[^\x21-\x7E]/g, '');
          const sends = method !== 'GET' && method !== 'HEAD' && method !== 'OPTIONS';
          const reply = await raw(second ? inst.second : inst.first, target, {
            method,
            headers: {
              ...(type === '' || !sends ? {} : { 'content-type': type }),
              ...(authorization === '' ? {} : { authorization: authorization.trim() }),
              ...(accept === '' ? {} : { accept }),
              ...(origin === '' ? {} : { origin: origin === 'own' ? inst.first.origin : origin }),
              ...(cookie === '' ? {} : { cookie: cookie === 'own' ? admin.header('/') : cookie }),
            },
            ...(sends ? { body } : {}),
          });
          expectSound(reply, `${method} ${target.slice(0, 500)} ${type} ${body.slice(0, 500)}`);
        },
      ),
      { seed, numRuns, endOnFailure: true },
    );
  });

  test('good authorization requests with one parameter spoilt', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...NAMES), value, fc.boolean(), async (name, spoilt, byPost) => {
        const good = [...authorizeParameters(inst.first, app, pkce().challenge)].filter(([n]) => n !== name);
        const text = encoded([...good, [name, spoilt]]);
        const reply = byPost
          ? await raw(inst.second, '/oauth/authorize', {
              method: 'POST',
              headers: { 'content-type': FORM, accept: 'text/html' },
              body: text,
            })
          : await raw(inst.first, `/oauth/authorize?${text}`, {
              headers: { accept: 'text/html', cookie: admin.header('/oauth/authorize') },
            });
        expectSound(reply, text.slice(0, 600));
        const location = reply.headers.location ?? '';
        if (location !== '')
          expect([inst.first.issuer, app.redirectUri].some((own) => location.startsWith(own)) ? '' : location).toBe('');
        if (location.startsWith(app.redirectUri)) expect(location).not.toMatch(/[?&]code=/);
      }),
      { seed, numRuns: Math.ceil(numRuns / 2), endOnFailure: true },
    );
  });

  test('the forms of every page, as they are and with fields spoilt', { timeout: 60_000 }, async () => {
    const pages = ROUTES.filter(({ GET, path }) => GET && !path.includes(':')).map(({ path }) => path);
    const forms: { readonly action: string; readonly fields: readonly string[] }[] = [];
    for (const browser of [admin, new Browser()])
      for (const path of pages) {
        const response = await browser.fetch(`${inst.second.listens}${path}`, { headers: { accept: 'text/html' } });
        const html = await response.text();
        expectSound({ status: response.status, headers: {}, text: '' }, path);
        for (const [, action = '', inner = ''] of html.matchAll(
          /<form[^>]*method="post"[^>]*action="([^"]*)"[^>]*>([\s\S]*?)<\/form>/g,
        )) {
          const fields = [...inner.matchAll(/name="([^"]*)"/g)].map((m) => m[1] ?? '').filter((n) => n !== 'csrf');
          forms.push({ action: action.replaceAll('&amp;', '&'), fields: [...new Set(fields)] });
        }
      }
    // Forms that were not shown just now have no less to hold.
    const others = ['id', 'name', 'code', 'email', 'password', 'scope'];
    for (const { path, POST } of ROUTES)
      if (POST && !forms.some((f) => f.action.split('?')[0] === path))
        forms.push({ action: path.replace(/:\w+/g, 'x'), fields: others });
    expect(forms.length).toBeGreaterThan(15);

    let csrf = '';
    let reached = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.array(value, { minLength: 12, maxLength: 12 }),
        fc.constantFrom('all', 'all', 'double', 'missing', 'json'),
        async (n, values, how) => {
          if (csrf === '') {
            await signInAgain();
            csrf = csrfOf(await (await admin.fetch(`${inst.first.listens}/account`)).text());
          }
          const { action, fields } = forms[n % forms.length] ?? { action: '/', fields: [] };
          const filled = fields.flatMap((name, i): (readonly [string, string])[] => [
            ...(how === 'missing' && i % 2 === 0 ? [] : [[name, values[i % values.length] ?? ''] as const]),
            ...(how === 'double' ? [[name, values[(i + 1) % values.length] ?? ''] as const] : []),
          ]);
          const isJson = how === 'json';
          const reply = await raw(n % 2 === 0 ? inst.first : inst.second, encodeURI(action.toWellFormed()), {
            method: 'POST',
            headers: {
              'content-type': isJson ? 'application/json' : FORM,
              origin: inst.first.origin,
              accept: 'text/html',
              cookie: admin.header('/'),
              ...(isJson ? { 'x-csrf-token': csrf } : {}),
            },
            body: isJson ? JSON.stringify(Object.fromEntries(filled)) : encoded([['csrf', csrf], ...filled]),
          });
          expectSound(reply, `POST ${action} ${JSON.stringify(filled).slice(0, 800)}`);
          const location = reply.headers.location ?? '';
          if (location !== '')
            expect(/^\/(?!\/)/.test(location) || location.startsWith(inst.first.origin) ? '' : location).toBe('');
          // Some forms sign out, or change what a session is known by.
          const isOut =
            reply.status === 403 ||
            reply.headers['set-cookie'] !== undefined ||
            /^\/(?:signin|step-up|$)/.test(location);
          if (isOut) csrf = '';
          else reached++;
        },
      ),
      { seed, numRuns, endOnFailure: true },
    );
    // Most get to where the fields are looked at.
    expect(reached).toBeGreaterThan(numRuns / 3);
  });

  test('no promise was left to itself meanwhile', () => expect(rejections).toEqual([]));
});
