/** Authenticator apps and recovery codes: security.md A2.9, C5, RFC 6238 5.2, ASVS 6.5. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { resetFactors } from '../../src/auth/accounts/administer.ts';
import { signIn } from '../../src/auth/accounts/sign-in.ts';
import { factorsOf } from '../../src/auth/mfa/factors.ts';
import { mfaSatisfied } from '../../src/auth/mfa/policy.ts';
import { renewRecoveryCodes, useRecoveryCode } from '../../src/auth/mfa/recovery.ts';
import { proveByRecoveryCode, proveByTotp } from '../../src/auth/mfa/second-factor.ts';
import { beginTotp, confirmTotp, removeTotp, reopenTotp, useTotp } from '../../src/auth/mfa/totp.ts';
import { changeName } from '../../src/auth/accounts/change.ts';
import { sessionOf } from '../../src/auth/session/session.ts';
import { poolNamed } from '../../src/platform/database/pool.ts';
import { asPerson, codeOf, current, enrol, Jar, openHousehold, PASSWORD, refusal, type Household } from './people.ts';

let house: Household;
beforeAll(async () => void (house = await openHousehold()));
afterAll(() => house.close());

const now = (): number => house.parts.clock.now();

/** Somebody with an app, at another browser after the password. */
async function halfWay(options: Parameters<Household['person']>[0] = {}) {
  const person = await house.person(options);
  const { secret, recoveryCodes = [] } = await enrol(house, person);
  // The step of the set-up is used.
  house.later(31);
  const browser = new Jar('10.9.9.9');
  const signedIn = browser.keep(
    await signIn(house.parts, { email: person.account.email, password: PASSWORD, ...browser.request }),
  );
  return { person, secret, recoveryCodes, browser, signedIn, half: asPerson(signedIn) };
}

describe('setting an app up', () => {
  test('a QR code and a secret; the first code takes it into use, with ten codes of 120 bits', async () => {
    const person = await house.person();
    const begun = await beginTotp(house.parts, person);
    expect(begun.uri).toMatch(
      /^otpauth:\/\/totp\/Kairos:person\d+%40example\.org\?issuer=Kairos&secret=[A-Z2-7]{32}&algorithm=SHA1&digits=6&period=30$/,
    );
    expect(begun.qr).toMatch(/^<svg /);
    expect((await factorsOf(house.parts, person.account.id)).totp).toBe(false);
    const input = { person, flow: begun.flow, ...person.browser.request };
    expect(await refusal(confirmTotp(house.parts, { ...input, code: '000000' }))).toBe('code');
    expect((await reopenTotp(house.parts, person, begun.flow)).secret).toBe(begun.secret);
    const code = codeOf(begun.secret, now());
    const before = person.browser.cookieHeader;
    const { recoveryCodes, session, mfa } = person.browser.keep(await confirmTotp(house.parts, { ...input, code }));
    expect(mfa).toBe('ok');
    expect(session.amr).toEqual(['pwd', 'otp', 'mfa']);
    expect(await sessionOf(house.parts, before)).toBeUndefined();
    expect(recoveryCodes).toHaveLength(10);
    for (const c of recoveryCodes ?? []) expect(c).toMatch(/^(?:[0-9A-HJKMNP-TV-Z]{4}-){5}[0-9A-HJKMNP-TV-Z]{4}$/);
    expect(new Set(recoveryCodes).size).toBe(10);
    expect((await house.lettersTo(person.account.email)).map((m) => m.kind)).toContain('factor-added');
    // A second time the flow is gone.
    const again = (await current(house, person.browser)) ?? person;
    expect(await refusal(confirmTotp(house.parts, { ...input, person: again, code }))).toBe('ticket');
  });

  test('A3.1: neither the secret nor a code can be read in the database', async () => {
    const { secret, recoveryCodes, person } = await halfWay();
    const { rows } = await poolNamed(
      house.parts.pool,
      `select t::text from auth_totp t where account_id = $1 union all select r::text from auth_recovery_code r where account_id = $1
       union all select f::text from auth_flow f`,
      [person.account.id],
    );
    const all = rows.join('\n');
    for (const text of [secret, ...recoveryCodes, ...recoveryCodes.map((c) => c.replaceAll('-', ''))])
      expect(all).not.toContain(text);
  });

  test("another person's set-up cannot be taken over", async () => {
    const [a, b] = [await house.person(), await house.person()];
    const { flow, secret } = await beginTotp(house.parts, a);
    expect(
      await refusal(confirmTotp(house.parts, { person: b, flow, code: codeOf(secret, now()), ...b.browser.request })),
    ).toBe('ticket');
  });

  test('ASVS 6.5.1: after ten minutes it needs a new proof; half-way nobody adds or removes anything', async () => {
    const person = await house.person();
    house.later(601);
    expect(await refusal(beginTotp(house.parts, person))).toBe('step-up');
    const { half } = await halfWay();
    expect(await refusal(beginTotp(house.parts, half))).toBe('session');
    expect(await refusal(removeTotp(house.parts, half))).toBe('session');
    expect(await refusal(renewRecoveryCodes(house.parts, half))).toBe('session');
    expect(await refusal(changeName(house.parts, half, 'Somebody Else'))).toBe('session');
  });
});

describe('A2.9: a code', () => {
  test('completes the sign-in under a new id, and is good once', async () => {
    const { half, secret, browser, signedIn } = await halfWay();
    expect(signedIn.mfa).toBe('needs-second-factor');
    expect(half.session.amr).toEqual(['pwd']);
    expect(half.session.stepUpAt).toBeUndefined();
    expect(browser.get('device')).toBeUndefined();
    // A session half-way lasts ten minutes.
    expect(half.session.endsAt - now() / 1000).toBeLessThanOrEqual(600);
    const before = browser.cookieHeader;
    const code = codeOf(secret, now());
    const done = browser.keep(await proveByTotp(house.parts, { person: half, code, ...browser.request }));
    expect(done.mfa).toBe('ok');
    expect(done.session.endsAt - now() / 1000).toBeGreaterThan(23 * 3600);
    expect(await sessionOf(house.parts, before)).toBeUndefined();
    expect(await refusal(proveByTotp(house.parts, { person: asPerson(done), code, ...browser.request }))).toBe('code');
  });

  test('50 at once, in two processes: one is right', async () => {
    const { half, secret } = await halfWay();
    const other = house.otherProcess();
    const code = codeOf(secret, now());
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, i) => useTotp(i % 2 === 0 ? house.parts : other, half.account.id, code)),
    );
    expect(outcomes.filter(Boolean)).toHaveLength(1);
  });

  test.each([
    [-60, false],
    [-30, true],
    [0, true],
    [30, true],
    [60, false],
  ])('RFC 6238 5.2: of a clock that differs by %i seconds', async (seconds, right) => {
    const { half, secret, person } = await halfWay();
    await poolNamed(house.parts.pool, `update auth_totp set last_step = 0 where account_id = $1`, [person.account.id]);
    const middle = Math.floor(now() / 30_000) * 30_000 + 15_000;
    house.later((middle - now()) / 1000);
    expect(await useTotp(house.parts, half.account.id, codeOf(secret, middle + seconds * 1000))).toBe(right);
  });

  test('an earlier step is worth nothing after a later one', async () => {
    const { half, secret } = await halfWay();
    const [earlier, later] = [codeOf(secret, now()), codeOf(secret, now() + 30_000)];
    expect(await useTotp(house.parts, half.account.id, later)).toBe(true);
    expect(await useTotp(house.parts, half.account.id, earlier)).toBe(false);
  });

  test.each(['', '\0', '12345', '1234567', 'abcdef', '-12345', '1e5000', '12 34', '９９９９９９x', '\ud800'])(
    'not a code: %j',
    async (code) => {
      const { half, browser } = await halfWay();
      expect(await refusal(proveByTotp(house.parts, { person: half, code, ...browser.request }))).toBe('code');
      expect(await refusal(proveByRecoveryCode(house.parts, { person: half, code, ...browser.request }))).toBe('code');
    },
  );

  test('five wrong ones, then it waits, for recovery codes too; a known device goes on', async () => {
    const { half, secret, browser, person, recoveryCodes } = await halfWay();
    const wrong = String((Number(codeOf(secret, now())) + 500_000) % 1_000_000).padStart(6, '0');
    const outcomes = await Promise.all(
      Array.from({ length: 12 }, () =>
        refusal(proveByTotp(house.parts, { person: half, code: wrong, ...browser.request })),
      ),
    );
    expect(outcomes.filter((o) => o === 'code')).toHaveLength(5);
    expect(
      await refusal(proveByTotp(house.parts, { person: half, code: codeOf(secret, now()), ...browser.request })),
    ).toBe('limited');
    expect(
      await refusal(
        proveByRecoveryCode(house.parts, { person: half, code: recoveryCodes[0] ?? '', ...browser.request }),
      ),
    ).toBe('limited');
    const known = person.browser;
    known.forgetSession();
    const again = known.keep(
      await signIn(house.parts, { email: person.account.email, password: PASSWORD, ...known.request }),
    );
    expect(
      await refusal(
        proveByTotp(house.parts, { person: asPerson(again), code: codeOf(secret, now()), ...known.request }),
      ),
    ).toBe('none');
  });

  test('a session that has ended is not completed', async () => {
    const { half, secret, browser } = await halfWay();
    house.later(601);
    expect(
      await refusal(proveByTotp(house.parts, { person: half, code: codeOf(secret, now()), ...browser.request })),
    ).toBe('session');
  });
});

describe('recovery codes', () => {
  test('each once, however it is typed; the owner is told', async () => {
    const { half, browser, recoveryCodes, person } = await halfWay();
    const typed = (recoveryCodes[3] ?? '').toLowerCase().replaceAll('-', ' ');
    const done = browser.keep(
      await proveByRecoveryCode(house.parts, { person: half, code: typed, ...browser.request }),
    );
    expect(done.mfa).toBe('ok');
    expect((await factorsOf(house.parts, person.account.id)).recoveryCodes).toBe(9);
    expect(
      await refusal(proveByRecoveryCode(house.parts, { person: asPerson(done), code: typed, ...browser.request })),
    ).toBe('code');
    const mail = (await house.lettersTo(person.account.email)).find((m) => m.kind === 'recovery-code-used');
    expect(mail?.text).toContain('9 are left');
  });

  test('of 20 who use one at once, in two processes, one has it', async () => {
    const { person, recoveryCodes } = await halfWay();
    const other = house.otherProcess();
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        useRecoveryCode(i % 2 === 0 ? house.parts : other, person.account, recoveryCodes[0] ?? ''),
      ),
    );
    expect(outcomes.filter(Boolean)).toHaveLength(1);
  });

  test("a new set takes the old one's place; another account's codes are worth nothing", async () => {
    const { person, recoveryCodes } = await halfWay();
    const me = (await current(house, person.browser)) ?? person;
    const renewed = await renewRecoveryCodes(house.parts, me);
    expect(await useRecoveryCode(house.parts, person.account, recoveryCodes[1] ?? '')).toBe(false);
    const stranger = await halfWay();
    expect(await useRecoveryCode(house.parts, stranger.person.account, renewed[0] ?? '')).toBe(false);
    expect(await useRecoveryCode(house.parts, person.account, renewed[0] ?? '')).toBe(true);
  });
});

describe('the policy', () => {
  test('roles that need a factor must set one up; others are asked once they have one', async () => {
    for (const [roles, state] of [
      [['staff'], 'must-enrol'],
      [['admin'], 'must-enrol'],
      [['patient', 'admin'], 'must-enrol'],
      [['patient'], 'ok'],
      [['physician'], 'ok'],
    ] as const) {
      const { account, session } = await house.person({ roles });
      expect(await mfaSatisfied(house.parts, account, session)).toBe(state);
    }
  });

  test('a demo account needs none only while nobody but this machine reaches the server', async () => {
    const { account, session } = await house.person({ roles: ['staff'] });
    await poolNamed(house.parts.pool, `update auth_account set mfa_exempt = true where id = $1`, [account.id]);
    const state = (change: object, publicUrl = 'http://localhost:8080') =>
      mfaSatisfied(
        { ...house.parts, publicUrl, settings: { ...house.parts.settings, demo: true, ...change } },
        account,
        session,
      );
    expect(await state({})).toBe('ok');
    expect(await state({ demo: false })).toBe('must-enrol');
    expect(await state({ loopback: false })).toBe('must-enrol');
    expect(await state({ trustedProxies: ['127.0.0.1'] })).toBe('must-enrol');
    expect(await state({}, 'https://clinic.example.org')).toBe('must-enrol');
    expect(await state({}, 'http://localhost.example.org')).toBe('must-enrol');
  });

  test('the last factor stays where the role needs one; elsewhere its recovery codes go with it', async () => {
    const staff = await house.person({ roles: ['staff'] });
    expect(await refusal(removeTotp(house.parts, asPerson(await enrol(house, staff))))).toBe('last');
    const patient = await house.person();
    await removeTotp(house.parts, asPerson(await enrol(house, patient)));
    expect(await factorsOf(house.parts, patient.account.id)).toMatchObject({ totp: false, recoveryCodes: 0 });
    expect((await house.lettersTo(patient.account.email)).map((m) => m.kind)).toContain('factor-removed');
  });

  test('the operator removes the factors of who has lost them, and ends every session', async () => {
    const { person } = await halfWay();
    await resetFactors(house.parts, 'operator', person.account.id);
    expect(await factorsOf(house.parts, person.account.id)).toMatchObject({
      totp: false,
      passkeys: 0,
      recoveryCodes: 0,
    });
    expect(await current(house, person.browser)).toBeUndefined();
  });
});
