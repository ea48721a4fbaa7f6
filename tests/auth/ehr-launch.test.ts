/** A second Kairos, as the EHR, launches this one. @see https://hl7.org/fhir/smart-app-launch/app-launch.html#launch-app-ehr-launch */
import type { Appointment, Parameters, Patient } from '@medplum/fhirtypes';
import type { Browser as Chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Account } from '../../src/auth/accounts/account.ts';
import { CHART_TEMPLATE } from '../../src/auth/ehr/chart-url.ts';
import { connectionFor, ehrFetch, type EhrConnection } from '../../src/auth/ehr/connection.ts';
import { ehrIssuer } from '../../src/auth/federation/link.ts';
import { createRemotes } from '../../src/auth/federation/remote.ts';
import type { Session } from '../../src/auth/session/session.ts';
import { sessionOf } from '../../src/auth/session/session.ts';
import { startWorker } from '../../src/compose-worker.ts';
import { createOutboundFetch } from '../../src/platform/outbound.ts';
import { authorize, Browser, exchange, makeAccount, makeApp, signIn, type TestApp } from '../support/app-driver.ts';
import { newContext, openBrowser, overflows, shoot, violations } from '../support/browser.ts';
import { link, put, submit, visit, type Seen } from '../support/federation-driver.ts';
import { startIdentityServer, type IdentityServer } from '../support/identity-server.ts';
import { contentsOf } from '../support/contents.ts';

const MRN = 'http://hospital.example/mrn';
const SCOPE = 'launch openid fhirUser patient/Patient.rs offline_access';
const NOWHERE = 'http://localhost:1';

/** How Kairos is registered with the EHR. */
const KINDS = ['none', 'client_secret_basic', 'client_secret_post'] as const;

let ehr: IdentityServer;
let opener: TestApp;
let ehrPhysician: Account;
let token: string;

beforeAll(async () => {
  ehr = await startIdentityServer();
  ehrPhysician = await makeAccount(ehr, ['physician'], ['Practitioner/doc']);
  await put(
    ehr,
    { resourceType: 'Practitioner', id: 'doc', name: [{ family: 'Doc' }] },
    { resourceType: 'Organization', id: 'hospital', name: 'Hospital' },
    {
      resourceType: 'Patient',
      id: 'remote-1',
      identifier: [{ system: MRN, value: 'A-1' }],
      name: [{ family: 'Known', given: ['Kim'] }],
      birthDate: '1990-02-03',
    },
    {
      resourceType: 'Patient',
      id: 'remote-2',
      identifier: [{ system: MRN, value: 'A-2' }],
      name: [{ family: 'Stranger', given: ['Sam'] }],
      managingOrganization: { reference: 'Organization/hospital' },
    },
    // Whom the physician has in the chair.
    ...['remote-1', 'remote-2'].map((patient, hour): Appointment => ({
      resourceType: 'Appointment',
      id: `of-${patient}`,
      status: 'booked',
      start: `2030-01-01T1${hour}:00:00Z`,
      end: `2030-01-01T1${hour}:30:00Z`,
      participant: [`Patient/${patient}`, 'Practitioner/doc'].map((reference) => ({
        actor: { reference },
        status: 'accepted',
      })),
    })),
  );
  opener = await makeApp(ehr, { scope: 'openid user/*.rs' });
  const browser = new Browser();
  const session = await signIn(ehr, browser, ehrPhysician);
  const { body } = await exchange(
    ehr,
    opener,
    await authorize(ehr, browser, opener, session, { scope: 'openid user/*.rs' }),
  );
  token = String(body['access_token']);
});
afterAll(() => ehr.close());

interface World {
  readonly server: IdentityServer;
  readonly app: TestApp;
  readonly physician: Account;
}

/** This Kairos, registered with the EHR, and a physician whom both know. */
async function registered(auth: (typeof KINDS)[number]): Promise<World> {
  const app = await makeApp(ehr, {
    auth,
    scope: SCOPE,
    redirectUris: [`${NOWHERE}/launch/callback`],
    launchUrl: `${NOWHERE}/launch`,
  });
  const server = await startIdentityServer({
    env: {
      EHR_ISSUERS: JSON.stringify([
        {
          name: 'Hospital',
          issuer: ehr.fhirBase,
          client_id: app.clientId,
          ...(app.secret === undefined ? {} : { client_secret: app.secret }),
          identifier_systems: [MRN],
          unknown_patient: 'import',
        },
      ]),
    },
  });
  // The port is known only now.
  await ehr.kairos.pool.query(
    `update auth_client set metadata = replace(metadata::text, $2, $3)::jsonb where client_id = $1`,
    [app.clientId, NOWHERE, server.origin],
  );
  const physician = await makeAccount(server, ['physician']);
  await link(server, physician.id, ehrIssuer(ehr.fhirBase, ehr.issuer), ehrPhysician.id);
  await put(
    server,
    {
      resourceType: 'Organization',
      id: 'clinic',
      name: 'Clinic',
      extension: [{ url: CHART_TEMPLATE, valueString: `https://ehr.example/chart?mrn={identifier|${MRN}}` }],
    },
    {
      resourceType: 'Patient',
      id: 'here-1',
      identifier: [{ system: MRN, value: 'A-1' }],
      name: [{ family: 'Known', given: ['Kim'] }],
      birthDate: '1990-02-03',
      managingOrganization: { reference: 'Organization/clinic' },
    },
  );
  return { server, app, physician };
}

/** What the EHR's own client does: `$launch`, and the address that it opens. */
async function launchUrl({ app }: World, patient: string): Promise<string> {
  const response = await fetch(`${ehr.fhirBase}/$launch`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/fhir+json', Authorization: `Bearer ${token}` },
    body: JSON.stringify({
      resourceType: 'Parameters',
      parameter: [
        { name: 'client', valueString: app.clientId },
        { name: 'patient', valueString: patient },
      ],
    }),
  });
  const body = (await response.json()) as Parameters;
  const url = body.parameter?.find((p) => p.name === 'url')?.valueUrl;
  if (url === undefined) throw new Error(JSON.stringify(body));
  return url;
}

/** Whoever sits there: the EHR's pages in one jar of cookies, ours in the other (a browser keeps them apart by host). */
interface Desk {
  readonly atEhr: Browser;
  readonly here: Browser;
}

async function desk(): Promise<Desk> {
  const atEhr = new Browser();
  await signIn(ehr, atEhr, ehrPhysician);
  return { atEhr, here: new Browser() };
}

/** The EHR's consent page, answered. */
async function consentAtEhr({ atEhr }: Desk, url: string, decision: 'allow' | 'deny'): Promise<string> {
  const page = await visit(ehr, atEhr, url);
  if (page.location !== undefined) return page.location;
  const { pathname } = new URL(page.url);
  expect(pathname).toMatch(/^\/oauth\/interaction\/[\w-]+\/consent$/);
  const done = await submit(ehr, atEhr, page, pathname, { decision });
  if (done.location === undefined) throw new Error(`${done.status} ${done.text.slice(0, 400)}`);
  return done.location;
}

async function launch(world: World, at: Desk, patient: string, decision: 'allow' | 'deny' = 'allow'): Promise<Seen> {
  const { location } = await visit(world.server, at.here, await launchUrl(world, patient));
  if (location === undefined) throw new Error('No way to the EHR');
  return visit(world.server, at.here, await consentAtEhr(at, location, decision));
}

const partsOf = ({ server }: World) => ({
  ...server.kairos.identity,
  remotes: createRemotes(server.kairos.identity.clock, createOutboundFetch({ outboundPrivate: true })),
});

async function sessionAt(world: World, at: Desk): Promise<Session> {
  const session = await sessionOf(world.server.kairos.identity, at.here.header('/'));
  if (!session) throw new Error('Nobody is signed in');
  return session;
}

async function connectionAt(world: World, at: Desk, patient: string): Promise<EhrConnection> {
  const found = await connectionFor(world.server.kairos.identity, (await sessionAt(world, at)).uid, patient);
  if (!found) throw new Error('Not connected');
  return found;
}

const title = (page: Seen): string => /<h1>(.*?)<\/h1>/s.exec(page.text)?.[1]?.trim() ?? '';

describe.each(KINDS)('SMART 2.2: EHR launch, registered as %s', (auth) => {
  let world: World;
  beforeAll(async () => {
    world = await registered(auth);
  });
  afterAll(() => world.server.close());

  test('lands on the patient with the same identifier, and leads to the chart there', async () => {
    const at = await desk();
    const page = await launch(world, at, 'Patient/remote-1');
    expect([page.status, page.url, title(page)]).toEqual([200, `${world.server.origin}/launched/here-1`, 'Kim Known']);
    expect(page.text).toContain('href="https://ehr.example/chart?mrn=A-1"');
    expect((await sessionAt(world, at)).accountId).toBe(world.physician.id);
  });

  test('imports one who is unknown, with the source; the second launch finds the same', async () => {
    const first = await launch(world, await desk(), 'Patient/remote-2');
    expect([first.status, title(first)]).toEqual([200, 'Sam Stranger']);
    const id = first.url.split('/').at(-1) ?? '';
    const stored = JSON.parse((await contentsOf(world.server.kairos, 'Patient', id))[0]?.text ?? '{}') as Patient;
    expect(stored.meta?.source).toBe(`${ehr.fhirBase}/Patient/remote-2`);
    expect(stored.managingOrganization?.reference).toBe(`${ehr.fhirBase}/Organization/hospital`);
    expect((await launch(world, await desk(), 'Patient/remote-2')).url).toBe(first.url);
  });

  test('the EHR lets read this patient and no other', async () => {
    const at = await desk();
    await launch(world, at, 'Patient/remote-1');
    const connection = await connectionAt(world, at, 'here-1');
    expect((await ehrFetch(partsOf(world), connection, 'Patient/remote-1')).status).toBe(200);
    expect((await ehrFetch(partsOf(world), connection, 'Patient/remote-2')).status).toBe(404);
    expect((await ehrFetch(partsOf(world), connection, 'Appointment')).status).toBe(403);
  });

  test('tokens that the EHR no longer honours are renewed with the refresh token', async () => {
    const at = await desk();
    await launch(world, at, 'Patient/remote-1');
    const connection = await connectionAt(world, at, 'here-1');
    const { rowCount } = await ehr.kairos.pool.query(
      `delete from auth_oidc where model = 'AccessToken' and client_id = $1`,
      [world.app.clientId],
    );
    expect(rowCount).toBeGreaterThan(0);
    // Until the EHR has noticed, within a second, it takes the old one.
    const issued = async (): Promise<number> => {
      expect((await ehrFetch(partsOf(world), connection, 'Patient/remote-1')).status).toBe(200);
      const found = await ehr.kairos.pool.query(
        `select 1 from auth_oidc where model = 'AccessToken' and client_id = $1`,
        [world.app.clientId],
      );
      return found.rows.length;
    };
    await expect.poll(issued, { timeout: 10_000 }).toBe(1);
  });

  test('sign-out gives the tokens back: the EHR knows them no more', async () => {
    const at = await desk();
    const page = await launch(world, at, 'Patient/remote-1');
    const connection = await connectionAt(world, at, 'here-1');
    const held = async (): Promise<number> =>
      (
        await ehr.kairos.pool.query(`select 1 from auth_oidc where model = 'RefreshToken' and client_id = $1`, [
          world.app.clientId,
        ])
      ).rows.length;
    const before = await held();
    await submit(world.server, at.here, page, '/signout');
    const worker = await startWorker(world.server.kairos);
    await expect.poll(held, { timeout: 20_000 }).toBe(before - 1);
    await worker.idle();
    await worker.close();
    await expect(ehrFetch(partsOf(world), connection, 'Patient/remote-1')).rejects.toMatchObject({ code: 'refused' });
  });

  test('a launch that the person denies there ends with a page', async () => {
    const at = await desk();
    const page = await launch(world, at, 'Patient/remote-1', 'deny');
    expect([page.status, title(page)]).toEqual([403, 'It was refused there']);
  });

  test('a launch address is good once', async () => {
    const at = await desk();
    const url = await launchUrl(world, 'Patient/remote-1');
    const first = await visit(world.server, at.here, url);
    await visit(world.server, at.here, await consentAtEhr(at, first.location ?? '', 'allow'));
    const again = await visit(world.server, at.here, url);
    const answer = await visit(ehr, at.atEhr, again.location ?? '');
    expect(new URL(answer.location ?? '').searchParams.get('error')).toBe('invalid_request');
    expect((await visit(world.server, at.here, answer.location ?? '')).status).toBe(403);
  });
});

describe('what people see', () => {
  let world: World;
  let chromium: Chromium | undefined;
  beforeAll(async () => {
    world = await registered('client_secret_basic');
    chromium = await openBrowser();
  });
  afterAll(async () => {
    await chromium?.close();
    await world.server.close();
  });

  test.each(['en', 'es'] as const)(
    'the page of a launched patient (%s): axe finds nothing, at phone width nothing sticks out',
    async (locale) => {
      if (!chromium) return;
      const at = await desk();
      await launch(world, at, 'Patient/remote-1');
      for (const scheme of ['light', 'dark'] as const) {
        const context = await newContext(chromium, { width: 360, scheme, locale });
        const cookies = at.here
          .header('/')
          .split('; ')
          .map((pair) => ({
            name: pair.split('=')[0] ?? '',
            value: pair.split('=')[1] ?? '',
            url: world.server.origin,
          }));
        await context.addCookies(cookies);
        const page = await context.newPage();
        const problems: string[] = [];
        page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
        await page.goto(`${world.server.origin}/launched/here-1?lang=${locale}`);
        expect([await page.textContent('h1'), await page.getAttribute('html', 'lang')]).toEqual(['Kim Known', locale]);
        expect(await violations(page)).toEqual([]);
        expect(await overflows(page)).toBe(false);
        await shoot(page, `launched-${locale}-${scheme}`);
        await page.goto(`${world.server.origin}/launch?iss=https://other.example/fhir&launch=1`);
        expect(await violations(page)).toEqual([]);
        await shoot(page, `launch-refused-${locale}-${scheme}`);
        await context.close();
        expect(problems.filter((p) => !p.includes('400'))).toEqual([]);
      }
    },
  );
});
