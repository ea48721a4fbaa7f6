/** EHR launch: handles, context, `$launch`; and how soon what was revoked is refused elsewhere. @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#launch-app-ehr-launch */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Account } from '../../src/auth/accounts/account.ts';
import { disableClient } from '../../src/auth/clients/registry.ts';
import { listGrants, revokeGrantOf } from '../../src/auth/provider/grants.ts';
import { endSession } from '../../src/auth/session/end.ts';
import type { Session } from '../../src/auth/session/session.ts';
import { mintLaunch, type LaunchContext } from '../../src/auth/smart/launch.ts';
import { poolNamed } from '../../src/platform/database/pool.ts';
import {
  asApp,
  authorize,
  authorizeParameters,
  Browser,
  exchange,
  introspect,
  makeAccount,
  makeApp,
  pkce,
  post,
  signIn,
  type TestApp,
} from '../support/app-driver.ts';
import { startTwoIdentityServers, type IdentityServer } from '../support/identity-server.ts';

const SECRET = 'bootstrap-secret-of-the-tests';
let one: IdentityServer;
let two: IdentityServer;
let staff: Account;
let app: TestApp;
let confidential: TestApp;
let browser: Browser;
let session: Session;

beforeAll(async () => {
  [one, two] = await startTwoIdentityServers({
    env: { BOOTSTRAP_CLIENT_ID: 'robot', BOOTSTRAP_CLIENT_SECRET: SECRET },
  });
  const { body } = await post(one, '/token', {
    grant_type: 'client_credentials',
    scope: 'system/*.cruds',
    client_id: 'robot',
    client_secret: SECRET,
  });
  for (const resource of [
    { resourceType: 'Patient', id: '1', name: [{ family: 'One' }] },
    { resourceType: 'Patient', id: '2', name: [{ family: 'Two' }] },
    {
      resourceType: 'Encounter',
      id: 'e1',
      status: 'in-progress',
      class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'AMB' },
      subject: { reference: 'Patient/1' },
    },
    { resourceType: 'Practitioner', id: 'p1', name: [{ family: 'Doctor' }] },
    // Physicians read the records of patients whom they see.
    ...['1', '2'].map((patient) => ({
      resourceType: 'Appointment',
      id: `a${patient}`,
      status: 'booked',
      start: `2026-12-0${patient}T15:00:00Z`,
      end: `2026-12-0${patient}T15:30:00Z`,
      participant: [
        { actor: { reference: `Patient/${patient}` }, status: 'accepted' },
        { actor: { reference: 'Practitioner/p1' }, status: 'accepted' },
      ],
    })),
  ]) {
    const put = await fetch(`${one.fhirBase}/${resource.resourceType}/${resource.id}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${String(body['access_token'])}`, 'content-type': 'application/fhir+json' },
      body: JSON.stringify(resource),
    });
    if (put.status !== 201) throw new Error(await put.text());
  }
  staff = await makeAccount(one, ['physician'], ['Practitioner/p1']);
  app = await makeApp(one, { launchUrl: 'https://app.example.org/launch?x=1' });
  confidential = await makeApp(one, { auth: 'client_secret_basic' });
  browser = new Browser();
  session = await signIn(one, browser, staff);
});
afterAll(async () => {
  await two.close();
  await one.close();
});

const EHR_SCOPE = 'launch openid fhirUser patient/*.rs launch/encounter';
const mint = (context: LaunchContext, clientId = app.clientId, accountId = staff.id): Promise<string> =>
  mintLaunch(one.kairos.identity, { clientId, accountId, context });

/** The error on the redirect URI; undefined: it went on to our pages. */
async function errorOf(launch: string): Promise<string | undefined> {
  const response = await browser.fetch(
    `${one.issuer}/authorize?${authorizeParameters(one, app, pkce().challenge, { scope: EHR_SCOPE, launch })}`,
  );
  const location = response.headers.get('location') ?? '';
  return location.startsWith(one.issuer) ? undefined : (new URL(location).searchParams.get('error') ?? 'none');
}

describe('a launch handle', () => {
  const context: LaunchContext = {
    patient: 'Patient/1',
    encounter: 'Encounter/e1',
    fhirContext: [{ reference: 'Practitioner/p1' }],
    intent: 'reconcile',
    needPatientBanner: false,
  };

  test('brings its context, and nobody is asked for a patient', async () => {
    const flow = await authorize(one, browser, app, session, { scope: EHR_SCOPE, launch: await mint(context) });
    expect(flow.prompts).not.toContain('patient');
    const { body } = await exchange(two, app, flow);
    expect(body).toMatchObject({
      patient: '1',
      encounter: 'e1',
      fhirContext: [{ reference: 'Practitioner/p1' }],
      intent: 'reconcile',
      need_patient_banner: false,
      smart_style_url: expect.stringMatching(/^http.*\.json$/) as string,
      scope: EHR_SCOPE,
    });
    const style = await fetch(String(body['smart_style_url']));
    expect([style.status, style.headers.get('access-control-allow-origin')]).toEqual([200, '*']);
    expect((await introspect(one, confidential, body['access_token'])).body).toMatchObject({
      patient: '1',
      encounter: 'e1',
    });
  });

  test('is good once', async () => {
    const launch = await mint(context);
    expect(await errorOf(launch)).toBeUndefined();
    expect(await errorOf(launch)).toBe('invalid_request');
  });

  test('20 requests at once with it: one goes on', async () => {
    const launch = await mint(context);
    const found = await Promise.all(Array.from({ length: 20 }, () => errorOf(launch)));
    expect(found.filter((error) => error === undefined)).toHaveLength(1);
  });

  test('is bound to its app, expires, and cannot be made up', async () => {
    expect(await errorOf(await mint(context, confidential.clientId))).toBe('invalid_request');
    expect(await errorOf('x'.repeat(43))).toBe('invalid_request');
    const old = await mint(context);
    await poolNamed(one.kairos.pool, `update auth_launch set expires_at = now() where used_at is null`);
    expect(await errorOf(old)).toBe('invalid_request');
  });

  test('is bound to its person', async () => {
    const other = await makeAccount(one, ['physician']);
    const launch = await mint(context, app.clientId, other.id);
    const { answer } = await authorize(one, browser, app, session, { scope: EHR_SCOPE, launch });
    expect([answer.get('error'), answer.get('code')]).toEqual(['access_denied', null]);
  });

  test('without one there is neither launch nor launch/encounter', async () => {
    const { body } = await exchange(one, app, await authorize(one, browser, app, session, { scope: EHR_SCOPE }));
    expect(body['scope']).toBe('openid fhirUser patient/*.rs');
  });
});

describe('$launch', () => {
  const call = async (token: unknown, parameter: readonly object[]): Promise<{ status: number; body: unknown }> => {
    const response = await fetch(`${one.fhirBase}/$launch`, {
      method: 'POST',
      headers: { authorization: `Bearer ${String(token)}`, 'content-type': 'application/fhir+json' },
      body: JSON.stringify({ resourceType: 'Parameters', parameter }),
    });
    return { status: response.status, body: await response.json() };
  };
  const tokenOf = async (person: Browser, of: Session): Promise<unknown> =>
    (await exchange(one, app, await authorize(one, person, app, of, { scope: 'user/*.cruds' }))).body['access_token'];
  const of = (client: string, patient = 'Patient/1'): object[] => [
    { name: 'client', valueString: client },
    { name: 'patient', valueString: patient },
  ];

  test('gives the URL that opens the app, which then has the context', async () => {
    const token = await tokenOf(browser, session);
    const { status, body } = await call(token, [
      ...of(app.clientId),
      { name: 'encounter', valueString: 'Encounter/e1' },
      { name: 'fhirContext', valueString: 'Practitioner/p1' },
      { name: 'intent', valueString: 'book' },
    ]);
    expect(status, JSON.stringify(body)).toBe(200);
    const { parameter } = body as { parameter: { name: string; valueUrl: string }[] };
    const url = new URL(parameter[0]?.valueUrl ?? '');
    expect(`${url.origin}${url.pathname}`).toBe('https://app.example.org/launch');
    expect([url.searchParams.get('x'), url.searchParams.get('iss')]).toEqual(['1', one.fhirBase]);
    const flow = await authorize(one, browser, app, session, {
      scope: EHR_SCOPE,
      launch: url.searchParams.get('launch') ?? '',
    });
    expect((await exchange(one, app, flow)).body).toMatchObject({ patient: '1', encounter: 'e1', intent: 'book' });
  });

  test.each<[string, () => readonly object[], number]>([
    ['an unknown app', () => of('unknown'), 400],
    ['an app without a launch URL', () => of(confidential.clientId), 400],
    ['no app', () => of('x').slice(1), 400],
    ['an unknown patient', () => of(app.clientId, 'Patient/unknown'), 404],
    ['something else than a patient', () => of(app.clientId, 'Practitioner/p1'), 400],
    [
      "another patient's encounter",
      () => [...of(app.clientId, 'Patient/2'), { name: 'encounter', valueString: 'Encounter/e1' }],
      400,
    ],
    ['a patient as fhirContext', () => [...of(app.clientId), { name: 'fhirContext', valueString: 'Patient/2' }], 400],
  ])('%s is refused', async (_name, parameters, status) => {
    expect((await call(await tokenOf(browser, session), parameters())).status).toBe(status);
  });

  test('is for staff and physicians', async () => {
    const person = new Browser();
    const patient = await makeAccount(one, ['patient'], ['Patient/1']);
    const token = await tokenOf(person, await signIn(one, person, patient));
    expect((await call(token, of(app.clientId))).status).toBe(403);
    const robot = await post(one, '/token', {
      grant_type: 'client_credentials',
      scope: 'system/*.cruds',
      client_id: 'robot',
      client_secret: SECRET,
    });
    expect((await call(robot.body['access_token'], of(app.clientId))).status).toBe(403);
    expect((await call('none-of-ours-at-all-no', of(app.clientId))).status).toBe(401);
  });
});

describe('security.md A2.5: what is revoked in one process is refused in the other within a second', () => {
  let person: Account;
  let own: Browser;
  let ownSession: Session;

  beforeAll(async () => {
    person = await makeAccount(one, ['physician'], ['Practitioner/p1']);
    own = new Browser();
    ownSession = await signIn(one, own, person);
  });

  const read = async (server: IdentityServer, token: unknown): Promise<number> => {
    const response = await fetch(`${server.listens}/fhir/R4/Patient/1`, {
      headers: { authorization: `Bearer ${String(token)}` },
    });
    await response.arrayBuffer();
    return response.status;
  };

  test.each<[string, (token: string, client: TestApp) => Promise<unknown>]>([
    ['the app revokes it', (token, client) => asApp(one, client, '/revoke', { token })],
    [
      'the person ends the connection',
      async () => {
        const [grant] = await listGrants(one.kairos.identity, person.id);
        return revokeGrantOf(one.kairos.identity, person.id, grant?.grantId ?? '');
      },
    ],
    ['the client is disabled', (_token, client) => disableClient(one.kairos.identity, client.clientId)],
    ['the session ends (online)', () => endSession(one.kairos.identity, ownSession.uid)],
    [
      'the account is disabled',
      () => poolNamed(one.kairos.pool, `update auth_account set status = 'disabled' where id = $1`, [person.id]),
    ],
  ])('%s', async (_name, revoke) => {
    const client = await makeApp(one, { auth: 'client_secret_post' });
    const { body } = await exchange(
      one,
      client,
      await authorize(one, own, client, ownSession, { scope: 'user/*.rs online_access' }),
    );
    const token = String(body['access_token']);
    // Remembered by both.
    for (const server of [one, two, one, two]) expect(await read(server, token)).toBe(200);
    await revoke(token, client);
    const revoked = performance.now();
    for (;;) {
      const statuses = await Promise.all([read(one, token), read(two, token)]);
      if (statuses.every((status) => status === 401)) break;
      expect(performance.now() - revoked).toBeLessThan(1_000);
      await sleep(10);
    }
    if (_name.startsWith('the session')) ownSession = await signIn(one, own, person);
  });
});
