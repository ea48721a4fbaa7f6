/**
 * Requests that other sites cause, and addresses that lead elsewhere. @see https://www.rfc-editor.org/rfc/rfc6749#section-10.12
 * security.md A4.3, A4.5, A4.9, C11
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LANGUAGES } from '../../src/auth/pages/texts/languages.ts';
import { ROUTES } from '../../src/auth/pages/routes.ts';
import { scopeWords } from '../../src/auth/pages/scope-words.ts';
import { parseScope } from '../../src/auth/smart/scope.ts';
import { CALLBACK, formOf, openWorld, PASSWORD, type Visitor, type World } from './pages-world.ts';

let world: World;
let visitor: Visitor;
let csrf = '';
beforeAll(async () => {
  world = await openWorld();
  const account = await world.account({ roles: ['admin', 'patient'] });
  visitor = world.visitor();
  visitor.keep(`sid=${await world.session(account)}; Path=/`);
  csrf = formOf(await visitor.go('/account'), '/account/profile').get('csrf') ?? '';
});
afterAll(() => world.close());

const concrete = (path: string): string => path.replace(':uid', 'abc').replace(':id', 'abc').replace(':act', 'enable');

/** One number for everything that pages could change; activity of sessions aside. */
async function fingerprint(): Promise<string> {
  const { pool } = world.server.kairos.identity;
  const { rows } = await pool.query<{ table: string }>(
    `select tablename as "table" from pg_tables where schemaname = 'public' and (tablename like 'auth\\_%' or tablename in ('mail_message', 'outbox')) order by 1`,
  );
  const parts: string[] = [];
  for (const { table } of rows) {
    const row = table === 'auth_session' ? `(to_jsonb(t) - 'last_seen_at')` : 'to_jsonb(t)';
    const found = await pool.query<{ hash: string }>(
      `select md5(coalesce(string_agg(${row}::text, ',' order by ${row}::text), '')) as hash from "${table}" t`,
    );
    parts.push(`${table}=${found.rows[0]?.hash ?? ''}`);
  }
  return parts.join(' ');
}

describe('security.md A4.5: forms that other sites send', () => {
  const FORGED: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ['no Origin and no Sec-Fetch-Site', { Origin: '', 'Sec-Fetch-Site': '' }],
    ['Origin of another site', { Origin: 'https://evil.example', 'Sec-Fetch-Site': '' }],
    ['Origin null', { Origin: 'null', 'Sec-Fetch-Site': '' }],
    ['Origin of another port', { Origin: 'http://localhost:1', 'Sec-Fetch-Site': 'same-site' }],
    ['Origin that begins like ours', { Origin: 'PREFIX.evil.example', 'Sec-Fetch-Site': '' }],
    ['Sec-Fetch-Site: cross-site', { 'Sec-Fetch-Site': 'cross-site' }],
    ['Sec-Fetch-Site: same-site', { 'Sec-Fetch-Site': 'same-site' }],
    ['Sec-Fetch-Site: none', { 'Sec-Fetch-Site': 'none' }],
  ];
  const posts = ROUTES.filter((route) => route.POST).map((route) => concrete(route.path));

  test.each(FORGED)('%s: refused at every address', async (_, given) => {
    const headers = Object.entries({ Origin: world.origin, 'Sec-Fetch-Site': 'same-origin', ...given })
      .map(([name, value]) => [name, value.replace('PREFIX', world.origin)] as const)
      .filter(([, value]) => value !== '');
    const before = await fingerprint();
    for (const path of posts) {
      const { status } = await visitor.send(path, {
        method: 'POST',
        body: new URLSearchParams({ csrf }).toString(),
        headers: { 'Content-Type': 'application/x-www-form-urlencoded', ...Object.fromEntries(headers) },
      });
      expect([path, status]).toEqual([path, 403]);
    }
    expect(await fingerprint()).toBe(before);
  });

  test.each([
    ['none', ''],
    ['empty', 'csrf='],
    ['wrong', `csrf=${'x'.repeat(43)}`],
  ])('token %s: refused at every address, with a page that helps', async (_, body) => {
    const before = await fingerprint();
    for (const path of posts) {
      const seen = await visitor.post(path, new URLSearchParams(body));
      expect([path, seen.status]).toEqual([path, 403]);
      expect(seen.text).toContain('This form is no longer valid');
    }
    expect(await fingerprint()).toBe(before);
  });

  test('a token of another session, or of no session, is worth nothing', async () => {
    const other = world.visitor();
    other.keep(`sid=${await world.session(await world.account())}; Path=/`);
    const theirs = formOf(await other.go('/account'), '/account/profile').get('csrf') ?? '';
    const anonymous = formOf(await world.visitor().go('/signin'), '/signin').get('csrf') ?? '';
    for (const token of [theirs, anonymous]) {
      const seen = await visitor.post('/account/profile', new URLSearchParams({ csrf: token, name: 'Eve' }));
      expect(seen.status).toBe(403);
    }
    const stranger = world.visitor();
    const { email } = await world.account();
    const form = new URLSearchParams({ csrf: anonymous, email, password: PASSWORD });
    expect((await stranger.post('/signin', form)).status).toBe(403);
  });

  test('Sec-Fetch-Site alone is enough for browsers that send no Origin', async () => {
    const page = await visitor.go('/account');
    const { status } = await visitor.send('/account/profile', {
      method: 'POST',
      body: formOf(page, '/account/profile').toString(),
      headers: { 'Content-Type': 'application/x-www-form-urlencoded', 'Sec-Fetch-Site': 'same-origin' },
    });
    expect(status).toBe(303);
  });

  test('method override and other content types change nothing', async () => {
    const before = await fingerprint();
    const overridden = await visitor.send('/account/sessions/end-all', {
      headers: { 'X-HTTP-Method-Override': 'POST', 'X-Method-Override': 'POST' },
    });
    expect(overridden.status).toBe(405);
    for (const type of ['text/plain', 'multipart/form-data; boundary=x', 'application/xml']) {
      const { status } = await visitor.send('/account/sessions/end-all', {
        method: 'POST',
        body: `csrf=${csrf}`,
        headers: { 'Content-Type': type, Origin: world.origin },
      });
      expect([type, status]).toEqual([type, 415]);
    }
    expect(await fingerprint()).toBe(before);
  });
});

test('security.md A4.5: GET and HEAD change nothing', async () => {
  const { id } = await world.account();
  const paths = [
    ...new Set(ROUTES.map((route) => concrete(route.path).replace('/admin/people/abc', `/admin/people/${id}`))),
  ];
  const before = await fingerprint();
  for (const path of paths) {
    for (const method of ['GET', 'HEAD']) {
      for (const target of [
        path,
        `${path}?return=/account&ticket=x&done=1&q=a&after=x&email=a@example.org&reason=ended`,
      ]) {
        const { status } = await visitor.send(target, { method });
        expect([method, target, status < 500]).toEqual([method, target, true]);
      }
    }
  }
  expect(await fingerprint()).toBe(before);
});

describe('where a visitor is sent after signing in', () => {
  const EVIL: readonly string[] = [
    'https://evil.example/',
    '//evil.example/',
    '///evil.example/',
    '/\\evil.example/',
    '\\\\evil.example',
    '/%09/evil.example',
    '/\t/evil.example',
    '/\n/evil.example',
    'javascript:alert(1)',
    'data:text/html,x',
    '/.//evil.example',
    '/..//evil.example',
    '/account/../../evil.example',
    '/@evil.example:80/..//x',
    'evil.example',
    '?x',
    '/signout',
    '/account#//evil.example',
    `/${'a'.repeat(3000)}`,
  ];

  test.each(EVIL)('%j leads nowhere else', async (path) => {
    const { email } = await world.account();
    const guest = world.visitor();
    const page = await guest.send(`/signin?return=${encodeURIComponent(path)}`);
    expect(page.status).toBe(200);
    const form = formOf(page, '/signin');
    const given = form.get('return') ?? '';
    expect(new URL(given, world.origin).origin).toBe(world.origin);
    // Also when the form is written by hand.
    form.set('return', path);
    form.set('email', email);
    form.set('password', PASSWORD);
    const location = (await guest.post('/signin', form)).headers.get('location') ?? '';
    expect(new URL(location, world.origin).origin).toBe(world.origin);
    expect(location).toMatch(/^\/(?![/\\])/);
    expect(location).not.toContain('signout');
  });

  test('a path of ours with its query is kept', async () => {
    const { email } = await world.account();
    const guest = world.visitor();
    const form = formOf(await guest.send('/signin?return=%2Faccount%2Fapps%3Fdone%3Drevoked'), '/signin');
    form.set('email', email);
    form.set('password', PASSWORD);
    expect((await guest.post('/signin', form)).headers.get('location')).toBe('/account/apps?done=revoked');
  });
});

describe('what comes back', () => {
  test('every page: strict policy, never framed, never stored, no referrer elsewhere, own cookies', async () => {
    for (const route of ROUTES.filter((r) => r.GET)) {
      const { headers } = await world.visitor().send(concrete(route.path));
      expect([route.path, headers.get('cache-control'), headers.get('x-content-type-options')]).toEqual([
        route.path,
        'no-store',
        'nosniff',
      ]);
      expect(headers.get('referrer-policy')).toBe(headers.get('content-type')?.includes('fhir') ? null : 'same-origin');
    }
    const { headers } = await world.visitor().send('/signin');
    expect(headers.get('content-security-policy')).toBe(
      "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    );
    expect(headers.get('x-frame-options')).toBe('DENY');
    expect(headers.getSetCookie()).toEqual([
      expect.stringMatching(/^form=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax$/),
    ]);
  });

  test('windows: the account stands alone, the way to an app does not', async () => {
    const opener = async (path: string): Promise<string | null> =>
      (await visitor.send(path)).headers.get('cross-origin-opener-policy');
    expect([await opener('/account'), await opener('/admin/people')]).toEqual(['same-origin', 'same-origin']);
    expect([await opener('/signin?again=1'), await opener('/register')]).toEqual([null, null]);
  });

  test('over https: cookies are bound to this host, and browsers come by https again', async () => {
    const secure = await openWorld({ env: { PUBLIC_URL: 'https://kairos.example.org' } });
    try {
      const { app } = secure.server.kairos;
      const { headers } = await app.request('/signin', { headers: { Accept: 'text/html' } });
      expect(headers.get('strict-transport-security')).toBe('max-age=31536000');
      expect(headers.getSetCookie()[0]).toMatch(/^__Host-form=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Secure$/);
      const forged = await app.request('/signin', {
        method: 'POST',
        body: new URLSearchParams({ email: 'a@example.org' }),
        headers: { Origin: 'http://kairos.example.org' },
      });
      expect(forged.status).toBe(403);
    } finally {
      await secure.close();
    }
  });

  test('nothing inline: no style, no script, no handler', async () => {
    for (const path of ['/', '/signin', '/account', '/account/passkeys', '/admin/clients/new', '/admin/people']) {
      const { text } = await visitor.send(path);
      expect([path, /<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc="\/assets\/)/i.exec(text)]).toEqual([path, null]);
    }
  });

  test.each([
    ['text/html,*/*', 'text/html; charset=utf-8'],
    ['application/fhir+json', 'application/fhir+json; charset=utf-8'],
    ['*/*', 'application/fhir+json; charset=utf-8'],
  ])('404 and 405 for Accept: %s', async (accept, type) => {
    for (const [path, method, status] of [
      ['/nowhere', 'GET', 404],
      ['/account/nowhere', 'GET', 404],
      ['/account', 'DELETE', 405],
      ['/account/apps/revoke', 'GET', 405],
      ['/assets/nothing.css', 'GET', 404],
    ] as const) {
      const seen = await visitor.send(path, { method, headers: { Accept: accept } });
      expect([path, seen.status, seen.headers.get('content-type')]).toEqual([path, status, type]);
      if (status === 405) expect(seen.headers.get('allow')).toMatch(/^(GET, HEAD(, POST)?|POST)$/);
    }
  });

  test('own files: with an ETag, 304 when it is known', async () => {
    for (const name of ['kairos.css', 'session.js', 'passkey.js', 'password.js', 'print.js', 'icon.svg']) {
      const first = await visitor.send(`/assets/${name}`);
      const etag = first.headers.get('etag') ?? '';
      expect([name, first.status, first.headers.get('x-content-type-options')]).toEqual([name, 200, 'nosniff']);
      const again = await visitor.send(`/assets/${name}`, { headers: { 'If-None-Match': etag } });
      expect([name, again.status, again.text]).toEqual([name, 304, '']);
    }
    for (const name of ['..%2fpages.ts', '%2e%2e/pages.ts', 'kairos.css%00', 'KAIROS.CSS'])
      expect([name, (await visitor.send(`/assets/${name}`)).status]).toEqual([name, 404]);
  });

  test('security.md A4.6: a form is bounded, also in chunks; fields come once; no NUL; UTF-8', async () => {
    const send = (body: string | ReadableStream, more: Record<string, unknown> = {}): Promise<number> =>
      visitor
        .send('/account/profile', {
          method: 'POST',
          body,
          headers: { 'Content-Type': 'application/x-www-form-urlencoded', Origin: world.origin },
          ...more,
        })
        .then(({ status }) => status);
    expect(await send(`csrf=${csrf}&name=${'a'.repeat(70_000)}`)).toBe(413);
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(10_000).fill(97)),
    });
    expect(await send(endless, { duplex: 'half' }).catch(() => 413)).toBe(413);
    expect(await send(`csrf=${csrf}&name=a&name=b`)).toBe(400);
    expect(await send(`csrf=${csrf}&csrf=${csrf}&name=a`)).toBe(400);
    expect(await send(`csrf=${csrf}&name=a%00b`)).toBe(400);
    expect((await visitor.send('/signin?return=/account&return=/', { headers: {} })).status).toBeLessThan(500);
    for (const body of ['%', `csrf=${csrf}&name=%ff%fe`, `csrf=${csrf}&__proto__=x&constructor=y`])
      expect(await send(body)).toBeLessThan(500);
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });

  test('127.0.0.1 is led to localhost, to which cookies and passkeys belong', async () => {
    const seen = await fetch(`${world.origin.replace('localhost', '127.0.0.1')}/signin?return=/account`, {
      redirect: 'manual',
      headers: { Accept: 'text/html' },
    });
    expect([seen.status, seen.headers.get('location')]).toEqual([307, `${world.origin}/signin?return=/account`]);
  });

  test('links of the frame stay here, whatever the address begins with', async () => {
    const { text } = await visitor.send(`${world.origin}//elsewhere.example.org/x`);
    expect(text).toContain('href="/elsewhere.example.org/x?lang=');
    expect(text).not.toContain('href="//');
  });

  test('/dev/mail is for a demo on this machine only', async () => {
    expect((await visitor.send('/dev/mail')).status).toBe(404);
  });
});

describe('who may see a page', () => {
  const own = ROUTES.filter((route) => route.isOwn && !route.path.startsWith('/oauth/'));

  test('nobody without signing in; scripts get 401', async () => {
    for (const { path, GET } of own.filter((r) => r.GET)) {
      expect(GET).toBeDefined();
      const seen = await world.visitor().send(concrete(path));
      expect([path, seen.status, seen.headers.get('location')]).toEqual([
        path,
        303,
        `/signin?return=${encodeURIComponent(concrete(path))}`,
      ]);
      const script = await world.visitor().send(concrete(path), { headers: { Accept: 'application/json' } });
      expect([path, script.status]).toEqual([path, 401]);
    }
  });

  test('a patient sees no page of the administration', async () => {
    const patient = world.visitor();
    patient.keep(`sid=${await world.session(await world.account())}; Path=/`);
    const token = formOf(await patient.go('/account'), '/account/profile').get('csrf') ?? '';
    for (const route of own.filter((r) => r.path.startsWith('/admin/'))) {
      if (route.GET) expect([route.path, (await patient.send(concrete(route.path))).status]).toEqual([route.path, 403]);
      if (route.POST) {
        const seen = await patient.post(concrete(route.path), new URLSearchParams({ csrf: token }));
        expect([route.path, seen.status]).toEqual([route.path, 403]);
      }
    }
  });
});

describe('languages', () => {
  test.each([
    ['es-MX,es;q=0.9,en;q=0.5', '', 'es'],
    ['fr,en;q=0.5,es;q=0.7', '', 'es'],
    ['fr', '', 'en'],
    ['es', '?lang=en', 'en'],
    ['en', '?lang=es', 'es'],
    ['en', '?lang=xx', 'en'],
    ['es;q=0, en', '', 'en'],
    [`es,${'x,'.repeat(400)}`, '', 'es'],
  ])('Accept-Language: %s with %s is %s', async (accept, query, language) => {
    const seen = await world.visitor().send(`/signin${query}`, { headers: { 'Accept-Language': accept } });
    expect(seen.text).toContain(`<html lang="${language}">`);
  });

  test('a choice is kept in the browser', async () => {
    const guest = world.visitor();
    await guest.go('/signin?lang=es');
    expect((await guest.go('/register')).text).toContain('<html lang="es">');
  });

  test('security.md A2.11: every scope of every type that is served has words in every language', async () => {
    const types = ['*', ...world.server.kairos.engine.resources.keys()];
    const actions = [
      'read',
      'write',
      '*',
      'r',
      's',
      'rs',
      'c',
      'u',
      'd',
      'cud',
      'cruds',
      'rs?status=booked',
      'rs?x-y=z',
    ];
    for (const [language, t] of Object.entries(LANGUAGES)) {
      const said = new Map<string, string>();
      for (const level of ['patient', 'user', 'system']) {
        for (const type of types) {
          for (const action of actions) {
            const text = `${level}/${type}.${action}`;
            const scope = parseScope(text);
            if (!scope) throw new Error(text);
            const words = scopeWords(scope, t);
            expect([language, text, words]).toEqual([language, text, expect.stringMatching(/^\p{Lu}.{10,}$/u)]);
            // No technical name stands in for words.
            if (type !== '*')
              expect([language, text, t.scope.types[type]]).toEqual([language, text, expect.any(String)]);
            said.set(text, words);
          }
        }
      }
      for (const plain of [
        'openid',
        'fhirUser',
        'profile',
        'launch',
        'launch/patient',
        'launch/encounter',
        'offline_access',
        'online_access',
      ]) {
        const scope = parseScope(plain);
        if (!scope) throw new Error(plain);
        said.set(plain, scopeWords(scope, t));
      }
      // Different rights read differently; v1 and v2 of the same right read the same.
      expect(said.get('patient/Appointment.read')).toBe(said.get('patient/Appointment.rs'));
      const distinct = [...said].filter(([text]) => !/\.(?:read|write|\*)$/.test(text)).map(([, words]) => words);
      expect(new Set(distinct).size).toBe(distinct.length);
    }
  });
});

test('security.md A4.3: what an app is called, and what it asks for, is text', async () => {
  const clientId = await world.app({ name: '<img src=x onerror=alert(1)>"\'', redirectUris: [CALLBACK] });
  const { email } = await world.account({ profiles: ['Patient/maria'] });
  const guest = world.visitor();
  await guest.signIn(email);
  const picker = await guest.go(world.authorize(clientId, 'launch/patient patient/Appointment.rs?status=%3Cb%3Ex'));
  expect(picker.text).not.toContain('<img src=x');
  const consent = await guest.submit(picker, picker.url.pathname, { patient: 'Patient/maria' });
  expect(consent.text).not.toMatch(/<img src=x|<b>x/);
  expect(consent.text).toContain('&lt;img src=x onerror=alert(1)&gt;');
});
