/** Rooms of which a visit needs one, D10: https://hl7.org/fhir/R4/appointment-definitions.html#Appointment.participant */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Answer } from '../http/client.ts';
import {
  appointmentOf,
  at,
  availability,
  bookProposal,
  done,
  find,
  found,
  idOf,
  openClinic,
  parameters,
  params,
  put,
  said,
  schedule,
  service,
  starts,
  taking,
  visit,
  referring,
  weekly,
  workday,
  type Clinic,
} from './clinic.ts';

const EXAM = 'HealthcareService/exam';
let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
  const { system } = clinic;
  await put(system, {
    resourceType: 'Location',
    id: 'room-2',
    partOf: { reference: 'Location/site' },
    physicalType: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/location-physical-type', code: 'ro' }] },
  });
  const pool = ['room', 'room-2'].map((r) => ({ url: 'resource', valueReference: { reference: `Location/${r}` } }));
  await put(system, service('exam', ...pool));
  const actors = (...more: readonly string[]): object => ({
    actor: ['Practitioner/grey', 'Location/site', EXAM, ...more].map((reference) => ({ reference })),
  });
  await put(system, schedule('exams', 'grey', actors()));
  await put(system, { resourceType: 'Practitioner', id: 'wilson', name: [{ family: 'wilson' }] });
  const own = ['Practitioner/wilson', 'Location/site', 'Location/room-2', EXAM].map((reference) => ({ reference }));
  await put(system, schedule('wilson', 'wilson', { actor: own }));
});
afterAll(() => clinic.close());

let [ahead, day] = [6, ''];
beforeEach(() => {
  const before = day;
  for (; day === before; ahead++) day = workday(ahead);
});

const occupy = async (time: string, room: string): Promise<void> =>
  void done(
    await clinic.staff('POST', 'Appointment', {
      ...visit({ start: at(day, time) }),
      participant: [taking('Patient/eve'), taking(`Location/${room}`)],
    }),
  );
const exam = (time: string, patient = 'ann'): object => ({
  ...visit({ start: at(day, time), patient, service: 'exam' }, { status: 'proposed' }),
});
const book = (time: string): Promise<Answer> =>
  clinic.ann('POST', 'Appointment/$book', params({ name: 'appointment-resource', resource: exam(time) }));
const roomsOf = (answer: Answer): string[] =>
  (appointmentOf(answer)['participant'] as unknown as { actor: { reference: string } }[])
    .map((p) => p.actor.reference)
    .filter((r) => r.startsWith('Location/room'));
const isOffered = async (time: string): Promise<boolean> =>
  (await starts(clinic.ann, day, `service=${EXAM}&practitioner=Practitioner/grey`)).includes(time);

test('what is described gets a room that is free, as a proposal does', async () => {
  expect(roomsOf(done(await book('09:00')))).toEqual(['Location/room']);
  await occupy('10:00', 'room');
  expect(roomsOf(done(await book('10:00')))).toEqual(['Location/room-2']);
  for (const room of ['room', 'room-2']) await occupy('11:00', room);
  expect([await isOffered('11:00'), (await book('11:00')).status]).toEqual([false, 409]);
  const held = done(await clinic.ann('POST', 'Appointment/$hold', exam('14:00')));
  expect(roomsOf(held)).toEqual(['Location/room']);
  const named = exam('15:00') as { participant: object[] };
  const resource = { ...named, participant: [...named.participant, taking('Location/room-2')] };
  const answer = done(
    await clinic.ann('POST', 'Appointment/$book', params({ name: 'appointment-resource', resource })),
  );
  expect(roomsOf(answer)).toEqual(['Location/room-2']);
});

test('a visit that moves keeps its room, or takes one that is free', async () => {
  const id = idOf(done(await book('09:00')));
  const move = (time: string, ...more: readonly object[]): Promise<Answer> =>
    clinic.ann(
      'POST',
      `Appointment/${id}/$reschedule`,
      params({ name: 'start', valueDateTime: at(day, time) }, ...more),
    );
  expect(roomsOf(done(await move('10:00')))).toEqual(['Location/room']);
  await occupy('11:00', 'room');
  expect(await isOffered('11:00')).toBe(true);
  expect(roomsOf(done(await move('11:00')))).toEqual(['Location/room-2']);
  // Its own is free for it.
  expect(roomsOf(done(await move('11:30')))).toEqual(['Location/room-2']);
  for (const room of ['room', 'room-2']) await occupy('14:00', room);
  expect(said(await move('14:00'))).toContain('409 This time is taken');
  await occupy('15:00', 'room-2');
  expect(roomsOf(done(await move('15:00', { name: 'mode', valueCode: 'replace' })))).toEqual(['Location/room']);
});

test('a visit that moves to somebody with other rooms takes one of those', async () => {
  const { system } = clinic;
  const room = { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/location-physical-type', code: 'ro' }] };
  await put(system, {
    resourceType: 'Location',
    id: 'room-3',
    partOf: { reference: 'Location/site' },
    physicalType: room,
  });
  await put(system, { resourceType: 'Practitioner', id: 'cuddy', name: [{ family: 'cuddy' }] });
  const actor = ['Practitioner/cuddy', 'Location/site', EXAM].map((reference) => ({ reference }));
  const own = parameters({ url: 'resource', valueReference: { reference: 'Location/room-3' } });
  const hours = availability(weekly('09:00:00', '17:00:00'));
  await put(system, schedule('cuddy', 'cuddy', { actor, extension: [hours, own] }));
  const id = idOf(done(await book('09:00')));
  const moved = await clinic.ann(
    'POST',
    `Appointment/${id}/$reschedule`,
    params({ name: 'start', valueDateTime: at(day, '09:00') }, referring('practitioner', 'Practitioner/cuddy')),
  );
  expect(roomsOf(done(moved))).toEqual(['Location/room-3']);
});

test('whose own room is one of them needs no other', async () => {
  const query = `start=${day}&end=${day}&practitioner=Practitioner/wilson`;
  const [first, second] = found(done(await find(clinic.ann, query)));
  expect(roomsOf(done(await bookProposal(clinic.ann, String(first?.['id']))))).toEqual(['Location/room-2']);
  const { id: _, participant, ...rest } = second as unknown as { id: string; participant: object[] };
  const people = participant.map((p) => ({ ...p, status: 'accepted' }));
  const posted = { ...rest, status: 'booked', participant: [taking('Patient/ann'), ...people] };
  expect(said(await clinic.ann('POST', 'Appointment', posted))).toBe('201 ');
});
