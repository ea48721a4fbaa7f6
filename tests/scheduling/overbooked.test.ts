/**
 * A visit that staff books over others has its time: who comes later gives a reason, too; who was there before keeps theirs. Scheduling semantics D3,
 * https://hl7.org/fhir/R4/slot-definitions.html#Slot.overbooked
 */
import type { Appointment } from '@medplum/fhirtypes';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { grantAll } from '../../src/fhir/access.ts';
import { settle } from '../../src/fhir/interaction/write.ts';
import type { PreparedWrite } from '../../src/fhir/store/repository.ts';
import { checkInvariants } from '../../src/compose-doctor.ts';
import { sql } from '../../src/platform/database/sql.ts';
import { newId } from '../../src/platform/id.ts';
import type { Answer, Json, Send } from '../http/client.ts';
import {
  at,
  done,
  find,
  found,
  idOf,
  minutes,
  openClinic,
  params,
  put,
  said,
  schedule,
  service,
  starts,
  visit,
  workday,
  type Clinic,
  type Wish,
} from './clinic.ts';

const FORCED = {
  extension: [
    {
      url: 'https://kairos.example/fhir/StructureDefinition/override',
      extension: [{ url: 'reason', valueString: 'it hurts' }],
    },
  ],
};

let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
  const { system } = clinic;
  for (const id of ['dan', 'fay'])
    await put(system, { resourceType: 'Patient', id, name: [{ family: id }], gender: 'unknown' });
  await put(system, service('quarters', { url: 'interval', ...minutes(15) }));
  await put(system, service('pair', { url: 'capacity', valuePositiveInt: 2 }));
  for (const [id, practitioner, of] of [
    ['quarters', 'grey', 'quarters'],
    ['pairs', 'house', 'pair'],
  ] as const)
    await put(
      system,
      schedule(id, practitioner, {
        actor: [`Practitioner/${practitioner}`, 'Location/site', `HealthcareService/${of}`].map((reference) => ({
          reference,
        })),
      }),
    );
});
afterAll(() => clinic.close());

let [ahead, day] = [6, ''];
beforeEach(() => {
  const before = day;
  for (; day === before; ahead++) day = workday(ahead);
});

const post = (wish: Wish, more: object = {}, send: Send = clinic.staff): Promise<Answer> =>
  send('POST', 'Appointment', visit(wish, more));
const book = async (time: string, patient: string, more: object = {}): Promise<string> =>
  idOf(done(await post({ start: at(day, time), patient }, more)));
const cancel = async (id: string): Promise<Answer> => done(await clinic.staff('POST', `Appointment/${id}/$cancel`));
const isFree = async (time: string): Promise<boolean> =>
  (await starts(clinic.nobody, day, 'service=HealthcareService/quarters')).includes(time);
/** Rows of somebody's time on the day: `10:00 lane 1`, marked where they are beside others. */
const rows = async (reference: string): Promise<string[]> =>
  (
    await clinic.sql(
      `select to_char(lower(during) at time zone 'America/New_York', 'HH24:MI') || ' lane ' || lane || case when override then ' over' else '' end as row
       from occupancy where actor = encode(substr(sha256($1), 1, 16), 'hex')::uuid and during && tstzrange($2, $3) order by during, override, lane`,
      [Buffer.from(reference), at(day, '00:00'), at(day, '23:59')],
    )
  ).map((row) => String(row['row']));

describe('one at a time', () => {
  test('whoever overlaps only the overbooked visit is refused, as $find says; with a reason of their own they are not', async () => {
    await book('10:00', 'ann');
    const over = done(await post({ start: at(day, '10:15'), patient: 'bob' }, FORCED));
    expect(await isFree('10:30')).toBe(false);
    const plain = await post({ start: at(day, '10:30'), patient: 'eve' });
    expect(said(plain)).toContain('409 This time is taken');
    expect(plain.body['contained']).toHaveLength(3);
    expect((await post({ start: at(day, '10:30'), patient: 'eve' }, {}, clinic.eve)).status).toBe(409);
    const third = done(await post({ start: at(day, '10:30'), patient: 'eve' }, FORCED));
    expect((await post({ start: at(day, '10:45'), patient: 'dan' })).status).toBe(409);
    await cancel(idOf(third));
    expect(await isFree('10:45')).toBe(true);
    expect((await post({ start: at(day, '10:45'), patient: 'dan' })).status).toBe(201);
    await cancel(idOf(over));
    expect((await post({ start: at(day, '10:30'), end: at(day, '10:45'), patient: 'eve' })).status).toBe(201);
  });

  test('by every door', async () => {
    await book('10:00', 'ann');
    await book('10:15', 'bob', FORCED);
    const elsewhere = done(await post({ start: at(day, '14:00'), patient: 'eve' })).body;
    const to = { start: at(day, '10:30'), end: at(day, '11:00') };
    const url = `Appointment/${String(elsewhere['id'])}`;
    const doors: (() => Promise<Answer>)[] = [
      () => clinic.staff('PUT', url, { ...elsewhere, ...to }),
      () =>
        clinic.staff('PATCH', url, [
          { op: 'replace', path: '/start', value: to.start },
          { op: 'replace', path: '/end', value: to.end },
        ]),
      () => clinic.staff('POST', `${url}/$reschedule`, params({ name: 'start', valueDateTime: to.start })),
      () => clinic.staff('POST', 'Appointment/$hold', visit({ ...to, patient: 'dan' }, { status: 'proposed' })),
      () =>
        clinic.staff(
          'POST',
          'Appointment/$book',
          params({ name: 'appointment-resource', resource: visit({ ...to, patient: 'dan' }) }),
        ),
      () =>
        clinic.staff('POST', '', {
          resourceType: 'Bundle',
          type: 'transaction',
          entry: [{ request: { method: 'POST', url: 'Appointment' }, resource: visit({ ...to, patient: 'dan' }) }],
        }),
    ];
    for (const door of doors) expect((await door()).status).toBe(409);
  });

  test('where it is alone, the constraint guards it again', async () => {
    const first = await book('10:00', 'ann');
    await book('10:15', 'bob', FORCED);
    const third = await book('10:30', 'eve', FORCED);
    expect(await rows('Practitioner/grey')).toEqual(['10:00 lane 1', '10:15 lane 1 over', '10:30 lane 1 over']);
    await cancel(first);
    // The two are still beside one another.
    expect(await rows('Practitioner/grey')).toEqual(['10:15 lane 1 over', '10:30 lane 1 over']);
    expect((await post({ start: at(day, '10:45'), patient: 'dan' })).status).toBe(409);
    await cancel(third);
    expect(await rows('Practitioner/grey')).toEqual(['10:15 lane 1']);
  });

  test('who was there before keeps the time: a hold is booked, a visit goes its ways', async () => {
    const proposal = visit({ start: at(day, '10:00') }, { status: 'proposed' });
    const held = idOf(done(await clinic.ann('POST', 'Appointment/$hold', proposal)));
    await book('10:15', 'bob', FORCED);
    done(await clinic.ann('POST', `Appointment/${held}/$hold`));
    const booked = done(await clinic.ann('POST', `Appointment/${held}/$book`));
    expect(said(booked)).toBe('200 ');
    const stands = found(booked)[0] ?? {};
    const shorter = { ...stands, end: at(day, '10:20'), minutesDuration: 20 };
    const shortened = done(await clinic.staff('PUT', `Appointment/${held}`, shorter)).body;
    const moved = { ...shortened, start: at(day, '09:55'), end: at(day, '10:20') };
    expect((await clinic.staff('PUT', `Appointment/${held}`, moved)).status).toBe(409);
    const clear = { ...shortened, start: at(day, '09:45'), end: at(day, '10:15') };
    expect(said(await clinic.staff('PUT', `Appointment/${held}`, clear))).toBe('200 ');
    expect((await clinic.staff('PUT', `Appointment/${held}`, { ...stands, meta: undefined })).status).toBe(409);
  });

  test('a hold loses it when it runs out', async () => {
    clinic.clock.ahead = 1_500 - 5 * 60_000;
    const proposal = visit({ start: at(day, '10:00') }, { status: 'proposed' });
    const held = idOf(done(await clinic.ann('POST', 'Appointment/$hold', proposal)));
    clinic.clock.ahead = 0;
    const over = await book('10:15', 'bob', FORCED);
    expect(await rows('Practitioner/grey')).toEqual(['10:00 lane 1', '10:15 lane 1 over']);
    await expect.poll(() => isFree('09:45'), { timeout: 5_000 }).toBe(true);
    expect((await clinic.ann('POST', `Appointment/${held}/$book`)).status).toBe(409);
    await cancel(over);
    expect(said(await clinic.ann('POST', `Appointment/${held}/$book`))).toBe('200 ');
  });

  test('an overbooked hold that has run out is in nobody’s way', async () => {
    await book('10:00', 'ann');
    clinic.clock.ahead = -40 * 60_000;
    const answer = await clinic.staff(
      'POST',
      'Appointment/$hold',
      params(
        { name: 'appointment-resource', resource: visit({ start: at(day, '10:15'), patient: 'bob' }) },
        { name: 'override-reason', valueString: 'it hurts' },
      ),
    );
    clinic.clock.ahead = 0;
    done(answer);
    expect(await rows('Practitioner/grey')).toEqual(['10:00 lane 1', '10:15 lane 1 over']);
    const id = `lapsed-${day}`;
    const slot = { resourceType: 'Slot', id, schedule: { reference: 'Schedule/grey' }, status: 'free' };
    await put(clinic.system, { ...slot, start: at(day, '10:15'), end: at(day, '10:45') });
    expect((await post({ start: at(day, '10:30'), patient: 'eve' })).status).toBe(201);
    const now = done(await clinic.system('GET', `Slot/${id}`)).body;
    expect([now['status'], now['overbooked']]).toEqual(['busy', undefined]);
  });

  test('a patient whom staff has put into two places is taken for what they book themselves', async () => {
    await book('10:00', 'ann');
    done(await post({ start: at(day, '10:15'), practitioner: 'house' }));
    const again = await post({ start: at(day, '10:30') }, {}, clinic.ann);
    expect(said(again)).toContain('409 The patient has another visit at this time.');
    expect((await post({ start: at(day, '10:30') })).status).toBe(201);
  });
});

describe('several at a time', () => {
  const PAIR = { practitioner: 'house', service: 'pair' };
  const join = (time: string, patient: string, more: object = {}): Promise<Answer> =>
    post({ start: at(day, time), patient, ...PAIR }, more);
  const joined = async (time: string, patient: string, more: object = {}): Promise<string> =>
    idOf(done(await join(time, patient, more)));
  const places = async (time: string): Promise<boolean> =>
    (await starts(clinic.nobody, day, 'service=HealthcareService/pair')).includes(time);

  test('whoever leaves makes room for the one who is too many, in whatever lane', async () => {
    for (const leaves of [0, 1]) {
      const time = `1${leaves}:00`;
      const ids = [await joined(time, 'ann'), await joined(time, 'bob')];
      const over = await joined(time, 'eve', FORCED);
      expect((await join(time, 'dan')).status).toBe(409);
      await cancel(ids[leaves] ?? '');
      expect((await rows('Practitioner/house')).filter((r) => r.startsWith(time))).toEqual([
        `${time} lane 1`,
        `${time} lane 2`,
      ]);
      expect([await places(time), (await join(time, 'dan')).status]).toEqual([false, 409]);
      await cancel(over);
      expect([await places(time), (await join(time, 'dan')).status]).toEqual([true, 201]);
    }
  });

  test('two who are too many wait for two to leave', async () => {
    const ids = [await joined('10:00', 'ann'), await joined('10:00', 'bob')];
    for (const patient of ['eve', 'dan']) await joined('10:00', patient, FORCED);
    for (const id of ids) {
      await cancel(id);
      expect([await places('10:00'), (await join('10:00', 'fay')).status]).toEqual([false, 409]);
    }
    expect(await rows('Practitioner/house')).toEqual(['10:00 lane 1', '10:00 lane 2']);
  });

  test('who is too many for a part of the time has a place for the rest, and so has one other', async () => {
    for (const patient of ['ann', 'bob']) await joined('10:00', patient);
    const longer = { end: at(day, '11:00') };
    done(await post({ start: at(day, '10:00'), patient: 'eve', ...PAIR, ...longer }, FORCED));
    expect(await places('10:30')).toBe(true);
    expect((await join('10:30', 'dan')).status).toBe(201);
    expect([await places('10:30'), (await join('10:30', 'fay')).status]).toEqual([false, 409]);
  });

  test('a hold that runs out makes room for the one who is too many, and for nobody else', async () => {
    for (const first of ['held', 'booked']) {
      const time = first === 'held' ? '10:00' : '11:00';
      const hold = async (): Promise<void> => {
        clinic.clock.ahead = 1_500 - 5 * 60_000;
        const wish = visit({ start: at(day, time), patient: 'dan', ...PAIR }, { status: 'proposed' });
        done(await clinic.staff('POST', 'Appointment/$hold', wish));
        clinic.clock.ahead = 0;
      };
      if (first === 'held') await hold();
      await joined(time, 'ann');
      if (first === 'booked') await hold();
      const over = await joined(time, 'bob', FORCED);
      await new Promise((resolve) => setTimeout(resolve, 1_600));
      expect([await places(time), (await join(time, 'eve')).status]).toEqual([false, 409]);
      await cancel(over);
      expect([await places(time), (await join(time, 'eve')).status]).toEqual([true, 201]);
    }
  });

  test('a visit that tolerates nobody beside it is overbooked by one that does', async () => {
    done(await post({ start: at(day, '10:00'), patient: 'ann', practitioner: 'house' }));
    await joined('10:00', 'bob', FORCED);
    expect([await places('10:00'), (await join('10:00', 'eve')).status]).toEqual([false, 409]);
    expect((await join('10:00', 'eve', FORCED)).status).toBe(201);
  });
});

describe('at the same moment', () => {
  test('who books plainly waits for who overbooks, and sees them', async () => {
    await book('10:00', 'ann');
    const held = new pg.Client(clinic.server.kairos.roles.owner);
    await held.connect();
    const waiting = async (): Promise<number> =>
      Number((await clinic.sql('select count(*) from pg_locks where not granted'))[0]?.['count']);
    try {
      // What happens last in a booking: it has its rows of time by then, and nobody sees them yet.
      await held.query('begin; lock table outbox in exclusive mode');
      const over = post({ start: at(day, '10:15'), patient: 'bob' }, FORCED);
      await expect.poll(waiting).toBe(1);
      const plain = post({ start: at(day, '10:30'), patient: 'eve' });
      await expect.poll(waiting).toBe(2);
      await held.query('commit');
      expect([(await over).status, (await plain).status]).toEqual([201, 409]);
    } finally {
      await held.end();
    }
  });
});

test('the Slot says so, until it is no more so', async () => {
  const first = await book('10:00', 'ann');
  await put(clinic.system, {
    resourceType: 'Slot',
    id: `of-${day}`,
    schedule: { reference: 'Schedule/grey' },
    status: 'free',
    start: at(day, '10:00'),
    end: at(day, '10:30'),
  });
  const slot = async (): Promise<Json> => done(await clinic.system('GET', `Slot/of-${day}`)).body;
  await book('10:15', 'bob', FORCED);
  expect(await slot()).toMatchObject({ status: 'busy', overbooked: true });
  await cancel(first);
  expect((await slot())['status']).toBe('busy');
  expect(await slot()).not.toHaveProperty('overbooked');
});

test('a patient’s own time counts in $find for them', async () => {
  await book('10:00', 'ann');
  done(await post({ start: at(day, '10:15'), practitioner: 'house' }));
  const query = `start=${day}&end=${day}&_count=200&practitioner=Practitioner/grey&service=HealthcareService/quarters`;
  const free = found(done(await find(clinic.ann, `${query}&patient-reference=Patient/ann`)));
  const times = free.map((a) => String(a['start']).slice(11, 16));
  expect(times).not.toContain('10:30');
  expect(times).toContain('10:45');
});

test('the database is well after all that', async () => {
  const wrong = (await checkInvariants(clinic.server.kairos.roles.app, clinic.server.kairos.processKeys.roots)).filter(
    (c) => c.found.length > 0,
  );
  expect(wrong).toEqual([]);
});

test('a booking whose look at the calendar is older than the override begins anew, and is refused', async () => {
  const { repository } = clinic.server.engine;
  const write = (): PreparedWrite =>
    settle(clinic.server.engine, visit({ start: at(day, '10:30'), patient: 'eve' }) as Appointment, {
      id: newId(Date.now()),
      version: 1,
      lastUpdated: new Date(),
      method: 'POST',
    });
  await book('10:00', 'ann');
  let tries = 0;
  const booking = repository.transaction('serializable', async (tx) => {
    await tx.execute(sql`select count(*) from occupancy`);
    if (tries++ === 0) done(await post({ start: at(day, '10:15'), patient: 'bob' }, FORCED));
    await tx.insert([write()], grantAll({ kind: 'user', name: 'staff', roles: ['staff'] }).to('create'));
  });
  await expect(booking).rejects.toThrow('This time is taken');
  expect(tries).toBe(2);
});
