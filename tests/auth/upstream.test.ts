/** Sign-in by a clinic's own OpenID Connect provider. @see https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Account } from '../../src/auth/accounts/account.ts';
import { accountByEmail } from '../../src/auth/accounts/account.ts';
import { invite } from '../../src/auth/accounts/invite.ts';
import { sessionOf } from '../../src/auth/session/session.ts';
import { Browser, makeAccount, signIn } from '../support/app-driver.ts';
import { CLIENT, startFakeProvider, type FakeProvider } from '../support/fake-provider.ts';
import { link, submit, visit, type Seen } from '../support/federation-driver.ts';
import { startIdentityServer, type IdentityServer } from '../support/identity-server.ts';
import { startOpenidProvider, UPSTREAM_CLIENT, type OpenidProvider } from '../support/openid-provider.ts';

let server: IdentityServer;
let clinic: OpenidProvider;
let other: FakeProvider;
let account: Account;

beforeAll(async () => {
  clinic = await startOpenidProvider(() => [`${server.origin}/signin/callback/clinic`]);
  other = await startFakeProvider();
  server = await startIdentityServer({
    env: {
      LOG_LEVEL: 'silent',
      OIDC_PROVIDERS: JSON.stringify([
        {
          id: 'clinic',
          name: 'Clinic',
          issuer: clinic.issuer,
          client_id: UPSTREAM_CLIENT.id,
          client_secret: UPSTREAM_CLIENT.secret,
        },
        { id: 'other', name: 'Other', issuer: other.origin, client_id: CLIENT.id, client_secret: CLIENT.secret },
      ]),
    },
  });
  account = await makeAccount(server, ['patient']);
  await link(server, account.id, clinic.issuer, 'ada');
  await link(server, account.id, other.origin, 'user-1');
});
afterAll(() => Promise.all([server.close(), clinic.close(), other.close()]));

/** Through the provider's own pages and back. */
async function through(browser: Browser, at: Browser, path: string): Promise<Seen> {
  let { location } = await visit(server, browser, path);
  for (let steps = 0; steps < 8 && location !== undefined && !location.startsWith(server.origin); steps++) {
    const response: Response = await at.fetch(location, { headers: { accept: 'text/html' } });
    const next = response.headers.get('location');
    if (next === null) throw new Error(`${response.status} ${(await response.text()).slice(0, 300)}`);
    location = new URL(next, location).href;
  }
  if (location === undefined) throw new Error('No way to the provider');
  return visit(server, browser, location);
}

const who = async (browser: Browser): Promise<string | undefined> =>
  (await sessionOf(server.kairos.identity, browser.header('/')))?.accountId;
const sessions = async (): Promise<number> =>
  Number((await server.kairos.pool.query(`select count(*)::int as n from auth_session`)).rows[0].n);
const title = (page: Seen): string => /<h1>(.*?)<\/h1>/s.exec(page.text)?.[1]?.trim() ?? '';

describe('OpenID Connect Core 3.1: code flow', () => {
  test('asks with PKCE S256, nonce and state; none of them stays in the clear here', async () => {
    const { location = '' } = await visit(server, new Browser(), '/signin/with/clinic');
    const query = new URL(location).searchParams;
    expect(Object.fromEntries(query)).toMatchObject({
      response_type: 'code',
      client_id: UPSTREAM_CLIENT.id,
      scope: 'openid profile',
      code_challenge_method: 'S256',
      redirect_uri: `${server.origin}/signin/callback/clinic`,
    });
    const { rows } = await server.kairos.pool.query(`select * from auth_flow`);
    for (const name of ['state', 'nonce', 'code_challenge'])
      expect(JSON.stringify(rows)).not.toContain(query.get(name) ?? 'missing');
  });

  test('a linked subject is signed in, and goes on to where they wanted', async () => {
    clinic.letIn({ subject: 'ada' });
    const browser = new Browser();
    const page = await through(browser, new Browser(), '/signin/with/clinic?return=/account');
    expect([page.status, page.url]).toEqual([200, `${server.origin}/account`]);
    expect(await who(browser)).toBe(account.id);
    expect((await sessionOf(server.kairos.identity, browser.header('/')))?.amr).toEqual(['fed']);
  });

  test.each(['https://evil.example/', '//evil.example/', '/\\evil.example', 'javascript:alert(1)', '/signout'])(
    'return to %s leads home',
    async (to) => {
      clinic.letIn({ subject: 'ada' });
      const page = await through(new Browser(), new Browser(), `/signin/with/clinic?return=${encodeURIComponent(to)}`);
      expect(page.url).toBe(`${server.origin}/`);
    },
  );

  test('the person cancels there', async () => {
    clinic.letIn(undefined);
    const before = await sessions();
    const page = await through(new Browser(), new Browser(), '/signin/with/clinic');
    expect([page.status, title(page), await sessions()]).toEqual([403, 'It was refused there', before]);
  });

  test('a provider that is not configured is not there', async () => {
    expect((await visit(server, new Browser(), '/signin/with/none')).status).toBe(404);
    expect((await visit(server, new Browser(), '/signin/callback/none?code=1&state=2')).status).toBe(404);
  });
});

describe('who it is: verified issuer and subject, never an address', () => {
  test('an unknown subject with the e-mail address of an account is told how to link', async () => {
    clinic.letIn({ subject: 'stranger', email: account.email });
    const before = await sessions();
    const browser = new Browser();
    const page = await through(browser, new Browser(), '/signin/with/clinic');
    expect(page.url).toContain('/signin/link?flow=');
    expect(page.text).toContain('Sign in and link');
    expect([await who(browser), await sessions()]).toEqual([undefined, before]);
  });

  test("another provider's same subject is another person", async () => {
    other.behave({ claims: { sub: 'ada' } });
    const browser = new Browser();
    const { location = '' } = await visit(server, browser, '/signin/with/other');
    const page = await visit(server, browser, `/signin/callback/other?${other.agree(location)}`);
    other.behave({});
    expect(page.url).toContain('/signin/link?flow=');
  });

  test('RFC 9700 4.4: an answer of one provider does not end at the address of another', async () => {
    const browser = new Browser();
    const { location = '' } = await visit(server, browser, '/signin/with/other');
    const seen = clinic.seen.length;
    const page = await visit(server, browser, `/signin/callback/clinic?${other.agree(location)}`);
    expect([page.status, clinic.seen.length]).toEqual([400, seen]);
  });

  test('RFC 9700 4.7: an answer for another browser signs nobody in', async () => {
    const { location = '' } = await visit(server, new Browser(), '/signin/with/other');
    const victim = new Browser();
    await visit(server, victim, '/signin/with/other');
    const page = await visit(server, victim, `/signin/callback/other?${other.agree(location)}`);
    expect([page.status, await who(victim)]).toEqual([400, undefined]);
  });

  test('an answer is good once', async () => {
    const browser = new Browser();
    const { location = '' } = await visit(server, browser, '/signin/with/other');
    const path = `/signin/callback/other?${other.agree(location)}`;
    const cookie = browser.header('/');
    expect((await visit(server, browser, path)).status).toBe(200);
    const again = await fetch(`${server.origin}${path}`, {
      headers: { cookie, accept: 'text/html' },
      redirect: 'manual',
    });
    expect(again.status).toBe(400);
  });

  test('a disabled account stays out', async () => {
    const gone = await makeAccount(server, ['patient']);
    await link(server, gone.id, clinic.issuer, 'gone');
    await server.kairos.pool.query(`update auth_account set status = 'disabled' where id = $1`, [gone.id]);
    clinic.letIn({ subject: 'gone' });
    const page = await through(new Browser(), new Browser(), '/signin/with/clinic');
    expect(page.status).toBe(403);
  });
});

describe('our own second factor', () => {
  test.each([
    ['amr mfa', { amr: ['pwd', 'mfa'] }, '/account'],
    ['acr of the configuration', { acr: 'https://refeds.org/profile/mfa' }, '/account'],
    ['a password there', { amr: ['pwd'] }, '/signin/enrol?return=%2Faccount'],
    ['nothing told', {}, '/signin/enrol?return=%2Faccount'],
  ])('%s leads staff to %s', async (_, told, to) => {
    const staff = await makeAccount(server, ['staff']);
    await link(server, staff.id, clinic.issuer, staff.id);
    clinic.letIn({ subject: staff.id, ...told });
    const page = await through(new Browser(), new Browser(), '/signin/with/clinic?return=/account');
    expect(page.url).toBe(`${server.origin}${to}`);
  });

  test('a sign-in there of hours ago does not open the sensitive acts here', async () => {
    const old = Math.floor(Date.now() / 1000) - 7200;
    for (const [claims, isOpen] of [
      [{ auth_time: old, amr: ['mfa'] }, false],
      [{ amr: ['mfa'] }, false],
      [{ auth_time: old + 7190, amr: ['mfa'] }, true],
    ] as const) {
      other.behave({ claims });
      const browser = new Browser();
      const { location = '' } = await visit(server, browser, '/signin/with/other');
      await visit(server, browser, `/signin/callback/other?${other.agree(location)}`);
      other.behave({});
      const session = await sessionOf(server.kairos.identity, browser.header('/'));
      expect(session?.stepUpAt !== undefined).toBe(isOpen);
      // OpenID Connect Core 3.1.2.1: what max_age and prompt=login of an app are measured by.
      expect(session?.authTime).toBe('auth_time' in claims ? claims.auth_time : 0);
    }
  });

  test('what begins a flow is short', async () => {
    const page = await visit(server, new Browser(), `/signin/with/other?x=${'a'.repeat(8_200)}`);
    expect(page.status).toBe(414);
  });

  test('a fresh proof can be demanded: with an old one the answer is refused', async () => {
    const browser = new Browser();
    const { location = '' } = await visit(server, browser, '/signin/with/other?fresh=1');
    expect(new URL(location).searchParams.get('max_age')).toBe('0');
    other.behave({ claims: { auth_time: Math.floor(Date.now() / 1000) - 600 } });
    const page = await visit(server, browser, `/signin/callback/other?${other.agree(location)}`);
    other.behave({});
    expect(page.status).toBe(502);
  });
});

describe('linking', () => {
  test('whoever is signed in says that it is theirs; from then on it opens the account', async () => {
    const person = await makeAccount(server, ['patient']);
    const browser = new Browser();
    await signIn(server, browser, person);
    clinic.letIn({ subject: 'linker', name: 'Linda <b>' });
    const page = await through(browser, new Browser(), '/signin/with/clinic?link=1&return=/account/providers');
    expect(page.text).toContain('Linda &lt;b&gt;');
    const done = await submit(server, browser, page, '/signin/link');
    expect(done.text).toContain('Clinic');
    const elsewhere = new Browser();
    await through(elsewhere, new Browser(), '/signin/with/clinic');
    expect(await who(elsewhere)).toBe(person.id);
    const { rows } = await server.kairos.pool.query(`select kind from mail_message where kind = 'factor-added'`);
    expect(rows.length).toBeGreaterThan(0);
  });

  test('it is not done by opening an address: the form with its token is needed', async () => {
    const person = await makeAccount(server, ['patient']);
    const browser = new Browser();
    await signIn(server, browser, person);
    clinic.letIn({ subject: 'forged' });
    const page = await through(browser, new Browser(), '/signin/with/clinic?link=1');
    const flow = new URL(page.url).searchParams.get('flow') ?? '';
    for (const headers of [{ origin: 'https://evil.example' }, { origin: server.origin }]) {
      const response = await browser.fetch(`${server.origin}/signin/link`, {
        method: 'POST',
        headers,
        body: new URLSearchParams({ flow, csrf: 'x' }),
      });
      expect(response.status).toBe(403);
    }
    const { rows } = await server.kairos.pool.query(`select 1 from auth_upstream where account_id = $1`, [person.id]);
    expect(rows).toEqual([]);
  });

  test('one that opens another account is refused, and nobody is exchanged', async () => {
    const person = await makeAccount(server, ['patient']);
    const browser = new Browser();
    await signIn(server, browser, person);
    clinic.letIn({ subject: 'ada' });
    const page = await through(browser, new Browser(), '/signin/with/clinic?link=1');
    expect(page.status).toBe(409);
    expect(await who(browser)).toBe(person.id);
  });

  test('two who link the same at the same time: one has it', async () => {
    const people = await Promise.all([makeAccount(server, ['patient']), makeAccount(server, ['patient'])]);
    const results = await Promise.allSettled(people.map((p) => link(server, p.id, clinic.issuer, 'raced')));
    expect(results.map((r) => r.status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  test('the last way in stays', async () => {
    const person = await makeAccount(server, ['patient']);
    await link(server, person.id, clinic.issuer, 'only-way');
    const browser = new Browser();
    await signIn(server, browser, person);
    const page = await visit(server, browser, '/account/providers');
    const refused = await submit(server, browser, page, '/account/providers');
    expect(refused.status).toBe(409);
    const { rows } = await server.kairos.pool.query(`select 1 from auth_upstream where account_id = $1`, [person.id]);
    expect(rows).toHaveLength(1);
  });
});

describe('an invitation', () => {
  const invited = async (email: string): Promise<string> => {
    const link = await invite(server.kairos.identity, 'operator', {
      email,
      roles: ['staff'],
      staffKinds: [],
      locale: 'en',
    });
    return new URL(link).searchParams.get('ticket') ?? '';
  };

  test('makes an account without a password, once', async () => {
    const ticket = await invited('new@example.org');
    clinic.letIn({ subject: 'newcomer', name: 'New Comer', amr: ['mfa'] });
    const browser = new Browser();
    const page = await through(browser, new Browser(), `/signin/with/clinic?invitation=${ticket}`);
    expect(page.text).toContain('new@example.org');
    const done = await submit(server, browser, page, '/signin/invited', { name: 'New Comer' });
    expect(done.status).toBe(200);
    const made = await accountByEmail(server.kairos.identity, 'new@example.org');
    expect(made).toMatchObject({ name: 'New Comer', roles: ['staff'], hasPassword: false });
    expect(await who(browser)).toBe(made?.id);

    clinic.letIn({ subject: 'second-comer' });
    const later = await through(new Browser(), new Browser(), `/signin/with/clinic?invitation=${ticket}`);
    expect(later.status).toBe(400);
  });

  test('does not touch an account that exists', async () => {
    const ticket = await invited(account.email);
    clinic.letIn({ subject: 'intruder' });
    const browser = new Browser();
    const page = await through(browser, new Browser(), `/signin/with/clinic?invitation=${ticket}`);
    const refused = await submit(server, browser, page, '/signin/invited', { name: 'Intruder' });
    expect(refused.status).toBe(409);
    const { rows } = await server.kairos.pool.query(`select roles from auth_account where id = $1`, [account.id]);
    expect(rows[0].roles).toBe('{patient}');
  });
});

test('a provider that is down is a page with the other ways, which work; when it is back so is the sign-in', async () => {
  const fresh = await startIdentityServer({
    database: server.database,
    env: {
      LOG_LEVEL: 'silent',
      OIDC_PROVIDERS: JSON.stringify([
        {
          id: 'clinic',
          name: 'Clinic',
          issuer: clinic.issuer,
          client_id: UPSTREAM_CLIENT.id,
          client_secret: UPSTREAM_CLIENT.secret,
        },
      ]),
    },
  });
  try {
    clinic.pause(true);
    const page = await visit(fresh, new Browser(), '/signin/with/clinic');
    expect([page.status, title(page)]).toEqual([502, 'It does not answer']);
    expect(page.text).toContain('href="/signin"');
    expect((await visit(fresh, new Browser(), '/signin')).status).toBe(200);
    clinic.pause(false);
    expect((await visit(fresh, new Browser(), '/signin/with/clinic')).location).toContain(clinic.issuer);
  } finally {
    clinic.pause(false);
    await fresh.close();
  }
});
