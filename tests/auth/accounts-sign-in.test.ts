/** Signing in and guessing: security.md A2.8, NIST SP 800-63B 3.2.2. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { unlockAccount } from '../../src/auth/accounts/administer.ts';
import { proveByPassword, signIn } from '../../src/auth/accounts/sign-in.ts';
import { clientAddress } from '../../src/auth/client-address.ts';
import { guessBudgets, spend } from '../../src/auth/attempts.ts';
import { Refusal } from '../../src/auth/refusal.ts';
import { sessionOf } from '../../src/auth/session/session.ts';
import { poolNamed } from '../../src/platform/database/pool.ts';
import { Jar, openHousehold, PASSWORD, refusal, type Household } from './people.ts';

let house: Household;
beforeAll(async () => void (house = await openHousehold()));
afterAll(() => house.close());

const attempt = (email: string, password: string, browser = new Jar()) =>
  refusal(signIn(house.parts, { email, password, ...browser.request }));

/** How many of so many guesses were compared, and not refused before. */
async function compared(email: string, sources: readonly string[], times: number): Promise<number> {
  const outcomes: string[] = [];
  for (let i = 0; i < times; i += 20) {
    outcomes.push(
      ...(await Promise.all(
        Array.from({ length: Math.min(20, times - i) }, (_, k) =>
          attempt(email, `wrong guess number ${i + k}`, new Jar(sources[(i + k) % sources.length])),
        ),
      )),
    );
  }
  expect(new Set(outcomes).difference(new Set(['credentials', 'limited']))).toEqual(new Set());
  return outcomes.filter((o) => o === 'credentials').length;
}

describe('address and password', () => {
  test('the address is found however it is written, the session is of its account', async () => {
    const account = await house.account({ email: 'maria.lopez@example.org' });
    for (const email of ['maria.lopez@example.org', ' Maria.Lopez@EXAMPLE.org ', 'ｍaria.lopez@example.org']) {
      const browser = new Jar();
      const { session, mfa } = browser.keep(
        await signIn(house.parts, { email, password: PASSWORD, ...browser.request }),
      );
      expect(mfa).toBe('ok');
      expect((await sessionOf(house.parts, browser.cookieHeader))?.uid).toBe(session.uid);
      expect(session.accountId).toBe(account.id);
    }
  });

  test('A4.8: NUL, lone surrogates, 10 kB and look-alikes are wrong, not errors', async () => {
    const { email } = await house.account();
    const odd = ['\0', `${PASSWORD}\0`, '\ud800', 'x'.repeat(10_000), `${PASSWORD} `, '', '💥'.repeat(300)];
    for (const [i, password] of odd.entries())
      expect(await attempt(email, password, new Jar(`198.51.100.${i}`))).toBe('credentials');
    for (const [i, address] of [
      '',
      '\0',
      'a@b\0',
      '\ud800@example.org',
      'x'.repeat(10_000),
      'mаria@example.org',
      '"a b"@example.org',
    ].entries())
      expect(await attempt(address, PASSWORD, new Jar(`198.51.101.${i}`))).toBe('credentials');
  });

  test('A2.8: an unknown address, a wrong password and a disabled account are told apart by nobody', async () => {
    const known = await house.account();
    const closed = await house.account();
    await poolNamed(house.parts.pool, `update auth_account set status = 'disabled' where id = $1`, [closed.id]);
    const outcomes = await Promise.all(
      [
        [known.email, 'not the password'],
        ['nobody@example.org', 'not the password'],
        [closed.email, PASSWORD],
      ].map(async ([email = '', password = ''], i) => {
        const results: string[] = [];
        for (let n = 0; n < 6; n++) results.push(await attempt(email, password, new Jar(`203.0.113.${i}`)));
        return results;
      }),
    );
    // Even the limit sets in at the same guess.
    for (const outcome of outcomes) expect(outcome).toEqual([...Array<string>(5).fill('credentials'), 'limited']);
  });
});

describe('A2.8: guessing', () => {
  test('five guesses from one source in any quarter of an hour, in parallel too; the wait is told', async () => {
    const { email } = await house.account();
    expect(await compared(email, ['10.1.1.1'], 60)).toBe(5);
    expect(await attempt(email, PASSWORD, new Jar('10.1.1.1'))).toBe('limited');
    const wait = await signIn(house.parts, { email, password: PASSWORD, ...new Jar('10.1.1.1').request }).catch(
      (error: unknown) => (error instanceof Refusal ? error.retryAfterSeconds : undefined),
    );
    expect(wait).toBeGreaterThan(800);
    expect(wait).toBeLessThanOrEqual(900);
    house.later(14 * 60);
    expect(await attempt(email, 'still too early', new Jar('10.1.1.1'))).toBe('limited');
    house.later(61);
    expect(await attempt(email, PASSWORD, new Jar('10.1.1.1'))).toBe('none');
  });

  test('a hundred guesses a day at one account from 200 sources; who has used it before still gets in', async () => {
    const { email, id } = await house.account();
    const own = new Jar('10.2.0.1');
    own.keep(await signIn(house.parts, { email, password: PASSWORD, ...own.request }));
    own.forgetSession();
    const sources = Array.from({ length: 200 }, (_, i) => `10.2.1.${i}`);
    expect(await compared(email, sources, 1_000)).toBe(100);
    // A stranger with the right password has to wait, the known device has not.
    expect(await attempt(email, PASSWORD, new Jar('10.2.2.2'))).toBe('limited');
    own.keep(await signIn(house.parts, { email, password: PASSWORD, ...own.request }));
    // What a known device gets wrong counts for itself.
    own.forgetSession();
    for (let i = 0; i < 5; i++) expect(await attempt(email, 'wrong again and again', own)).toBe('credentials');
    expect(await attempt(email, PASSWORD, own)).toBe('limited');
    await unlockAccount(house.parts, 'operator', id);
    expect(await attempt(email, PASSWORD, new Jar('10.2.2.2'))).toBe('none');
    // The device and the source that were slowed down are free too.
    expect(await attempt(email, PASSWORD, own)).toBe('none');
  });

  test('a device cookie that was made up, or belongs to another account, opens no budget', async () => {
    const victim = await house.account();
    const attacker = await house.account();
    const theirs = new Jar('10.3.0.1');
    theirs.keep(await signIn(house.parts, { email: attacker.email, password: PASSWORD, ...theirs.request }));
    theirs.forgetSession();
    expect(theirs.get('device')).toMatch(/^[\w-]{43}$/);
    const outcomes: string[] = [];
    for (let i = 0; i < 8; i++) {
      if (i === 4) theirs.set('device', 'A'.repeat(43));
      outcomes.push(await attempt(victim.email, 'wrong wrong wrong', theirs));
    }
    expect(outcomes.filter((o) => o === 'credentials')).toHaveLength(5);
  });

  test('stuffing: fifty wrong pairs from one source, then it waits; right ones do not count', async () => {
    const source = '10.4.0.1';
    const { email } = await house.account();
    for (let i = 0; i < 60; i++) expect(await attempt(email, PASSWORD, new Jar(source))).toBe('none');
    const outcomes: string[] = [];
    for (let i = 0; i < 60; i++)
      outcomes.push(await attempt(`nobody${i}@example.org`, 'wrong wrong wrong', new Jar(source)));
    expect(outcomes.filter((o) => o === 'credentials')).toHaveLength(50);
  });

  test('a limit holds across processes', async () => {
    const other = house.otherProcess();
    const budgets = guessBudgets('password', 'somebody', { source: '10.5.0.1' });
    const outcomes = await Promise.all(
      Array.from({ length: 60 }, (_, i) => refusal(spend(i % 2 === 0 ? house.parts : other, budgets))),
    );
    expect(outcomes.filter((o) => o === 'none')).toHaveLength(5);
  });

  test('of what is counted neither address nor source can be read', async () => {
    await attempt('secret.person@example.org', 'wrong wrong wrong', new Jar('10.6.0.1'));
    const { rows } = await poolNamed(house.parts.pool, `select key from auth_attempt`);
    expect(rows.length).toBeGreaterThan(0);
    for (const [key] of rows) expect(key).toMatch(/^(?:[\w-]{22}\.)?[\w-]{22}$/);
  });
});

test('proving the password again gives a new id and a new time, and the old cookie is worth nothing', async () => {
  const person = await house.person();
  const before = person.browser.cookieHeader;
  house.later(700);
  const { session } = person.browser.keep(
    await proveByPassword(house.parts, { password: PASSWORD, person, ...person.browser.request }),
  );
  expect(session.uid).toBe(person.session.uid);
  expect(session.authTime).toBeGreaterThanOrEqual(person.session.authTime + 699);
  expect(await sessionOf(house.parts, before)).toBeUndefined();
  expect(await refusal(proveByPassword(house.parts, { password: 'wrong', person, ...person.browser.request }))).toBe(
    'wrong-password',
  );
});

describe('the source of a request', () => {
  const from = (peer: string, forwarded?: string, trusted: string[] = ['10.0.0.1', '::1']) =>
    clientAddress(
      { settings: { ...house.parts.settings, trustedProxies: trusted } },
      {
        socket: { remoteAddress: peer } as never,
        headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
      },
    );

  test.each([
    ['an ordinary peer', '192.0.2.7', undefined, '192.0.2.7'],
    ['IPv4 by an IPv6 socket', '::ffff:192.0.2.7', undefined, '192.0.2.7'],
    ['what a stranger says of itself', '192.0.2.7', '1.1.1.1', '192.0.2.7'],
    ['a proxy', '10.0.0.1', '198.51.100.9', '198.51.100.9'],
    ['a proxy before which a client lied', '10.0.0.1', '1.1.1.1, 198.51.100.9', '198.51.100.9'],
    ['two proxies', '10.0.0.1', '198.51.100.9, ::1', '198.51.100.9'],
    ['a proxy that says nothing', '10.0.0.1', undefined, '10.0.0.1'],
    ['a proxy that says nonsense', '10.0.0.1', 'unknown', '10.0.0.1'],
    ['a household with IPv6', '2001:db8:1:2:3:4:5:6', undefined, '2001:db8:1:2::/64'],
    ['the same, written shorter', '2001:DB8:1:2::9', undefined, '2001:db8:1:2::/64'],
  ])('%s', (_, peer, forwarded, wanted) => expect(from(peer, forwarded)).toBe(wanted));
});
