/** Slots of visits that need one of several rooms: whoever takes or holds one takes a room with it, and gives it back. https://hl7.org/fhir/R4/slot.html */
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { actorKey } from '../../src/scheduling/actor.ts';
import { generateSlots } from '../../src/scheduling/generate.ts';
import { checkInvariants } from '../../src/compose-doctor.ts';
import { slotId } from '../../src/scheduling/slot-id.ts';
import { locksOf } from '../../src/scheduling/time-lock.ts';
import type { Answer, Json, Send } from '../http/client.ts';
import {
  appointmentOf,
  bookProposal,
  bundle,
  done,
  find,
  found,
  idOf,
  later,
  openClinic,
  params,
  put,
  referring,
  said,
  schedule,
  service,
  statuses,
  taking,
  times,
  type Clinic,
} from './clinic.ts';
import { partsOf, rowsOf, untrue } from './slots.ts';

const EXAM = 'HealthcareService/exam';
const DOCTORS = ['chase', 'cuddy', 'wilson'] as const;
type Doctor = (typeof DOCTORS)[number];

let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
  const { system } = clinic;
  await put(system, {
    resourceType: 'Location',
    id: 'room-2',
    name: 'Room 2',
    partOf: { reference: 'Location/site' },
    physicalType: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/location-physical-type', code: 'ro' }] },
  });
  const pool = ['room', 'room-2'].map((r) => ({ url: 'resource', valueReference: { reference: `Location/${r}` } }));
  await put(system, service('exam', ...pool));
  for (const id of DOCTORS) {
    await put(system, { resourceType: 'Practitioner', id, name: [{ family: id }] });
    const actor = [`Practitioner/${id}`, 'Location/site', EXAM].map((reference) => ({ reference }));
    await put(system, schedule(id, id, { actor }));
  }
  await generateSlots(partsOf(clinic.server.kairos));
});
afterAll(() => clinic.close());

afterEach(async () => {
  const { kairos } = clinic.server;
  const wrong = (await checkInvariants(kairos.roles.app, kairos.processKeys.roots)).flatMap((r) => r.found);
  const found = [...(await untrue(kairos)), ...wrong];
  if (found.length > 0) throw new Error(JSON.stringify(found));
});

const next = times(6);
const slotOf = (doctor: Doctor, start: string): string =>
  `Slot/${slotId(`Schedule/${doctor}`, EXAM, Date.parse(start))}`;
const taken = async (start: string): Promise<string[]> =>
  (
    await rowsOf(
      clinic.server.kairos,
      `select status from slot where start = $1 and schedule = any($2) order by schedule`,
      [start, DOCTORS.map((d) => `Schedule/${d}`)],
    )
  ).map(([status = '']) => status);
const FREE = ['free', 'free', 'free'];

const occupy = async (room: string, start: string): Promise<string> =>
  idOf(
    done(
      await clinic.staff('POST', 'Appointment', {
        resourceType: 'Appointment',
        status: 'booked',
        start,
        end: later(start, 30),
        participant: [taking(`Location/${room}`)],
      }),
    ),
  );
const naming = (doctor: Doctor, start: string, patient: string): object => ({
  resourceType: 'Appointment',
  slot: [{ reference: slotOf(doctor, start) }],
  participant: [taking(`Patient/${patient}`)],
});
const bySlot = (send: Send, what: '$book' | '$hold', doctor: Doctor, start: string, patient: string): Promise<Answer> =>
  send(
    'POST',
    `Appointment/${what}`,
    params({ name: 'appointment-resource', resource: naming(doctor, start, patient) }),
  );
const roomsIn = (appointment: Json | undefined): string[] =>
  ((appointment?.['participant'] ?? []) as unknown as { actor: { reference: string } }[])
    .map((p) => p.actor.reference)
    .filter((r) => r.startsWith('Location/room'));
const roomsOf = (answer: Answer): string[] => roomsIn(appointmentOf(done(answer)));
const cancel = async (id: string): Promise<Answer> =>
  done(await clinic.staff('POST', `Appointment/${id}/$cancel`, params()));

const patch = async (send: Send, slot: string, status: string): Promise<Answer> => {
  const { meta } = done(await clinic.staff('GET', slot)).body;
  const change = [{ op: 'replace', path: '/status', value: status }];
  return send('PATCH', slot, change, { 'If-Match': `W/"${String(meta?.['versionId'])}"` });
};

describe('$book and $hold of a Slot', () => {
  test.each(['$book', '$hold'] as const)(
    '%s takes a room that is free, and the last one from the others',
    async (what) => {
      const start = next();
      const other = await occupy('room', start);
      expect(await taken(start)).toEqual(FREE);
      const answer = await bySlot(clinic.ann, what, 'wilson', start, 'ann');
      expect(roomsOf(answer)).toEqual(['Location/room-2']);
      const status = what === '$book' ? 'busy' : 'busy-tentative';
      expect(await taken(start)).toEqual([status, status, status]);
      const late = await bySlot(clinic.bob, what, 'cuddy', start, 'bob');
      expect(said(late)).toMatch(/^409 This time is taken: somebody else was first. The next free times are /);
      expect(late.body['contained']).toHaveLength(3);
      await cancel(idOf(answer));
      expect(await taken(start)).toEqual(FREE);
      await cancel(other);
    },
  );

  test('at the same moment: as many as there are rooms, each in their own', async () => {
    for (let round = 0; round < 4; round++) {
      const start = next();
      const [ann, bob, eve] = await Promise.all([
        bySlot(clinic.ann, '$book', 'wilson', start, 'ann'),
        bySlot(clinic.bob, '$book', 'cuddy', start, 'bob'),
        bySlot(clinic.eve, '$book', 'chase', start, 'eve'),
      ]);
      const answers = [ann, bob, eve];
      expect(answers.map((a) => a.status).sort()).toEqual([200, 200, 409]);
      const won = answers.filter((a) => a.status === 200);
      expect(won.flatMap(roomsOf).sort()).toEqual(['Location/room', 'Location/room-2']);
      expect(await taken(start)).toEqual(['busy', 'busy', 'busy']);
      for (const answer of won) await cancel(idOf(answer));
      expect(await taken(start)).toEqual(FREE);
    }
  });
});

test('a plain POST takes the room that it names: patients must, staff may leave it out', async () => {
  const start = next();
  const plain = { ...naming('wilson', start, 'ann'), status: 'booked', start, end: later(start, 30) };
  expect(said(await clinic.ann('POST', 'Appointment', plain))).toMatch(
    /^422 .* needs one of Location\/room, Location\/room-2: book it by \$book, or add one as a participant\.$/,
  );
  const answer = await clinic.staff('POST', 'Appointment', plain);
  expect(roomsOf(answer)).toEqual([]);
  await occupy('room', start);
  expect(await taken(start)).toEqual(['free', 'free', 'busy']);
  await cancel(idOf(answer));
});

describe('PATCH of a Slot from free to busy-tentative', () => {
  const holdOf = async (doctor: Doctor, start: string): Promise<Json | undefined> =>
    found(done(await clinic.staff('GET', `Appointment?status=pending&slot=${slotOf(doctor, start)}`)))[0];

  test('holds a room, so that the last one is nobody else’s, and gives it back', async () => {
    const start = next();
    await occupy('room', start);
    done(await patch(clinic.staff, slotOf('wilson', start), 'busy-tentative'));
    expect(roomsIn(await holdOf('wilson', start))).toEqual(['Location/room-2']);
    expect(await taken(start)).toEqual(['busy-tentative', 'busy-tentative', 'busy-tentative']);
    expect((await bySlot(clinic.bob, '$book', 'cuddy', start, 'bob')).status).toBe(409);
    done(await patch(clinic.staff, slotOf('wilson', start), 'free'));
    expect(await taken(start)).toEqual(FREE);
    const won = await bySlot(clinic.bob, '$book', 'cuddy', start, 'bob');
    expect(roomsOf(won)).toEqual(['Location/room-2']);
  });

  test('when no room is left: 409 with other times', async () => {
    const start = next();
    for (const room of ['room', 'room-2']) await occupy(room, start);
    const answer = await patch(clinic.staff, slotOf('wilson', start), 'busy-tentative');
    expect(said(answer)).toMatch(/^409 This time is taken: somebody else was first. The next free times are /);
    expect(answer.body['contained']).toHaveLength(3);
    expect(await holdOf('wilson', start)).toBeUndefined();
  });

  test('at the same moment, alone and in one transaction: as many as there are rooms', async () => {
    for (let round = 0; round < 4; round++) {
      const start = next();
      const answers = await Promise.all(DOCTORS.map((d) => patch(clinic.staff, slotOf(d, start), 'busy-tentative')));
      expect(answers.filter((a) => a.status === 200)).toHaveLength(2);
      const rooms = (await Promise.all(DOCTORS.map((d) => holdOf(d, start)))).flatMap(roomsIn);
      expect(rooms.sort()).toEqual(['Location/room', 'Location/room-2']);
    }
    const start = next();
    const held = (doctor: Doctor, status: string): object => ({
      request: { method: 'PUT', url: slotOf(doctor, start), ifMatch: 'W/"1"' },
      resource: { ...stored.get(doctor), status },
    });
    const stored = new Map<Doctor, Json>();
    for (const d of DOCTORS) stored.set(d, done(await clinic.staff('GET', slotOf(d, start))).body);
    const two = bundle('transaction', held('wilson', 'busy-tentative'), held('cuddy', 'busy-tentative'));
    expect(statuses(done(await clinic.staff('POST', '', two)))).toEqual(['200', '200']);
    expect([roomsIn(await holdOf('wilson', start)), roomsIn(await holdOf('cuddy', start))].flat().sort()).toEqual([
      'Location/room',
      'Location/room-2',
    ]);
  });

  test('who waits for a room looks for one when it is their turn', async () => {
    const start = next();
    const other = new pg.Client(clinic.server.kairos.roles.app);
    await other.connect();
    try {
      await other.query('begin');
      await other.query('select pg_advisory_xact_lock(19266, $1)', [locksOf([actorKey('Location/room')])[0]]);
      const both = Promise.all(
        (['wilson', 'cuddy'] as const).map((d) => patch(clinic.staff, slotOf(d, start), 'busy-tentative')),
      );
      const waiting = `select count(*) from pg_locks where locktype = 'advisory' and classid = 19266 and not granted`;
      await expect.poll(async () => Number((await clinic.sql(waiting))[0]?.['count'])).toBe(2);
      await other.query('commit');
      expect((await both).map(said)).toEqual(['200 ', '200 ']);
    } finally {
      await other.end();
    }
  });

  test('while others book: never more than there are rooms', async () => {
    for (let round = 0; round < 6; round++) {
      const start = next();
      const answers = await Promise.all([
        bySlot(clinic.ann, '$book', 'wilson', start, 'ann'),
        patch(clinic.staff, slotOf('cuddy', start), 'busy-tentative'),
        bySlot(clinic.eve, '$book', 'chase', start, 'eve'),
      ]);
      expect(answers.filter((a) => a.status === 200)).toHaveLength(2);
      for (const each of answers) expect([200, 409, 412]).toContain(each.status);
    }
  });

  test('whoever holds it books it with its room, the last that is free', async () => {
    const ways: readonly ((start: string) => Promise<Answer>)[] = [
      (start) => bySlot(clinic.staff, '$book', 'wilson', start, 'ann'),
      async (start) =>
        clinic.staff(
          'POST',
          `Appointment/${String((await holdOf('wilson', start))?.['id'])}/$book`,
          params(referring('patient-reference', 'Patient/ann')),
        ),
      (start) =>
        clinic.staff('POST', 'Appointment', {
          ...naming('wilson', start, 'ann'),
          status: 'booked',
          start,
          end: later(start, 30),
          participant: [taking('Patient/ann'), taking('Location/room-2')],
        }),
    ];
    for (const way of ways) {
      const start = next();
      await occupy('room', start);
      done(await patch(clinic.staff, slotOf('wilson', start), 'busy-tentative'));
      const booked = await way(start);
      expect(roomsOf(booked)).toEqual(['Location/room-2']);
      expect(await taken(start)).toEqual(['busy', 'busy', 'busy']);
      await cancel(idOf(booked));
      expect(await taken(start)).toEqual(FREE);
    }
  });
});

describe('what $find offers can be had', () => {
  const offered = async (start: string): Promise<Map<string, string>> => {
    const span = `start=${encodeURIComponent(start)}&end=${encodeURIComponent(later(start, 30))}`;
    const all = found(done(await find(clinic.staff, `${span}&service=${EXAM}`)));
    return new Map(all.map((a) => [JSON.stringify(a).match(/Practitioner\/(\w+)/)?.[1] ?? '', String(a['id'])]));
  };
  const ways: Record<string, (doctor: Doctor, start: string, proposal: string) => Promise<Answer>> = {
    '$book of a proposal': (_, __, proposal) =>
      bookProposal(clinic.staff, proposal, referring('patient-reference', 'Patient/ann')),
    '$book of a Slot': (doctor, start) => bySlot(clinic.staff, '$book', doctor, start, 'ann'),
    '$hold of a Slot': (doctor, start) => bySlot(clinic.staff, '$hold', doctor, start, 'ann'),
    'PATCH of a Slot': (doctor, start) => patch(clinic.staff, slotOf(doctor, start), 'busy-tentative'),
  };

  test.each(Object.keys(ways))('%s, while a room is left, and given back to all when it ends', async (way) => {
    const start = next();
    const other = await occupy('room', start);
    for (const doctor of DOCTORS) {
      const free = await offered(start);
      expect([...free.keys()].sort()).toEqual([...DOCTORS]);
      done((await ways[way]?.(doctor, start, free.get(doctor) ?? '')) as Answer);
      expect((await offered(start)).size).toBe(0);
      expect(new Set(await taken(start))).toEqual(new Set([/hold|PATCH/.test(way) ? 'busy-tentative' : 'busy']));
      const [visit] = found(
        done(await clinic.staff('GET', `Appointment?slot=${slotOf(doctor, start)}&status=pending,booked`)),
      );
      expect(roomsIn(visit)).toEqual(['Location/room-2']);
      await cancel(String(visit?.['id']));
      expect(await taken(start)).toEqual(FREE);
    }
    await cancel(other);
  });
});

test('over the rules a visit takes a room that is free all the same', async () => {
  const start = next();
  await occupy('room', start);
  const away = new Date(Date.parse(start) + 5 * 60_000).toISOString();
  const resource = {
    ...naming('wilson', start, 'ann'),
    slot: undefined,
    start: away,
    end: later(away, 30),
    participant: [taking('Patient/ann'), taking('Practitioner/wilson'), taking(EXAM, 'accepted', 'information-only')],
  };
  const booked = await clinic.staff(
    'POST',
    'Appointment/$book',
    params({ name: 'appointment-resource', resource }, { name: 'override-reason', valueString: 'urgent' }),
  );
  expect(roomsOf(booked)).toEqual(['Location/room-2']);
});
