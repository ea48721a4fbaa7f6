/** What only a real browser shows: passkeys, the keyboard, the policy of forms, the warning before a session ends. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Account } from '../../src/auth/accounts/account.ts';
import { addAuthenticator, newContext, openBrowser, shoot, violations } from '../support/browser.ts';
import { openWorld, PASSWORD, type World } from './pages-world.ts';

const browser = await openBrowser();

describe.skipIf(!browser)('pages in a browser', () => {
  let world: World;
  let app: Server;
  let callback = '';
  let context: BrowserContext;

  beforeAll(async () => {
    world = await openWorld({ env: { MFA_ROLES: 'staff' } });
    app = createServer((request, response) => response.end(`called back: ${request.url ?? ''}`));
    await new Promise<void>((ready) => app.listen(0, '127.0.0.1', ready));
    callback = `http://127.0.0.1:${(app.address() as AddressInfo).port}/callback`;
  });
  afterEach(() => context.close());
  afterAll(async () => {
    await browser?.close();
    app.close();
    await world.close();
  });

  const open = async (options: { scripts?: boolean } = {}): Promise<Page> => {
    const look = { width: 1000, scheme: 'light', locale: 'en' } as const;
    context =
      options.scripts === false
        ? await (browser as Browser).newContext({ javaScriptEnabled: false })
        : await newContext(browser as Browser, look);
    return context.newPage();
  };
  const enter = async (account: Account): Promise<void> => {
    const value = await world.session(account, ['pwd']);
    await context.addCookies([{ name: 'sid', value, url: world.origin, httpOnly: true, sameSite: 'Lax' }]);
  };
  /** Until the address has this path, whatever its query. */
  const arrive = (page: Page, wanted: string): Promise<void> =>
    page.waitForURL((url) => url.origin === world.origin && url.pathname === wanted);
  const path = (page: Page): string => new URL(page.url()).pathname;

  test('a passkey is added, proves as second factor, steps up, and signs in alone', async () => {
    const page = await open();
    const account = await world.account();
    await enter(account);
    await addAuthenticator(page);
    await page.goto(`${world.origin}/account/passkeys`);
    await page.fill('#label', 'Blue key');
    await page.click('form[data-passkey=create] button');
    await arrive(page, '/account/recovery-codes');
    await page.click('form[action="/account/recovery-codes"] button');
    expect(await page.locator('.recovery li').count()).toBe(10);
    await page.goto(`${world.origin}/account`);
    expect(await page.textContent('main')).toMatch(/1 passkey\b/);

    // As the second factor after the password.
    await context.clearCookies();
    await page.goto(`${world.origin}/signin?return=/account/people`);
    await page.fill('#email', account.email);
    await page.fill('#password', PASSWORD);
    await page.click('form[action="/signin"] button');
    await arrive(page, '/signin/second');
    await page.click('form[data-passkey=get] button');
    await arrive(page, '/account/people');

    // Again before a sensitive act, when the proof is old.
    world.later(11 * 60);
    await page.goto(`${world.origin}/account/email`);
    expect(path(page)).toBe('/step-up');
    await page.click('form[data-passkey=get] button');
    await arrive(page, '/account/email');

    // Alone.
    await context.clearCookies();
    await page.goto(`${world.origin}/signin?return=/account/people`);
    await page.click('form[data-passkey=get] button');
    await arrive(page, '/account/people');
    await page.goto(`${world.origin}/account/email`);
    expect(path(page)).toBe('/account/email');
  });

  test('who must set a second factor up can do it with a passkey', async () => {
    const page = await open();
    const account = await world.account({ roles: ['staff'], staffKinds: ['front-desk'] });
    await enter(account);
    await addAuthenticator(page);
    await page.goto(`${world.origin}/admin/people`);
    expect(path(page)).toBe('/signin/enrol');
    await page.click('main a.primary');
    await arrive(page, '/account/passkeys');
    await page.click('form[data-passkey=create] button');
    await arrive(page, '/account/recovery-codes');
    await page.click('form[action="/account/recovery-codes"] button');
    await page.click('a.primary');
    await arrive(page, '/admin/people');
  });

  test('a passkey that is refused or cancelled is explained, and nothing changes', async () => {
    const page = await open();
    const { session, id } = await addAuthenticator(page);
    await session.send('WebAuthn.setUserVerified', { authenticatorId: id, isUserVerified: false });
    await page.goto(`${world.origin}/signin`);
    await page.click('form[data-passkey=get] button');
    const alert = page.locator('form[data-passkey=get] [role=alert]');
    await alert.waitFor({ state: 'visible' });
    expect(await alert.textContent()).toContain('did not work, or was cancelled');
    expect(await violations(page)).toEqual([]);
  });

  test('WCAG 2.1.1: signing in by keyboard alone; the way in is skip link, fields, button', async () => {
    const page = await open();
    const account = await world.account();
    await page.goto(`${world.origin}/signin?return=/account/people`);
    // The address has the focus; backwards from it lies the way past the top.
    expect(await page.evaluate<string>('document.activeElement.id')).toBe('email');
    for (let i = 0; i < 2; i++) await page.keyboard.press('Shift+Tab');
    expect(await page.evaluate<string>('document.activeElement.className')).toBe('skip');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    await page.keyboard.type(account.email);
    await page.keyboard.press('Tab');
    await page.keyboard.type(PASSWORD);
    await page.keyboard.press('Tab');
    await page.keyboard.press('Space');
    expect(await page.getAttribute('#password', 'type')).toBe('text');
    await page.keyboard.press('Tab');
    expect(
      await page.evaluate<string>(
        'getComputedStyle(document.activeElement).outlineStyle + document.activeElement.tagName',
      ),
    ).toBe('solidBUTTON');
    await page.keyboard.press('Enter');
    await arrive(page, '/account/people');
  });

  test('CSP form-action: allowing and denying reach the app, also from the sign-in', async () => {
    const clientId = await world.app({ redirectUris: [callback] });
    const account = await world.account({ profiles: ['Patient/maria'] });
    for (const decision of ['allow', 'deny']) {
      const page = await open();
      const refused: string[] = [];
      page.on('console', (message) => message.type() === 'error' && refused.push(message.text()));
      await page.goto(world.authorize(clientId, 'openid launch/patient patient/Patient.r', { redirect_uri: callback }));
      await page.fill('#email', account.email);
      await page.fill('#password', PASSWORD);
      await page.click('form[action="/signin"] button');
      await page.click('.choices button');
      await page.click(`button[value=${decision}]`);
      await page.waitForURL(`${callback}?*`);
      const answer = new URL(page.url()).searchParams;
      expect([decision, answer.get('error'), answer.has('code')]).toEqual(
        decision === 'allow' ? ['allow', null, true] : ['deny', 'access_denied', false],
      );
      expect(refused.filter((text) => text.includes('Content Security Policy'))).toEqual([]);
      await context.close();
    }
    await open();
  });

  test('without scripts: sign in, choose, allow; what needs scripts says so', async () => {
    const clientId = await world.app({ redirectUris: [callback] });
    const account = await world.account({ profiles: ['Patient/maria'] });
    const page = await open({ scripts: false });
    await page.goto(world.authorize(clientId, 'launch/patient patient/Patient.r', { redirect_uri: callback }));
    expect(await page.locator('form[data-passkey]').isVisible()).toBe(false);
    expect(await page.locator('noscript').first().textContent()).toContain('This needs JavaScript');
    await page.fill('#email', account.email);
    await page.fill('#password', PASSWORD);
    await page.click('form[action="/signin"] button');
    await page.click('.choices button');
    await page.click('button[value=allow]');
    await page.waitForURL(`${callback}?*`);
  });

  test('two minutes before the session ends the page asks; staying is one key; else it leaves', async () => {
    const page = await open();
    const account = await world.account();
    await enter(account);
    await page.goto(`${world.origin}/account/people`);
    const dialog = page.locator('#session-warning');
    expect(await dialog.isVisible()).toBe(false);
    world.later(28 * 60 + 30);
    // As when somebody comes back to the window.
    await page.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`);
    await dialog.waitFor({ state: 'visible' });
    await shoot(page, 'session-warning-1000-light-en');
    expect(await violations(page)).toEqual([]);
    expect(await page.evaluate<string>('document.activeElement.value')).toBe('extend');
    const extended = page.waitForResponse(
      (reply) => reply.url().endsWith('/session') && reply.request().method() === 'POST',
    );
    await page.keyboard.press('Enter');
    expect(((await (await extended).json()) as { expiresInSeconds: number }).expiresInSeconds).toBeGreaterThan(29 * 60);
    await dialog.waitFor({ state: 'hidden' });
    world.later(31 * 60);
    await page.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`);
    await page.waitForURL('**/signin?reason=expired&return=%2Faccount%2Fpeople');
    expect(await page.textContent('[role=status]')).toContain('Your session has ended');
  });

  test('near the end that nothing moves the page says when it is, once, and offers nothing', async () => {
    const page = await open();
    const account = await world.account();
    await enter(account);
    const { pool, clock } = world.server.kairos.identity;
    await page.goto(`${world.origin}/account/people`);
    const dialog = page.locator('#session-warning');
    const lookAgain = async (): Promise<void> => {
      const looked = page.waitForResponse((reply) => reply.url().endsWith('/session'));
      await page.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`);
      await (await looked).finished();
    };
    await pool.query(
      `update auth_session set expires_at = to_timestamp($2), last_seen_at = to_timestamp($3) where account_id = $1`,
      // Idle for 29 minutes of 30, and 125 seconds before the end: what is won by staying ends in the last two minutes.
      [account.id, clock.now() / 1000 + 125, clock.now() / 1000 - 29 * 60],
    );
    await lookAgain();
    await dialog.waitFor({ state: 'visible' });
    await page.keyboard.press('Enter');
    await dialog.waitFor({ state: 'hidden' });
    world.later(20);
    await lookAgain();
    await dialog.waitFor({ state: 'visible' });
    await shoot(page, 'session-end-1000-light-en');
    expect(await violations(page)).toEqual([]);
    expect(await dialog.textContent()).toMatch(/You will be signed out soon.*at \d{1,2}:\d\d/s);
    expect(await dialog.textContent()).not.toContain('Stay signed in');
    const posts: string[] = [];
    page.on('request', (request) => request.method() === 'POST' && posts.push(request.url()));
    await page.keyboard.press('Enter');
    await dialog.waitFor({ state: 'hidden' });
    world.later(20);
    await lookAgain();
    await page.waitForTimeout(200);
    expect([await dialog.isVisible(), posts]).toEqual([false, []]);
    world.later(90);
    await page.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`);
    await page.waitForURL('**/signin?reason=expired&return=%2Faccount%2Fpeople');
  });

  test('a page cannot be framed, and no script but ours runs on it', async () => {
    const page = await open();
    await page.goto(callback);
    await page.setContent(`<iframe src="${world.origin}/signin"></iframe>`);
    await page.waitForTimeout(500);
    const frame = page.frames().find((f) => f !== page.mainFrame());
    expect(await frame?.locator('#email').count()).toBe(0);
    await page.goto(`${world.origin}/signin`);
    await page.evaluate(
      `{ const s = document.createElement('script'); s.textContent = 'window.ran = true'; document.body.append(s); }`,
    );
    expect(await page.evaluate<boolean>('window.ran === true')).toBe(false);
  });
});
