/** Every page in a real browser: no barrier that axe finds, nothing that sticks out, nothing that the policy blocks. @see https://www.w3.org/TR/WCAG22/ */
import { get } from 'node:http';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Account } from '../../src/auth/accounts/account.ts';
import { createPatientCode } from '../../src/auth/accounts/patient-code.ts';
import { invite } from '../../src/auth/accounts/invite.ts';
import { register } from '../../src/auth/accounts/register.ts';
import { requestReset } from '../../src/auth/accounts/reset.ts';
import { newContext, openBrowser, overflows, shoot, violations, type Look } from '../support/browser.ts';
import { CALLBACK, openWorld, VERIFIER, type World } from './pages-world.ts';

/** Pairs of every two of width, scheme and language; the page is loaded once for each language. Outside of CI one view of each language is enough. */
const VIEWS = process.env['CI'] ? 3 : 1;
const LOOKS: readonly (readonly [locale: Look['locale'], views: readonly Omit<Look, 'locale'>[]])[] = [
  [
    'en',
    [
      { width: 360, scheme: 'light' },
      { width: 1280, scheme: 'dark' },
    ],
  ],
  [
    'es',
    [
      { width: 1280, scheme: 'dark' },
      { width: 360, scheme: 'dark' },
      { width: 1280, scheme: 'light' },
    ],
  ],
];

type Who = 'nobody' | 'patient' | 'admin' | 'desk' | 'secured' | 'must enrol' | 'half-way';

const browser = await openBrowser();

describe.skipIf(!browser)('pages in a browser', () => {
  let world: World;
  const accounts = new Map<Who, Account>();
  const links = { verify: '', reset: '', invitation: '' };
  let clientId = '';

  beforeAll(async () => {
    world = await openWorld({ env: { DEMO: 'on' } });
    const { identity } = world.server.kairos;
    accounts.set('patient', await world.account({ profiles: ['Patient/maria', 'RelatedPerson/mother-of-leo'] }));
    accounts.set('admin', await world.account({ name: 'Alex Admin', roles: ['admin'] }));
    accounts.set(
      'desk',
      await world.account({ name: 'Dana Desk', roles: ['staff'], staffKinds: ['front-desk', 'billing'] }),
    );
    const secured = await world.account({ name: 'Sam Secure' });
    accounts.set('secured', secured);
    accounts.set('half-way', secured);
    accounts.set('must enrol', await world.account({ name: 'Nora New', roles: ['staff'] }));
    await identity.pool.query(
      `insert into auth_totp (account_id, secret_sealed, confirmed_at) values ($1, $2, now())`,
      [secured.id, identity.keys.seal('auth_totp.secret_sealed', secured.id, 'JBSWY3DPEHPK3PXP')],
    );
    await identity.pool.query(`insert into auth_recovery_code (account_id, code_hash) values ($1, 'x')`, [secured.id]);
    await identity.pool.query(
      `insert into auth_passkey (id, account_id, public_key, counter, label_sealed, user_verified, backed_up) values ('k', $1, '', 0, $2, true, false)`,
      [secured.id, identity.keys.seal('auth_passkey.label_sealed', 'k', 'Blue key')],
    );
    await register(identity, { email: 'new@example.org', locale: 'en', source: 'test' });
    links.verify = (await world.letter('new@example.org'))?.link ?? '';
    await requestReset(identity, { email: accounts.get('patient')?.email ?? '', source: 'test' });
    links.reset = (await world.letter(accounts.get('patient')?.email ?? ''))?.link ?? '';
    links.invitation = await invite(identity, 'operator', {
      email: 'doctor@example.org',
      roles: ['staff'],
      staffKinds: ['billing'],
      locale: 'en',
    });
    await createPatientCode(identity, 'operator', 'Patient/stranger');
    await identity.pool.query(`update auth_account set mfa_exempt = true where id = $1`, [accounts.get('desk')?.id]);
    clientId = await world.app();
    const visitor = world.visitor();
    visitor.keep(`sid=${await world.session(accounts.get('patient') as Account)}; Path=/`);
    const picker = await visitor.go(world.authorize(clientId, 'openid launch/patient offline_access patient/*.rs'));
    const consent = await visitor.submit(picker, picker.url.pathname, { patient: 'Patient/leo' });
    const back = await visitor.submit(consent, consent.url.pathname, { decision: 'allow' });
    const code = new URL(back.headers.get('location') ?? '').searchParams.get('code') ?? '';
    const exchange = { grant_type: 'authorization_code', code, code_verifier: VERIFIER, client_id: clientId };
    const tokens = await fetch(`${world.origin}/oauth/token`, {
      method: 'POST',
      body: new URLSearchParams({ ...exchange, redirect_uri: CALLBACK }),
    });
    if (!tokens.ok) throw new Error('The app got no tokens');
  });
  afterAll(async () => {
    await browser?.close();
    await world.close();
  });

  interface Case {
    readonly name: string;
    readonly who: Who;
    /** Leads to the page. */
    readonly open: (page: Page) => Promise<unknown>;
    readonly status?: number;
  }

  const at = (path: string | (() => string)) => (page: Page) =>
    page.goto(new URL(typeof path === 'string' ? path : path(), world.origin).href);

  const launch = (scope: string) => (page: Page) => page.goto(world.authorize(clientId, scope));

  const CASES: readonly Case[] = [
    { name: 'landing', who: 'nobody', open: at('/') },
    { name: 'landing-signed-in', who: 'admin', open: at('/') },
    { name: 'signin', who: 'nobody', open: at('/signin') },
    {
      name: 'signin-wrong',
      who: 'nobody',
      async open(page) {
        await page.goto(`${world.origin}/signin`);
        await page.fill('#email', 'nobody@example.org');
        await page.fill('#password', 'wrong wrong wrong');
        await page.click('form[action="/signin"] button');
      },
    },
    { name: 'signin-for-app', who: 'nobody', open: launch('launch/patient patient/Appointment.rs') },
    { name: 'second', who: 'half-way', open: at('/signin/second') },
    { name: 'enrol', who: 'must enrol', open: at('/signin/enrol') },
    { name: 'step-up', who: 'secured', open: at('/step-up') },
    { name: 'register', who: 'nobody', open: at('/register') },
    { name: 'verify', who: 'nobody', open: at(() => links.verify) },
    { name: 'verify-useless', who: 'nobody', open: at('/verify?ticket=x'), status: 400 },
    { name: 'reset', who: 'nobody', open: at('/reset') },
    { name: 'reset-choose', who: 'nobody', open: at(() => links.reset) },
    { name: 'invitation', who: 'nobody', open: at(() => links.invitation) },
    { name: 'invitation-code', who: 'nobody', open: at('/invitation') },
    { name: 'signout', who: 'patient', open: at('/signout') },
    { name: 'missing', who: 'nobody', open: at('/nowhere'), status: 404 },
    { name: 'forbidden', who: 'patient', open: at('/admin/clients'), status: 403 },
    { name: 'account', who: 'secured', open: at('/account') },
    { name: 'account-email', who: 'patient', open: at('/account/email') },
    { name: 'account-password', who: 'patient', open: at('/account/password') },
    { name: 'account-totp', who: 'patient', open: at('/account/totp') },
    {
      name: 'account-totp-qr',
      who: 'patient',
      async open(page) {
        await page.goto(`${world.origin}/account/totp`);
        await page.click('form[action="/account/totp"] button');
      },
    },
    { name: 'account-passkeys', who: 'secured', open: at('/account/passkeys') },
    { name: 'account-recovery', who: 'secured', open: at('/account/recovery-codes') },
    {
      name: 'account-recovery-codes',
      who: 'secured',
      async open(page) {
        await page.goto(`${world.origin}/account/recovery-codes`);
        await page.click('form[action="/account/recovery-codes"] button');
      },
    },
    { name: 'account-people', who: 'patient', open: at('/account/people') },
    { name: 'account-sessions', who: 'secured', open: at('/account/sessions') },
    { name: 'account-apps', who: 'patient', open: at('/account/apps') },
    { name: 'admin-people', who: 'admin', open: at('/admin/people') },
    { name: 'admin-people-desk', who: 'desk', open: at('/admin/people') },
    { name: 'admin-open', who: 'admin', open: at('/admin/people/open') },
    { name: 'admin-one', who: 'admin', open: at(() => `/admin/people/${accounts.get('patient')?.id ?? ''}`) },
    { name: 'admin-invite', who: 'admin', open: at('/admin/people/invite') },
    { name: 'admin-code', who: 'desk', open: at('/admin/people/code') },
    {
      name: 'admin-code-made',
      who: 'desk',
      async open(page) {
        await page.goto(`${world.origin}/admin/people/code`);
        await page.fill('#reference', 'Patient/maria');
        await page.click('form[action="/admin/people/code"] button');
      },
    },
    { name: 'admin-clients', who: 'admin', open: at('/admin/clients') },
    { name: 'admin-client-new', who: 'admin', open: at('/admin/clients/new') },
    {
      name: 'admin-client-wrong',
      who: 'admin',
      async open(page) {
        await page.goto(`${world.origin}/admin/clients/new`);
        await page.fill('#name', 'Diary');
        await page.fill('#scope', 'nonsense');
        await page.click('form[action="/admin/clients/new"] button');
      },
    },
    {
      name: 'admin-client-secret',
      who: 'admin',
      async open(page) {
        await page.goto(`${world.origin}/admin/clients/new`);
        await page.fill('#name', 'Nightly report');
        await page.check('input[value="backend"]');
        await page.check('input[value="client_secret_basic"]');
        await page.fill('#scope', 'system/*.rs');
        await page.click('form[action="/admin/clients/new"] button');
      },
    },
    { name: 'picker', who: 'patient', open: launch('launch/patient patient/Appointment.rs') },
    {
      name: 'picker-search',
      who: 'desk',
      async open(page) {
        await page.goto(world.authorize(clientId, 'launch/patient patient/Appointment.rs'));
        await page.fill('#q', 'okonkwo');
        await page.click('form[role=search] button');
      },
    },
    {
      name: 'consent',
      who: 'patient',
      async open(page) {
        await page.goto(
          world.authorize(
            clientId,
            'openid fhirUser launch/patient offline_access patient/Appointment.rs patient/Patient.r user/Slot.rs',
          ),
        );
        await page.click('.choices button');
        await page.click('form summary');
      },
    },
    {
      name: 'consent-wildcard',
      who: 'patient',
      async open(page) {
        await page.goto(world.authorize(clientId, 'launch/patient online_access patient/*.rs'));
        await page.click('.choices button');
        await page.click('form summary');
      },
    },
    {
      name: 'app-error',
      who: 'nobody',
      open: (page) => page.goto(world.authorize('unknown-client', 'openid')),
      status: 400,
    },
    { name: 'mailbox', who: 'nobody', open: at('/dev/mail') },
  ];

  /** A window of its own for each look; the session's warning stays away unless time runs. */
  async function windowFor(who: Who, look: Look): Promise<BrowserContext> {
    const context = await newContext(browser as Browser, look);
    // As chosen at the foot of a page: before the language of the account, which is English.
    if (who !== 'nobody') await context.addCookies([{ name: 'lang', value: look.locale, url: world.origin }]);
    const account = accounts.get(who);
    if (account) {
      const amr = who === 'half-way' || who === 'must enrol' ? ['pwd'] : ['pwd', 'mfa'];
      const value = await world.session(account, amr);
      await context.addCookies([{ name: 'sid', value, url: world.origin, httpOnly: true, sameSite: 'Lax' }]);
    }
    return context;
  }

  test.each(CASES)('$name', async ({ name, who, open, status }) => {
    for (const [locale, [first, ...others]] of LOOKS) {
      if (!first) continue;
      const context = await windowFor(who, { ...first, locale });
      try {
        const page = await context.newPage();
        const blocked: string[] = [];
        page.on('console', (message) => {
          // A page of an error is itself reported as one.
          if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
            blocked.push(message.text());
        });
        page.on('pageerror', (error) => blocked.push(error.message));
        const reply = (await open(page)) as { status?: () => number } | null | undefined;
        if (status !== undefined) expect(reply?.status?.()).toBe(status);
        await page.waitForLoadState('load');
        expect(await page.getAttribute('html', 'lang')).toBe(locale);
        for (const { width, scheme } of [first, ...others].slice(0, VIEWS)) {
          await page.setViewportSize({ width, height: 800 });
          await page.emulateMedia({ colorScheme: scheme });
          const label = `${name}-${width}-${scheme}-${locale}`;
          await shoot(page, label);
          expect([label, await violations(page)]).toEqual([label, []]);
          expect([label, await overflows(page)]).toEqual([label, false]);
        }
        expect([name, locale, blocked]).toEqual([name, locale, []]);
      } finally {
        await context.close();
      }
    }
  });

  test('a demo says whom one can sign in as, and shows letters; only to who sits at the machine', async () => {
    const visitor = world.visitor();
    const landing = await visitor.go('/');
    expect(landing.text).toContain(accounts.get('desk')?.email);
    expect(landing.text).not.toContain(accounts.get('admin')?.email);
    expect((await visitor.send('/dev/mail')).text).toContain('new@example.org');
    const under = (host: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        get(`${world.origin}/dev/mail`, { headers: { host } }, (reply) => {
          reply.resume();
          resolve(reply.statusCode);
        }).on('error', reject);
      });
    const { host, port } = new URL(world.origin);
    expect([await under(host), await under(`rebound.example.org:${port}`)]).toEqual([200, 404]);
    for (const name of ['X-Forwarded-For', 'Forwarded', 'X-Real-IP', 'Via'])
      expect([name, (await visitor.send('/dev/mail', { headers: { [name]: '127.0.0.1' } })).status]).toEqual([
        name,
        404,
      ]);
  });
});
