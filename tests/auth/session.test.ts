/** Sessions: security.md A2.10, HIPAA 164.312(a)(2)(iii), ASVS 7. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { setRoles, disableAccount } from '../../src/auth/accounts/administer.ts';
import { signIn } from '../../src/auth/accounts/sign-in.ts';
import { deviceLabel } from '../../src/auth/session/device.ts';
import { endOtherSessions, endSessionOf, endSessions, listSessions } from '../../src/auth/session/end.ts';
import {
  endSession,
  extendSession,
  rotateSession,
  sessionLeft,
  sessionOf,
  startSession,
  touchSession,
} from '../../src/auth/session/session.ts';
import { poolNamed } from '../../src/platform/database/pool.ts';
import { newId } from '../../src/platform/id.ts';
import { newSecret } from '../../src/platform/keys.ts';
import { current, enrol, Jar, openHousehold, PASSWORD, refusal, type Household } from './people.ts';

let house: Household;
beforeAll(async () => void (house = await openHousehold({ MFA_ROLES: 'none' })));
afterAll(() => house.close());

const MINUTE = 60;
const HOUR = 3_600;

describe('A2.10: limits by role', () => {
  test.each([
    [['patient'], 30 * MINUTE, 24 * HOUR],
    [['staff'], 15 * MINUTE, 12 * HOUR],
    [['physician'], 15 * MINUTE, 12 * HOUR],
    [['admin'], 15 * MINUTE, 12 * HOUR],
    [['privacy-officer'], 15 * MINUTE, 12 * HOUR],
    [['patient', 'physician'], 15 * MINUTE, 12 * HOUR],
  ] as const)('%s: %i s idle, %i s at most', async (roles, idle, absolute) => {
    const person = await house.person({ roles });
    const { parts } = house;
    expect(sessionLeft(parts, person.session).idleSeconds).toBeGreaterThan(idle - 5);
    expect(sessionLeft(parts, person.session).idleSeconds).toBeLessThanOrEqual(idle);
    house.later(idle - 5);
    expect(await current(house, person.browser)).toBeDefined();
    house.later(6);
    expect(await current(house, person.browser)).toBeUndefined();
    expect(await extendSession(parts, person.session.uid)).toBeUndefined();

    // Whoever is busy all the time is signed out at the end of the day nevertheless.
    const busy = await house.person({ roles });
    let worked = 0;
    for (; worked + idle - 10 < absolute; worked += idle - 10) {
      house.later(idle - 10);
      await touchSession(parts, busy.session.uid);
      expect(await current(house, busy.browser)).toBeDefined();
    }
    const left = (await current(house, busy.browser))?.session;
    expect(left && sessionLeft(parts, left).idleSeconds).toBeLessThanOrEqual(absolute - worked);
    house.later(absolute - worked + 5);
    await touchSession(parts, busy.session.uid);
    expect(await current(house, busy.browser)).toBeUndefined();
  });

  test('looking is no activity; touching is, twice a minute at most, and wakes nothing up', async () => {
    const { parts } = house;
    const { session, browser } = await house.person();
    const seen = async (): Promise<string | null | undefined> =>
      (await poolNamed(parts.pool, `select last_seen_at from auth_session where uid = $1`, [session.uid])).rows[0]?.[0];
    const first = await seen();
    house.later(20);
    await sessionOf(parts, browser.cookieHeader);
    await touchSession(parts, session.uid);
    expect(await seen()).toBe(first);
    house.later(31);
    await touchSession(parts, session.uid);
    const second = await seen();
    expect(second).not.toBe(first);
    const other = house.otherProcess();
    await touchSession(other, session.uid);
    expect(await seen()).toBe(second);
    house.later(10);
    const extended = await extendSession(parts, session.uid);
    expect(extended && sessionLeft(parts, extended).idleSeconds).toBeGreaterThan(29 * MINUTE);
    house.later(31 * MINUTE);
    await touchSession(parts, session.uid);
    expect(await current(house, browser)).toBeUndefined();
  });
});

describe('A2.10: ids', () => {
  test('cookies: HttpOnly, SameSite=Lax, for this host; __Host- and Secure over https; 256 bits, stored as a hash', async () => {
    const account = await house.account();
    const http = await startSession(house.parts, account, { amr: ['pwd'], device: '' });
    expect(http.cookie).toMatch(/^sid=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax$/);
    const parts = { ...house.parts, publicUrl: 'https://kairos.example.org' };
    const https = await startSession(parts, account, { amr: ['pwd'], device: '' });
    expect(https.cookie).toMatch(/^__Host-sid=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Secure$/);
    const secret = /=([\w-]{43});/.exec(https.cookie)?.[1] ?? '';
    expect(await sessionOf(parts, `__Host-sid=${secret}`)).toBeDefined();
    // A cookie that any host or http could have set is not looked at.
    expect(await sessionOf(parts, `sid=${secret}`)).toBeUndefined();
    const { rows } = await poolNamed(parts.pool, `select s::text from auth_session s`);
    expect(rows.join('\n')).not.toContain(secret);
  });

  test('fixation: a planted cookie is never adopted, and the session before ends', async () => {
    const { email } = await house.account();
    const browser = new Jar();
    const planted = newSecret();
    browser.set('sid', planted);
    browser.keep(await signIn(house.parts, { email, password: PASSWORD, ...browser.request }));
    expect(browser.get('sid')).not.toBe(planted);
    expect(await sessionOf(house.parts, `sid=${planted}`)).toBeUndefined();
    const first = browser.cookieHeader;
    browser.keep(await signIn(house.parts, { email, password: PASSWORD, ...browser.request }));
    expect(await sessionOf(house.parts, first)).toBeUndefined();
  });

  test.each([
    'sid=',
    'sid=\0',
    `sid=${'x'.repeat(42)}`,
    `sid=${'é'.repeat(43)}`,
    `xsid=${'x'.repeat(43)}`,
    'x'.repeat(20_000),
  ])('no session: %j', async (header) => expect(await sessionOf(house.parts, header)).toBeUndefined());

  test('a rise of privilege gives a new id to the same session, once', async () => {
    const person = await house.person();
    const before = person.browser.cookieHeader;
    const { session } = await enrol(house, person);
    expect(session.uid).toBe(person.session.uid);
    expect(await sessionOf(house.parts, before)).toBeUndefined();
    expect((await current(house, person.browser))?.session.stepUpAt).toBeDefined();
    await endSession(house.parts, session.uid);
    expect(await rotateSession(house.parts, session, person.account, ['pwd'])).toBeUndefined();
  });

  test('a change of roles ends the sessions: new rights begin with a new id', async () => {
    const person = await house.person();
    await setRoles(house.parts, 'operator', person.account.id, { roles: ['staff'], staffKinds: ['billing'] });
    expect(await current(house, person.browser)).toBeUndefined();
    expect((await house.lettersTo(person.account.email)).map((m) => m.kind)).toContain('roles-changed');
  });
});

describe('signing out', () => {
  const signInAgain = async (email: string) => {
    const browser = new Jar('10.8.0.1');
    return { browser, ...browser.keep(await signIn(house.parts, { email, password: PASSWORD, ...browser.request })) };
  };

  test('here, there, everywhere else, everywhere; in every process at once', async () => {
    const { parts } = house;
    const other = house.otherProcess();
    const person = await house.person();
    const { email, id } = person.account;
    const [b, c, d] = [await signInAgain(email), await signInAgain(email), await signInAgain(email)];
    expect((await listSessions(parts, id)).map((s) => s.device)).toEqual(Array(4).fill('Firefox on Linux'));
    expect(await endSessionOf(parts, id, b.session.uid)).toBe(true);
    expect(await endSessionOf(parts, id, b.session.uid)).toBe(false);
    expect(await sessionOf(other, b.browser.cookieHeader)).toBeUndefined();
    expect(await endOtherSessions(parts, id, c.session.uid)).toBe(2);
    expect(await sessionOf(other, d.browser.cookieHeader)).toBeUndefined();
    expect(await sessionOf(other, c.browser.cookieHeader)).toBeDefined();
    expect(await endSessions(parts, id)).toBe(1);
    expect(await listSessions(parts, id)).toEqual([]);
  });

  test('a sign-in half-way is marked as such in the list of devices', async () => {
    const person = await house.person();
    const { id, email } = person.account;
    await signInAgain(email);
    expect((await listSessions(house.parts, id)).map((s) => s.isHalfWay)).toEqual([false, false]);
    await enrol(house, person);
    const halfWay = await signInAgain(email);
    expect(halfWay.mfa).toBe('needs-second-factor');
    const list = await listSessions(house.parts, id);
    const marked = (uid: string) => list.find((s) => s.uid === uid)?.isHalfWay;
    expect([marked(person.session.uid), marked(halfWay.session.uid)]).toEqual([false, true]);
  });

  test("nobody ends a stranger's session", async () => {
    const [a, b] = [await house.person(), await house.person()];
    for (const uid of [b.session.uid, '', '\0', "' or true --"])
      expect(await endSessionOf(house.parts, a.account.id, uid)).toBe(false);
    expect(await current(house, b.browser)).toBeDefined();
  });

  test('what was granted for the session ends with it, what was granted for longer stays', async () => {
    const { parts } = house;
    const { account, session } = await house.person();
    const [online, offline] = [newId(), newId()];
    for (const [grant, uid] of [
      [online, session.uid],
      [offline, null],
    ]) {
      await poolNamed(
        parts.pool,
        `insert into auth_smart_context (grant_id, account_id, client_id, session_uid, context) values ($1, $2, 'app', $3, '{}')`,
        [grant, account.id, uid],
      );
      await poolNamed(
        parts.pool,
        `insert into auth_oidc (model, id_hash, payload, grant_id) values ('Grant', $1, '{}', null), ('RefreshToken', $2, '{}', $1)`,
        [grant, newSecret()],
      );
    }
    await poolNamed(
      parts.pool,
      `insert into auth_ehr_connection (id, session_uid, issuer, tokens_sealed, context_sealed) values ($1, $2, 'https://ehr.example', '', '')`,
      [newId(), session.uid],
    );
    const revision = async (): Promise<number> =>
      Number((await poolNamed(parts.pool, `select last_value from auth_revision`)).rows[0]?.[0]);
    const before = await revision();
    await endSession(parts, session.uid);
    expect(await revision()).toBeGreaterThan(before);
    const left = await poolNamed(
      parts.pool,
      `select grant_id from auth_smart_context where account_id = $1
       union all select coalesce(grant_id, id_hash) from auth_oidc where coalesce(grant_id, id_hash) in ($2, $3)
       union all select session_uid from auth_ehr_connection where session_uid = $4`,
      [account.id, online, offline, session.uid],
    );
    expect(left.rows.flat()).toEqual([offline, offline, offline]);
  });

  test('a disabled account has no sessions, and gets none', async () => {
    const person = await house.person();
    await disableAccount(house.parts, 'operator', person.account.id);
    expect(await current(house, person.browser)).toBeUndefined();
    const { email } = person.account;
    expect(await refusal(signIn(house.parts, { email, password: PASSWORD, ...new Jar().request }))).toBe('credentials');
  });
});

test('the last administrator stays, even if two remove each other at once', async () => {
  const [a, b] = [await house.account({ roles: ['admin'] }), await house.account({ roles: ['admin'] })];
  await poolNamed(
    house.parts.pool,
    `update auth_account set roles = '{patient}' where 'admin' = any(roles) and not id = any($1)`,
    [[a.id, b.id]],
  );
  const outcomes = await Promise.all([a, b].map((x) => refusal(disableAccount(house.parts, 'operator', x.id))));
  expect(outcomes.sort()).toEqual(['last', 'none']);
});

test.each([
  [
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0',
    'Edge on Windows',
  ],
  [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1',
    'Safari on iPhone',
  ],
  ['curl/8.5.0', ''],
  ['\0<script>', ''],
  [undefined, ''],
])('a device is called by browser and system only: %j', (agent, label) => expect(deviceLabel(agent)).toBe(label));
