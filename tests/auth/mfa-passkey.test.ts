/** Passkeys: Web Authentication Level 3, 7.1 and 7.2; security.md C5. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { linkIdentity, unlinkIdentities } from '../../src/auth/federation/link.ts';
import { signIn } from '../../src/auth/accounts/sign-in.ts';
import { disableAccount } from '../../src/auth/accounts/administer.ts';
import { factorsOf } from '../../src/auth/mfa/factors.ts';
import { addPasskey, beginPasskey, listPasskeys, removePasskey } from '../../src/auth/mfa/passkey.ts';
import {
  beginPasskeyProof,
  beginPasskeySignIn,
  proveByPasskey,
  signInByPasskey,
} from '../../src/auth/mfa/passkey-proof.ts';
import { removeTotp } from '../../src/auth/mfa/totp.ts';
import { poolNamed } from '../../src/platform/database/pool.ts';
import { inTransaction } from '../../src/platform/database/transaction.ts';
import { Authenticator, type Ways } from './authenticator.ts';
import { asPerson, current, enrol, Jar, openHousehold, PASSWORD, refusal, type Household } from './people.ts';

let house: Household;
let origin: string;
beforeAll(async () => {
  house = await openHousehold();
  origin = new URL(house.parts.publicUrl).origin;
});
afterAll(() => house.close());

type Signed = Awaited<ReturnType<Household['person']>>;

/** Registers a key with the account of who is signed in. */
async function add(person: Signed, key = new Authenticator(origin), ways: Ways = {}) {
  const { flow, options } = await beginPasskey(house.parts, person);
  const input = { person, flow, credential: key.create(options, ways), label: 'My key', ...person.browser.request };
  return { key, options, enrolled: person.browser.keep(await addPasskey(house.parts, input)) };
}

/** Somebody with a key, and a browser that is not signed in. */
async function owner(ways: Ways = {}, key?: Authenticator) {
  const person = await house.person();
  const added = await add(person, key, ways);
  return { person, ...added, browser: new Jar('10.20.0.1') };
}

describe('7.1: registering', () => {
  test('as first factor it brings ten recovery codes, a new id and a letter', async () => {
    const { person, enrolled, options } = await owner();
    expect(options).toMatchObject({
      rp: { id: new URL(origin).hostname, name: 'Kairos' },
      authenticatorSelection: { residentKey: 'preferred', userVerification: 'preferred' },
      attestation: 'none',
    });
    expect(Buffer.from(options.user.id, 'base64url')).toHaveLength(32);
    expect(enrolled.recoveryCodes).toHaveLength(10);
    expect(enrolled.mfa).toBe('ok');
    expect(enrolled.session.amr).toEqual(['pwd', 'pop', 'user', 'mfa']);
    expect(await listPasskeys(house.parts, person.account.id)).toMatchObject([
      { label: 'My key', synced: false, lastUsedAt: undefined },
    ]);
    const { rows } = await poolNamed(house.parts.pool, `select to_json(p) from auth_passkey p where account_id = $1`, [
      person.account.id,
    ]);
    expect(rows[0]?.[0]).not.toContain('My key');
    expect((await house.lettersTo(person.account.email)).map((m) => m.kind)).toContain('factor-added');
    // A second one brings no new codes, and the first is told to the browser, so that it is not made twice.
    const me = { ...((await current(house, person.browser)) ?? person), browser: person.browser };
    const second = await add(me);
    expect(second.enrolled.recoveryCodes).toBeUndefined();
    expect(second.options.excludeCredentials).toHaveLength(1);
    expect((await factorsOf(house.parts, person.account.id)).passkeys).toBe(2);
  });

  test.each<[string, Ways]>([
    ['another origin', { origin: 'http://localhost.example.org' }],
    ['another port', { origin: 'http://localhost:1' }],
    ['another relying party', { rpId: 'example.org' }],
    ['another challenge', { challenge: 'AAAA' }],
    ['an answer to sign-in', { type: 'webauthn.get' }],
    ['nobody present', { present: false }],
  ])('refused: %s', async (_, ways) => {
    const person = await house.person();
    expect(await refusal(add(person, undefined, ways))).toBe('passkey');
    expect((await factorsOf(house.parts, person.account.id)).passkeys).toBe(0);
  });

  test.each([
    '',
    'null',
    '[]',
    '{}',
    '{"id":1}',
    '{"id":"\\u0000"}',
    '{"id":"AA","response":{}}',
    '{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"e30","attestationObject":"AA"}}',
    `{"id":"${'x'.repeat(70_000)}"}`,
  ])('not a credential: %.40s', async (credential) => {
    const person = await house.person();
    const input = { person, credential, label: '', ...person.browser.request };
    const { flow } = await beginPasskey(house.parts, person);
    expect(await refusal(addPasskey(house.parts, { ...input, flow }))).toBe('passkey');
    const proof = await beginPasskeySignIn(house.parts, '10.20.9.9');
    expect(await refusal(signInByPasskey(house.parts, { flow: proof.flow, credential, ...new Jar().request }))).toBe(
      'passkey',
    );
  });

  test('a challenge is good once, for its account; a key that another account has is not registered again', async () => {
    const { enrolled, key, browser } = await owner();
    const stranger = await house.person();
    const { flow, options } = await beginPasskey(house.parts, stranger);
    const input = { flow, label: 'x', credential: new Authenticator(origin).create(options) };
    expect(await refusal(addPasskey(house.parts, { ...input, person: asPerson(enrolled), ...browser.request }))).toBe(
      'ticket',
    );
    // The try of another used it up.
    expect(await refusal(addPasskey(house.parts, { ...input, person: stranger, ...stranger.browser.request }))).toBe(
      'ticket',
    );
    const again = await beginPasskey(house.parts, stranger);
    expect(
      await refusal(
        addPasskey(house.parts, {
          ...input,
          flow: again.flow,
          credential: key.create(again.options),
          person: stranger,
          ...stranger.browser.request,
        }),
      ),
    ).toBe('passkey');
    expect((await factorsOf(house.parts, stranger.account.id)).passkeys).toBe(0);
  });

  test('it needs a fresh sign-in, and not one half-way', async () => {
    const { person, browser } = await owner();
    const half = browser.keep(
      await signIn(house.parts, { email: person.account.email, password: PASSWORD, ...browser.request }),
    );
    expect(half.mfa).toBe('needs-second-factor');
    expect(await refusal(beginPasskey(house.parts, asPerson(half)))).toBe('session');
    const late = await house.person();
    house.later(601);
    expect(await refusal(beginPasskey(house.parts, late))).toBe('step-up');
  });
});

describe('7.2: signing in by passkey alone', () => {
  const enter = async (key: Authenticator, browser: Jar, ways: Ways = {}) => {
    const { flow, options } = await beginPasskeySignIn(house.parts, browser.source);
    return signInByPasskey(house.parts, { flow, credential: key.get(options, ways), ...browser.request });
  };

  test('no address, no password; it counts as two factors', async () => {
    const { person, key, browser } = await owner();
    const done = browser.keep(await enter(key, browser));
    expect(done).toMatchObject({ mfa: 'ok', account: { id: person.account.id } });
    expect(done.session.amr).toEqual(['pop', 'user', 'mfa']);
    expect(done.session.stepUpAt).toBeDefined();
    expect(await current(house, browser)).toBeDefined();
  });

  test.each<[string, Ways]>([
    ['its user was not verified', { verified: false }],
    ['nobody was present', { present: false }],
    ['another origin', { origin: 'http://localhost.example.org' }],
    ['another relying party', { rpId: 'example.org' }],
    ['another challenge', { challenge: 'AAAA' }],
    ['an answer to registration', { type: 'webauthn.create' }],
    ["another account's handle", { userHandle: 'AAAA' }],
  ])('refused: %s', async (_, ways) => {
    const { key, browser } = await owner();
    expect(await refusal(enter(key, browser, ways))).toBe('passkey');
  });

  test('refused: an unknown key, a key with the id of another, a disabled account', async () => {
    const { key, browser, person } = await owner();
    expect(await refusal(enter(new Authenticator(origin), browser))).toBe('passkey');
    const forged = new Authenticator(origin);
    forged.id.set(key.id);
    expect(await refusal(enter(forged, browser))).toBe('passkey');
    await disableAccount(house.parts, 'operator', person.account.id);
    expect(await refusal(enter(key, browser))).toBe('passkey');
  });

  test('step 22: a counter that does not rise comes from a copy; of two at once one is refused', async () => {
    const { key, browser } = await owner();
    const signed = browser.keep(await enter(key, browser));
    expect(signed.mfa).toBe('ok');
    expect(await refusal(enter(key, browser, { counter: 1 }))).toBe('passkey');
    expect(await refusal(enter(key, browser, { counter: key.counter }))).toBe('passkey');
    const both = await Promise.all([1, 2].map(() => refusal(enter(key, browser, { counter: 50 }))));
    expect(both.sort()).toEqual(['none', 'passkey']);
  });

  test('keys that count nothing (synced ones) go on working', async () => {
    const { key, browser } = await owner({}, new Authenticator(origin, 0));
    for (let i = 0; i < 3; i++) expect(await refusal(enter(key, browser))).toBe('none');
  });

  test('an answer is good once, for five minutes', async () => {
    const { key, browser } = await owner();
    const { flow, options } = await beginPasskeySignIn(house.parts, browser.source);
    const input = { flow, credential: key.get(options), ...browser.request };
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => refusal(signInByPasskey(house.parts, input))));
    expect(outcomes.sort()).toEqual(['none', 'ticket', 'ticket', 'ticket', 'ticket']);
    const late = await beginPasskeySignIn(house.parts, browser.source);
    house.later(301);
    expect(
      await refusal(
        signInByPasskey(house.parts, { flow: late.flow, credential: key.get(late.options), ...browser.request }),
      ),
    ).toBe('ticket');
  });
});

describe('a passkey as second factor', () => {
  test('after the password also without verification of its user; only by its owner, for that proof', async () => {
    const { person, key, browser } = await owner({ verified: false });
    const half = asPerson(
      browser.keep(await signIn(house.parts, { email: person.account.email, password: PASSWORD, ...browser.request })),
    );
    const { flow, options } = await beginPasskeyProof(house.parts, half);
    expect(options.allowCredentials).toMatchObject([{ transports: ['internal', 'hybrid'] }]);
    const stranger = await owner();
    const strange = { person: half, flow, credential: stranger.key.get(options), ...browser.request };
    expect(await refusal(proveByPasskey(house.parts, strange))).toBe('passkey');
    const again = await beginPasskeyProof(house.parts, half);
    const done = browser.keep(
      await proveByPasskey(house.parts, {
        person: half,
        flow: again.flow,
        credential: key.get(again.options, { verified: false }),
        ...browser.request,
      }),
    );
    expect(done.mfa).toBe('ok');
    expect(done.session.amr).toEqual(['pwd', 'pop', 'mfa']);
    // A challenge for one purpose is none for the other.
    const proof = await beginPasskeyProof(house.parts, half);
    expect(
      await refusal(
        signInByPasskey(house.parts, { flow: proof.flow, credential: key.get(proof.options), ...browser.request }),
      ),
    ).toBe('ticket');
  });

  test('it is step-up too', async () => {
    const { person, key } = await owner();
    house.later(601);
    const me = (await current(house, person.browser)) ?? person;
    expect(await refusal(removePasskey(house.parts, me, 'x'))).toBe('step-up');
    const { flow, options } = await beginPasskeyProof(house.parts, me);
    const raised = await proveByPasskey(house.parts, {
      person: me,
      flow,
      credential: key.get(options),
      ...person.browser.request,
    });
    const [mine] = await listPasskeys(house.parts, me.account.id);
    await removePasskey(house.parts, asPerson(raised), mine?.id ?? '');
    expect(await factorsOf(house.parts, me.account.id)).toMatchObject({ passkeys: 0, recoveryCodes: 0 });
    expect((await house.lettersTo(me.account.email)).map((m) => m.kind)).toContain('factor-removed');
  });

  test('the only way in stays, and so does the factor that the role needs; nobody removes what is not theirs', async () => {
    const { person, key } = await owner();
    await poolNamed(house.parts.pool, `update auth_account set password_hash = null where id = $1`, [
      person.account.id,
    ]);
    const me = (await current(house, person.browser)) ?? person;
    const id = key.id.toString('base64url');
    expect(await refusal(removePasskey(house.parts, me, id))).toBe('last');
    const stranger = await house.person();
    const enrolled = asPerson(await enrol(house, stranger));
    await removePasskey(house.parts, enrolled, id);
    expect((await factorsOf(house.parts, person.account.id)).passkeys).toBe(1);
    const staff = await house.person({ roles: ['staff'] });
    const added = await add(staff);
    expect(
      await refusal(removePasskey(house.parts, asPerson(added.enrolled), added.key.id.toString('base64url'))),
    ).toBe('last');
  });

  const CLINIC = { issuer: 'https://clinic.example.org', subject: 'ada' };
  const idOf = (key: Authenticator): string => key.id.toString('base64url');
  const forgetPassword = (id: string) =>
    poolNamed(house.parts.pool, `update auth_account set password_hash = null where id = $1`, [id]);

  /** Starts all of them, and lets none take anything away before each of them has looked or waits for its turn. */
  async function atOnce(accountId: string, ...acts: readonly (() => Promise<unknown>)[]): Promise<readonly string[]> {
    const { pool } = house.parts;
    const outcomes = await inTransaction(house.otherProcess().pool, async (run) => {
      for (const table of ['auth_passkey', 'auth_totp', 'auth_upstream'])
        await run(`select 1 from ${table} where account_id = $1 for update`, [accountId]);
      const started = acts.map((act) => refusal(act()));
      await vi.waitUntil(
        async () => {
          const waiting = `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
          return (await poolNamed(pool, waiting)).rows.length >= acts.length;
        },
        { timeout: 10_000, interval: 20 },
      );
      return { started };
    });
    return (await Promise.all(outcomes.started)).toSorted();
  }

  test('of the last two, removed at once, one stays', async () => {
    const { person, key } = await owner();
    const me = { ...((await current(house, person.browser)) ?? person), browser: person.browser };
    const second = await add(me);
    await forgetPassword(person.account.id);
    const now = (await current(house, person.browser)) ?? me;
    const removals = [key, second.key].map((k) => () => removePasskey(house.parts, now, idOf(k)));
    const outcomes = await atOnce(person.account.id, ...removals);
    expect(outcomes).toEqual(['last', 'none']);
    expect((await factorsOf(house.parts, person.account.id)).passkeys).toBe(1);
  });

  test('an authenticator app and a key that go at once leave staff one of them', async () => {
    const staff = await house.person({ roles: ['staff'] });
    const { key } = await add(staff);
    const me = { ...((await current(house, staff.browser)) ?? staff), browser: staff.browser };
    await enrol(house, me);
    const now = (await current(house, staff.browser)) ?? me;
    const outcomes = await atOnce(
      staff.account.id,
      () => removeTotp(house.parts, now),
      () => removePasskey(house.parts, now, idOf(key)),
    );
    expect(outcomes).toEqual(['last', 'none']);
  });

  test('a key and an identity elsewhere that go at once leave one of them', async () => {
    const { person, key } = await owner();
    await linkIdentity(house.parts, person.account, CLINIC);
    await forgetPassword(person.account.id);
    const now = (await current(house, person.browser)) ?? person;
    const outcomes = await atOnce(
      person.account.id,
      () => unlinkIdentities(house.parts, now, CLINIC.issuer),
      () => removePasskey(house.parts, now, idOf(key)),
    );
    expect(outcomes).toEqual(['last', 'none']);
  });

  test.each([
    ['an EHR', { ...CLINIC, issuer: 'ehr https://ehr.example.org/fhir https://ehr.example.org' }, 'last'],
    ['another provider', { ...CLINIC, subject: 'eve' }, 'none'],
  ])('the only key goes when there is another way in; with the identity of %s: %s', async (_, identity, outcome) => {
    const { person, key } = await owner();
    await linkIdentity(house.parts, person.account, identity);
    await forgetPassword(person.account.id);
    const now = (await current(house, person.browser)) ?? person;
    expect(await refusal(removePasskey(house.parts, now, idOf(key)))).toBe(outcome);
  });

  test('a key that did not verify its user opens nothing alone: it is no way in', async () => {
    const { person } = await owner({ verified: false });
    await linkIdentity(house.parts, person.account, { ...CLINIC, subject: 'joe' });
    await forgetPassword(person.account.id);
    const now = (await current(house, person.browser)) ?? person;
    expect(await refusal(unlinkIdentities(house.parts, now, CLINIC.issuer))).toBe('last');
  });

  test('unlinking an identity elsewhere ends the other sessions and what apps were granted', async () => {
    const person = await house.person();
    const there = new Jar('10.20.0.2');
    there.keep(await signIn(house.parts, { email: person.account.email, password: PASSWORD, ...there.request }));
    await linkIdentity(house.parts, person.account, { ...CLINIC, subject: 'bea' });
    const grants = () =>
      poolNamed(house.parts.pool, `select 1 from auth_smart_context where account_id = $1`, [person.account.id]);
    await poolNamed(
      house.parts.pool,
      `insert into auth_smart_context (grant_id, account_id, client_id, session_uid, context) values ('unlinked', $1, 'app', null, '{}')`,
      [person.account.id],
    );
    await unlinkIdentities(house.parts, person, 'https://other.example.org');
    expect((await grants()).rows).toHaveLength(1);
    await unlinkIdentities(house.parts, person, CLINIC.issuer);
    expect((await grants()).rows).toHaveLength(0);
    expect(await current(house, there)).toBeUndefined();
    expect(await current(house, person.browser)).toBeDefined();
  });
});
