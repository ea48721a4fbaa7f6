/** `npm run accounts`: the operator's commands, as processes on a database. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { accountByEmail } from '../../src/auth/accounts/account.ts';
import { acceptInvitation } from '../../src/auth/accounts/invite.ts';
import { completeReset } from '../../src/auth/accounts/reset.ts';
import { signIn } from '../../src/auth/accounts/sign-in.ts';
import { factorsOf } from '../../src/auth/mfa/factors.ts';
import { grantAll } from '../../src/fhir/access.ts';
import { storeAll } from '../../src/fhir/interaction/store-all.ts';
import { newId } from '../../src/platform/id.ts';
import { program } from '../support/process.ts';
import { TEST_ROOT_KEY } from '../support/root-key.ts';
import { current, enrol, Jar, openHousehold, PASSWORD, refusal, type Household } from './people.ts';

let house: Household;
beforeAll(async () => {
  house = await openHousehold();
  await house.account({ email: 'plain@example.org' });
});
afterAll(() => house.close());

/** A connection as a URL; the host is a folder of sockets. */
const urlOf = ({ user, password, host, port, database }: Household['kairos']['roles']['app']): string =>
  `postgres://${encodeURIComponent(user ?? '')}:${encodeURIComponent(typeof password === 'string' ? password : '')}@localhost/${database ?? ''}?host=${encodeURIComponent(host ?? '')}&port=${port ?? 5432}`;

async function storePatient(): Promise<void> {
  const { engine } = house.kairos;
  const access = grantAll({ kind: 'system', name: 'test' });
  const ctx = { requestId: newId(), access, clock: engine.clock, emit: () => undefined, baseUrl: engine.baseUrl };
  await storeAll(engine, ctx, [{ resourceType: 'Patient', id: 'p1' }], { existing: 'keep' });
}

interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function accounts(...args: string[]): Promise<Said> {
  const { app, owner } = house.kairos.roles;
  const env = {
    PATH: process.env['PATH'],
    DATABASE_URL: urlOf(app),
    DATABASE_OWNER_URL: urlOf(owner),
    ROOT_KEY: TEST_ROOT_KEY,
    LOG_LEVEL: 'error',
  };
  try {
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      [...program('src/cli/accounts.ts'), ...args],
      { env, cwd: '/' },
    );
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, out: stdout, err: stderr };
  }
}

test('the first administrator: invited, accepted, listed', async () => {
  const invited = await accounts('add-admin', 'Root@Example.org');
  expect(invited).toMatchObject({ code: 0 });
  const ticket = /\/invitation\?ticket=([\w-]{43})/.exec(invited.out)?.[1] ?? '';
  const browser = new Jar();
  const { account, mfa } = await acceptInvitation(house.parts, {
    ticket,
    name: 'Root',
    password: PASSWORD,
    ...browser.request,
  });
  expect(account.roles).toEqual(['admin']);
  expect(mfa).toBe('must-enrol');
  expect((await accounts('list')).out).toContain('root@example.org  active  admin');
});

test('reset, reset-mfa, disable, enable', async () => {
  const person = await house.person({ email: 'ana@example.org' });
  await enrol(house, person);
  const reset = await accounts('reset', 'ana@example.org');
  const ticket = /\/reset\?ticket=([\w-]{43})/.exec(reset.out)?.[1] ?? '';
  const password = 'pineapple cathedral 77';
  await completeReset(house.parts, { ticket, password });
  expect((await factorsOf(house.parts, person.account.id)).totp).toBe(true);
  expect((await accounts('reset-mfa', 'ana@example.org')).code).toBe(0);
  expect((await factorsOf(house.parts, person.account.id)).totp).toBe(false);
  const browser = new Jar();
  browser.keep(await signIn(house.parts, { email: 'ana@example.org', password, ...browser.request }));
  expect((await accounts('disable', 'ana@example.org')).code).toBe(0);
  expect(await current(house, browser)).toBeUndefined();
  expect((await accountByEmail(house.parts, 'ana@example.org'))?.status).toBe('disabled');
  expect((await accounts('enable', 'ANA@example.org')).code).toBe(0);
  expect(await refusal(signIn(house.parts, { email: 'ana@example.org', password, ...new Jar().request }))).toBe('none');
});

test('invitations and codes: seen, withdrawn', async () => {
  await storePatient();
  expect((await accounts('invite', 'wrong@example.org', '--role', 'staff', '--kind', 'billing')).code).toBe(0);
  expect((await accounts('patient-code', 'Patient/p1')).code).toBe(0);
  const { out } = await accounts('invitations');
  expect(out).toMatch(/^invitation {2}wrong@example\.org {2}staff,billing {2}until \d{4}-\d\d-\d\d {2}by operator$/m);
  expect(out).toMatch(/^patient code {2}Patient\/p1 {2}until \d{4}-\d\d-\d\d {2}by operator$/m);
  expect((await accounts('withdraw', 'Wrong@Example.org')).out).toBe('Withdrawn: 1.\n');
  expect((await accounts('withdraw', 'Patient/p1')).out).toBe('Withdrawn: 1.\n');
  expect((await accounts('invitations')).out).toBe('No invitation and no patient code is open.\n');
  expect(await accounts('withdraw', 'Patient/p1')).toMatchObject({
    code: 1,
    err: expect.stringMatching(/Nothing is open/),
  });
});

test.each([
  [[], /npm run accounts -- <command>/],
  [['constructor'], /npm run accounts -- <command>/],
  [['list', '--colour'], /npm run accounts -- <command>/],
  [['unlock'], /npm run accounts -- <command>/],
  [['unlock', 'nobody@example.org'], /no account with this address/],
  [['invite', 'not an address', '--role', 'staff'], /no e-mail address/],
  [['invite', 'x@example.org', '--role', 'king'], /Roles are patient, physician/],
  [['invite', 'x@example.org', '--role', 'physician'], /--practitioner/],
  [['roles', 'plain@example.org', '--role', 'physician'], /A physician needs a Practitioner/],
  [['patient-code', 'Patient/none'], /^The resource does not exist here, or it is not of the right type\.$/m],
  [
    ['link', 'plain@example.org', 'Organization/x'],
    /^The resource does not exist here, or it is not of the right type\.$/m,
  ],
])('a sentence and exit code 1: %j', async (args, sentence) => {
  const { code, out, err } = await accounts(...args);
  expect({ code, out }).toEqual({ code: 1, out: '' });
  expect(err).toMatch(sentence);
  expect(err).not.toMatch(/ at .*\.ts:/);
});
