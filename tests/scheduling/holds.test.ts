/** Holds that run out, by the clock of the database. https://profiles.ihe.net/ITI/Scheduling/ITI-116.html */
import type { Appointment } from '@medplum/fhirtypes';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startWorker } from '../../src/compose-worker.ts';
import { generateSlots } from '../../src/scheduling/generate.ts';
import { expireHolds } from '../../src/scheduling/use/expire-holds.ts';
import { rewrite, setHoldExpires } from '../support/contents.ts';
import type { TestKairos } from '../support/kairos.ts';
import { bookProposal, find, found, openClinic, params, referring, workday, type Clinic } from './clinic.ts';
import { partsOf, rowsOf, untrue } from './slots.ts';

let clinic: Clinic;
let kairos: TestKairos;
const day = workday(8);
beforeAll(async () => {
  clinic = await openClinic();
  ({ kairos } = clinic.server);
  await generateSlots(partsOf(kairos));
});
afterAll(() => clinic.close());

/** Holds the first free time. @returns the id of the appointment, and of the proposal */
async function hold(send = clinic.staff): Promise<{ id: string; proposal: string; start: string }> {
  const [free] = found(
    await find(clinic.nobody, `start=${day}T00:00:00-05:00&end=${day}T23:00:00-05:00&practitioner=Practitioner/grey`),
  );
  const proposal = String(free?.['id']);
  const answer = await send(
    'POST',
    'Appointment/$hold',
    params(referring('appointment-reference', `Appointment/${proposal}`)),
  );
  expect(answer.status, answer.text).toBe(200);
  return { id: String(found(answer)[0]?.['id']), proposal, start: String(free?.['start']) };
}

/** Lets minutes pass for holds: the database's clock is what counts, so they are set back instead. */
async function runOut(...ids: string[]): Promise<void> {
  const past = new Date(Date.now() - 1_000).toISOString();
  await kairos.pool.query('update scheduling_hold set expires = $2 where appointment = any($1)', [ids, past]);
  await kairos.pool.query('update occupancy set expires = $2 where appointment = any($1)', [ids, past]);
  for (const id of ids) await setHoldExpires(kairos, id, past);
}

const slotAt = async (start: string): Promise<string | undefined> =>
  (await rowsOf(kairos, `select status from slot where schedule = 'Schedule/grey' and start = $1`, [start]))[0]?.[0];

describe('a hold that has run out', () => {
  test('is cancelled and its Slot is free; who was in it did not decline', async () => {
    const { id, start } = await hold();
    expect(await slotAt(start)).toBe('busy-tentative');
    expect(await expireHolds(partsOf(kairos))).toBe(0);
    await runOut(id);
    expect(await expireHolds(partsOf(kairos))).toBe(1);
    const { body } = await clinic.staff('GET', `Appointment/${id}`);
    expect(body['status']).toBe('cancelled');
    expect(JSON.stringify(body['extension'])).toContain('hold-expires');
    expect(JSON.stringify(body['participant'])).not.toContain('declined');
    expect(await slotAt(start)).toBe('free');
    expect(
      await rowsOf(kairos, 'select (select count(*) from occupancy), (select count(*) from scheduling_hold)'),
    ).toEqual([['0', '0']]);
    expect(await expireHolds(partsOf(kairos))).toBe(0);
  });

  test('may still be booked by its holder', async () => {
    const { id, start } = await hold();
    await runOut(id);
    await expireHolds(partsOf(kairos));
    const booked = await bookProposal(clinic.staff, id, referring('patient-reference', 'Patient/ann'));
    expect(booked.status, booked.text).toBe(200);
    expect(await slotAt(start)).toBe('busy');
    await clinic.staff('POST', `Appointment/${id}/$cancel`, params());
  });

  test('by two workers at once each is cancelled once', async () => {
    const ids = [];
    for (let i = 0; i < 12; i++) ids.push((await hold()).id);
    await runOut(...ids);
    const counts = await Promise.all([
      expireHolds(partsOf(kairos)),
      expireHolds(partsOf(kairos)),
      expireHolds(partsOf(kairos)),
    ]);
    expect(counts.reduce((a, b) => a + b)).toBe(12);
    expect(await rowsOf(kairos, `select distinct status, version from appointment where id = any($1)`, [ids])).toEqual([
      ['cancelled', '2'],
    ]);
    expect(await untrue(kairos)).toEqual([]);
  });

  test('that somebody is just changing is theirs', async () => {
    const { id } = await hold();
    await runOut(id);
    const client = new pg.Client(kairos.roles.app);
    await client.connect();
    try {
      await client.query('begin');
      await client.query('select from appointment where id = $1 for update', [id]);
      expect(await expireHolds(partsOf(kairos))).toBe(0);
      await client.query('rollback');
      expect(await expireHolds(partsOf(kairos))).toBe(1);
    } finally {
      await client.end();
    }
  });

  test('that cannot be cancelled does not keep the others', async () => {
    const ids = [(await hold()).id, (await hold()).id, (await hold()).id];
    await runOut(...ids);
    // As if a rule of ours were against it: `booked` cannot be what a hold says of itself while its row is pending.
    await rewrite(kairos, 'Appointment', ids[0] ?? '', (held) => ({ ...held, status: 'fulfilled' }) as Appointment);
    await expect(expireHolds(partsOf(kairos))).rejects.toThrow(/cannot/);
    expect(
      await rowsOf(kairos, `select count(*) from appointment where id = any($1) and status = 'cancelled'`, [ids]),
    ).toEqual([['2']]);
    await rewrite(kairos, 'Appointment', ids[0] ?? '', (held) => ({ ...held, status: 'pending' }) as Appointment);
    expect(await expireHolds(partsOf(kairos))).toBe(1);
  });
});

test('no hold blocks a Slot for five seconds after it has run out', async () => {
  const worker = await startWorker(kairos);
  try {
    const { id, start } = await hold();
    await runOut(id);
    await expect.poll(() => slotAt(start), { timeout: 5_000, interval: 50 }).toBe('free');
  } finally {
    await worker.close();
  }
});
