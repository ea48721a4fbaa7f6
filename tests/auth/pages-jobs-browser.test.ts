/** The board of jobs in a real browser, under its policy. */
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startWorker, type RunningWorker } from '../../src/compose-worker.ts';
import { newContext, openBrowser, shoot } from '../support/browser.ts';
import { openWorld, type World } from './pages-world.ts';

const browser = await openBrowser();

describe.skipIf(!browser)('the board of jobs', () => {
  let world: World;
  let worker: RunningWorker;
  let context: BrowserContext;
  let runs = 0;
  const complaints: string[] = [];

  beforeAll(async () => {
    world = await openWorld({ env: { MFA_ROLES: 'none', LOG_LEVEL: 'silent' } });
    const failing = {
      name: 'failing',
      description: 'fails',
      retries: 0,
      backoffMs: 0,
      run: () => {
        runs++;
        return Promise.reject(new Error('This one fails'));
      },
    };
    worker = await startWorker(world.server.kairos, { jobs: [failing] });
    await (await world.server.kairos.jobs.queue()).enqueue('failing', { id: 'x' });
    await worker.idle();
  });
  afterEach(() => context.close());
  afterAll(async () => {
    await browser?.close();
    await worker.close();
    await world.close();
  });

  async function open(): Promise<Page> {
    context = await newContext(browser as Browser, { width: 1200, scheme: 'light', locale: 'en' });
    const value = await world.session(await world.account({ roles: ['admin'] }), ['pwd']);
    await context.addCookies([{ name: 'sid', value, url: world.origin, httpOnly: true, sameSite: 'Lax' }]);
    const page = await context.newPage();
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(error.message));
    return page;
  }

  test('it shows what failed, tries it again, and breaks no rule of its policy', async () => {
    const page = await open();
    await page.goto(`${world.origin}/account`);
    await page.click('a[href="/admin/jobs"]');
    await page.waitForURL(`${world.origin}/admin/jobs/`);
    await page.getByRole('link', { name: 'kairos' }).first().waitFor();
    await shoot(page, 'jobs-board');
    await page.goto(`${world.origin}/admin/jobs/queue/kairos?status=failed`);
    await page.getByText('This one fails').first().waitFor();
    await shoot(page, 'jobs-board-failed');
    expect(complaints).toEqual([]);

    expect(runs).toBe(1);
    await page.getByRole('button', { name: 'Retry all' }).click();
    await page.getByRole('button', { name: 'Confirm', exact: true }).click();
    await expect.poll(() => runs, { timeout: 10_000 }).toBe(2);
    expect(complaints).toEqual([]);
  });

  test('its words are in the language of the page; what is too long ago leads to the proof, and back', async () => {
    const page = await open();
    await page.goto(`${world.origin}/account?lang=es`);
    await page.goto(`${world.origin}/admin/jobs/queue/kairos?status=failed`);
    await page.getByRole('button', { name: 'Reintentar todas' }).waitFor();
    world.later(700);
    await page.getByRole('button', { name: 'Reintentar todas' }).click();
    await page.getByRole('button', { name: 'Confirmar', exact: true }).click();
    await page.waitForURL((url) => url.pathname === '/step-up');
    expect(new URL(page.url()).searchParams.get('return')).toBe('/admin/jobs/queue/kairos?status=failed');
    expect(runs).toBe(2);
  });
});
