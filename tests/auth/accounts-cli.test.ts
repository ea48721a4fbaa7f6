/** `npm run accounts`: the operator's commands, as processes on a database. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { accountByEmail } from '../../src/auth/accounts/account.ts';
import { acceptInvitation } from '../../src/auth/accounts/invite.ts';
import { completeReset } from '../../src/auth/accounts/reset.ts';
import { signIn } from '../../src/auth/accounts/sign-in.ts';
import { factorsOf } from '../../src/auth/mfa/factors.ts';
import { projectFolder } from '../../src/platform/paths.ts';
import { TEST_ROOT_KEY } from '../support/root-key.ts';
import { current, enrol, Jar, openHousehold, PASSWORD, refusal, type Household } from './people.ts';

let house: Household;
beforeAll(async () => void (house = await openHousehold()));
afterAll(() => house.close());

/** A connection as a URL; the host is a folder of sockets. */
const urlOf = ({ user, password, host, port, database }: Household['kairos']['roles']['app']): string =>
  `postgres://${encodeURIComponent(user ?? '')}:${encodeURIComponent(typeof password === 'string' ? password : '')}@localhost/${database ?? ''}?host=${encodeURIComponent(host ?? '')}&port=${port ?? 5432}`;

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
      [path.join(projectFolder, 'src/cli/accounts.ts'), ...args],
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

test.each([
  [[], /npm run accounts -- <command>/],
  [['constructor'], /npm run accounts -- <command>/],
  [['list', '--colour'], /npm run accounts -- <command>/],
  [['unlock'], /npm run accounts -- <command>/],
  [['unlock', 'nobody@example.org'], /no account with this address/],
  [['invite', 'not an address', '--role', 'staff'], /no e-mail address/],
  [['invite', 'x@example.org', '--role', 'king'], /Roles are patient, physician/],
  [['invite', 'x@example.org', '--role', 'physician'], /--practitioner/],
  [['patient-code', 'Patient/none'], /does not exist/],
])('a sentence and exit code 1: %j', async (args, sentence) => {
  const { code, out, err } = await accounts(...args);
  expect({ code, out }).toEqual({ code: 1, out: '' });
  expect(err).toMatch(sentence);
  expect(err).not.toMatch(/ at .*\.ts:/);
});
