/** `/events`: what is told, to whom, and how soon (docs/events.md; security.md A1.1, A1.6, A2.5). */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { revokeGrant } from '../../src/auth/provider/grants.ts';
import { secretHash } from '../../src/platform/keys.ts';
import { sql } from '../../src/platform/database/sql.ts';
import {
  CANARY,
  get,
  listenTo,
  openEventsWorld,
  settle,
  slot,
  time,
  visit,
  type EventsWorld,
  type Person,
  type StreamReader,
} from './events-world.ts';

let world: EventsWorld;
let staff: Person;
let patientA: Person;
let patientB: Person;
const open: StreamReader[] = [];
/** On the process that did not write. */
const listen = async (person: Person | undefined, query = ''): Promise<StreamReader> => {
  const reader = await listenTo(world.second, query, person ? { token: person.token } : {});
  open.push(reader);
  return reader;
};
const ofAll = async (query = ''): Promise<readonly StreamReader[]> =>
  Promise.all([staff, patientA, patientB, undefined].map((person) => listen(person, query)));

beforeAll(async () => {
  world = await openEventsWorld();
  staff = await world.person(['staff'], undefined, 'user/*.rs');
  patientA = await world.person(['patient'], 'Patient/a', 'launch/patient patient/*.rs');
  patientB = await world.person(['patient'], 'Patient/b', 'launch/patient patient/*.rs');
});
afterAll(async () => {
  for (const reader of open) reader.close();
  await world?.close();
});

describe('what is told to whom', () => {
  test('a visit: those who may read it, within a second of the commit', async () => {
    const [ofStaff, ofA, ofB, ofNobody] = await ofAll();
    const late: number[] = [];
    for (let i = 0; i < 10; i++) {
      const committed = await world.write(visit(`soon-${i}`, ['a']));
      const events = await Promise.all([ofStaff, ofA].map((reader) => reader?.about(`Appointment/soon-${i}`)));
      for (const event of events) late.push((event?.at ?? Infinity) - committed);
    }
    expect(Math.max(...late)).toBeLessThan(1_000);
    expect(ofA?.told('Appointment/soon-0')[0]).toEqual({
      reference: 'Appointment/soon-0',
      version: 1,
      status: 'booked',
      start: expect.any(String) as string,
      end: expect.any(String) as string,
      actors: ['Patient/a', 'Practitioner/doc'],
    });
    await settle();
    for (const reader of [ofB, ofNobody]) expect(reader?.text()).not.toContain('Appointment');
  });

  test('a visit of several patients: none of them is told who else comes', async () => {
    const [ofStaff, ofA, ofB] = await ofAll();
    await world.write(visit('group', ['a', 'b']));
    expect((await ofStaff?.about('Appointment/group'))?.data['actors']).toEqual([
      'Patient/a',
      'Patient/b',
      'Practitioner/doc',
    ]);
    expect((await ofA?.about('Appointment/group'))?.data['actors']).toEqual(['Patient/a', 'Practitioner/doc']);
    expect((await ofB?.about('Appointment/group'))?.data['actors']).toEqual(['Patient/b', 'Practitioner/doc']);
  });

  test('who was in a visit and is no longer hears nothing more of it', async () => {
    const when = time();
    await world.write(visit('moved-away', ['a'], {}, 'doc', when));
    await settle();
    const [ofStaff, ofA, ofB] = await ofAll();
    await world.write(visit('moved-away', ['b'], {}, 'doc', when));
    await Promise.all(
      [ofStaff, ofB].map((reader) => reader?.about('Appointment/moved-away', ({ version }) => version === 2)),
    );
    await settle();
    expect(ofA?.told('Appointment/moved-away')).toEqual([]);
  });

  test('deletions: those who see all rows', async () => {
    await world.write(visit('gone', ['a']), slot('gone'));
    await settle();
    const [ofStaff, ofA, , ofNobody] = await ofAll();
    await world.remove('Appointment', 'gone');
    await world.remove('Slot', 'gone');
    expect((await ofStaff?.about('Appointment/gone'))?.data).toEqual({
      reference: 'Appointment/gone',
      version: 2,
      deleted: true,
    });
    expect((await ofStaff?.about('Slot/gone'))?.data).toMatchObject({ status: 'busy', deleted: true });
    // To others a time that is not there any more is one that is not free.
    for (const reader of [ofA, ofNobody]) {
      const { data } = (await reader?.about('Slot/gone')) ?? {};
      expect(data).toMatchObject({ status: 'busy', schedule: 'Schedule/doc' });
      expect(data).not.toHaveProperty('deleted');
    }
    await settle();
    expect(ofA?.told('Appointment/gone')).toEqual([]);
  });

  test('a time: free and taken are told to all, why only to those who may read it', async () => {
    const readers = await ofAll();
    const [ofStaff, ...others] = readers;
    const when = time();
    await world.write(slot('time', 'free', 'doc', when));
    for (const reader of readers)
      expect((await reader.about('Slot/time')).data).toEqual({
        reference: 'Slot/time',
        schedule: 'Schedule/doc',
        service: null,
        ...when,
        status: 'free',
      });
    for (const status of ['busy', 'busy-unavailable', 'busy-tentative'] as const) {
      await world.write(slot(`time-${status}`, status, 'doc', when));
      expect((await ofStaff?.about(`Slot/time-${status}`))?.data['status']).toBe(status);
      for (const reader of others)
        expect((await reader.about(`Slot/time-${status}`)).data).toEqual({
          reference: `Slot/time-${status}`,
          schedule: 'Schedule/doc',
          service: null,
          ...when,
          status: 'busy',
        });
    }
  });

  test('times that are taken of a Schedule of a patient: nobody but those who may read it', async () => {
    const [ofStaff, ofA, ofB, ofNobody] = await ofAll();
    await world.write(slot('personal', 'busy', 'of-patient'));
    await Promise.all([ofStaff, ofB].map((reader) => reader?.about('Slot/personal')));
    await settle();
    for (const reader of [ofA, ofNobody]) expect(reader?.told('Slot/personal')).toEqual([]);
  });

  test('a Schedule whose times changed in number: ask again', async () => {
    const readers = await ofAll();
    const notice = (id: string): Promise<unknown> =>
      world.first.kairos.engine.repository.transaction('read committed', (tx) =>
        tx.execute(
          sql`insert into outbox (topic, payload, status) values ('event', ${JSON.stringify({ type: 'Schedule', id })}::jsonb, 'done')`,
        ),
      );
    await notice('of-patient');
    await notice('doc');
    for (const reader of readers)
      expect(await reader.about('Schedule/doc')).toMatchObject({
        event: 'Schedule',
        data: { reference: 'Schedule/doc' },
      });
    const [ofStaff, ofA, , ofNobody] = readers;
    expect(ofStaff?.told('Schedule/of-patient')).toHaveLength(1);
    for (const reader of [ofA, ofNobody]) expect(reader?.told('Schedule/of-patient')).toEqual([]);
  });

  test('what nobody knows how to read is passed over', async () => {
    const reader = await listen(staff);
    await world.first.kairos.pool.query(
      `insert into outbox (topic, payload, status) values ('event', '{"type":"Moon","id":"1"}', 'done'), ('event', '[]', 'done'), ('other', '{"type":"Schedule","id":"doc"}', 'done')`,
    );
    await world.write(slot('after-moon'));
    await reader.about('Slot/after-moon');
    expect(reader.events.map(({ event }) => event)).toEqual(['position', 'Slot']);
  });
});

describe('scopes', () => {
  test('types outside of the scopes are not told; asked for by name they are refused', async () => {
    const slots = await world.person(['staff'], undefined, 'user/Slot.rs user/Schedule.r');
    const reader = await listen(slots);
    await world.write(visit('scoped', ['a']), slot('scoped'));
    await reader.about('Slot/scoped');
    expect(reader.text()).not.toContain('Appointment');
    const refused = await get(world.second, '?type=Appointment', { token: slots.token });
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([
      403,
      'Bearer realm="Kairos", error="insufficient_scope"',
    ]);
  });

  test('a scope to read alone, or to search alone, opens nothing', async () => {
    for (const scope of ['user/Appointment.r', 'user/Appointment.s', 'user/Patient.rs'])
      expect(
        (await get(world.second, '', { token: (await world.person(['staff'], undefined, scope)).token })).status,
      ).toBe(403);
  });

  test.each([
    'user/Appointment.s user/Appointment.r?status=arrived',
    'user/Appointment.r user/Appointment.s?status=arrived',
  ])('%s: what may be both read and found', async (scope) => {
    const reader = await listen(await world.person(['staff'], undefined, scope));
    await world.write(
      visit(`booked-${scope.length}`, ['a']),
      visit(`arrived-${scope.length}`, ['a'], { status: 'arrived' }),
    );
    await reader.about(`Appointment/arrived-${scope.length}`);
    expect(reader.text()).not.toContain('booked');
  });

  test('nobody in particular may not ask for appointments', async () => {
    const refused = await get(world.second, '?type=Appointment');
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="Kairos"']);
  });

  test('a filter of a scope holds for times that are taken too', async () => {
    const some = await world.person(['staff'], undefined, 'user/Slot.rs?schedule=Schedule/other user/Schedule.r');
    const reader = await listen(some);
    await world.write(slot('of-doc', 'free'), slot('of-doc-busy', 'busy'), slot('of-other', 'busy', 'other'));
    await reader.about('Slot/of-other');
    expect(reader.text()).not.toContain('of-doc');
  });
});

describe('filters', () => {
  test.each([
    ['schedule=Schedule/doc', ['Appointment/f-doc', 'Appointment/f-role', 'Appointment/f-slot', 'Slot/f-doc']],
    ['schedule=Schedule/other,Schedule/doc&type=Slot', ['Slot/f-doc', 'Slot/f-other']],
    ['practitioner=Practitioner/doc', ['Appointment/f-doc', 'Appointment/f-role', 'Slot/f-doc']],
    ['practitioner=PractitionerRole/role&type=Appointment', ['Appointment/f-doc', 'Appointment/f-role']],
    ['location=Location/room', ['Slot/f-doc']],
    ['service=HealthcareService/care&type=Appointment', ['Appointment/f-other']],
    ['patient=Patient/b', ['Appointment/f-role']],
    ['practitioner=Practitioner/doc&patient=Patient/a', ['Appointment/f-doc']],
  ])('%s', async (query, expected) => {
    const reader = await listen(staff, `?${query}`);
    const actor = (reference: string) => ({ actor: { reference }, status: 'accepted' });
    const end = slot('f-end');
    await world.write(
      slot('f-doc'),
      slot('f-other', 'free', 'other'),
      visit('f-doc', ['a']),
      visit('f-role', [], { participant: [actor('Patient/b'), actor('PractitionerRole/role')] }),
      visit('f-other', ['a'], { participant: [actor('Practitioner/other'), actor('HealthcareService/care')] }),
      visit('f-slot', [], { participant: [actor('Device/none')], slot: [{ reference: 'Slot/f-doc' }] }),
      end,
    );
    const all = await listen(staff);
    await world.write(end);
    await all.about('Slot/f-end');
    await settle();
    const told = reader.events.flatMap(({ data }) =>
      typeof data['reference'] === 'string' ? [data['reference']] : [],
    );
    expect([...new Set(told)].filter((r) => r !== 'Slot/f-end').sort()).toEqual(expected);
  });

  test('what was asked for and is so no longer has changed as well', async () => {
    const when = time();
    await world.write(visit('reassigned', ['a'], {}, 'doc', when));
    const reader = await listen(staff, '?practitioner=Practitioner/doc');
    await world.write(visit('reassigned', ['a'], {}, 'other', when));
    const { data } = await reader.about('Appointment/reassigned', ({ version }) => version === 2);
    expect(data['actors']).toEqual(['Patient/a', 'Practitioner/other']);
    // What was told may have been read ahead of its own event.
    await settle();
    await world.write(visit('reassigned', ['a'], { status: 'arrived' }, 'other', when));
    await settle();
    expect(reader.told('Appointment/reassigned').map(({ version }) => version)).not.toContain(3);
  });

  test('deletions pass the filter by what was', async () => {
    await world.write(visit('deleted-doc', ['a']), visit('deleted-other', ['a'], {}, 'other'));
    const reader = await listen(staff, '?practitioner=Practitioner/doc');
    await world.remove('Appointment', 'deleted-other');
    await world.remove('Appointment', 'deleted-doc');
    await reader.about('Appointment/deleted-doc');
    expect(reader.told('Appointment/deleted-other')).toEqual([]);
  });

  test.each([
    [
      '?room=Location/1',
      400,
      'There is no parameter room here: there are type, schedule, practitioner, location, service, patient.',
    ],
    ['?schedule=1', 400, 'Parameter schedule takes references such as Schedule/123, with commas.'],
    ['?schedule=Patient/1', 400, 'Parameter schedule takes references such as Schedule/123, with commas.'],
    ['?patient=Patient/a,', 400, 'Parameter patient takes references such as Patient/123, with commas.'],
    ['?type=Patient', 400, 'Parameter type takes Appointment and Slot, with a comma.'],
    ['?type=Slot&type=Slot', 400, 'Give type once, its values with commas between them.'],
    ['?patient=%E0%A4%A', 400, 'The percent-encoding in patient is broken: encode as UTF-8, %25 for a percent sign.'],
    ['?access_token=secret', 401, 'Parameter access_token is not taken: send the token in the Authorization header.'],
  ])('%s is refused', async (query, status, diagnostics) => {
    const response = await get(world.second, query);
    expect([response.status, await response.json()]).toMatchObject([
      status,
      { resourceType: 'OperationOutcome', issue: [{ diagnostics }] },
    ]);
  });
});

describe('a token that ends ends the stream', () => {
  const scope = 'launch/patient openid offline_access patient/*.rs';
  const { query } = {
    query: (statement: string, values: unknown[]) => world.first.kairos.pool.query(statement, values),
  };

  test.each([
    [
      'revoked',
      async ({ token }: Person) => {
        const { rows } = await query('select grant_id from auth_oidc where id_hash = $1', [secretHash(token)]);
        await revokeGrant(world.first.kairos.identity, String((rows[0] as { grant_id?: string })?.grant_id));
      },
    ],
    [
      'of a disabled account',
      ({ account }: Person) => query(`update auth_account set status = 'disabled' where id = $1`, [account.id]),
    ],
    [
      'of an ended session',
      ({ session }: Person) => query(`update auth_session set ended_at = now() where uid = $1`, [session.uid]),
    ],
  ])('%s', async (how, finish) => {
    const person = await world.person(
      ['patient'],
      'Patient/a',
      how.includes('session') ? 'launch/patient patient/*.rs' : scope,
    );
    const readers = await Promise.all(
      [world.first, world.second].map((server) => listenTo(server, '', { token: person.token })),
    );
    open.push(...readers);
    await settle();
    await finish(person);
    const at = performance.now();
    for (const reader of readers) {
      const { data, at: told } = await reader.until(({ event }) => event === 'end');
      expect(told - at).toBeLessThan(1_000);
      expect(data).toMatchObject({ reason: 'token' });
      await reader.ended;
    }
    await world.write(visit(`after-${how.replaceAll(' ', '-')}`, ['a']));
    await settle();
    for (const reader of readers) expect(reader.text()).not.toContain('after-');
  });

  test('expired', async () => {
    const person = await world.person(['patient'], 'Patient/a', scope);
    await query(`update auth_oidc set expires_at = now() + interval '2 s' where id_hash = $1`, [
      secretHash(person.token),
    ]);
    const at = performance.now() + 2_000;
    const reader = await listen(person);
    const { at: told, data } = await reader.until(({ event }) => event === 'end', 4_000);
    expect(data).toMatchObject({ reason: 'token' });
    expect(told - at).toBeGreaterThan(-500);
    expect(told - at).toBeLessThan(1_000);
  });

  test('rights that are taken away are gone within a second', async () => {
    const person = await world.person(['patient'], 'Patient/a', 'openid user/*.rs');
    const reader = await listen(person);
    await world.write(visit('before-loss', ['a']));
    await reader.about('Appointment/before-loss');
    await query('delete from auth_profile where account_id = $1', [person.account.id]);
    await sleep(1_000);
    await world.write(visit('after-loss', ['a']), slot('after-loss'));
    await reader.about('Slot/after-loss');
    expect(reader.told('Appointment/after-loss')).toEqual([]);
  });
});

test('nobody was ever told a name', () => {
  expect(open.length).toBeGreaterThan(0);
  for (const reader of open) expect(reader.text()).not.toContain(CANARY);
});
