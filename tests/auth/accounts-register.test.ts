/** Registration, invitations, reset and changes of one's own account. ASVS 6.3.8, 6.4, 6.5; security.md A2.5. */
import type { Resource } from '@medplum/fhirtypes';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { accountByEmail, accountById } from '../../src/auth/accounts/account.ts';
import { setRoles } from '../../src/auth/accounts/administer.ts';
import { changePassword, confirmEmailChange, requestEmailChange } from '../../src/auth/accounts/change.ts';
import { acceptInvitation, acceptInvitationAs, invite, openInvitation } from '../../src/auth/accounts/invite.ts';
import { listHandedOut, withdraw, withdrawAll } from '../../src/auth/accounts/handed-out.ts';
import { createPatientCode, redeemPatientCode } from '../../src/auth/accounts/patient-code.ts';
import { linkProfile } from '../../src/auth/accounts/profile.ts';
import { completeRegistration, register } from '../../src/auth/accounts/register.ts';
import { completeReset, requestReset } from '../../src/auth/accounts/reset.ts';
import { signIn } from '../../src/auth/accounts/sign-in.ts';
import { peekTicket } from '../../src/auth/accounts/ticket.ts';
import { factorsOf } from '../../src/auth/mfa/factors.ts';
import { endSessions } from '../../src/auth/session/end.ts';
import { sessionOf } from '../../src/auth/session/session.ts';
import { grantAll } from '../../src/fhir/access.ts';
import { storeAll } from '../../src/fhir/interaction/store-all.ts';
import { newId } from '../../src/platform/id.ts';
import { poolNamed } from '../../src/platform/database/pool.ts';
import { inTransaction } from '../../src/platform/database/transaction.ts';
import { secretHash } from '../../src/platform/keys.ts';
import { asPerson, current, enrol, Jar, openHousehold, PASSWORD, refusal, ticketIn, type Household } from './people.ts';

const NEXT = 'pineapple cathedral 77';

let house: Household;
beforeAll(async () => {
  house = await openHousehold();
  const { engine } = house.kairos;
  const access = grantAll({ kind: 'system', name: 'test' });
  const ctx = { requestId: newId(), access, clock: engine.clock, emit: () => undefined, baseUrl: engine.baseUrl };
  const resources: Resource[] = [
    { resourceType: 'Patient', id: 'p1' },
    { resourceType: 'Patient', id: 'p2' },
    { resourceType: 'Practitioner', id: 'd1' },
  ];
  await storeAll(engine, ctx, resources, { existing: 'keep' });
});
afterAll(() => house.close());

/** The one letter of a kind to an address. */
const letter = async (email: string, kind: string) => (await house.lettersTo(email)).find((m) => m.kind === kind);

/** A grant to an app, as the authorization server writes it. */
async function grant(accountId: string, sessionUid: string | null): Promise<() => Promise<boolean>> {
  const id = newId();
  const { pool } = house.parts;
  await poolNamed(
    pool,
    `insert into auth_smart_context (grant_id, account_id, client_id, session_uid, context) values ($1, $2, 'app', $3, '{}')`,
    [id, accountId, sessionUid],
  );
  await poolNamed(
    pool,
    `insert into auth_oidc (model, id_hash, payload, grant_id) values ('Grant', $1, '{}', null), ('AccessToken', $1 || 'a', '{}', $1)`,
    [id],
  );
  return async () =>
    (
      await poolNamed(
        pool,
        `select 1 from auth_oidc where id_hash like $1 || '%' union all select 1 from auth_smart_context where grant_id = $1`,
        [id],
      )
    ).rows.length === 3;
}

describe('patients register themselves', () => {
  test('the address is proven first; the link works once, and signs in', async () => {
    const email = 'new.patient@example.org';
    await register(house.parts, { email: 'New.Patient@Example.org', locale: 'es', source: '10.0.0.1' });
    expect(await accountByEmail(house.parts, email)).toBeUndefined();
    const mail = await letter(email, 'registration');
    expect(mail?.subject).toBe('Confirme su correo electrónico');
    const ticket = ticketIn(mail);
    const browser = new Jar();
    const input = { ticket, name: ' Nüevo Paciente ', password: PASSWORD, ...browser.request };
    expect(await refusal(completeRegistration(house.parts, { ...input, password: 'short' }))).toBe('password-short');
    expect(await refusal(completeRegistration(house.parts, { ...input, name: '\u0000' }))).toBe('name');
    expect(await refusal(completeRegistration(house.parts, { ...input, password: 'New.Patient 12' }))).toBe(
      'password-personal',
    );
    const outcomes = await Promise.allSettled(
      Array.from({ length: 4 }, () => completeRegistration(house.parts, input)),
    );
    const won = outcomes.filter((o) => o.status === 'fulfilled');
    expect(won).toHaveLength(1);
    const { account, mfa } = browser.keep(won[0]?.value ?? { cookies: [], account: undefined, mfa: undefined });
    expect(account).toMatchObject({
      email,
      name: 'Nüevo Paciente',
      roles: ['patient'],
      locale: 'es',
      profiles: [],
      status: 'active',
    });
    expect(mfa).toBe('ok');
    expect(await current(house, browser)).toBeDefined();
    expect(await refusal(completeRegistration(house.parts, input))).toBe('ticket');
  });

  test('a link is good for a day', async () => {
    await register(house.parts, { email: 'late@example.org', locale: 'en', source: '10.0.0.2' });
    const ticket = ticketIn(await letter('late@example.org', 'registration'));
    house.later(24 * 3600 + 1);
    expect(await peekTicket(house.parts, ['registration'], ticket)).toBeUndefined();
    expect(
      await refusal(completeRegistration(house.parts, { ticket, name: 'A', password: PASSWORD, ...new Jar().request })),
    ).toBe('ticket');
  });

  test('ASVS 6.3.8: who asks learns nothing; who has an account is written to, and nothing of it changes', async () => {
    const known = await house.account();
    const answers = await Promise.all(
      [known.email, 'unknown@example.org'].map((email) =>
        register(house.parts, { email, locale: 'en', source: '10.0.0.3' }),
      ),
    );
    expect(answers[0]).toEqual(answers[1]);
    expect((await house.lettersTo(known.email)).map((m) => m.kind)).toEqual(['have-account']);
    expect((await house.lettersTo('unknown@example.org')).map((m) => m.kind)).toEqual(['registration']);
  });

  test('no letters without end: three an hour to an address, silently; twenty an hour for who asks, told', async () => {
    const email = 'pestered@example.org';
    for (let i = 0; i < 6; i++) await register(house.parts, { email, locale: 'en', source: `10.7.0.${i}` });
    expect(await house.lettersTo(email)).toHaveLength(3);
    const outcomes: string[] = [];
    for (let i = 0; i < 25; i++)
      outcomes.push(
        await refusal(register(house.parts, { email: `many${i}@example.org`, locale: 'en', source: '10.7.1.1' })),
      );
    expect(outcomes.filter((o) => o === 'none')).toHaveLength(20);
    expect(outcomes.at(-1)).toBe('limited');
    expect(await refusal(register(house.parts, { email: 'no address', locale: 'en', source: '10.7.2.1' }))).toBe(
      'email',
    );
  });
});

describe('a forgotten password', () => {
  test('one link, 30 minutes; every session and grant ends, the second factor stays', async () => {
    const person = await house.person();
    const { secret } = await enrol(house, person);
    expect(secret).toMatch(/^[A-Z2-7]{32}$/);
    const app = await grant(person.account.id, null);
    await requestReset(house.parts, { email: person.account.email, source: '10.0.0.4' });
    await requestReset(house.parts, { email: person.account.email, source: '10.0.0.4' });
    const [second, first] = (await house.lettersTo(person.account.email))
      .filter((m) => m.kind === 'reset')
      .map(ticketIn);
    expect(second).not.toBe(first);
    expect(await refusal(completeReset(house.parts, { ticket: second ?? '', password: 'password1234' }))).toBe(
      'password-common',
    );
    const outcomes = await Promise.all(
      Array.from({ length: 4 }, () => refusal(completeReset(house.parts, { ticket: second ?? '', password: NEXT }))),
    );
    expect(outcomes.sort()).toEqual(['none', 'ticket', 'ticket', 'ticket']);
    // With one link the others are used up.
    expect(await refusal(completeReset(house.parts, { ticket: first ?? '', password: NEXT }))).toBe('ticket');
    expect(await current(house, person.browser)).toBeUndefined();
    expect(await app()).toBe(false);
    expect((await factorsOf(house.parts, person.account.id)).totp).toBe(true);
    const browser = new Jar();
    const again = await signIn(house.parts, { email: person.account.email, password: NEXT, ...browser.request });
    expect(again.mfa).toBe('needs-second-factor');
    expect(
      await refusal(signIn(house.parts, { email: person.account.email, password: PASSWORD, ...browser.request })),
    ).toBe('credentials');
    expect(await letter(person.account.email, 'password-changed')).toBeDefined();
  });

  test('whoever asks for more links takes nobody the one they have', async () => {
    const { email } = await house.account();
    await requestReset(house.parts, { email, source: '10.0.0.41' });
    const ticket = ticketIn(await letter(email, 'reset'));
    await requestReset(house.parts, { email, source: '10.0.0.42' });
    expect(await refusal(completeReset(house.parts, { ticket, password: NEXT }))).toBe('none');
  });

  test('strangers cannot use up the letters of the owner: neither from one source, nor from many', async () => {
    const person = await house.person();
    const { email } = person.account;
    const letters = async (): Promise<number> =>
      (await house.lettersTo(email)).filter((m) => m.kind === 'reset').length;
    for (let i = 0; i < 9; i++) await requestReset(house.parts, { email, source: '10.0.0.43' });
    expect(await letters()).toBe(3);
    await requestReset(house.parts, { email, source: '10.0.0.44' });
    expect(await letters()).toBe(4);
    for (let i = 0; i < 25; i++) await requestReset(house.parts, { email, source: `10.0.1.${i}` });
    expect(await letters()).toBe(6);
    // From a browser that was signed in once, although its source has asked for many others.
    const { browser } = person;
    await endSessions(house.parts, person.account.id);
    for (let i = 0; i < 25; i++)
      await refusal(requestReset(house.parts, { email: `other${i}@example.org`, source: browser.source }));
    for (let i = 0; i < 5; i++) await requestReset(house.parts, { email, ...browser.request });
    expect(await letters()).toBe(9);
    // From one that is signed in, and has lost the cookie of the device.
    const again = new Jar('10.0.0.45');
    again.keep(await signIn(house.parts, { email, password: PASSWORD, ...again.request }));
    const own = { source: again.source, cookieHeader: `sid=${again.get('sid') ?? ''}` };
    for (let i = 0; i < 5; i++) await requestReset(house.parts, { email, ...own });
    expect(await letters()).toBe(12);
    // What is theirs is nobody else's.
    const { email: other } = await house.account();
    for (let i = 0; i < 5; i++)
      await requestReset(house.parts, { ...browser.request, email: other, source: '10.0.0.46' });
    expect((await house.lettersTo(other)).filter((m) => m.kind === 'reset')).toHaveLength(3);
  });

  test('asked for in the instant of a change of address, it does not go to the old one', async () => {
    const { id, email } = await house.account();
    const { parts } = house;
    const asked = await inTransaction(house.otherProcess().pool, async (run) => {
      await run(`update auth_account set email_tag = 'moved', email_sealed = $2 where id = $1`, [
        id,
        parts.keys.seal('auth_account.email_sealed', id, 'moved.meanwhile@example.org'),
      ]);
      let isDone = false;
      const asking = requestReset(parts, { email, source: '10.0.0.47' }).finally(() => (isDone = true));
      await vi.waitUntil(
        async () =>
          isDone ||
          (
            await poolNamed(
              parts.pool,
              `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
            )
          ).rows.length > 0,
        { timeout: 10_000, interval: 20 },
      );
      return { asking };
    });
    await asked.asking;
    expect(await house.lettersTo(email)).toEqual([]);
    expect(await house.lettersTo('moved.meanwhile@example.org')).toEqual([]);
  });

  test('an unknown and a disabled account get no letter, and the same answer', async () => {
    const closed = await house.account();
    await poolNamed(house.parts.pool, `update auth_account set status = 'disabled' where id = $1`, [closed.id]);
    for (const email of [closed.email, 'never.seen@example.org'])
      expect(await requestReset(house.parts, { email, source: '10.0.0.5' })).toBeUndefined();
    expect(await house.lettersTo(closed.email)).toEqual([]);
    expect(await house.lettersTo('never.seen@example.org')).toEqual([]);
  });

  test('the link is too old after 30 minutes; tickets of one kind are none of another', async () => {
    const { email } = await house.account();
    await requestReset(house.parts, { email, source: '10.0.0.6' });
    const ticket = ticketIn(await letter(email, 'reset'));
    expect(
      await refusal(completeRegistration(house.parts, { ticket, name: 'A', password: NEXT, ...new Jar().request })),
    ).toBe('ticket');
    house.later(30 * 60 + 1);
    expect(await refusal(completeReset(house.parts, { ticket, password: NEXT }))).toBe('ticket');
    for (const odd of ['', '\0', 'x'.repeat(10_000)])
      expect(await refusal(completeReset(house.parts, { ticket: odd, password: NEXT }))).toBe('ticket');
  });
});

describe('changing the password', () => {
  test('A2.5: this session goes on under a new id, the others and what apps were granted in them end', async () => {
    const here = await house.person();
    const there = new Jar('10.0.0.77');
    const { session } = there.keep(
      await signIn(house.parts, { email: here.account.email, password: PASSWORD, ...there.request }),
    );
    const apps = await Promise.all([
      grant(here.account.id, here.session.uid),
      grant(here.account.id, session.uid),
      grant(here.account.id, null),
    ]);
    const before = here.browser.cookieHeader;
    const input = { person: here, current: PASSWORD, next: NEXT, ...here.browser.request };
    expect(await refusal(changePassword(house.parts, { ...input, current: 'wrong' }))).toBe('wrong-password');
    expect(await refusal(changePassword(house.parts, { ...input, next: 'tiny' }))).toBe('password-short');
    here.browser.keep(await changePassword(house.parts, input));
    expect(await sessionOf(house.parts, before)).toBeUndefined();
    expect((await current(house, here.browser))?.session.uid).toBe(here.session.uid);
    expect(await current(house, there)).toBeUndefined();
    expect(await Promise.all(apps.map((lives) => lives()))).toEqual([true, false, false]);
  });
});

describe('changing the address', () => {
  test('the new one is proven by who is signed in, the old one is told', async () => {
    const person = await house.person();
    const old = person.account.email;
    await requestEmailChange(house.parts, { person, email: 'Moved@Example.org', source: '10.0.0.8' });
    const ticket = ticketIn(await letter('moved@example.org', 'email'));
    // Somebody else who follows the link gets nothing, and gives nothing.
    const stranger = await house.person();
    expect(await refusal(confirmEmailChange(house.parts, { person: stranger, ticket }))).toBe('ticket');
    await confirmEmailChange(house.parts, { person, ticket });
    expect((await accountByEmail(house.parts, 'moved@example.org'))?.id).toBe(person.account.id);
    expect(await accountByEmail(house.parts, old)).toBeUndefined();
    expect(await letter(old, 'email-changed')).toBeDefined();
    expect(await refusal(confirmEmailChange(house.parts, { person, ticket }))).toBe('ticket');
  });

  test('links to a new password that went to the old address are worth nothing', async () => {
    const person = await house.person();
    await requestReset(house.parts, { email: person.account.email, source: '10.0.0.81' });
    const reset = ticketIn(await letter(person.account.email, 'reset'));
    await requestEmailChange(house.parts, { person, email: 'newer@example.org', source: '10.0.0.81' });
    const mail = await letter('newer@example.org', 'email');
    await confirmEmailChange(house.parts, { person, ticket: ticketIn(mail) });
    expect(await refusal(completeReset(house.parts, { ticket: reset, password: NEXT }))).toBe('ticket');
  });

  test('to an address that is not proven goes no name that somebody typed', async () => {
    const person = await house.person();
    await requestEmailChange(house.parts, { person, email: 'unproven@example.org', source: '10.0.0.82' });
    const mail = await letter('unproven@example.org', 'email');
    expect(ticketIn(mail)).not.toBe('');
    expect(JSON.stringify(mail)).not.toContain(person.account.name);
  });

  test('it needs step-up; an address that is taken is told to its owner only', async () => {
    const person = await house.person();
    const other = await house.account();
    expect(await requestEmailChange(house.parts, { person, email: other.email, source: '10.0.0.9' })).toBeUndefined();
    expect((await house.lettersTo(other.email)).map((m) => m.kind)).toEqual(['have-account']);
    house.later(601);
    expect(await refusal(requestEmailChange(house.parts, { person, email: 'x@example.org', source: '10.0.0.9' }))).toBe(
      'step-up',
    );
  });

  test('of two who take an address at once one has it', async () => {
    const two = [await house.person(), await house.person()];
    for (const person of two)
      await requestEmailChange(house.parts, { person, email: 'wanted@example.org', source: '10.0.0.10' });
    const tickets = (await house.lettersTo('wanted@example.org')).map(ticketIn).reverse();
    const outcomes = await Promise.all(
      two.map((person, i) => refusal(confirmEmailChange(house.parts, { person, ticket: tickets[i] ?? '' }))),
    );
    expect(outcomes.sort()).toEqual(['none', 'taken']);
  });
});

describe('invitations', () => {
  const STAFF = { roles: ['staff' as const], staffKinds: ['front-desk' as const], locale: 'en' };

  test('an administrator invites, after step-up; whoever accepts has the roles', async () => {
    const admin = await house.person({ roles: ['admin'] });
    const invitation = { ...STAFF, email: 'desk@example.org' };
    // The role demands a factor, and there is none.
    expect(await refusal(invite(house.parts, admin, invitation))).toBe('session');
    const actor = asPerson(await enrol(house, admin));
    const link = await invite(house.parts, actor, invitation);
    expect((await letter('desk@example.org', 'invitation'))?.text).toContain(link);
    const ticket = /ticket=(.+)$/.exec(link)?.[1] ?? '';
    const { account, mfa } = await acceptInvitation(house.parts, {
      ticket,
      name: 'Dana',
      password: PASSWORD,
      ...new Jar().request,
    });
    expect(account).toMatchObject({ roles: ['staff'], staffKinds: ['front-desk'], profiles: [] });
    expect(mfa).toBe('must-enrol');
    house.later(601);
    expect(await refusal(invite(house.parts, actor, invitation))).toBe('step-up');
  });

  test('who may not, and what does not go together', async () => {
    const { parts } = house;
    const patient = await house.person();
    const email = 'x1@example.org';
    expect(await refusal(invite(parts, patient, { ...STAFF, email }))).toBe('forbidden');
    const admin = asPerson(await enrol(house, await house.person({ roles: ['admin'] })));
    const table = [
      [{ ...STAFF, email, roles: ['admin' as const], staffKinds: [] }, 'forbidden'],
      [{ ...STAFF, email: 'nothing' }, 'email'],
      [{ ...STAFF, email, roles: [], staffKinds: [] }, 'roles'],
      [{ ...STAFF, email, roles: ['patient' as const] }, 'roles'],
      [{ ...STAFF, email, roles: ['physician' as const], staffKinds: [] }, 'practitioner'],
      [
        { ...STAFF, email, roles: ['physician' as const], staffKinds: [], practitioner: 'Practitioner/none' },
        'profile',
      ],
      [{ ...STAFF, email, roles: ['physician' as const], staffKinds: [], practitioner: 'Patient/p1' }, 'practitioner'],
      [
        { ...STAFF, email, roles: ['physician' as const], staffKinds: [], practitioner: "Practitioner/'; --" },
        'profile',
      ],
    ] as const;
    for (const [invitation, wanted] of table) expect(await refusal(invite(parts, admin, invitation))).toBe(wanted);
    // Since the invitation the rights may have gone.
    await poolNamed(parts.pool, `update auth_account set roles = '{patient}' where id = $1`, [admin.account.id]);
    const now = await accountById(parts, admin.account.id);
    expect(now && (await refusal(invite(parts, { ...admin, account: now }, { ...STAFF, email })))).toBe('forbidden');
  });

  test('an account that exists is never touched by a link alone; its owner accepts signed in, and signs in anew', async () => {
    const owner = await house.person();
    const link = await invite(house.parts, 'operator', {
      email: owner.account.email,
      roles: ['physician'],
      staffKinds: [],
      practitioner: 'Practitioner/d1',
      locale: 'en',
    });
    const ticket = /ticket=(.+)$/.exec(link)?.[1] ?? '';
    expect(
      await refusal(acceptInvitation(house.parts, { ticket, name: 'Thief', password: NEXT, ...new Jar().request })),
    ).toBe('taken');
    const stranger = await house.person();
    expect(await refusal(acceptInvitationAs(house.parts, stranger, ticket))).toBe('forbidden');
    await acceptInvitationAs(house.parts, owner, ticket);
    expect(await current(house, owner.browser)).toBeUndefined();
    const now = await accountById(house.parts, owner.account.id);
    expect(now).toMatchObject({ name: owner.account.name, profiles: ['Practitioner/d1'] });
    expect(now?.roles.toSorted()).toEqual(['patient', 'physician']);
    expect(
      await refusal(signIn(house.parts, { email: owner.account.email, password: PASSWORD, ...new Jar().request })),
    ).toBe('none');
  });

  test.each([
    ['was disabled', `status = 'disabled'`],
    ['is no administrator any more', `roles = '{patient}'`],
  ])('an invitation is worth nothing once who invited %s', async (_, change) => {
    const { parts } = house;
    const admin = asPerson(await enrol(house, await house.person({ roles: ['admin'] })));
    const owner = await house.person();
    const ticketFor = async (email: string): Promise<string> =>
      /ticket=(.+)$/.exec(await invite(parts, admin, { ...STAFF, email }))?.[1] ?? '';
    const [own, fresh] = [await ticketFor(owner.account.email), await ticketFor(`${newId()}@example.org`)];
    expect(await refusal(openInvitation(parts, fresh))).toBe('none');
    await poolNamed(parts.pool, `update auth_account set ${change} where id = $1`, [admin.account.id]);
    expect(await refusal(openInvitation(parts, fresh))).toBe('ticket');
    expect(
      await refusal(acceptInvitation(parts, { ticket: fresh, name: 'Late', password: PASSWORD, ...new Jar().request })),
    ).toBe('ticket');
    expect(await refusal(acceptInvitationAs(parts, owner, own))).toBe('ticket');
    expect((await accountById(parts, owner.account.id))?.roles).toEqual(['patient']);
  });

  test('new roles end what apps were granted for good, whether they were given or accepted', async () => {
    const [given, invited] = [await house.person(), await house.person()];
    const apps = [await grant(given.account.id, null), await grant(invited.account.id, null)];
    await setRoles(house.parts, 'operator', given.account.id, { roles: ['patient', 'staff'], staffKinds: [] });
    const link = await invite(house.parts, 'operator', { ...STAFF, email: invited.account.email });
    await acceptInvitationAs(house.parts, invited, /ticket=(.+)$/.exec(link)?.[1] ?? '');
    expect(await Promise.all(apps.map((lives) => lives()))).toEqual([false, false]);
  });

  test('a physician is a Practitioner: given the role, as invited to it', async () => {
    const { id } = await house.account();
    const physician = { roles: ['physician' as const], staffKinds: [] };
    expect(await refusal(setRoles(house.parts, 'operator', id, physician))).toBe('practitioner');
    expect((await accountById(house.parts, id))?.roles).toEqual(['patient']);
    await linkProfile(house.parts, 'operator', id, 'Practitioner/d1');
    expect(await refusal(setRoles(house.parts, 'operator', id, physician))).toBe('none');
  });

  test('administrators see what is open, and withdraw it', async () => {
    const { parts } = house;
    const admin = asPerson(await enrol(house, await house.person({ roles: ['admin'] })));
    const email = `${newId()}@example.org`;
    const ticket = /ticket=(.+)$/.exec(await invite(parts, admin, { ...STAFF, email }))?.[1] ?? '';
    const { code } = await createPatientCode(parts, admin, 'Patient/p2');
    const [made, invited] = await listHandedOut(parts);
    expect(made).toMatchObject({ kind: 'patient-code', reference: 'Patient/p2', by: admin.account.id });
    expect(invited).toMatchObject({ kind: 'invitation', email, roles: STAFF.roles, staffKinds: STAFF.staffKinds });
    expect(await listHandedOut(parts, undefined, 1)).toEqual([made]);
    expect(await listHandedOut(parts, made?.id, 1)).toEqual([invited]);
    // What stands in the list opens nothing.
    expect(await refusal(openInvitation(parts, invited?.id ?? ''))).toBe('ticket');
    const patient = await house.person();
    expect(await refusal(withdraw(parts, patient, invited?.id ?? ''))).toBe('forbidden');
    for (const id of ['', '\0', 'nothing']) expect(await refusal(withdraw(parts, admin, id))).toBe('ticket');
    await withdraw(parts, admin, invited?.id ?? '');
    expect(await refusal(withdraw(parts, admin, invited?.id ?? ''))).toBe('ticket');
    expect(await refusal(openInvitation(parts, ticket))).toBe('ticket');
    expect(await withdrawAll(parts, 'operator', 'Patient/p2')).toBe(1);
    expect(await refusal(redeemPatientCode(parts, { person: patient, code, ...patient.browser.request }))).toBe(
      'ticket',
    );
    const ids = (await listHandedOut(parts)).map(({ id }) => id);
    expect(ids).not.toContain(made?.id);
    expect(ids).not.toContain(invited?.id);
    // Links to a new password are none of them.
    await requestReset(parts, { email: patient.account.email, source: '10.0.0.48' });
    const link = ticketIn(await letter(patient.account.email, 'reset'));
    expect(await refusal(withdraw(parts, admin, secretHash(link)))).toBe('ticket');
    expect(await refusal(completeReset(parts, { ticket: link, password: NEXT }))).toBe('none');
  });

  test('administrators come from the operator', async () => {
    const link = await invite(house.parts, 'operator', {
      email: 'root@example.org',
      roles: ['admin'],
      staffKinds: [],
      locale: 'en',
    });
    const ticket = /ticket=(.+)$/.exec(link)?.[1] ?? '';
    const { account } = await acceptInvitation(house.parts, {
      ticket,
      name: 'Root',
      password: PASSWORD,
      ...new Jar().request,
    });
    expect(account.roles).toEqual(['admin']);
    const admin = asPerson(await enrol(house, await house.person({ roles: ['admin'] })));
    const other = await house.account();
    expect(await refusal(setRoles(house.parts, admin, other.id, { roles: ['admin'], staffKinds: [] }))).toBe(
      'forbidden',
    );
  });
});

describe('an account is connected with a Patient by a code of the clinic', () => {
  test('once, for whom it was made, however it is typed', async () => {
    const desk = asPerson(await enrol(house, await house.person({ roles: ['staff'], staffKinds: ['front-desk'] })));
    const { code } = await createPatientCode(house.parts, desk, 'Patient/p1');
    expect(code).toMatch(/^[0-9A-Z]{4}(?:-[0-9A-Z]{4}){3}$/);
    const typed = ` ${code.toLowerCase().replaceAll('-', ' ').replaceAll('1', 'l').replaceAll('0', 'o')} `;
    const people = [await house.person(), await house.person()];
    const outcomes = await Promise.all(
      people.map((person) =>
        refusal(redeemPatientCode(house.parts, { person, code: typed, ...person.browser.request })),
      ),
    );
    expect(outcomes.sort()).toEqual(['none', 'ticket']);
    const linked = await Promise.all(people.map(async (p) => (await accountById(house.parts, p.account.id))?.profiles));
    expect(linked.flat()).toEqual(['Patient/p1']);
  });

  test.each([
    ['was disabled', `status = 'disabled'`],
    ['works here no longer', `roles = '{patient}'`],
  ])('a code is worth nothing once who made it %s', async (_, change) => {
    const desk = asPerson(await enrol(house, await house.person({ roles: ['staff'], staffKinds: ['front-desk'] })));
    const { code } = await createPatientCode(house.parts, desk, 'Patient/p1');
    await poolNamed(house.parts.pool, `update auth_account set ${change} where id = $1`, [desk.account.id]);
    const person = await house.person();
    expect(await refusal(redeemPatientCode(house.parts, { person, code, ...person.browser.request }))).toBe('ticket');
    expect((await accountById(house.parts, person.account.id))?.profiles).toEqual([]);
  });

  test('guessing ends after five, a code after two weeks; patients make none', async () => {
    const person = await house.person();
    const outcomes: string[] = [];
    for (let i = 0; i < 7; i++)
      outcomes.push(
        await refusal(
          redeemPatientCode(house.parts, { person, code: `0000-0000-0000-000${i}`, ...person.browser.request }),
        ),
      );
    // The known device has its own budget, of five too.
    expect(outcomes).toEqual([...Array<string>(5).fill('ticket'), 'limited', 'limited']);
    expect(await refusal(createPatientCode(house.parts, person, 'Patient/p1'))).toBe('forbidden');
    const { code } = await createPatientCode(house.parts, 'operator', 'Patient/p2');
    expect(await refusal(createPatientCode(house.parts, 'operator', 'Patient/none'))).toBe('profile');
    expect(await refusal(createPatientCode(house.parts, 'operator', 'Practitioner/d1'))).toBe('profile');
    const late = await house.person();
    house.later(14 * 86_400 + 1);
    const again = new Jar();
    const signedIn = again.keep(
      await signIn(house.parts, { email: late.account.email, password: PASSWORD, ...again.request }),
    );
    expect(await refusal(redeemPatientCode(house.parts, { person: asPerson(signedIn), code, ...again.request }))).toBe(
      'ticket',
    );
  });
});
