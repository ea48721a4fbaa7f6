/** People of the demo clinic: they sign in with what `npm start` prints, and need no second factor on this machine. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { accountByEmail } from '../../src/auth/accounts/account.ts';
import { passwordFault } from '../../src/auth/accounts/password-rules.ts';
import { changePassword } from '../../src/auth/accounts/change.ts';
import { signIn } from '../../src/auth/accounts/sign-in.ts';
import { demoLogins, seedAccounts } from '../../src/demo/accounts.ts';
import { DEFAULT_SEED } from '../../src/demo/clinic.ts';
import { demoResources } from '../demo/resources.ts';
import { createKeys } from '../../src/platform/keys.ts';
import { poolNamed } from '../../src/platform/database/pool.ts';
import { asPerson, Jar, openHousehold, PASSWORD, type Household } from './people.ts';

let house: Household;
beforeAll(async () => {
  house = await openHousehold({ DEMO: 'on' });
  await seedAccounts(house.parts, DEFAULT_SEED);
});
afterAll(() => house.close());

test('an admin, a front desk, billing, two physicians, three patients and a parent, once', async () => {
  expect(await seedAccounts(house.parts, DEFAULT_SEED)).toBe(0);
  const logins = await demoLogins(house.parts, DEFAULT_SEED);
  expect(logins).toHaveLength(9);
  const accounts = await Promise.all(logins.map((l) => accountByEmail(house.parts, l.email)));
  expect(accounts.map((a) => [...(a?.roles ?? []), ...(a?.staffKinds ?? [])].join(' '))).toEqual([
    'admin',
    'staff front-desk',
    'staff billing',
    'physician',
    'physician',
    ...Array<string>(4).fill('patient'),
  ]);
  const clinic = new Set(demoResources(DEFAULT_SEED, '2026-11-23').map((r) => `${r.resourceType}/${r.id ?? ''}`));
  const profiles = accounts.flatMap((a) => a?.profiles ?? []);
  expect(profiles.map((p) => p.split('/')[0]).sort()).toEqual([
    ...Array<string>(3).fill('Patient'),
    ...Array<string>(2).fill('Practitioner'),
    'RelatedPerson',
  ]);
  for (const profile of profiles) expect(clinic).toContain(profile);
  expect(new Set(profiles).size).toBe(6);
});

test('passwords are good ones, the same at each start, and others on another machine', async () => {
  const logins = await demoLogins(house.parts, DEFAULT_SEED);
  expect(await demoLogins(house.parts, DEFAULT_SEED)).toEqual(logins);
  for (const { email, name, password } of logins) {
    expect(password).toMatch(/^[a-z]+-[a-z]+-[a-z]+-\d{4}$/);
    expect(await passwordFault(password, { email, name })).toBeUndefined();
  }
  expect(new Set(logins.map((l) => l.password)).size).toBe(9);
  const other = await openHousehold({ DEMO: 'on' });
  try {
    const elsewhere = { ...other.parts, keys: createKeys(randomBytes(32)) };
    await seedAccounts(elsewhere, DEFAULT_SEED);
    const theirs = (await demoLogins(elsewhere, DEFAULT_SEED)).map((l) => l.password);
    expect(theirs).toHaveLength(9);
    expect(new Set(theirs).intersection(new Set(logins.map((l) => l.password)))).toEqual(new Set());
  } finally {
    await other.close();
  }
});

test('everybody signs in, and is signed in; a changed password is printed no longer', async () => {
  const logins = await demoLogins(house.parts, DEFAULT_SEED);
  for (const { email, password } of logins)
    expect((await signIn(house.parts, { email, password, ...new Jar().request })).mfa).toBe('ok');
  // The cheap hash of the first start is gone after the first sign-in.
  const { rows } = await poolNamed(house.parts.pool, `select password_hash from auth_account where mfa_exempt`);
  for (const [hash] of rows) expect(hash).toMatch(/^bh1\$\$2b\$04\$/);
  const [first] = logins;
  const browser = new Jar();
  const signedIn = await signIn(house.parts, {
    email: first?.email ?? '',
    password: first?.password ?? '',
    ...browser.request,
  });
  const input = { person: asPerson(signedIn), current: first?.password ?? '', next: PASSWORD, ...browser.request };
  await changePassword(house.parts, input);
  expect((await demoLogins(house.parts, DEFAULT_SEED)).map((l) => l.email)).not.toContain(first?.email);
});
