/** Apps with the stock SMART client, launched in a browser by themselves and from here. @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html */
import { exportJWK, generateKeyPair } from 'jose';
import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { codeOf } from '../auth/people.ts';
import { newContext, openBrowser } from '../support/browser.ts';
import {
  allow,
  ask,
  found,
  launched,
  openClinic,
  request,
  shown,
  signIn,
  tokens,
  type Clinic,
  type StockApp,
} from './browser-world.ts';

const TOTP = 'JBSWY3DPEHPK3PXP';
const browser = await openBrowser();

describe.skipIf(!browser)('fhirclient', () => {
  let clinic: Clinic;
  let context: BrowserContext;
  let mother = '';
  let doctor = '';
  let desk = '';

  beforeAll(async () => {
    clinic = await openClinic();
    const { world } = clinic;
    const { identity } = world.server.kairos;
    mother = (await world.account({ profiles: ['Patient/maria', 'RelatedPerson/mother-of-leo'] })).email;
    doctor = (await world.account({ name: 'Ann Lee', roles: ['physician'], profiles: ['Practitioner/dr-lee'] })).email;
    const staff = await world.account({ name: 'Dana Desk', roles: ['staff'], staffKinds: ['front-desk'] });
    desk = staff.email;
    await identity.pool.query(
      `insert into auth_totp (account_id, secret_sealed, confirmed_at) values ($1, $2, now())`,
      [staff.id, identity.keys.seal('auth_totp.secret_sealed', staff.id, TOTP)],
    );
  });
  afterAll(async () => {
    await browser?.close();
    await clinic.close();
  });
  beforeEach(async () => {
    if (browser) context = await newContext(browser, { width: 1280, scheme: 'light', locale: 'en' });
  });
  afterEach(() => context.close());

  describe('standalone launch', () => {
    let app: StockApp;
    beforeAll(async () => {
      app = await clinic.app({ asks: 'openid fhirUser launch/patient patient/Patient.rs patient/Appointment.rs' });
    });

    test('sign in, choose among the people one acts for, consent: the app reads their record, and no other', async () => {
      const page = await context.newPage();
      await page.goto(app.launchUrl);
      await signIn(page, mother);
      await page.waitForURL(/\/patient$/);
      expect(await page.getByRole('listitem').locator('strong').allTextContents()).toEqual([
        'María Fernanda García-Okonkwo',
        'Leo Okonkwo',
      ]);
      await page.getByRole('button', { name: 'Leo Okonkwo' }).click();
      await page.waitForURL(/\/consent$/);
      expect(await page.textContent('main')).toContain('Leo Okonkwo');
      await allow(page);
      expect(await shown(page)).toBe('ready');
      expect(await tokens(page)).toMatchObject({
        token_type: 'Bearer',
        patient: 'leo',
        scope: 'openid fhirUser launch/patient patient/Patient.rs patient/Appointment.rs',
      });
      expect(await ask(page, 'client.patient.read()')).toMatchObject({ status: 200, value: { id: 'leo' } });
      expect(await found(page, 'Appointment?status=booked,cancelled')).toEqual(['Appointment/of-leo']);
      expect(await found(page, 'Appointment?_include=Appointment:patient')).toEqual([
        'Appointment/of-leo',
        'Patient/leo',
      ]);
      expect((await request(page, 'Appointment/of-maria')).status).toBeGreaterThanOrEqual(403);
      expect((await request(page, 'Encounter')).status).toBe(403);
      // The id_token that the client reads.
      expect(await page.evaluate('client.user.fhirUser')).toBe('Patient/maria');
    });

    test('a physician searches for the patient, and is told to the app by fhirUser', async () => {
      const page = await context.newPage();
      await page.goto((await clinic.app({ asks: 'openid fhirUser launch/patient patient/*.rs user/*.rs' })).launchUrl);
      await signIn(page, doctor);
      await page.fill('#q', 'okonkwo 1990-01-02');
      await page.keyboard.press('Enter');
      await page.getByRole('button', { name: 'Stella Okonkwo' }).click();
      await allow(page);
      expect(await shown(page)).toBe('ready');
      expect(await ask(page, 'client.patient.read()')).toMatchObject({ value: { id: 'stranger' } });
      expect(await ask(page, 'client.user.read()')).toMatchObject({
        value: { resourceType: 'Practitioner', id: 'dr-lee' },
      });
      expect(await ask(page, 'client.patient.request("Appointment")')).toMatchObject({
        value: { entry: [{ resource: { id: 'of-stranger' } }] },
      });
    });

    test('who is refused consent says so', async () => {
      const page = await context.newPage();
      await page.goto(app.launchUrl);
      await signIn(page, mother);
      await page.getByRole('button', { name: 'Leo Okonkwo' }).click();
      await page.click('button[name=decision][value=deny]');
      expect(await shown(page)).toMatch(/^access_denied/);
      expect(await page.evaluate('window.client')).toBeUndefined();
    });

    test('aud: no other name of the server is taken for it, though it answers there', async () => {
      const page = await context.newPage();
      const elsewhere = clinic.fhirBase.replace('localhost', '127.0.0.1');
      await page.goto(`${app.launchUrl.split('?')[0] ?? ''}?iss=${encodeURIComponent(elsewhere)}`);
      expect(await shown(page)).toMatch(/^invalid_(?:request|target).*aud/);
    });
  });

  describe('confidential apps', () => {
    const asks = 'launch/patient patient/Patient.rs online_access';
    const reads = async (app: StockApp): Promise<Page> => {
      const page = await launched(context, app, mother, 'María');
      expect(await ask(page, 'client.patient.read()')).toMatchObject({ value: { id: 'maria' } });
      return page;
    };

    test('client_secret_basic, with refresh', async () => {
      const page = await reads(await clinic.app({ auth: 'client_secret_basic', asks }));
      expect(await ask(page, 'client.refresh()')).toMatchObject({ status: 200 });
    });

    test.each(['RS384', 'ES384'] as const)('private_key_jwt with %s', async (alg) => {
      const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
      const named = { kid: `key-of-${alg}`, alg };
      const jwks = { keys: [{ ...(await exportJWK(publicKey)), ...named }] };
      const clientPrivateJwk = { ...(await exportJWK(privateKey)), ...named };
      await reads(await clinic.app({ auth: 'private_key_jwt', jwks, asks, authorize: { clientPrivateJwk } }));
    });
  });

  describe('launch from here', () => {
    test('$launch opens the app with patient, encounter, intent, banner and style; the handle is good once', async () => {
      const page = await context.newPage();
      await page.goto((await clinic.app({ name: 'Front desk', asks: 'openid fhirUser user/*.rs' })).launchUrl);
      await signIn(page, desk);
      await page.fill('#code', codeOf(TOTP, Date.now()));
      await page.keyboard.press('Enter');
      await allow(page);
      expect(await shown(page)).toBe('ready');
      const app = await clinic.app({ asks: 'openid fhirUser launch patient/*.rs' });
      const parameter = [
        { name: 'client', valueString: app.clientId },
        { name: 'patient', valueString: 'Patient/maria' },
        { name: 'encounter', valueString: 'Encounter/visit' },
        { name: 'fhirContext', valueString: 'Appointment/of-maria' },
        { name: 'intent', valueString: 'reconcile' },
        { name: 'needPatientBanner', valueBoolean: false },
      ];
      const reply = await ask(
        page,
        `client.request({ url: '$launch', method: 'POST', headers: { 'content-type': 'application/fhir+json' }, body: ${JSON.stringify(JSON.stringify({ resourceType: 'Parameters', parameter }))} }).then((p) => p.parameter[0].valueUrl)`,
      );
      const url = String(reply.value);
      expect(url).toMatch(/\/app\d+\/launch\.html\?iss=.+&launch=.+/);
      await page.goto(url);
      // Signed in, and the patient is told: consent is all that is left.
      await page.waitForURL(/\/consent$/);
      expect(await page.textContent('main')).toContain('María Fernanda García-Okonkwo');
      await allow(page);
      expect(await shown(page)).toBe('ready');
      const token = await tokens(page);
      expect(token).toMatchObject({
        patient: 'maria',
        encounter: 'visit',
        fhirContext: [{ reference: 'Appointment/of-maria' }],
        intent: 'reconcile',
        need_patient_banner: false,
      });
      expect(await ask(page, `fetch(${JSON.stringify(token['smart_style_url'])}).then((r) => r.json())`)).toMatchObject(
        {
          value: { color_background: expect.stringMatching(/^#/) },
        },
      );
      expect(await ask(page, 'client.encounter.read()')).toMatchObject({ value: { id: 'visit' } });
      expect(await found(page, 'Appointment')).toEqual(['Appointment/of-maria', 'Appointment/of-maria-off']);
      await page.goto(url);
      expect(await shown(page)).toMatch(/^invalid_request/);
    });
  });

  test('CORS: a page of another origin gets nothing for what it may have stolen, nor for being opened by somebody signed in', async () => {
    const app = await clinic.app({ asks: 'launch/patient patient/Patient.rs offline_access' });
    const page = await launched(context, app, mother, 'María');
    const { refresh_token: stolen } = await tokens(page);
    const other = await context.newPage();
    await other.goto(`${clinic.apps.replace('localhost', '127.0.0.1')}/app1/launch.html?iss=`);
    const refresh = (withCredentials: string): string =>
      `fetch(${JSON.stringify(`${clinic.origin}/oauth/token`)}, { method: 'POST', credentials: '${withCredentials}', body: new URLSearchParams({ grant_type: 'refresh_token', client_id: '${app.clientId}', refresh_token: ${JSON.stringify(stolen)} }) }).then((r) => r.text())`;
    for (const credentials of ['omit', 'include'])
      expect(await ask(other, refresh(credentials))).toEqual({ status: 0, message: 'Failed to fetch' });
    // It was not used up by the attempts: the app itself goes on.
    expect(await ask(page, 'client.refresh().then(() => 1)')).toEqual({ status: 200, value: 1 });
    const read = `fetch(${JSON.stringify(`${clinic.fhirBase}/Patient/maria`)}`;
    expect(await ask(other, `${read}, { credentials: 'include' })`)).toEqual({ status: 0, message: 'Failed to fetch' });
    expect(await ask(other, `${read}).then((r) => r.status)`)).toEqual({ status: 200, value: 401 });
    expect(
      await ask(other, `fetch(${JSON.stringify(`${clinic.origin}/session`)}, { credentials: 'include' })`),
    ).toEqual({
      status: 0,
      message: 'Failed to fetch',
    });
  });
});
