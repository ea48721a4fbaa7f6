/** Password hashes and rules: security.md C4, NIST SP 800-63B 3.1.1. */
import { availableParallelism } from 'node:os';
import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadCommonPasswords } from '../../src/auth/accounts/common-passwords.ts';
import { createPasswords } from '../../src/auth/accounts/password.ts';
import { passwordFault } from '../../src/auth/accounts/password-rules.ts';
import { signIn } from '../../src/auth/accounts/sign-in.ts';
import { createKeys } from '../../src/platform/keys.ts';
import { poolNamed } from '../../src/platform/database/pool.ts';
import { Jar, openHousehold, PASSWORD, refusal, type Household } from './people.ts';

/** A fixed text that no list holds. */
const digest = (i: number): string => createHash('sha256').update(String(i)).digest('hex');

const keys = createKeys(randomBytes(32));
const bcrypt = createPasswords({ keys, hasher: 'bcrypt', cost: 4 });
const argon = createPasswords({ keys, hasher: 'argon2id' });

describe('C4: hashes', () => {
  test.each([
    ['bcrypt', bcrypt, /^bh1\$\$2b\$04\$/],
    ['argon2id', argon, /^ah1\$\$argon2id\$v=19\$m=19456,t=2,p=1\$/],
  ])('%s: nothing is cut off, NUL ends nothing, compatibility forms are one', async (_, passwords, form) => {
    const long = 'x'.repeat(100);
    const stored = await passwords.hash(`${long}a`);
    expect(stored).toMatch(form);
    expect(await passwords.verify(`${long}a`, stored)).toBe('right');
    expect(await passwords.verify(`${long}b`, stored)).toBe('wrong');
    const withNul = await passwords.hash('before\0after');
    expect(await passwords.verify('before\0other', withNul)).toBe('wrong');
    expect(await passwords.verify('before', withNul)).toBe('wrong');
    const ligature = await passwords.hash('ﬁrst-ｆｕｌｌ-Å');
    expect(await passwords.verify('first-full-Å', ligature)).toBe('right');
  });

  test('the default cost of bcrypt is 12', async () => {
    expect(await createPasswords({ keys, hasher: 'bcrypt' }).hash(PASSWORD)).toMatch(/^bh1\$\$2b\$12\$/);
  });

  test('a hash is worth nothing under another key, and no hash is right for nothing', async () => {
    const stored = await bcrypt.hash(PASSWORD);
    const elsewhere = createPasswords({ keys: createKeys(randomBytes(32)), hasher: 'bcrypt', cost: 4 });
    expect(await elsewhere.verify(PASSWORD, stored)).toBe('wrong');
    for (const hash of [undefined, '', 'bh1$', 'ah1$', stored.slice(4), 'plain']) {
      expect(await bcrypt.verify('', hash).catch(() => 'wrong')).toBe('wrong');
      expect(await bcrypt.verify(PASSWORD, hash).catch(() => 'wrong')).toBe('wrong');
    }
  });

  test('another cost or another kind is right, but outdated', async () => {
    expect(await argon.verify(PASSWORD, await bcrypt.hash(PASSWORD))).toBe('outdated');
    expect(await bcrypt.verify(PASSWORD, await argon.hash(PASSWORD))).toBe('outdated');
    const dearer = createPasswords({ keys, hasher: 'bcrypt', cost: 5 });
    expect(await dearer.verify(PASSWORD, await bcrypt.hash(PASSWORD))).toBe('outdated');
  });

  test('at most 50 wait: the others are told to come back, and later ones are served again', async () => {
    const slow = createPasswords({ keys, hasher: 'bcrypt', cost: 8 });
    const outcomes = await Promise.all(Array.from({ length: 80 }, () => refusal(slow.verify(PASSWORD, undefined))));
    const served = outcomes.filter((o) => o === 'none').length;
    expect(served).toBeGreaterThanOrEqual(51);
    expect(served).toBeLessThanOrEqual(50 + 2 * availableParallelism());
    expect(outcomes.filter((o) => o === 'busy')).toHaveLength(80 - served);
    expect(await slow.verify(PASSWORD, await slow.hash(PASSWORD))).toBe('right');
  });
});

describe('NIST SP 800-63B 3.1.1.2: rules', () => {
  const person = { email: 'ana.nunez@example.org', name: 'Ana Núñez' };

  test.each([
    ['eleven characters', 'k7#mQ2!xW9z', 'password-short'],
    ['eleven emojis, 22 code units', '😀😁😂🤣😃😄😅😆😉😊😋', 'password-short'],
    ['257 characters', 'kq7 zx'.repeat(43), 'password-long'],
    ['a megabyte', 'x'.repeat(1_000_000), 'password-long'],
    ['a lone surrogate', 'correct horse \ud800 battery', 'password-common'],
    ['on the list', 'qwertyuiop123', 'password-common'],
    ['on the list, in capitals', 'QWERTYUIOP123', 'password-common'],
    ['a common one with a year', 'sunshine2026!', 'password-common'],
    ['a common one twice', 'dragondragon', 'password-common'],
    ['a run', 'abcdefghijklmnop', 'password-common'],
    ['a run backwards', '98765432109876', 'password-common'],
    ['one character', '............', 'password-common'],
    ['three characters by turns', 'abcabcabcabcabc', 'password-common'],
    ['the address', 'ana.nunez@example.org', 'password-personal'],
    ['parts of the address', 'nunez-Nunez-9', 'password-personal'],
    ['the name, composed otherwise', 'Nu\u0301n\u0303ez Ana 77', undefined],
    ['the product', 'Kairos-kairos7', 'password-personal'],
  ])('%s', async (_, password, fault) => {
    if (fault !== undefined) expect(await passwordFault(password, person)).toBe(fault);
    else expect(await passwordFault(password, person)).not.toBe('password-short');
  });

  test.each([
    ['twelve characters, no composition rules', 'vntbqwpzkdhm'],
    ['words', 'tangerine submarine'],
    ['spaces and NUL', 'a \0 b \0 c \0 d \0 e'],
    ['twelve emojis', '😀😁😂🤣😃😄😅😆😉😊😋😎'],
    ['256 characters', Array.from({ length: 4 }, (_, i) => digest(i)).join('')],
    ['another script', 'пароль от сердца'],
    ['the name in something longer', 'ana.nunez rides a purple bicycle'],
  ])('accepted: %s', async (_, password) => {
    expect(await passwordFault(password, person)).toBeUndefined();
  });

  test('no text longer than the entries of the list is called common by chance', async () => {
    const isCommon = await loadCommonPasswords();
    const called = (length: number): number =>
      Array.from({ length: 20_000 }, (_, i) => `${digest(i)}.`.slice(0, length)).filter(isCommon).length;
    expect(called(63)).toBeGreaterThan(0);
    expect(called(65)).toBe(0);
  });
});

describe('C4: argon2id by setting', () => {
  let house: Household;
  beforeAll(async () => void (house = await openHousehold({ PASSWORD_HASHER: 'argon2id' })));
  afterAll(() => house.close());

  test('a bcrypt hash is made anew at the next sign-in, and only by the right password', async () => {
    const { parts } = house;
    const { id, email } = await house.account();
    const older = createPasswords({ keys: parts.keys, hasher: 'bcrypt', cost: 4 });
    const hash = async (): Promise<string> =>
      (await poolNamed(parts.pool, `select password_hash from auth_account where id = $1`, [id])).rows[0]?.[0] ?? '';
    await poolNamed(parts.pool, `update auth_account set password_hash = $2 where id = $1`, [
      id,
      await older.hash(PASSWORD),
    ]);
    expect(await refusal(signIn(parts, { email, password: 'not this one', ...new Jar().request }))).toBe('credentials');
    expect(await hash()).toMatch(/^bh1\$/);
    await signIn(parts, { email, password: PASSWORD, ...new Jar().request });
    expect(await hash()).toMatch(/^ah1\$\$argon2id\$/);
    await signIn(parts, { email, password: PASSWORD, ...new Jar().request });
  });
});
