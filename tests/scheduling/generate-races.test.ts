/** Slots that are generated while others book, hold, cancel, block and change rules: none stays free whose time is taken. https://hl7.org/fhir/R4/slot.html */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { actorKey } from '../../src/scheduling/actor.ts';
import { generateSlots } from '../../src/scheduling/generate.ts';
import type { SchedulingParts } from '../../src/scheduling/parts.ts';
import { createScheduling } from '../../src/scheduling/scheduling.ts';
import type { TestKairos } from '../support/kairos.ts';
import {
  availability,
  bookProposal,
  find,
  found,
  minutes,
  openClinic,
  params,
  put,
  referring,
  schedule,
  service,
  weekly,
  workday,
  type Clinic,
} from './clinic.ts';
import { generateAsAsked, mismatch, partsOf, rowsOf, untrue } from './slots.ts';

let clinic: Clinic;
let kairos: TestKairos;
/** Another worker, with a directory of its own. */
let other: SchedulingParts;
beforeAll(async () => {
  clinic = await openClinic();
  ({ kairos } = clinic.server);
  const { engine, keys, log } = kairos;
  other = createScheduling(engine, { keys, log, slotHorizonDays: 60 }).parts;
});
afterAll(() => clinic.close());

/** As if they had never been generated. */
const forget = (): Promise<unknown> =>
  kairos.pool.query(
    'delete from slot; delete from scheduling_generated; delete from scheduling_slot; delete from scheduling_time',
  );

describe('a booking that does not see the Slots yet', () => {
  const client = async (): Promise<pg.Client> => {
    const connection = new pg.Client(kairos.roles.app);
    await connection.connect();
    return connection;
  };
  const day = workday(9);
  const [start, end] = [`${day}T10:00:00-05:00`, `${day}T10:30:00-05:00`];
  const spans = JSON.stringify([
    {
      schedule: 'Schedule/grey',
      service: 'HealthcareService/visit',
      from: start,
      upto: end,
      before: 0,
      after: 0,
      capacity: 1,
      actors: [actorKey('Practitioner/grey')],
    },
  ]);
  const statusNow = async (): Promise<string | undefined> =>
    (await rowsOf(kairos, `select status from slot where schedule = 'Schedule/grey' and start = $1`, [start]))[0]?.[0];
  beforeEach(forget);

  test.each(['read committed', 'serializable'])('is seen by the second look: %s', async (isolation) => {
    const booking = await client();
    try {
      await booking.query(`begin isolation level ${isolation}; select count(*) from slot`);
      let done = false;
      const book = async (): Promise<void> => {
        await booking.query(
          `insert into occupancy values ('someone', $1, scheduling_lanes(1, 1), tstzrange($2, $3), false, 1, 1, false, null)`,
          [actorKey('Practitioner/grey'), start, end],
        );
        await booking.query('select scheduling_restate($1)', [spans]);
      };
      // Before the Slots are there; or after, with a snapshot from before.
      if (isolation === 'read committed') await book();
      const generated = generateSlots(partsOf(kairos)).finally(() => (done = true));
      await expect.poll(statusNow, { timeout: 10_000 }).toBe('free');
      if (isolation === 'serializable') await book();
      await sleep(200);
      // It is not done before the booking is over.
      expect([
        done,
        await rowsOf(
          kairos,
          `select count(*) from scheduling_generated where schedule = 'Schedule/grey' and upto > now()`,
        ),
      ]).toEqual([false, [['0']]]);
      await booking.query('commit');
      expect((await generated).left).toEqual([]);
      expect(await statusNow()).toBe('busy');
      expect(await untrue(kairos)).toEqual([]);
    } finally {
      await booking.end();
      await kairos.pool.query(`delete from occupancy where appointment = 'someone'`);
    }
  });
});

/** Chance that repeats itself. */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe('at random', () => {
  const day = workday(6);
  const at = (minute: number): string => new Date(Date.parse(`${day}T09:00:00-05:00`) + minute * 60_000).toISOString();
  const booked: string[] = [];

  const acts: readonly ((next: () => number) => Promise<unknown>)[] = [
    // Any time at all: staff may.
    async (next) => {
      const minute = Math.floor(next() * 32) * 15;
      const answer = await clinic.staff('POST', 'Appointment', {
        resourceType: 'Appointment',
        status: 'booked',
        start: at(minute),
        end: at(minute + 30),
        participant: ['Practitioner/grey', 'HealthcareService/visit'].map((reference) => ({
          actor: { reference },
          required: 'required',
          status: 'accepted',
        })),
      });
      if (answer.status === 201) booked.push(String(answer.body['id']));
      return answer;
    },
    // With a snapshot of its own.
    async (next) => {
      const minute = Math.floor(next() * 16) * 30;
      const answer = await clinic.staff('POST', '', {
        resourceType: 'Bundle',
        type: 'transaction',
        entry: [
          {
            request: {
              method: 'POST',
              url: 'Appointment',
              ifNoneExist: `identifier=urn:x|${Math.floor(next() * 1e9)}`,
            },
            resource: {
              resourceType: 'Appointment',
              status: 'booked',
              start: at(minute),
              end: at(minute + 30),
              participant: ['Practitioner/house', 'HealthcareService/visit'].map((reference) => ({
                actor: { reference },
                required: 'required',
                status: 'accepted',
              })),
            },
          },
        ],
      });
      return answer;
    },
    async (next) => {
      const free = found(
        await find(
          clinic.nobody,
          `start=${day}T00:00:00-05:00&end=${day}T23:00:00-05:00&practitioner=Practitioner/grey`,
        ),
      );
      const id = String(free[Math.floor(next() * free.length)]?.['id']);
      if (next() < 0.5)
        return clinic.ann('POST', 'Appointment/$hold', params(referring('appointment-reference', `Appointment/${id}`)));
      const answer = await bookProposal(clinic.bob, id);
      if (answer.status === 200) booked.push(String(found(answer)[0]?.['id']));
      return answer;
    },
    (next) => {
      const [id] = booked.splice(Math.floor(next() * booked.length), 1);
      return id === undefined ? Promise.resolve() : clinic.staff('POST', `Appointment/${id}/$cancel`, params());
    },
    (next) => {
      const minute = Math.floor(next() * 8) * 60;
      return clinic.staff('POST', 'Slot', {
        resourceType: 'Slot',
        schedule: { reference: 'Schedule/grey' },
        status: 'busy-unavailable',
        start: at(minute),
        end: at(minute + 20),
      });
    },
  ];
  const rules: readonly (() => Promise<unknown>)[] = [
    () => put(clinic.system, schedule('grey', 'grey', { extension: [availability(weekly('08:00:00', '15:00:00'))] })),
    () => put(clinic.system, schedule('grey', 'grey')),
    () => put(clinic.system, service('visit', { url: 'bufferAfter', ...minutes(10) })),
    () => put(clinic.system, service('visit', { url: 'interval', ...minutes(15) })),
    () => put(clinic.system, service('visit')),
  ];

  test('by two workers, beside bookings and changes of rules, all Slots are true in the end', async () => {
    const next = chance(20261127);
    for (let round = 0; round < 6; round++) {
      if (round % 2 === 0) await forget();
      const answers = await Promise.all([
        generateSlots(partsOf(kairos), { comparedBefore: Infinity }),
        generateSlots(other),
        ...Array.from({ length: 24 }, () => acts[Math.floor(next() * acts.length)]?.(next)),
        rules[Math.floor(next() * rules.length)]?.(),
      ]);
      for (const answer of answers) {
        if (typeof answer === 'object' && answer !== null && 'status' in answer)
          expect(Number(answer.status)).toBeLessThan(500);
      }
      while ((await generateAsAsked(kairos)).length > 0);
      expect([await untrue(kairos), await mismatch(kairos)]).toEqual([[], []]);
    }
    expect(
      Number((await rowsOf(kairos, `select count(*) from slot where status like 'busy%'`))[0]?.[0]),
    ).toBeGreaterThan(3);
  });
});
