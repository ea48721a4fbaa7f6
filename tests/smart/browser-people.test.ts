/** A launch as people go through it: in Spanish, on a phone, by keyboard alone, without barriers; and its picture for the README. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { en } from '../../src/auth/pages/texts/en.ts';
import { projectFolder } from '../../src/platform/paths.ts';
import { PASSWORD } from '../auth/pages-world.ts';
import { newContext, openBrowser, overflows, shoot, violations } from '../support/browser.ts';
import { ask, openClinic, shown, signIn, tokens, type Clinic } from './browser-world.ts';

const browser = await openBrowser();

/** Presses Tab until the element has the focus, and sees that the focus can be seen. */
async function tabTo(page: Page, selector: string): Promise<void> {
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press('Tab');
    const at: unknown = await page.evaluate(
      `(() => { const e = document.activeElement; return e && e.matches(${JSON.stringify(selector)}) ? getComputedStyle(e).outlineStyle : undefined; })()`,
    );
    if (at === undefined) continue;
    expect([selector, at]).toEqual([selector, 'solid']);
    return;
  }
  throw new Error(`The keyboard does not lead to ${selector} on ${page.url()}`);
}

describe.skipIf(!browser)('a launch', () => {
  let clinic: Clinic;
  let mother = '';

  beforeAll(async () => {
    clinic = await openClinic();
    mother = (
      await clinic.world.account({
        email: 'maria@example.org',
        profiles: ['Patient/maria', 'RelatedPerson/mother-of-leo'],
      })
    ).email;
  });
  afterAll(async () => {
    await browser?.close();
    await clinic.close();
  });

  test('in Spanish, 360 pixels wide, by keyboard alone, and axe finds nothing on the way', async () => {
    if (!browser) return;
    const app = await clinic.app({
      name: 'Agenda',
      asks: 'openid fhirUser launch/patient offline_access patient/Patient.rs patient/Appointment.rs',
    });
    const context = await newContext(browser, { width: 360, scheme: 'dark', locale: 'en' });
    const page = await context.newPage();
    const seen: string[] = [];
    const look = async (place: string, title: RegExp): Promise<void> => {
      await page.waitForURL(new RegExp(`/${place}(?:\\?|$)`));
      await page.waitForLoadState('load');
      await shoot(page, `launch-${place}`);
      expect([place, await page.getAttribute('html', 'lang'), await page.textContent('h1')]).toEqual([
        place,
        'es',
        expect.stringMatching(title),
      ]);
      expect([place, await violations(page)]).toEqual([place, []]);
      expect([place, await overflows(page)]).toEqual([place, false]);
      seen.push(place);
    };
    const { keyboard } = page;
    try {
      await page.goto(app.launchUrl);
      await page.waitForURL(/\/signin/);
      await tabTo(page, 'footer a[hreflang=es]');
      await keyboard.press('Enter');
      await page.waitForSelector('html[lang=es]');
      await look('signin', /Iniciar sesión/);
      // The first field has the focus.
      await keyboard.type(mother);
      await keyboard.press('Tab');
      await keyboard.type(PASSWORD);
      await keyboard.press('Enter');
      await look('patient', /./);
      await tabTo(page, 'button[value="Patient/leo"]');
      await keyboard.press('Enter');
      await look('consent', /Agenda/);
      await tabTo(page, 'input[value="patient/Patient.rs"]');
      await keyboard.press('Space');
      await tabTo(page, 'summary');
      await keyboard.press('Enter');
      await tabTo(page, 'input[value="patient/Appointment.rs?status=booked"]');
      await keyboard.press('Space');
      await look('consent', /Agenda/);
      await tabTo(page, 'button[value=allow]');
      await keyboard.press('Enter');
      expect(await shown(page)).toBe('ready');
      expect(await tokens(page)).toMatchObject({
        patient: 'leo',
        scope: 'openid fhirUser launch/patient offline_access patient/Appointment.rs?status=booked',
      });
      expect((await ask(page, 'client.patient.read()')).status).toBe(403);
      expect(seen).toEqual(['signin', 'patient', 'consent', 'consent']);
    } finally {
      await context.close();
    }
  });

  test('back, forward and reload on the way spoil nothing; afterwards the pages are over', async () => {
    if (!browser) return;
    const app = await clinic.app({ asks: 'launch/patient patient/Patient.rs' });
    const context = await newContext(browser, { width: 1280, scheme: 'light', locale: 'en' });
    const page = await context.newPage();
    const statuses: number[] = [];
    page.on('response', (response) => statuses.push(response.status()));
    try {
      await page.goto(app.launchUrl);
      await signIn(page, mother);
      await page.waitForURL(/\/patient$/);
      await page.reload();
      await page.getByRole('button', { name: 'Leo' }).click();
      await page.waitForURL(/\/consent$/);
      // The choice was made, and is not made again; the launch goes on where it was.
      await page.goBack();
      expect(await page.textContent('h1')).toBe(en.errors.interaction.title);
      await page.goForward();
      await page.waitForURL(/\/consent$/);
      const consent = page.url();
      await page.click('button[value=allow]');
      expect(await shown(page)).toBe('ready');
      await page.goto(consent);
      expect(await page.textContent('h1')).toBe(en.errors.interaction.title);
      expect(statuses.filter((status) => status >= 500)).toEqual([]);
    } finally {
      await context.close();
    }
  });

  /** Made anew where KAIROS_PICTURES is set. */
  test('the README shows it: sign-in, choice of the patient, consent', async () => {
    const file = path.join(projectFolder, 'docs/images/launch.png');
    if (browser && process.env['KAIROS_PICTURES'] !== undefined) {
      const app = await clinic.app({
        name: 'Heart Diary',
        asks: 'launch/patient patient/Patient.rs patient/Appointment.rs',
      });
      const context = await newContext(browser, { width: 460, scheme: 'light', locale: 'en' });
      const page = await context.newPage();
      await page.setViewportSize({ width: 460, height: 846 });
      const shots: string[] = [];
      const shot = async (): Promise<void> => {
        await page.waitForLoadState('load');
        await page.evaluate('document.activeElement.blur(), document.fonts.ready.then(() => undefined)');
        shots.push((await page.screenshot()).toString('base64'));
      };
      await page.goto(app.launchUrl);
      await page.waitForURL(/\/signin/);
      await page.fill('#email', mother);
      await page.fill('#password', PASSWORD);
      await shot();
      await signIn(page, mother);
      await page.waitForURL(/\/patient$/);
      await shot();
      await page.getByRole('button', { name: 'Leo' }).click();
      await page.waitForURL(/\/consent$/);
      await shot();
      const sheet = await context.newPage();
      await sheet.setViewportSize({ width: 1500, height: 906 });
      await sheet.setContent(
        `<style>body{margin:0;padding:30px;display:flex;gap:30px;background:#dfe6ee}img{border-radius:14px;box-shadow:0 6px 24px #16233a30}</style>${shots.map((png) => `<img src="data:image/png;base64,${png}">`).join('')}`,
      );
      await sheet.screenshot({ path: file });
      await context.close();
    }
    const { size } = await stat(file);
    expect(size).toBeGreaterThan(20_000);
    expect(size).toBeLessThan(200_000);
  });
});
