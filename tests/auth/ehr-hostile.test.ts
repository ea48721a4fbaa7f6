/**
 * An EHR that launches Kairos, by the table of what it could do wrong. @see https://hl7.org/fhir/smart-app-launch/app-launch.html#launch-app-ehr-launch
 * @see https://www.rfc-editor.org/rfc/rfc9700
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Patient } from '@medplum/fhirtypes';
import { SignJWT, UnsecuredJWT } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { grantAll } from '../../src/fhir/access.ts';
import type { Account } from '../../src/auth/accounts/account.ts';
import { connectionFor, ehrFetch } from '../../src/auth/ehr/connection.ts';
import { ehrIssuer } from '../../src/auth/federation/link.ts';
import { createRemotes } from '../../src/auth/federation/remote.ts';
import { startWorker } from '../../src/compose-worker.ts';
import { createOutboundFetch } from '../../src/platform/outbound.ts';
import { Browser, makeAccount } from '../support/app-driver.ts';
import { CLIENT, sendJson, startFakeProvider, type FakeProvider } from '../support/fake-provider.ts';
import { jobRun } from '../support/job-run.ts';
import { link, put, submit, visit, type Seen } from '../support/federation-driver.ts';
import { startIdentityServer, type IdentityServer } from '../support/identity-server.ts';
import { contentsOf } from '../support/contents.ts';

const MRN = 'http://hospital.example/mrn';
const LOOKALIKES = (base: string): readonly string[] => [
  `${base}.evil.example`,
  `${base}x`,
  `${base}/../fhir`,
  `${base}/x`,
  base.replace('http://', 'http://evil@'),
  base.toUpperCase(),
  `${base}?a`,
  `${base}#`,
  `${base}//`,
  ` ${base}`,
  'http://169.254.169.254/latest',
  'file:///etc/passwd',
  '',
];

let ehr: FakeProvider;
let importing: FakeProvider;
let server: IdentityServer;
let physician: Account;
let patientAccount: Account;
let disabled: Account;
/** Passes `mfa` on, so that no second factor of ours is asked for. */
const MFA = { claims: { amr: ['pwd', 'mfa'] } };

const remote = (fields: Partial<Patient> = {}): Patient => ({
  resourceType: 'Patient',
  id: 'p1',
  identifier: [{ system: MRN, value: 'M1' }],
  birthDate: '1980-05-04',
  name: [{ family: 'Launched', given: ['Ada'] }],
  ...fields,
});

const tells = (patient: unknown, status = 200) => ({
  ...MFA,
  patient: (response: Parameters<typeof sendJson>[0]) => sendJson(response, status, patient),
});

beforeAll(async () => {
  [ehr, importing] = await Promise.all([startFakeProvider(), startFakeProvider()]);
  const shared = { client_id: CLIENT.id, client_secret: CLIENT.secret, identifier_systems: [MRN] };
  server = await startIdentityServer({
    env: {
      LOG_LEVEL: process.env['H5LOG'] ?? 'silent',
      EHR_ISSUERS: JSON.stringify([
        { ...shared, id: 'one', name: 'Hospital', issuer: ehr.base },
        { ...shared, id: 'two', name: 'Importing', issuer: importing.base, unknown_patient: 'import' },
      ]),
    },
  });
  physician = await makeAccount(server, ['physician']);
  patientAccount = await makeAccount(server, ['patient']);
  disabled = await makeAccount(server, ['physician']);
  for (const one of [ehr, importing]) {
    await link(server, physician.id, ehrIssuer(one.base, one.origin), 'user-1');
    await link(server, patientAccount.id, ehrIssuer(one.base, one.origin), 'a-patient');
    await link(server, disabled.id, ehrIssuer(one.base, one.origin), 'disabled');
  }
  await server.kairos.pool.query(`update auth_account set status = 'disabled' where id = $1`, [disabled.id]);
  await put(
    server,
    {
      resourceType: 'Patient',
      id: 'm1',
      identifier: [{ system: MRN, value: 'M1' }],
      birthDate: '1980-05-04',
      name: [{ text: 'Ada Launched' }],
    },
    { resourceType: 'Patient', id: 'two-a', identifier: [{ system: MRN, value: 'TWO' }] },
    { resourceType: 'Patient', id: 'two-b', identifier: [{ system: MRN, value: 'TWO' }] },
    { resourceType: 'Patient', id: 'was', identifier: [{ system: MRN, value: 'OLD', use: 'old' }] },
  );
});
afterAll(() => Promise.all([server.close(), ehr.close(), importing.close()]));
afterEach(() => {
  ehr.behave({});
  importing.behave({});
});

const launchPath = (iss: string, launch = 'handle-1'): string => `/launch?${new URLSearchParams({ iss, launch })}`;

/** From the launch to where the EHR would show its own pages. */
async function begin(browser: Browser, from: FakeProvider = ehr): Promise<string> {
  const { location } = await visit(server, browser, launchPath(from.base));
  if (location === undefined) throw new Error('No way to the EHR');
  return location;
}

const callback = (answer: URLSearchParams, id = 'one'): string => `/launch/callback/${id}?${answer}`;

async function wholeLaunch(browser: Browser, from: FakeProvider = ehr): Promise<Seen> {
  return visit(server, browser, callback(from.agree(await begin(browser, from)), from === ehr ? 'one' : 'two'));
}

const title = (page: Seen): string => /<h1>(.*?)<\/h1>/s.exec(page.text)?.[1] ?? '';
const sessions = async (): Promise<number> =>
  Number((await server.kairos.pool.query(`select count(*)::int as n from auth_session`)).rows[0].n);
const fedParts = () => ({
  ...server.kairos.identity,
  remotes: createRemotes(server.kairos.identity.clock, createOutboundFetch({ outboundPrivate: true })),
});

describe('SMART 2.2: /launch', () => {
  test('sends the browser to the authorization server that the EHR names, with PKCE, state, nonce and aud', async () => {
    const url = new URL(await begin(new Browser()));
    expect(`${url.origin}${url.pathname}`).toBe(`${ehr.origin}/authorize`);
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      response_type: 'code',
      client_id: CLIENT.id,
      aud: ehr.base,
      launch: 'handle-1',
      code_challenge_method: 'S256',
      redirect_uri: `${server.origin}/launch/callback/one`,
      scope: 'launch openid fhirUser patient/Patient.rs offline_access',
    });
    expect(url.searchParams.get('state')).toMatch(/^[\w-]{43}$/);
    expect(url.searchParams.get('code_challenge')).toMatch(/^[\w-]{43}$/);
    expect(url.searchParams.get('nonce')).toMatch(/^[\w-]{20,}$/);
    expect(url.href).not.toContain(CLIENT.secret);
  });

  test('a slash at the end of iss is the same EHR', async () => {
    const { location } = await visit(server, new Browser(), launchPath(`${ehr.base}/`));
    expect(location).toContain(`${ehr.origin}/authorize?`);
  });

  test('an iss that is not registered is a page, and nothing is fetched', async () => {
    const trap = await startFakeProvider();
    try {
      for (const iss of [trap.base, ...LOOKALIKES(ehr.base)]) {
        const before = ehr.seen.length;
        const page = await visit(server, new Browser(), launchPath(iss));
        expect([iss, page.status, page.location]).toEqual([iss, 400, undefined]);
        expect(ehr.seen.length).toBe(before);
      }
      expect(trap.seen).toEqual([]);
    } finally {
      await trap.close();
    }
  });

  test.each([
    ['none', ''],
    ['with a line break', 'a\nb'],
    ['without end', 'x'.repeat(3000)],
  ])('a launch handle %s is refused', async (_, handle) => {
    expect((await visit(server, new Browser(), launchPath(ehr.base, handle))).status).toBe(400);
  });

  test('iss twice is refused', async () => {
    const path = `${launchPath(ehr.base)}&iss=${encodeURIComponent(ehr.base)}`;
    expect((await visit(server, new Browser(), path)).status).toBe(400);
  });
});

describe('a launch that is as it should be', () => {
  test('starts a session for the linked account and lands on the patient', async () => {
    ehr.behave(tells(remote()));
    const browser = new Browser();
    const page = await wholeLaunch(browser);
    expect([page.status, title(page)]).toEqual([200, 'Ada Launched']);
    expect(page.url).toBe(`${server.origin}/launched/m1`);
    expect(title(page)).toBe('Ada Launched');
    expect(page.text).toContain('May 4, 1980');
  });

  test('the session of before goes on under a new id; one of another account ends', async () => {
    ehr.behave(tells(remote()));
    const browser = new Browser();
    await wholeLaunch(browser);
    const first = browser.header('/');
    const count = await sessions();
    await wholeLaunch(browser);
    expect(await sessions()).toBe(count);
    expect(browser.header('/')).not.toBe(first);
    const old = await fetch(`${server.origin}/launched/m1`, {
      headers: { cookie: first, accept: 'text/html' },
      redirect: 'manual',
    });
    expect(old.status).toBe(303);
  });

  test('tokens are sealed, and nothing of them reaches the browser', async () => {
    ehr.behave(tells(remote()));
    const page = await wholeLaunch(new Browser());
    const { rows } = await server.kairos.pool.query(`select * from auth_ehr_connection`);
    expect(JSON.stringify(rows)).not.toMatch(/access-\d|refresh-\d/);
    expect(page.text).not.toMatch(/access-\d|refresh-\d/);
  });

  test('without mfa in amr our own second factor is still asked for', async () => {
    ehr.behave({ ...tells(remote()), claims: { amr: ['pwd'] } });
    const staff = await makeAccount(server, ['staff']);
    await link(server, staff.id, ehrIssuer(ehr.base, ehr.origin), 'staff-1');
    ehr.behave({ ...tells(remote()), claims: { sub: 'staff-1', amr: ['pwd'] } });
    const page = await visit(server, new Browser(), callback(ehr.agree(await begin(new Browser()))));
    expect(page.status).toBe(400);
    const browser = new Browser();
    const answer = ehr.agree(await begin(browser));
    const response = await browser.fetch(`${server.origin}${callback(answer)}`, { headers: { accept: 'text/html' } });
    expect(response.headers.get('location')).toMatch(/^\/signin\/enrol\?return=%2Flaunched%2Fopen%2F/);
  });

  test.each([
    ['amr', { amr: ['mfa'] }, true],
    ['acr of the configuration', { acr: 'https://refeds.org/profile/mfa' }, true],
    ['another acr', { acr: 'https://refeds.org/profile/sfa' }, false],
    ['amr that is a text', { amr: 'mfa' }, false],
    ['acr that is a list', { acr: ['https://refeds.org/profile/mfa'] }, false],
  ])('a second factor there counts by %s: %j → %j', async (_, claims, counts) => {
    const staff = await makeAccount(server, ['staff']);
    await link(server, staff.id, ehrIssuer(ehr.base, ehr.origin), `staff-${staff.id}`);
    ehr.behave({ ...tells(remote()), claims: { sub: `staff-${staff.id}`, ...claims } });
    const browser = new Browser();
    const answer = ehr.agree(await begin(browser));
    const response = await browser.fetch(`${server.origin}${callback(answer)}`, { headers: { accept: 'text/html' } });
    expect(response.headers.get('location')?.startsWith('/launched/open/') ?? 'none').toBe(
      counts || response.headers.get('location') === null ? counts : false,
    );
  });
});

describe('RFC 9700: answers that do not belong to what this browser began', () => {
  test('state of another browser (login CSRF)', async () => {
    ehr.behave(tells(remote()));
    const answer = ehr.agree(await begin(new Browser()));
    const before = await sessions();
    const exchanged = ehr.exchanged.length;
    const victim = new Browser();
    await begin(victim);
    const page = await visit(server, victim, callback(answer));
    expect([page.status, await sessions(), ehr.exchanged.length]).toEqual([400, before, exchanged]);
  });

  test('a code of another browser with the own state (code injection): PKCE fails at the EHR', async () => {
    ehr.behave(tells(remote()));
    const stolen = ehr.agree(await begin(new Browser()));
    const browser = new Browser();
    const own = ehr.agree(await begin(browser));
    own.set('code', stolen.get('code') ?? '');
    const before = await sessions();
    const page = await visit(server, browser, callback(own));
    expect([page.status, await sessions()]).toEqual([403, before]);
  });

  test('a callback replayed, also at the same time, is good once', async () => {
    ehr.behave(tells(remote()));
    const browser = new Browser();
    const answer = ehr.agree(await begin(browser));
    const cookie = browser.header('/');
    const exchanged = ehr.exchanged.length;
    const replies = await Promise.all(
      Array.from({ length: 8 }, () =>
        fetch(`${server.origin}${callback(answer)}`, { headers: { cookie, accept: 'text/html' }, redirect: 'manual' }),
      ),
    );
    expect(replies.map((r) => r.status).sort()).toEqual([303, ...Array.from({ length: 7 }, () => 400)]);
    expect(ehr.exchanged.length).toBe(exchanged + 1);
  });

  test.each([
    ['state missing', (a: URLSearchParams) => a.delete('state')],
    ['state twice', (a: URLSearchParams) => a.append('state', a.get('state') ?? '')],
    ['state made up', (a: URLSearchParams) => a.set('state', 'x'.repeat(43))],
  ])('%s', async (_, change) => {
    const browser = new Browser();
    const answer = ehr.agree(await begin(browser));
    change(answer);
    expect((await visit(server, browser, callback(answer))).status).toBe(400);
  });

  test('RFC 9207: iss of another server, or none although it was promised', async () => {
    for (const iss of [importing.origin, undefined]) {
      const browser = new Browser();
      const answer = ehr.agree(await begin(browser));
      if (iss === undefined) answer.delete('iss');
      else answer.set('iss', iss);
      const exchanged = ehr.exchanged.length;
      const page = await visit(server, browser, callback(answer));
      expect([page.status, ehr.exchanged.length]).toEqual([502, exchanged]);
    }
  });

  test("mix-up: another EHR's answer at this one's address, and this one's at another's", async () => {
    const browser = new Browser();
    const mine = ehr.agree(await begin(browser));
    const exchanged = [ehr.exchanged.length, importing.exchanged.length];
    expect((await visit(server, browser, callback(mine, 'two'))).status).toBe(400);
    expect([ehr.exchanged.length, importing.exchanged.length]).toEqual(exchanged);
  });

  test('the person said no there', async () => {
    const browser = new Browser();
    const { searchParams } = new URL(await begin(browser));
    const answer = new URLSearchParams({
      error: 'access_denied',
      state: searchParams.get('state') ?? '',
      iss: ehr.origin,
    });
    const page = await visit(server, browser, callback(answer));
    expect([page.status, page.location]).toEqual([403, undefined]);
  });

  test('after ten minutes it is over', async () => {
    const browser = new Browser();
    const answer = ehr.agree(await begin(browser));
    await server.kairos.pool.query(`update auth_flow set expires_at = now() - interval '1 second'`);
    expect((await visit(server, browser, callback(answer))).status).toBe(400);
  });

  test('a callback of no EHR is not there', async () => {
    expect((await visit(server, new Browser(), '/launch/callback?code=1&state=2')).status).toBe(404);
    expect((await visit(server, new Browser(), '/launch/callback/three?code=1&state=2')).status).toBe(404);
  });
});

describe('OpenID Connect Core 3.1.3.7: id_tokens that prove nothing', () => {
  const secret = new TextEncoder().encode(CLIENT.secret.padEnd(32, '-'));
  test.each<[string, Parameters<FakeProvider['behave']>[0]]>([
    ['another nonce', { claims: { nonce: 'another' } }],
    ['no nonce', { claims: { nonce: undefined } }],
    ['another audience', { claims: { aud: 'another' } }],
    ['another issuer', { claims: { iss: 'https://other.example' } }],
    ['expired', { claims: { exp: 1 } }],
    ['no subject', { claims: { sub: undefined } }],
    ['a subject without end', { claims: { sub: 'x'.repeat(300) } }],
    ['alg none', { idToken: ({ claims }) => new UnsecuredJWT(claims).encode() }],
    [
      'HMAC with the client secret',
      { idToken: ({ claims }) => new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(secret) },
    ],
    ['a changed signature', { idToken: async ({ claims, sign }) => `${(await sign(claims)).slice(0, -6)}AAAAAA` }],
    ['none at all', { reply: { id_token: undefined } }],
    ['not a JWT', { reply: { id_token: 'x' } }],
  ])('%s', async (_, behaviour) => {
    ehr.behave({ ...tells(remote()), ...behaviour });
    const browser = new Browser();
    const before = await sessions();
    const page = await visit(server, browser, callback(ehr.agree(await begin(browser))));
    expect([page.status, await sessions()]).toEqual([502, before]);
  });
});

describe('documents of discovery (security.md A4.4)', () => {
  /** A server of its own, so that nothing is remembered. */
  async function discovers(behaviour: Parameters<FakeProvider['behave']>[0]): Promise<Seen> {
    ehr.behave(behaviour);
    const fresh = await startIdentityServer({
      database: server.database,
      env: {
        LOG_LEVEL: 'silent',
        EHR_ISSUERS: JSON.stringify([
          {
            name: 'Hospital',
            issuer: ehr.base,
            client_id: CLIENT.id,
            client_secret: CLIENT.secret,
            identifier_systems: [MRN],
          },
        ]),
      },
    });
    try {
      return await visit(fresh, new Browser(), launchPath(ehr.base));
    } finally {
      await fresh.close();
    }
  }

  test.each<[string, Parameters<FakeProvider['behave']>[0]]>([
    [
      'authorization endpoint on another host, by http',
      { document: (d) => ({ ...d, authorization_endpoint: 'http://evil.example/a' }) },
    ],
    [
      'token endpoint on another host, by http',
      { document: (d) => ({ ...d, token_endpoint: 'http://evil.example/t' }) },
    ],
    [
      'token endpoint on another host, although by https, of a document that came by http',
      { document: (d) => ({ ...d, token_endpoint: 'https://evil.example/t' }) },
    ],
    [
      'token endpoint with a user name',
      { document: (d) => ({ ...d, token_endpoint: String(d['token_endpoint']).replace('//', '//a:b@') }) },
    ],
    ['token endpoint that is a script', { document: (d) => ({ ...d, token_endpoint: 'javascript:alert(1)' }) }],
    ['keys elsewhere', { document: (d) => ({ ...d, jwks_uri: 'http://169.254.169.254/keys' }) }],
    ['revocation elsewhere', { document: (d) => ({ ...d, revocation_endpoint: 'http://evil.example/r' }) }],
    ['no token endpoint', { document: (d) => ({ ...d, token_endpoint: undefined }) }],
    ['no issuer', { document: (d) => ({ ...d, issuer: undefined }) }],
    ['endpoints that are no texts', { document: (d) => ({ ...d, token_endpoint: { href: 'x' } }) }],
    ['PKCE without S256', { document: (d) => ({ ...d, code_challenge_methods_supported: ['plain'] }) }],
    ['a list', { document: () => [] }],
    ['no JSON', { discovery: (r) => sendJson(r, 200, '<html>') }],
    ['a redirect', { discovery: (r) => void r.writeHead(302, { Location: 'http://evil.example/' }).end() }],
    ['an error', { discovery: (r) => sendJson(r, 500, {}) }],
    ['a document without end', { discovery: (r) => sendJson(r, 200, { issuer: 'x'.repeat(400_000) }) }],
    ['a connection that breaks', { discovery: (r) => void r.destroy() }],
  ])('%s: a page, no way on', async (_, behaviour) => {
    const page = await discovers(behaviour);
    expect([page.status, page.location]).toEqual([502, undefined]);
    expect(page.text).not.toContain('evil.example');
  });

  test('the next launch asks again', async () => {
    expect((await discovers({})).location).toContain('/authorize?');
  });
});

describe('token endpoints and patients that are not as they should be', () => {
  test.each<[string, Parameters<FakeProvider['behave']>[0], number]>([
    ['a redirect', { token: (r) => void r.writeHead(307, { Location: 'http://evil.example/' }).end() }, 502],
    ['a reply without end', { token: (r) => sendJson(r, 200, { access_token: 'x'.repeat(400_000) }) }, 502],
    ['HTML', { token: (r) => void r.writeHead(200, { 'Content-Type': 'text/html' }).end('<p>') }, 502],
    ['an error of the server', { token: (r) => sendJson(r, 500, {}) }, 502],
    ['invalid_grant', { token: (r) => sendJson(r, 400, { error: 'invalid_grant' }) }, 403],
    ['another token type', { reply: { token_type: 'mac' } }, 502],
    ['no patient', { reply: { patient: undefined } }, 422],
    ['a patient that is no id', { reply: { patient: '../Observation' } }, 422],
    ['a patient that is no text', { reply: { patient: { id: 1 } } }, 422],
  ])('%s', async (_, behaviour, status) => {
    ehr.behave({ ...tells(remote()), ...behaviour });
    const before = await sessions();
    const page = await wholeLaunch(new Browser());
    expect([page.status, await sessions()]).toEqual([status, before]);
  });

  test.each<[string, unknown, number, number]>([
    ['refused there', {}, 403, 422],
    ['deleted there', {}, 410, 422],
    ['an error there', {}, 500, 502],
    ['another patient', remote({ id: 'p2' }), 200, 422],
    ['another type', { ...remote(), resourceType: 'Observation' }, 200, 422],
    ['no JSON', '<html>', 200, 422],
    ['__proto__', '{"resourceType":"Patient","id":"p1","__proto__":{"a":1}}', 200, 422],
    ['without end', { ...remote(), text: 'x'.repeat(400_000) }, 200, 502],
    [
      'identifiers of another system only',
      remote({ identifier: [{ system: 'http://other.example', value: 'M1' }] }),
      200,
      422,
    ],
    ['the system as a prefix', remote({ identifier: [{ system: `${MRN}/x`, value: 'M1' }] }), 200, 422],
    ['the identifier out of use there', remote({ identifier: [{ system: MRN, value: 'M1', use: 'old' }] }), 200, 422],
    ['unknown here', remote({ identifier: [{ system: MRN, value: 'NOBODY' }] }), 200, 422],
    ['an identifier out of use here', remote({ identifier: [{ system: MRN, value: 'OLD' }] }), 200, 422],
    ['a value that is several', remote({ identifier: [{ system: MRN, value: `X,${MRN}|M1` }] }), 200, 422],
    ['two records here', remote({ identifier: [{ system: MRN, value: 'TWO' }] }), 200, 409],
    [
      'identifiers of two records here',
      remote({
        identifier: [
          { system: MRN, value: 'M1' },
          { system: MRN, value: 'TWO' },
        ],
      }),
      200,
      409,
    ],
    ['another birth date', remote({ birthDate: '1981-05-04' }), 200, 409],
    [
      'a hundred identifiers',
      remote({ identifier: Array.from({ length: 100 }, (_, i) => ({ system: MRN, value: `M${i}` })) }),
      200,
      422,
    ],
  ])('the patient is %s', async (_, patient, told, status) => {
    ehr.behave(tells(patient, told));
    const page = await wholeLaunch(new Browser());
    expect([page.url.includes('/launched/open/'), page.status]).toEqual([true, status]);
  });

  test('a patient who was deleted here is not opened', async () => {
    ehr.behave(tells(remote({ identifier: [{ system: MRN, value: 'GONE' }] })));
    await put(server, { resourceType: 'Patient', id: 'gone', identifier: [{ system: MRN, value: 'GONE' }] });
    const browser = new Browser();
    expect((await wholeLaunch(browser)).status).toBe(200);
    await server.kairos.engine.repository.transaction('read committed', (tx) =>
      tx.delete(
        [{ type: 'Patient', id: 'gone', version: 2, lastUpdated: new Date() }],
        grantAll({ kind: 'system', name: 'test' }).to('delete'),
      ),
    );
    expect((await visit(server, browser, '/launched/gone')).status).toBe(404);
    expect((await wholeLaunch(new Browser())).status).toBe(422);
  });
});

describe('who may come in by a launch', () => {
  test.each([
    ['a patient', 'a-patient'],
    ['a disabled account', 'disabled'],
  ])('%s is refused, and the tokens are given back', async (_, sub) => {
    ehr.behave({ ...tells(remote()), claims: { sub, amr: ['mfa'] } });
    await runJobs();
    const [before, revoked] = [await sessions(), ehr.revoked.length];
    const page = await wholeLaunch(new Browser());
    expect([page.status, await sessions()]).toEqual([403, before]);
    await runJobs();
    expect(ehr.revoked.length).toBe(revoked + 2);
  });

  test('a user of one EHR is nobody for another, even if that one says the same issuer and subject', async () => {
    importing.behave({ ...tells(remote()), document: (d) => d, claims: { sub: 'user-9', amr: ['mfa'] } });
    const other = await makeAccount(server, ['physician']);
    await link(server, other.id, ehrIssuer(ehr.base, importing.origin), 'user-9');
    const page = await wholeLaunch(new Browser(), importing);
    expect(page.url).toContain('/signin/link?flow=');
  });

  test('a linked e-mail address is no proof: an unknown subject with the same address is asked to sign in', async () => {
    ehr.behave({ ...tells(remote()), claims: { sub: 'unknown', email: physician.email, email_verified: true } });
    const before = await sessions();
    const page = await wholeLaunch(new Browser());
    expect(page.url).toContain('/signin/link?flow=');
    expect(page.text).toContain('href="/signin?return=%2Fsignin%2Flink%3Fflow%3D');
    expect(await sessions()).toBe(before);
  });

  test('a launched patient is shown only in the session that it was launched in', async () => {
    ehr.behave(tells(remote()));
    const [first, second] = [new Browser(), new Browser()];
    await wholeLaunch(first);
    ehr.behave(tells(remote({ identifier: [{ system: MRN, value: 'NOBODY' }] })));
    await wholeLaunch(second);
    expect((await visit(server, second, '/launched/m1')).status).toBe(404);
    const { rows } = await server.kairos.pool.query(
      `select id from auth_ehr_connection order by created_at desc limit 50`,
    );
    const foreign = rows.map((r: { id: string }) => r.id);
    const seen = await Promise.all(
      foreign.map(async (id) => (await visit(server, first, `/launched/open/${id}`)).status),
    );
    expect(seen.filter((status) => status === 200)).toHaveLength(1);
    expect((await visit(server, new Browser(), '/launched/m1')).url).toContain('/signin?return=');
  });
});

describe('import', () => {
  const identifier = [{ system: MRN, value: 'NEW-1' }];
  test('an unknown patient comes in with source and identifier, without what belongs to the other server; the second launch finds them', async () => {
    importing.behave(
      tells({
        ...remote({ identifier: [{ system: MRN, value: 'NEW-1', assigner: { reference: 'Organization/o1' } }] }),
        meta: { versionId: '7', profile: ['http://other.example/profile'], security: [{ code: 'R' }] },
        text: { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml">x</div>' },
        contained: [{ resourceType: 'Practitioner', id: 'c' }],
        generalPractitioner: [{ reference: 'Practitioner/m1' }, { reference: '#c' }],
        managingOrganization: { reference: 'Organization/o1' },
        link: [{ other: { reference: 'Patient/m1' }, type: 'seealso' }],
        photo: [{ url: 'http://169.254.169.254/' }],
      }),
    );
    const page = await wholeLaunch(new Browser(), importing);
    expect(title(page)).toBe('Ada Launched');
    const id = page.url.split('/').at(-1) ?? '';
    const stored = JSON.parse((await contentsOf(server.kairos, 'Patient', id))[0]?.text ?? '{}') as Patient;
    expect(stored).toEqual({
      resourceType: 'Patient',
      id,
      meta: { versionId: '1', lastUpdated: expect.any(String), source: `${importing.base}/Patient/p1` },
      identifier: [{ system: MRN, value: 'NEW-1', assigner: { reference: `${importing.base}/Organization/o1` } }],
      name: [{ family: 'Launched', given: ['Ada'] }],
      birthDate: '1980-05-04',
      generalPractitioner: [{ reference: `${importing.base}/Practitioner/m1` }],
      managingOrganization: { reference: `${importing.base}/Organization/o1` },
    });
    expect((await wholeLaunch(new Browser(), importing)).url).toBe(page.url);
  });

  test('two launches at the same time import once', async () => {
    importing.behave(tells(remote({ identifier: [{ system: MRN, value: 'NEW-2' }] })));
    const browsers = [new Browser(), new Browser(), new Browser(), new Browser()];
    importing.behave({
      ...tells(remote({ id: 'p9', identifier: [{ system: MRN, value: 'NEW-2' }] })),
      reply: { patient: 'p9' },
    });
    const pages = await Promise.all(browsers.map((b) => wholeLaunch(b, importing)));
    expect(pages.map((p) => p.status)).toEqual([200, 200, 200, 200]);
    expect(new Set(pages.map((p) => p.url)).size).toBe(1);
  });

  test.each<[string, unknown]>([
    ['an invalid birth date', { ...remote({ identifier: [{ system: MRN, value: 'BAD-1' }] }), birthDate: 'yesterday' }],
    ['an unknown property', { ...remote({ identifier: [{ system: MRN, value: 'BAD-2' }] }), name: [{ surname: 'x' }] }],
    [
      'a modifierExtension',
      {
        ...remote({ identifier: [{ system: MRN, value: 'BAD-3' }] }),
        modifierExtension: [{ url: 'http://x.example', valueBoolean: true }],
      },
    ],
    ['a script as the name', { ...remote({ identifier: [{ system: MRN, value: 'BAD-4' }] }), name: '<script>' }],
  ])('%s is not imported', async (_, patient) => {
    importing.behave({ ...tells({ ...(patient as object), id: 'bad' }), reply: { patient: 'bad' } });
    expect((await wholeLaunch(new Browser(), importing)).status).toBe(422);
  });

  test('markup in a name is shown as text', async () => {
    importing.behave({
      ...tells(
        remote({
          id: 'xss',
          identifier: [{ system: MRN, value: 'XSS' }],
          name: [{ text: '<script>alert(1)</script>' }],
        }),
      ),
      reply: { patient: 'xss' },
    });
    const page = await wholeLaunch(new Browser(), importing);
    expect(page.status).toBe(200);
    expect(page.text).not.toContain('<script>alert');
    expect(title(page)).toContain('&lt;script&gt;');
  });

  test('one who was deleted here is not brought back', async () => {
    importing.behave({ ...tells(remote({ id: 'del', identifier })), reply: { patient: 'del' } });
    importing.behave({
      ...tells(remote({ id: 'del', identifier: [{ system: MRN, value: 'DEL' }] })),
      reply: { patient: 'del' },
    });
    const page = await wholeLaunch(new Browser(), importing);
    const id = page.url.split('/').at(-1) ?? '';
    await server.kairos.engine.repository.transaction('read committed', (tx) =>
      tx.delete(
        [{ type: 'Patient', id, version: 2, lastUpdated: new Date() }],
        grantAll({ kind: 'system', name: 'test' }).to('delete'),
      ),
    );
    expect((await wholeLaunch(new Browser(), importing)).status).toBe(410);
  });
});

async function runJobs(): Promise<void> {
  const worker = await startWorker(server.kairos);
  const due = `select 1 from outbox where status = 'pending' and available_at <= now()`;
  while ((await server.kairos.pool.query(due)).rows.length > 0) await sleep(50);
  await worker.idle();
  await worker.close();
}

describe('the connection to the EHR', () => {
  async function connected(browser: Browser) {
    await wholeLaunch(browser);
    const { rows } = await server.kairos.pool.query(
      `select session_uid from auth_ehr_connection order by created_at desc limit 1`,
    );
    const found = await connectionFor(fedParts(), (rows as { session_uid: string }[])[0]?.session_uid ?? '', 'm1');
    if (!found) throw new Error('Not connected');
    return found;
  }

  test('reads with its token, below the base of the EHR only', async () => {
    const bearers: (string | undefined)[] = [];
    ehr.behave({ ...MFA, patient: (r, _, a) => (bearers.push(a), sendJson(r, 200, remote())) });
    const connection = await connected(new Browser());
    expect((await ehrFetch(fedParts(), connection, 'Patient/p1')).status).toBe(200);
    expect(bearers.at(-1)).toMatch(/^Bearer access-\d+$/);
    for (const path of [
      '../token',
      '/token',
      '//evil.example/',
      'http://evil.example/',
      'Patient/..',
      'Patient/p1/../../x',
      'Patient\\x',
      '',
    ])
      await expect(ehrFetch(fedParts(), connection, path), path).rejects.toMatchObject({ code: 'unsafe' });
  });

  test('renews its token when it has run out, once for all that ask at the same time', async () => {
    ehr.behave(tells(remote()));
    const connection = await connected(new Browser());
    const later = { now: () => server.kairos.identity.clock.now() + 280_000 };
    const parts = { ...fedParts(), clock: later };
    const before = ehr.exchanged.length;
    const replies = await Promise.all(Array.from({ length: 6 }, () => ehrFetch(parts, connection, 'Patient/p1')));
    expect(replies.map((r) => r.status)).toEqual([200, 200, 200, 200, 200, 200]);
    expect(ehr.exchanged.slice(before).map((f) => f.get('grant_type'))).toEqual(['refresh_token']);
  });

  test('a token that is refused there is renewed once; when that is refused too, the connection ends', async () => {
    ehr.behave(tells(remote()));
    const connection = await connected(new Browser());
    let reads = 0;
    ehr.behave({ patient: (r) => ((reads += 1), sendJson(r, reads === 1 ? 401 : 200, remote())) });
    expect((await ehrFetch(fedParts(), connection, 'Patient/p1')).status).toBe(200);
    ehr.behave({
      patient: (r) => sendJson(r, 401, {}),
      token: (r) => sendJson(r, 400, { error: 'invalid_grant' }),
    });
    await expect(ehrFetch(fedParts(), connection, 'Patient/p1')).rejects.toMatchObject({ code: 'refused' });
    ehr.behave(tells(remote()));
    await expect(ehrFetch(fedParts(), connection, 'Patient/p1')).rejects.toMatchObject({ code: 'refused' });
  });

  test('RFC 7009: sign-out gives the tokens back', async () => {
    ehr.behave(tells(remote()));
    const browser = new Browser();
    const page = await wholeLaunch(browser);
    await runJobs();
    const before = ehr.revoked.length;
    // Those of launches that wait for their account are not due yet.
    const waiting = async (): Promise<number> =>
      (await server.kairos.pool.query(`select tokens_sealed from auth_ehr_revocation`)).rows.length;
    const others = await waiting();
    await submit(server, browser, page, '/signout');
    expect(await waiting()).toBe(others + 1);
    await runJobs();
    expect(ehr.revoked.slice(before)).toEqual([
      expect.stringMatching(/^refresh-\d+$/),
      expect.stringMatching(/^access-\d+$/),
    ]);
    expect(await waiting()).toBe(others);
    expect((await visit(server, browser, '/launched/m1')).url).toContain('/signin?return=');
  });
});

test('a session that ran out unnoticed gives its tokens back too', async () => {
  ehr.behave(tells(remote()));
  const browser = new Browser();
  await wholeLaunch(browser);
  await runJobs();
  const { rows } = await server.kairos.pool.query(
    `select id, session_uid from auth_ehr_connection order by created_at desc limit 1`,
  );
  const [row] = rows as { id: string; session_uid: string }[];
  const past = `update auth_session set last_seen_at = now() - interval '1 hour' where uid = $1`;
  await server.kairos.pool.query(past, [row?.session_uid]);
  const { default: job } = await import('../../src/jobs/revoke-ehr-tokens.ts');
  const context = { database: server.kairos.pool, identity: server.kairos.identity };
  const revoked = ehr.revoked.length;
  await job.run(context as never, jobRun());
  await job.run(context as never, jobRun({ id: row?.id ?? '' }));
  expect(ehr.revoked.length).toBe(revoked + 2);
});

describe('linking at the first launch', () => {
  test('sign in here, say that it is yours, and the launch goes on', async () => {
    ehr.behave({ ...tells(remote()), claims: { sub: 'new-user', name: 'Dr. New <b>', amr: ['mfa'] } });
    const browser = new Browser();
    const unknown = await wholeLaunch(browser);
    const account = await makeAccount(server, ['physician']);
    const { signIn } = await import('../support/app-driver.ts');
    await signIn(server, browser, account);
    const page = await visit(server, browser, unknown.url);
    expect(page.text).toContain('Dr. New &lt;b&gt;');
    const landed = await submit(server, browser, page, '/signin/link');
    expect(landed.url).toBe(`${server.origin}/launched/m1`);
    // From now on without asking.
    expect((await wholeLaunch(new Browser())).url).toBe(`${server.origin}/launched/m1`);
  });

  test('the link waits for this browser only, once', async () => {
    ehr.behave({ ...tells(remote()), claims: { sub: 'waiting', amr: ['mfa'] } });
    const browser = new Browser();
    const { url } = await wholeLaunch(browser);
    expect((await visit(server, new Browser(), url)).status).toBe(400);
  });
});
