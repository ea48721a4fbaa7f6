/** Bearer tokens at the FHIR interface of two processes on one database (RFC 6750; security.md A2.4, A2.5). */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createBearer } from '../../src/auth/bearer.ts';
import { disableClient, enableClient } from '../../src/auth/clients/registry.ts';
import { revokeGrant } from '../../src/auth/provider/grants.ts';
import { endSession, type Session } from '../../src/auth/session/session.ts';
import type { Account } from '../../src/auth/accounts/account.ts';
import { openPool } from '../../src/platform/database/pool.ts';
import { secretHash } from '../../src/platform/keys.ts';
import {
  asApp,
  authorize,
  Browser,
  exchange,
  makeAccount,
  makeApp,
  signIn,
  type TestApp,
} from '../support/app-driver.ts';
import { startTwoIdentityServers, type IdentityServer } from '../support/identity-server.ts';

const SYSTEM = { BOOTSTRAP_CLIENT_ID: 'robot', BOOTSTRAP_CLIENT_SECRET: 'robot-secret-robot-secret' };

let first: IdentityServer;
let second: IdentityServer;
let app: TestApp;
let robot: string;
let relative: Account;
beforeAll(async () => {
  [first, second] = await startTwoIdentityServers({ env: SYSTEM });
  app = await makeApp(first, { auth: 'client_secret_basic' });
  robot = await robotToken();
  for (const resource of [
    { resourceType: 'Patient', id: '1', name: [{ family: 'One' }] },
    { resourceType: 'Patient', id: '2', name: [{ family: 'Two' }] },
    { resourceType: 'RelatedPerson', id: 'parent', patient: { reference: 'Patient/2' } },
    { resourceType: 'RelatedPerson', id: 'past', patient: { reference: 'Patient/2' }, period: { end: '2020-01-01' } },
    { resourceType: 'RelatedPerson', id: 'soon', patient: { reference: 'Patient/2' }, period: { start: '2999-01-01' } },
    { resourceType: 'RelatedPerson', id: 'not', patient: { reference: 'Patient/2' }, active: false },
    { resourceType: 'Practitioner', id: 'doc' },
  ]) {
    const reply = await fhir(first, robot, `${resource.resourceType}/${resource.id}`, {
      method: 'PUT',
      body: JSON.stringify(resource),
      headers: { 'Content-Type': 'application/fhir+json' },
    });
    if (reply.status !== 201) throw new Error(`${reply.status}: ${await reply.text()}`);
  }
  relative = await makeAccount(first, ['patient'], ['RelatedPerson/parent']);
});
afterAll(async () => {
  await second?.close();
  await first?.close();
});

async function robotToken(scope = 'system/*.cruds'): Promise<string> {
  const client = { clientId: 'robot', secret: SYSTEM.BOOTSTRAP_CLIENT_SECRET, redirectUri: '' };
  const { status, body } = await asApp(first, client, '/token', { grant_type: 'client_credentials', scope });
  expect([status, body]).toMatchObject([200, { token_type: 'Bearer' }]);
  return String(body['access_token']);
}

const fhir = (
  server: IdentityServer,
  token: string | undefined,
  path: string,
  init: RequestInit = {},
): Promise<Response> =>
  fetch(`${server.listens}/fhir/R4/${path}`, {
    ...init,
    headers: { ...init.headers, ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }) },
  });

interface Granted {
  readonly account: Account;
  readonly session: Session;
  readonly token: string;
  readonly body: Readonly<Record<string, unknown>>;
}

async function granted(account: Account, scope: string, patient = 'Patient/1'): Promise<Granted> {
  const browser = new Browser();
  const session = await signIn(first, browser, account);
  const { status, body } = await exchange(
    first,
    app,
    await authorize(first, browser, app, session, { scope }, { patient }),
  );
  expect(status, JSON.stringify(body)).toBe(200);
  return { account, session, token: String(body['access_token']), body };
}

const patientOf = (profile = 'Patient/1'): Promise<Account> => makeAccount(first, ['patient'], [profile]);

describe('a token opens what it was granted', () => {
  test('launch/patient: the patient in context, not another', async () => {
    const { token } = await granted(await patientOf(), 'openid launch/patient patient/*.rs');
    expect((await fhir(second, token, 'Patient/1')).status).toBe(200);
    expect((await fhir(second, token, 'Patient/2')).status).toBe(404);
    expect(await (await fhir(second, token, 'Patient?_summary=count')).json()).toMatchObject({ total: 1 });
    expect((await fhir(second, token, 'Practitioner/doc')).status).toBe(200);
  });

  test('outside of its scopes: 403 with insufficient_scope', async () => {
    const { token } = await granted(await patientOf(), 'launch/patient patient/Patient.r');
    for (const [method, path] of [
      ['GET', 'Appointment'],
      ['GET', 'Patient'],
      ['DELETE', 'Patient/1'],
    ] as const) {
      const reply = await fhir(first, token, path, { method });
      expect([reply.status, reply.headers.get('www-authenticate')], path).toEqual([
        403,
        'Bearer realm="Kairos", error="insufficient_scope"',
      ]);
    }
  });

  test('who works here sees all rows of the types in scope', async () => {
    const { token } = await granted(await makeAccount(first, ['staff']), 'user/Patient.rs');
    expect((await fhir(first, token, 'Patient/2')).status).toBe(200);
    expect((await fhir(first, token, 'RelatedPerson')).status).toBe(403);
  });

  test('by RelatedPerson for as long as the relation lasts', async () => {
    const { token } = await granted(relative, 'launch/patient patient/*.rs user/*.rs', 'Patient/2');
    expect((await fhir(first, token, 'Patient/2')).status).toBe(200);
    expect((await fhir(first, token, 'Patient/1')).status).toBe(404);
    for (const id of ['past', 'soon', 'not']) {
      const none = await granted(
        await makeAccount(first, ['patient'], [`RelatedPerson/${id}`]),
        'launch/patient patient/*.rs user/*.rs',
        'Patient/2',
      );
      expect((await fhir(first, none.token, 'Patient/2')).status, id).toBe(404);
    }
  });

  test('fhirUser: a RelatedPerson may be read as oneself for as long as the relation lasts', async () => {
    for (const [id, status] of [
      ['past', 403],
      ['soon', 403],
      ['not', 403],
    ] as const) {
      const account = await makeAccount(first, ['patient'], [`RelatedPerson/${id}`]);
      const { token } = await granted(account, 'openid fhirUser launch/patient patient/Appointment.rs', 'Patient/2');
      expect((await fhir(first, token, `RelatedPerson/${id}`)).status, id).toBe(status);
    }
    const { token } = await granted(relative, 'openid fhirUser launch/patient patient/Appointment.rs', 'Patient/2');
    const [profile] = relative.profiles;
    expect((await fhir(first, token, profile ?? '')).status).toBe(200);
  });

  test('backend services act for the installation, within their scopes', async () => {
    const narrow = await robotToken('system/Patient.rs');
    expect((await fhir(second, narrow, 'Patient/1')).status).toBe(200);
    expect((await fhir(second, narrow, 'Practitioner/doc')).status).toBe(403);
    expect((await fhir(second, narrow, 'Patient/1', { method: 'DELETE' })).status).toBe(403);
  });
});

describe('A2.4 what is no token of ours', () => {
  const refused = async (authorization: string, path = 'Practitioner/doc'): Promise<unknown> => {
    const reply = await fetch(`${first.listens}/fhir/R4/${path}`, { headers: { authorization } });
    const { resourceType, issue } = (await reply.json()) as { resourceType: string; issue: { code: string }[] };
    return [reply.status, reply.headers.get('www-authenticate'), resourceType, issue[0]?.code];
  };
  const INVALID = [401, 'Bearer realm="Kairos", error="invalid_token"', 'OperationOutcome', 'login'];

  test.each([
    'Bearer',
    'Bearer x',
    `Bearer ${'a'.repeat(43)}`,
    `Bearer ${'a'.repeat(600)}`,
    'Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.',
    'Bearer aaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbb',
    "Bearer '; drop table auth_oidc --",
    'Basic cm9ib3Q6cm9ib3Q=',
    'DPoP aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
    'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
  ])('%s', async (authorization) => expect(await refused(authorization)).toEqual(INVALID));

  test('neither a code, nor a refresh token, nor an id_token', async () => {
    const { body } = await granted(await patientOf(), 'openid launch/patient offline_access patient/*.rs');
    for (const name of ['refresh_token', 'id_token']) {
      expect(typeof body[name], name).toBe('string');
      expect(await refused(`Bearer ${String(body[name])}`), name).toEqual(INVALID);
    }
  });

  test('the scheme in any case; the token as it is', async () => {
    expect(
      (await fetch(`${first.listens}/fhir/R4/Patient/1`, { headers: { authorization: `bearer ${robot}` } })).status,
    ).toBe(200);
    expect(await refused(`Bearer ${robot.slice(0, -1)}`)).toEqual(INVALID);
    expect(await refused(`Bearer ${robot}=`)).toEqual(INVALID);
    expect(await refused(`Bearer ${robot.toUpperCase()}`)).toEqual(INVALID);
  });

  test('RFC 6750 2.3: never in the address, nor in a form', async () => {
    for (const path of [`Practitioner/doc?access_token=${robot}`, `Patient?access_token=${robot}`])
      expect((await fhir(first, undefined, path)).status, path).toBe(401);
    expect((await fhir(first, robot, `Patient/1?access_token=${robot}`)).status).toBe(401);
    const form = await fhir(first, undefined, 'Practitioner/_search', {
      method: 'POST',
      body: new URLSearchParams({ access_token: robot }),
    });
    expect(form.status).toBe(401);
  });

  test('expired, or for another audience', async () => {
    const { pool } = first.kairos;
    for (const change of [
      `update auth_oidc set expires_at = now() - interval '1 second' where id_hash = $1`,
      `update auth_oidc set payload = jsonb_set(payload, '{aud}', '"http://elsewhere/fhir"') where id_hash = $1`,
      `update auth_oidc set payload = payload - 'aud' where id_hash = $1`,
      `update auth_oidc set model = 'RefreshToken' where id_hash = $1`,
    ]) {
      const token = await robotToken('system/Patient.rs');
      await pool.query(change, [secretHash(token)]);
      expect((await fhir(first, token, 'Patient/1')).status, change).toBe(401);
    }
  });

  // In the database alone: nothing that ends tokens by itself comes first, and the token was never used.
  test.each([
    [`update auth_oidc set model = 'RefreshToken' where id_hash = $1`],
    [`update auth_oidc set expires_at = now() - interval '1 second' where id_hash = $1`],
    [`delete from auth_oidc where model = 'Grant' and id_hash = (select grant_id from auth_oidc where id_hash = $1)`],
    [
      `update auth_oidc set expires_at = now() - interval '1 second'
       where model = 'Grant' and id_hash = (select grant_id from auth_oidc where id_hash = $1)`,
    ],
    [`delete from auth_smart_context where grant_id = (select grant_id from auth_oidc where id_hash = $1)`],
    [
      `update auth_smart_context set client_id = 'another'
       where grant_id = (select grant_id from auth_oidc where id_hash = $1)`,
    ],
    [
      `update auth_smart_context c set account_id = (select id from auth_account a where a.id <> c.account_id limit 1)
       where grant_id = (select grant_id from auth_oidc where id_hash = $1)`,
    ],
    ...[
      'ended_at = now()',
      `expires_at = now() - interval '1 second'`,
      `last_seen_at = now() - interval '1 day', expires_at = now() + interval '1 day'`,
    ].map((set): readonly [string] => [
      `update auth_session set ${set} where uid =
         (select c.session_uid from auth_smart_context c join auth_oidc t using (grant_id) where t.id_hash = $1)`,
    ]),
    [
      `delete from auth_session where uid =
         (select c.session_uid from auth_smart_context c join auth_oidc t using (grant_id) where t.id_hash = $1)`,
    ],
    [`update auth_account set status = 'disabled' where id = (select account_id from auth_oidc where id_hash = $1)`],
    [
      `update auth_client set disabled_at = now() where client_id = (select client_id from auth_oidc where id_hash = $1)`,
    ],
  ] as const)('a person’s, when this is all that happened: %s', async (change) => {
    const { token } = await granted(await patientOf(), 'launch/patient online_access patient/*.rs');
    try {
      const { rowCount } = await first.kairos.pool.query(change, [secretHash(token)]);
      expect(rowCount).toBe(1);
      expect((await fhir(first, token, 'Patient/1')).status).toBe(401);
    } finally {
      await enableClient(first.kairos.identity, app.clientId);
    }
  });
});

describe('A2.5 what ends a token ends it everywhere within a second', () => {
  const until = async (server: IdentityServer, token: string, path: string, wanted: number): Promise<number> => {
    const began = performance.now();
    for (;;) {
      if ((await fhir(server, token, path)).status === wanted) return performance.now() - began;
      if (performance.now() - began > 5_000) return Infinity;
      await sleep(10);
    }
  };
  let given: Granted;
  beforeEach(async () => {
    given = await granted(await patientOf(), 'launch/patient online_access patient/*.rs');
    for (const server of [first, second]) {
      // Twice, so that it is remembered.
      for (let i = 0; i < 2; i++) {
        const { status } = await fhir(server, given.token, 'Patient/1');
        if (status !== 200) throw new Error(`The token is not taken: ${status}`);
      }
    }
  });

  const identity = () => first.kairos.identity;
  const sql = (text: string, values: readonly unknown[]): Promise<unknown> => identity().pool.query(text, [...values]);
  test.each([
    ['the client gives it back', () => asApp(first, app, '/revoke', { token: given.token }), 401],
    [
      'the person disconnects the app',
      async () => {
        const { rows } = await identity().pool.query<{ grant_id: string }>(
          'select grant_id from auth_smart_context where account_id = $1',
          [given.account.id],
        );
        await revokeGrant(identity(), rows[0]?.grant_id ?? '');
      },
      401,
    ],
    ['the session ends', () => endSession(identity(), given.session.uid), 401],
    [
      'the account is disabled',
      () => sql(`update auth_account set status = 'disabled' where id = $1`, [given.account.id]),
      401,
    ],
    ['the client is disabled', () => disableClient(identity(), app.clientId), 401],
    [
      'the client is registered for less',
      () =>
        sql(`update auth_client set metadata = metadata || '{"scope":"launch/patient"}' where client_id = $1`, [
          app.clientId,
        ]),
      403,
    ],
    [
      'the role is taken away',
      () => sql(`update auth_account set roles = '{}' where id = $1`, [given.account.id]),
      404,
    ],
    [
      'the patient is no longer theirs',
      () => sql('delete from auth_profile where account_id = $1', [given.account.id]),
      404,
    ],
  ] as const)('%s', async (_name, act, status) => {
    const { rows } = await identity().pool.query<{ metadata: string }>(
      'select metadata from auth_client where client_id = $1',
      [app.clientId],
    );
    await act();
    const [here, there] = await Promise.all([first, second].map((s) => until(s, given.token, 'Patient/1', status)));
    expect(Math.max(here ?? Infinity, there ?? Infinity)).toBeLessThan(1_000);
    await enableClient(identity(), app.clientId);
    await sql('update auth_client set metadata = $2 where client_id = $1', [app.clientId, rows[0]?.metadata]);
  });

  test('a relation ends', async () => {
    const { token } = await granted(relative, 'launch/patient patient/*.rs', 'Patient/2');
    for (const server of [first, second]) expect((await fhir(server, token, 'Patient/2')).status).toBe(200);
    const over = { resourceType: 'RelatedPerson', id: 'parent', active: false, patient: { reference: 'Patient/2' } };
    await fhir(first, robot, 'RelatedPerson/parent', {
      method: 'PUT',
      body: JSON.stringify(over),
      headers: { 'Content-Type': 'application/fhir+json' },
    });
    const [here, there] = await Promise.all([first, second].map((s) => until(s, token, 'Patient/2', 404)));
    expect(Math.max(here ?? Infinity, there ?? Infinity)).toBeLessThan(1_000);
  });

  test('using a token is activity of its session', async () => {
    // Of a token that nothing has used.
    const other = await granted(given.account, 'launch/patient online_access patient/*.rs');
    const seen = async (): Promise<string> =>
      (
        await identity().pool.query<[string]>({
          text: 'select last_seen_at from auth_session where uid = $1',
          values: [other.session.uid],
          rowMode: 'array',
        })
      ).rows[0]?.[0] ?? '';
    await sql(`update auth_session set last_seen_at = last_seen_at - interval '5 minutes' where uid = $1`, [
      other.session.uid,
    ]);
    const before = await seen();
    const again = await granted(given.account, 'launch/patient online_access patient/*.rs');
    await sql(`update auth_session set last_seen_at = last_seen_at - interval '5 minutes' where uid = $1`, [
      again.session.uid,
    ]);
    expect((await fhir(second, again.token, 'Patient/1')).status).toBe(200);
    expect(await seen()).toBe(before);
    const touched = async (): Promise<boolean> =>
      (
        await identity().pool.query<[string]>({
          text: `select last_seen_at > now() - interval '1 minute' from auth_session where uid = $1`,
          values: [again.session.uid],
          rowMode: 'array',
        })
      ).rows[0]?.[0] === 't';
    for (let i = 0; i < 100 && !(await touched()); i++) await sleep(10);
    expect(await touched()).toBe(true);
  });
});

describe('what is remembered', () => {
  const header = (token: string) => (name: string) => (name === 'authorization' ? `Bearer ${token}` : undefined);
  const touch = (): Promise<void> => Promise.resolve();

  test('a token that is known costs no statement, until the revision moves', async () => {
    let number = 1;
    const bearer = createBearer(first.kairos.identity, { revision: { current: () => number }, touch });
    expect(bearer.accessOf(header(robot))).toBeInstanceOf(Promise);
    const access = await bearer.accessOf(header(robot));
    expect(bearer.accessOf(header(robot))).toBe(access);
    number++;
    expect(bearer.accessOf(header(robot))).toBeInstanceOf(Promise);
  });

  test('nobody knows the revision: the database is asked each time', async () => {
    const bearer = createBearer(first.kairos.identity, { revision: { current: () => undefined }, touch });
    const token = await robotToken('system/Patient.rs');
    for (let i = 0; i < 3; i++) {
      const answer = bearer.accessOf(header(token));
      expect(answer).toBeInstanceOf(Promise);
      await answer;
    }
    await first.kairos.pool.query('delete from auth_oidc where id_hash = $1', [secretHash(token)]);
    await expect(bearer.accessOf(header(token))).rejects.toMatchObject({ status: 401 });
  });

  test('to look at a token is no activity of its session, unless it is used', async () => {
    const { token } = await granted(await patientOf(), 'launch/patient online_access patient/*.rs');
    const touched: string[] = [];
    const noted = (uid: string): Promise<void> => Promise.resolve(void touched.push(uid));
    const bearer = createBearer(first.kairos.identity, { revision: { current: () => 1 }, touch: noted });
    for (let i = 0; i < 3; i++) await bearer.accessOf(header(token), false);
    expect(touched).toEqual([]);
    await bearer.accessOf(header(token));
    expect(touched).toHaveLength(1);
  });

  test('what was read while something changed is not kept', async () => {
    let asked = 0;
    const bearer = createBearer(first.kairos.identity, { revision: { current: () => asked++ }, touch });
    await bearer.accessOf(header(robot));
    expect(bearer.accessOf(header(robot))).toBeInstanceOf(Promise);
  });

  test('equal predicates share statements, others don’t', async () => {
    const bearer = createBearer(first.kairos.identity, { revision: { current: () => 1 }, touch });
    const access = async (token: string) => bearer.accessOf(header(token));
    const [one, again] = await Promise.all([
      granted(await patientOf(), 'launch/patient patient/*.rs'),
      granted(await patientOf(), 'launch/patient patient/*.rs'),
    ]);
    const other = await granted(await patientOf('Patient/2'), 'launch/patient patient/*.rs', 'Patient/2');
    const keys = await Promise.all(
      [one, again, other].map(async ({ token }) => (await access(token)).to('read').key('Patient')),
    );
    expect(keys[0]).toBe(keys[1]);
    expect(keys[2]).not.toBe(keys[0]);
    const anonymous = await bearer.accessOf(() => undefined);
    expect(anonymous.to('read').key('Practitioner')).toBe((await access(robot)).to('read').key('Practitioner'));
  });

  test('the database is away: 503, whatever the token', async () => {
    const pool = openPool({ host: '127.0.0.1', port: 1 }, { max: 1, name: 'nowhere', statementTimeoutMs: 1000 });
    const bearer = createBearer({ ...first.kairos.identity, pool }, { revision: { current: () => undefined }, touch });
    await expect(bearer.accessOf(header(robot))).rejects.toMatchObject({
      status: 503,
      headers: { 'Retry-After': '1' },
    });
    await pool.end();
  });
});
