/** Slots of visits that need one of several rooms: whoever takes or holds one takes a room with it, and gives it back. https://hl7.org/fhir/R4/slot.html */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { generateSlots } from '../../src/scheduling/generate.ts';
import { runChecks } from '../../src/platform/database/checks.ts';
import { slotId } from '../../src/scheduling/slot-id.ts';
import type { Answer, Json, Send } from '../http/client.ts';
import {
  appointmentOf,
  done,
  idOf,
  later,
  openClinic,
  params,
  put,
  said,
  schedule,
  service,
  taking,
  times,
  type Clinic,
} from './clinic.ts';
import { partsOf, rowsOf, untrue } from './slots.ts';

const INVARIANTS = new URL('../../src/cli/invariants.sql', import.meta.url).pathname;
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
  const wrong = (await runChecks(kairos.roles.app, INVARIANTS)).flatMap((r) => r.found);
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
