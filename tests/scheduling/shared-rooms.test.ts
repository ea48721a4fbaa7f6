/**
 * Schedules whose visits need one of the same rooms, against a model of who has which: what `$find` offers books by every door, with a room that is free, and
 * what is given back is offered to all who need it. https://hl7.org/fhir/R4/appointment-definitions.html#Appointment.participant
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { deadlocksIn } from '../../src/bench/storm/stage.ts';
import { seeded } from '../../src/demo/random.ts';
import { checkInvariants } from '../../src/compose-doctor.ts';
import { slotId } from '../../src/scheduling/slot-id.ts';
import type { Answer, Json } from '../http/client.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  appointmentOf,
  at,
  bookProposal,
  bundle,
  done,
  entries,
  find,
  found,
  later,
  minutes,
  openClinic,
  params,
  put,
  said,
  schedule,
  service,
  taking,
  times,
  visit,
  workdays,
  type Clinic,
} from './clinic.ts';
import { generateAsAsked, rowsOf, untrue } from './slots.ts';

const MINUTE = 60_000;

/** Who needs which rooms, and for how many minutes more than the visit. */
const DOCTORS = {
  wilson: { service: 'exam', rooms: ['Location/room', 'Location/room-2'], after: 0 },
  cuddy: { service: 'exam', rooms: ['Location/room', 'Location/room-2'], after: 0 },
  foreman: { service: 'long', rooms: ['Location/room-2', 'Device/scanner'], after: 15 },
} as const;
type Doctor = keyof typeof DOCTORS;
const NAMES = Object.keys(DOCTORS) as [Doctor, ...Doctor[]];

let database: TestDatabase;
let clinic: Clinic;
beforeAll(async () => {
  database = await createTestDatabase();
  clinic = await openClinic({ roles: database });
  const { system } = clinic;
  const coding = [{ system: 'http://terminology.hl7.org/CodeSystem/location-physical-type', code: 'ro' }];
  const partOf = { reference: 'Location/site' };
  await put(system, { resourceType: 'Location', id: 'room-2', partOf, physicalType: { coding } });
  await put(system, { resourceType: 'Device', id: 'scanner', status: 'active' });
  const needing = (rooms: readonly string[]): object[] =>
    rooms.map((reference) => ({ url: 'resource', valueReference: { reference } }));
  await put(system, service('exam', ...needing(DOCTORS.wilson.rooms)));
  await put(system, service('long', { url: 'bufferAfter', ...minutes(15) }, ...needing(DOCTORS.foreman.rooms)));
  for (const id of NAMES) {
    await put(system, { resourceType: 'Practitioner', id, name: [{ family: id }] });
    const actor = ['Location/site', `Practitioner/${id}`, `HealthcareService/${DOCTORS[id].service}`];
    await put(system, schedule(id, id, { actor: actor.map((reference) => ({ reference })) }));
  }
  await generateAsAsked(clinic.server.kairos);
});
afterAll(() => database.drop());

const slotOf = (doctor: Doctor, start: string): string =>
  `Slot/${slotId(`Schedule/${doctor}`, `HealthcareService/${DOCTORS[doctor].service}`, Date.parse(start))}`;

type Act = () => Promise<Answer>;
const settingSlot = async (slot: string, value: string): Promise<Act> => {
  const etag = done(await clinic.staff('GET', slot)).headers.get('etag') ?? '';
  const patch = [{ op: 'replace', path: '/status', value }];
  return () => clinic.staff('PATCH', slot, patch, { 'If-Match': etag });
};

/** For staff the other visits of a patient are in nobody's way. */
const bySlot = (doctor: Doctor, start: string): object => {
  const slot = [{ reference: slotOf(doctor, start) }];
  const resource = { ...visit({ start }), status: 'proposed', slot, participant: [taking('Patient/eve')] };
  return params({ name: 'appointment-resource', resource });
};
const proposals = async (doctor: Doctor, start: string, end: string): Promise<readonly Json[]> =>
  found(
    done(
      await find(
        clinic.staff,
        `start=${encodeURIComponent(start)}&end=${encodeURIComponent(end)}&schedule=Schedule/${doctor}&_count=100`,
      ),
    ),
  );

const roomIn = (appointment: Json): string =>
  (appointment['participant'] as unknown as { actor: { reference: string } }[])
    .map((p) => p.actor.reference)
    .find((r) => r.startsWith('Location/room') || r.startsWith('Device/')) ?? '';

/** Ways in which time is taken: they look first, and act later. */
const DOORS = {
  proposal: async (doctor: Doctor, start: string): Promise<Act> => {
    const [proposal] = await proposals(doctor, start, later(start, 30));
    return () => bookProposal(clinic.staff, String(proposal?.['id']));
  },
  slot: (doctor: Doctor, start: string): Promise<Act> =>
    Promise.resolve(() => clinic.staff('POST', 'Appointment/$book', bySlot(doctor, start))),
  heldSlot: (doctor: Doctor, start: string): Promise<Act> =>
    Promise.resolve(() => clinic.staff('POST', 'Appointment/$hold', bySlot(doctor, start))),
  patch: (doctor: Doctor, start: string): Promise<Act> => settingSlot(slotOf(doctor, start), 'busy-tentative'),
};
type Door = keyof typeof DOORS;
const WAYS = Object.keys(DOORS) as [Door, ...Door[]];

interface Taken {
  readonly id: string;
  readonly doctor: Doctor;
  readonly start: string;
  readonly room: string;
  readonly patched: boolean;
}

const overlap = (a: readonly [number, number], b: readonly [number, number]): boolean => a[0] < b[1] && b[0] < a[1];
const spanOf = (doctor: Doctor, start: string): readonly [number, number] => {
  const from = Date.parse(start);
  return [from, from + (30 + DOCTORS[doctor].after) * MINUTE];
};
/** By the model: the rooms that a visit could have. */
function roomsFor(taken: readonly Taken[], doctor: Doctor, start: string): readonly string[] {
  const meets = taken.filter((t) => overlap(spanOf(t.doctor, t.start), spanOf(doctor, start)));
  if (meets.some((t) => t.doctor === doctor)) return [];
  return DOCTORS[doctor].rooms.filter((room) => !meets.some((t) => t.room === room));
}

/** What is offered, by `$find` and as Slots, is what the model has. */
async function compare(taken: readonly Taken[], starts: readonly string[], what: string): Promise<void> {
  const [from = '', upto = ''] = [starts[0], starts.at(-1)];
  for (const doctor of NAMES) {
    const free = starts.filter((start) => roomsFor(taken, doctor, start).length > 0).map((s) => Date.parse(s));
    const offered = await proposals(doctor, from, later(upto, 30));
    expect(offered.map((p) => Date.parse(String(p['start']))).sort(), `$find ${doctor} after ${what}`).toEqual(free);
    const slots = await rowsOf(
      clinic.server.kairos,
      `select extract(epoch from start) * 1000 from slot where schedule = $1 and status = 'free' and start >= $2 and start <= $3 order by start`,
      [`Schedule/${doctor}`, from, upto],
    );
    expect(
      slots.map(([start]) => Number(start)),
      `Slots of ${doctor} after ${what}`,
    ).toEqual(free);
  }
}

async function madeBy(answer: Answer, slot: string): Promise<Json> {
  if (String(answer.body['resourceType']) !== 'Slot') return appointmentOf(answer);
  const list = done(await clinic.staff('GET', `Appointment?slot=${slot}&status=pending`));
  expect(entries(list)).toHaveLength(1);
  return entries(list)[0]?.['resource'] as Json;
}

const giveBack = async ({ id, doctor, start, patched }: Taken): Promise<Answer> =>
  patched
    ? (await settingSlot(slotOf(doctor, start), 'free'))()
    : clinic.staff(
        'POST',
        `Appointment/${id}/$cancel`,
        params({ name: 'reason', valueCodeableConcept: { text: 'x' } }),
      );

const wrong = async (): Promise<unknown> => [
  await untrue(clinic.server.kairos),
  (await checkInvariants(clinic.server.kairos.roles.app, clinic.server.kairos.processKeys.roots)).filter(
    (c) => c.found.length > 0,
  ),
];

const nextDay = workdays(10);
const counts = { made: 0, own: 0, refused: 0, back: 0 };
test.each(['1', '2', '3', String(Math.floor(Math.random() * 1e9))])(
  'the model, %s',
  { timeout: 60_000 },
  async (seed) => {
    const random = seeded('shared rooms', seed);
    const day = nextDay();
    const starts = ['09:00', '09:30', '10:00', '10:30', '11:00'].map((time) => at(day, time)) as [string, ...string[]];
    const taken: Taken[] = [];
    await compare(taken, starts, 'nothing');
    for (let i = 0; i < 24; i++) {
      const held = taken.find((t) => t.patched);
      const [doctor, start, door] =
        held && random.chance(0.3)
          ? ([held.doctor, held.start, random.pick<Door>(['slot', 'heldSlot'])] as const)
          : [random.pick(NAMES), random.pick(starts), random.pick(WAYS)];
      const what = `${i}: ${door} ${doctor} ${start}`;
      if (taken.length > 0 && random.chance(0.35)) {
        const [old] = taken.splice(random.int(0, taken.length - 1), 1) as [Taken];
        done(await giveBack(old));
        counts.back++;
        await compare(taken, starts, `${i}: giving back ${JSON.stringify(old)}`);
        continue;
      }
      // Who holds a Slot books it, or holds it by an appointment: their hold makes room.
      const own =
        door === 'proposal' || door === 'patch'
          ? -1
          : taken.findIndex((t) => t.patched && t.doctor === doctor && t.start === start);
      const others = taken.filter((_, n) => n !== own);
      const rooms = roomsFor(others, doctor, start);
      if (rooms.length === 0) {
        // What is not offered has no proposal.
        if (door === 'proposal') continue;
        const lost = await (await DOORS[door](doctor, start))();
        expect([409, 422], `${what}: ${lost.text}`).toContain(lost.status);
        counts.refused++;
      } else {
        const answer = await (await DOORS[door](doctor, start))();
        expect(answer.status, `${what}: ${said(answer)}`).toBe(200);
        const made = await madeBy(answer, slotOf(doctor, start));
        expect(rooms, what).toContain(roomIn(made));
        taken.splice(0, taken.length, ...others);
        if (own >= 0) counts.own++;
        taken.push({ id: String(made['id']), doctor, start, room: roomIn(made), patched: door === 'patch' });
        counts.made++;
      }
      await compare(taken, starts, what);
    }
    for (const old of taken.splice(0)) done(await giveBack(old));
    await compare(taken, starts, 'all');
    expect(await wrong()).toEqual([[], []]);
  },
);

test('there was something to take, to refuse, and to give back', () => {
  expect([counts.made > 20, counts.own > 2, counts.refused > 5, counts.back > 10], JSON.stringify(counts)).toEqual(
    Array(4).fill(true),
  );
});

test('who writes an appointment names its room: without one patients are refused, and staff’s visit has none', async () => {
  const day = nextDay();
  const [start, other] = [at(day, '14:00'), at(day, '14:30')];
  const plain = (from: string, patient: string, ...more: readonly string[]): object => ({
    ...visit({ start: from }),
    slot: [{ reference: slotOf('wilson', from) }],
    participant: [`Patient/${patient}`, ...more].map((reference) => taking(reference)),
  });
  const refused = await clinic.ann('POST', 'Appointment', plain(start, 'ann'));
  expect(said(refused)).toMatch(
    /^422 A visit of this service needs one of Location\/room, Location\/room-2: book it by/,
  );
  const named = done(await clinic.ann('POST', 'Appointment', plain(start, 'ann', 'Location/room-2')));
  expect(roomIn(named.body)).toBe('Location/room-2');
  const request = { method: 'POST', url: 'Appointment' };
  done(await clinic.staff('POST', '', bundle('transaction', { resource: plain(other, 'bob'), request })));
  const [stored] = entries(done(await clinic.staff('GET', `Appointment?slot=${slotOf('wilson', other)}`)));
  expect(roomIn(stored?.['resource'] as Json)).toBe('');
  // Both rooms are there for others, and then none.
  const rooms = [];
  for (const doctor of ['cuddy', 'foreman'] as const)
    rooms.push(roomIn(appointmentOf(done(await (await DOORS.slot(doctor, other))()))));
  expect(rooms).toEqual(['Location/room', 'Location/room-2']);
  // Where no room is left, staff's own word still counts.
  const last = at(day, '16:00');
  for (const room of ['Location/room', 'Location/room-2'])
    done(await clinic.staff('POST', 'Appointment', { ...visit({ start: last }), participant: [taking(room)] }));
  expect(said(await clinic.staff('POST', 'Appointment', plain(last, 'bob')))).toBe('201 ');
  const lost = await (await DOORS.slot('cuddy', last))();
  expect([lost.status, lost.body['contained']?.length]).toEqual([409, 3]);
});

test('two rooms and three who want one at the same moment: two have theirs, whoever is first', async () => {
  const next = times(30);
  const random = seeded('three at once');
  for (let round = 0; round < 12; round++) {
    // Buffers reach into the next start.
    const [start] = [next(), next()];
    const device = { status: 'booked', start, end: later(start, 60), participant: [taking('Device/scanner')] };
    done(await clinic.staff('POST', 'Appointment', { resourceType: 'Appointment', ...device }));
    const doors = random.shuffle(WAYS);
    const acts = await Promise.all(NAMES.map((doctor, i) => DOORS[doors[i] ?? 'slot'](doctor, start)));
    const answers = await Promise.all(acts.map((act) => act()));
    const told = `${start} ${doors.join()}: ${answers.map(said).join(' | ')}`;
    expect(answers.filter((a) => a.status === 200).length, told).toBe(2);
    for (const { status } of answers) expect([200, 409, 412, 422], told).toContain(status);
  }
  expect(await wrong()).toEqual([[], []]);
});

test('there was no deadlock', async () => {
  // Sessions tell at the latest when they end.
  await clinic.close();
  expect(await deadlocksIn(database.superuser)).toBe(0);
});
