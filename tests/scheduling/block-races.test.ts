/** D6: who books while somebody takes time off is told of, or refused; by every door. https://www.postgresql.org/docs/18/explicit-locking.html */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Answer, Send } from '../http/client.ts';
import { deadlocksIn } from '../../src/bench/storm/stage.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  at,
  bundle,
  done,
  find,
  found,
  idOf,
  ofMode,
  openClinic,
  params,
  referring,
  said,
  visit,
  workdays,
  type Clinic,
} from './clinic.ts';

let database: TestDatabase;
let clinic: Clinic;
beforeAll(async () => {
  database = await createTestDatabase();
  clinic = await openClinic({ roles: database });
});
afterAll(() => database.drop());

const STARTS = [9, 10, 11, 13, 14, 15, 16].flatMap((h) => [
  `${String(h).padStart(2, '0')}:00`,
  `${String(h).padStart(2, '0')}:30`,
]);
const who = (n: number): string => ['ann', 'bob', 'eve'][n % 3] ?? 'ann';

type Door = (start: string, n: number, key: string) => Promise<Answer>;

/** Ways to take a time. */
const doors = (send: Send, proposals: ReadonlyMap<string, string>, others: readonly string[]): readonly Door[] => [
  (start, n) => send('POST', 'Appointment', visit({ start, patient: who(n) })),
  (start, n) =>
    send(
      'POST',
      'Appointment/$book',
      params(
        referring('appointment-reference', `Appointment/${proposals.get(start) ?? ''}`),
        referring('patient-reference', `Patient/${who(n)}`),
      ),
    ),
  (start, n, key) =>
    send(
      'POST',
      'Appointment',
      visit({ start, patient: who(n) }, { identifier: [{ system: 'urn:race', value: key }] }),
      {
        'If-None-Exist': `identifier=urn:race|${key}`,
      },
    ),
  (start, n) =>
    send(
      'POST',
      '',
      bundle('transaction', {
        request: { method: 'POST', url: 'Appointment' },
        resource: visit({ start, patient: who(n) }),
      }),
    ),
  (start, n, key) =>
    send(
      'POST',
      '',
      bundle('transaction', {
        request: { method: 'POST', url: 'Appointment', ifNoneExist: `identifier=urn:race|${key}` },
        resource: visit({ start, patient: who(n) }, { identifier: [{ system: 'urn:race', value: key }] }),
      }),
    ),
  (start, n) =>
    send(
      'POST',
      `Appointment/${others[n] ?? ''}/$reschedule`,
      params({ name: 'start', valueDateTime: start }, referring('practitioner', 'Practitioner/grey')),
    ),
  (start, n, key) => send('POST', 'Appointment', visit({ start, patient: who(n) }), { 'Idempotency-Key': key }),
];

const blockDay = (day: string): Promise<Answer> =>
  clinic.staff(
    'POST',
    'Schedule/grey/$block',
    params({ name: 'start', valueDateTime: day }, { name: 'end', valueDateTime: day }),
  );

/** Who is booked with the practitioner on a day, as the database has it. */
const bookedOn = async (day: string): Promise<string[]> =>
  (
    await clinic.sql(
      `select id from appointment where status = 'booked' and practitioner @> array['Practitioner/grey'] and date >= $1 and date < $2 order by 1`,
      [at(day, '00:00'), at(day, '23:59')],
    )
  ).map((r) => String(r['id']));

test('bookings by all doors and a block at the same moment', async () => {
  let [told, refused] = [0, 0];
  const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  const next = workdays(7);
  for (let round = 0; round < 16; round++) {
    const day = next();
    const proposals = new Map(
      found(done(await find(clinic.staff, `start=${day}&end=${day}&practitioner=Practitioner/grey&_count=50`))).map(
        (a) => [new Date(String(a['start'])).toISOString(), String(a['id'])],
      ),
    );
    const others = await Promise.all(
      STARTS.map(async (time, n) =>
        idOf(
          done(
            await clinic.staff(
              'POST',
              'Appointment',
              visit({ start: at(day, time), patient: who(n), practitioner: 'house' }),
            ),
          ),
        ),
      ),
    );
    // The visits with the other one are moved in vain where the patient is booked beside them: staff is only warned.
    const ways = doors(clinic.staff, proposals, others);
    const bookings = STARTS.map(async (time, n) => {
      await pause(Math.random() * 12);
      return ways[(n + round) % ways.length]?.(new Date(at(day, time)).toISOString(), n, `${day}${time}`);
    });
    const [block, ...answers] = await Promise.all([pause(Math.random() * 14).then(() => blockDay(day)), ...bookings]);
    const affected = ofMode(done(block), 'include')
      .map((a) => String(a['id']))
      .sort();
    const failed = answers.filter((a) => a && a.status >= 300);
    for (const answer of failed) expect(answer && said(answer), answer?.text).toContain('409 This time is blocked.');
    expect(affected).toEqual(await bookedOn(day));
    expect(affected.length + failed.length).toBe(STARTS.length);
    told += affected.length;
    refused += failed.length;
  }
  // Else nobody has met anybody.
  expect(told).toBeGreaterThan(0);
  expect(refused).toBeGreaterThan(0);
});

test('there was no deadlock', async () => {
  // Sessions tell at the latest when they end.
  await clinic.close();
  expect(await deadlocksIn(database.superuser)).toBe(0);
});
