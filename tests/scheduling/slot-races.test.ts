/** Slots written by hand beside bookings of the same people: nobody waits in a circle, and all Slots are true. https://hl7.org/fhir/R4/slot.html */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { deadlocksIn } from '../../src/bench/storm/stage.ts';
import { seeded } from '../../src/demo/random.ts';
import type { Answer, Json } from '../http/client.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  at,
  done,
  entries,
  idOf,
  minutes,
  openClinic,
  params,
  put,
  schedule,
  service,
  visit,
  workday,
  type Clinic,
} from './clinic.ts';
import { generateAsAsked, untrue } from './slots.ts';

let database: TestDatabase;
let clinic: Clinic;
beforeAll(async () => {
  database = await createTestDatabase();
  clinic = await openClinic({ roles: database });
  const { system } = clinic;
  await put(system, service('other', { url: 'interval', ...minutes(15) }, { url: 'bufferAfter', ...minutes(10) }));
  const actor = ['Practitioner/grey', 'Location/site', 'HealthcareService/visit', 'HealthcareService/other'].map(
    (reference) => ({ reference }),
  );
  for (const id of ['grey', 'grey-too']) await put(system, schedule(id, 'grey', { actor }));
  await generateAsAsked(clinic.server.kairos);
});
afterAll(() => database.drop());

test('holds and blocks by Slot, bookings, moves and cancellations', async () => {
  const day = workday(7);
  const random = seeded('slots');
  const list = done(
    await clinic.staff(
      'GET',
      `Slot?start=ge${at(day, '09:00')}&start=lt${at(day, '11:00')}&schedule=Schedule/grey,Schedule/grey-too&_count=200`,
    ),
  );
  const slots = entries(list).map((e) => String(e['resource']?.['id'])) as [string, ...string[]];
  expect(slots.length).toBeGreaterThan(20);
  const read = async (id: string): Promise<Json> => done(await clinic.staff('GET', `Slot/${id}`)).body;
  const patch = async (from: string, to: string): Promise<Answer> => {
    const id = random.pick(slots);
    const { meta } = await read(id);
    return clinic.staff(
      'PATCH',
      `Slot/${id}`,
      [
        { op: 'test', path: '/status', value: from },
        { op: 'replace', path: '/status', value: to },
      ],
      { 'If-Match': `W/"${String(meta?.['versionId'])}"` },
    );
  };
  const booked: string[] = [];
  const time = (): string => at(day, random.pick(['09:00', '09:15', '09:30', '10:00', '10:15', '10:30']));
  const any = (): string => booked[random.int(0, Math.max(booked.length - 1, 0))] ?? 'nothing';
  const acts: (() => Promise<Answer>)[] = [
    () => patch('free', 'busy-tentative'),
    () => patch('busy-tentative', 'free'),
    async () => {
      const slot = await read(random.pick(slots));
      return clinic.staff('PUT', `Slot/${String(slot['id'])}`, {
        ...slot,
        status: random.pick(['busy-unavailable', 'free']),
      });
    },
    async () => {
      const answer = await clinic.staff(
        'POST',
        'Appointment',
        visit({ start: time(), service: random.pick(['visit', 'other']) }),
      );
      if (answer.status === 201) booked.push(idOf(answer));
      return answer;
    },
    () => clinic.staff('POST', `Appointment/${any()}/$cancel`, params()),
    () => clinic.staff('POST', `Appointment/${any()}/$reschedule`, params({ name: 'start', valueDateTime: time() })),
    () =>
      clinic.staff(
        'POST',
        'Schedule/grey-too/$block',
        params({ name: 'start', valueDateTime: time() }, { name: 'end', valueDateTime: at(day, '11:00') }),
      ),
    () =>
      clinic.staff(
        'POST',
        'Schedule/grey-too/$unblock',
        params({ name: 'start', valueDateTime: day }, { name: 'end', valueDateTime: day }),
      ),
  ];
  const seen = new Map<number, number>();
  await Promise.all(
    Array.from({ length: 12 }, async (_, worker) => {
      for (let i = 0; i < 16; i++) {
        const answer = await acts[(worker + i) % acts.length]?.();
        seen.set(answer?.status ?? 0, (seen.get(answer?.status ?? 0) ?? 0) + 1);
        expect([200, 201, 400, 404, 409, 412, 422], answer?.text).toContain(answer?.status);
      }
    }),
  );
  expect([...seen.keys()]).toEqual(expect.arrayContaining([200, 201, 409]));
  expect(await untrue(clinic.server.kairos)).toEqual([]);
});

test('there was no deadlock', async () => {
  // Sessions tell at the latest when they end.
  await clinic.close();
  expect(await deadlocksIn(database.superuser)).toBe(0);
});
