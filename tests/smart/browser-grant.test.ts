/** What an app with the stock SMART client holds: what the person left of its scopes, for as long as they want. @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html */
import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newContext, openBrowser } from '../support/browser.ts';
import { ask, found, launched, openClinic, request, tokens, untilRefused, type Clinic } from './browser-world.ts';

const browser = await openBrowser();

describe.skipIf(!browser)('what fhirclient was granted', () => {
  let clinic: Clinic;
  let context: BrowserContext;
  let mother = '';

  beforeAll(async () => {
    clinic = await openClinic();
    mother = (await clinic.world.account({ profiles: ['Patient/maria', 'RelatedPerson/mother-of-leo'] })).email;
  });
  afterAll(async () => {
    await browser?.close();
    await clinic.close();
  });
  beforeEach(async () => {
    if (browser) context = await newContext(browser, { width: 1280, scheme: 'light', locale: 'en' });
  });
  afterEach(() => context.close());

  const open = async (asks: string, consent?: (page: Page) => Promise<unknown>): Promise<Page> =>
    launched(context, await clinic.app({ asks }), mother, 'María', consent);
  const patientUrl = (): string => `${clinic.fhirBase}/Patient/maria`;
  const accessToken = (page: Page): Promise<string> => page.evaluate('client.state.tokenResponse.access_token');
  const untick = (scope: string) => (page: Page) => page.uncheck(`input[name=scope][value="${scope}"]`);

  describe('on the consent page', () => {
    const asks = 'openid fhirUser launch/patient patient/Patient.rs patient/Appointment.rs';

    test('a scope that was unticked is not in the token, and 403 at the server', async () => {
      // Both say that the app may read her own record.
      const page = await open(asks, async (consent) => {
        await untick('patient/Patient.rs')(consent);
        await untick('fhirUser')(consent);
      });
      expect(await tokens(page)).toMatchObject({
        patient: 'maria',
        scope: 'openid launch/patient patient/Appointment.rs',
      });
      expect((await ask(page, 'client.patient.read()')).status).toBe(403);
      expect(await found(page, 'Appointment')).toEqual(['Appointment/of-maria', 'Appointment/of-maria-off']);
      // Nor by the back door of an include, or in a batch.
      expect(await found(page, 'Appointment?_include=Appointment:patient')).toEqual([
        'Appointment/of-maria',
        'Appointment/of-maria-off',
      ]);
      const batch = {
        resourceType: 'Bundle',
        type: 'batch',
        entry: ['Patient/maria', 'Appointment/of-maria'].map((url) => ({ request: { method: 'GET', url } })),
      };
      const reply = await ask(
        page,
        `client.request({ url: '', method: 'POST', headers: { 'content-type': 'application/fhir+json' }, body: ${JSON.stringify(JSON.stringify(batch))} }).then((b) => b.entry.map((e) => e.response.status.slice(0, 3)))`,
      );
      expect(reply.value).toEqual(['403', '200']);
    });

    test('a part that was ticked stands in the place of the whole', async () => {
      const page = await open(asks, async (consent) => {
        await consent.click('form summary');
        await consent.check('input[value="patient/Appointment.rs?status=booked"]');
      });
      expect((await tokens(page))['scope']).toBe(
        'openid fhirUser launch/patient patient/Patient.rs patient/Appointment.rs?status=booked',
      );
      expect(await found(page, 'Appointment')).toEqual(['Appointment/of-maria']);
      expect(await found(page, 'Appointment?status=cancelled')).toEqual([]);
      expect((await request(page, 'Appointment/of-maria')).status).toBe(200);
      expect([403, 404]).toContain((await request(page, 'Appointment/of-maria-off')).status);
    });

    test('without who the person is, there is no id_token', async () => {
      const page = await open(asks, async (consent) => {
        await untick('openid')(consent);
        await untick('fhirUser')(consent);
      });
      expect((await tokens(page))['id_token']).toBeUndefined();
      expect((await ask(page, 'client.patient.read()')).status).toBe(200);
    });

    test('offline_access can be left out: then nothing can be refreshed', async () => {
      const page = await open(`${asks} offline_access`, untick('offline_access'));
      expect((await tokens(page))['refresh_token']).toBeUndefined();
      expect((await ask(page, 'client.patient.read()')).status).toBe(200);
    });
  });

  test('offline_access: refreshed as the client does it, with and without cookies, and after signing out', async () => {
    const page = await open('launch/patient patient/Patient.rs offline_access');
    const first = await accessToken(page);
    const kept = page.url();
    for (const credentials of ['same-origin', 'include']) {
      await page.goto(`${kept}?${credentials}`);
      await page.waitForFunction('window.client');
      const before = await accessToken(page);
      expect(await ask(page, 'client.refresh().then(() => true)')).toEqual({ status: 200, value: true });
      expect(await accessToken(page)).not.toBe(before);
    }
    expect(await tokens(page)).toMatchObject({ patient: 'maria' });
    expect(await ask(page, 'client.patient.read()')).toMatchObject({ value: { id: 'maria' } });
    const ours = await context.newPage();
    await ours.goto(`${clinic.origin}/account/apps`);
    await ours.click('header form[action="/signout"] button');
    await ours.waitForURL(/\/(?:signin.*)?$/);
    expect(await ask(page, 'client.refresh().then(() => true)')).toEqual({ status: 200, value: true });
    expect(await accessToken(page)).not.toBe(first);
    expect((await ask(page, 'client.patient.read()')).status).toBe(200);
  });

  test('online_access: signing out of our pages ends it', async () => {
    const page = await open('launch/patient patient/Patient.rs online_access');
    expect(await ask(page, 'client.refresh().then(() => true)')).toEqual({ status: 200, value: true });
    expect((await ask(page, 'client.patient.read()')).status).toBe(200);
    const ours = await context.newPage();
    await ours.goto(`${clinic.origin}/account`);
    await ours.click('header form[action="/signout"] button');
    await ours.waitForURL(/\/(?:signin.*)?$/);
    const { status, ms } = await untilRefused(page, patientUrl());
    expect(status).toBe(401);
    expect(ms).toBeLessThan(1000);
    expect(await ask(page, 'client.refresh()')).toMatchObject({
      status: 400,
      message: expect.stringContaining('invalid_grant'),
    });
  });

  test('“Connected apps”: what is taken back there is refused within a second, in both processes', async () => {
    const app = await clinic.app({ name: 'Forgotten App', asks: 'launch/patient patient/Patient.rs offline_access' });
    const page = await launched(context, app, mother, 'María');
    const ours = await context.newPage();
    await ours.goto(`${clinic.origin}/account/apps`);
    await ours.getByRole('button', { name: 'Forgotten App' }).click();
    await ours.waitForURL(/done=revoked/);
    const { status, ms } = await untilRefused(page, patientUrl());
    expect(status).toBe(401);
    expect(ms).toBeLessThan(1000);
    await page.waitForTimeout(1000 - ms);
    expect([(await untilRefused(page, patientUrl())).status, (await untilRefused(page, patientUrl())).status]).toEqual([
      401, 401,
    ]);
    expect(await ask(page, 'client.refresh()')).toMatchObject({ status: 400 });
    expect((await ask(page, 'client.patient.read()')).status).toBe(401);
  });
});
