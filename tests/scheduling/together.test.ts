/** Visits that are cancelled and booked in one act: the time that is given up may be taken, and nobody waits in a circle. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { poolNamed } from '../../src/platform/database/pool.ts';
import { bookProposal, find, found, openClinic, params, referring, workday, type Clinic } from './clinic.ts';
import type { Json } from '../http/client.ts';

const DAY = workday(7);
const at = (time: string): string => new Date(`${DAY}T${time}:00-05:00`).toISOString();

let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
});
afterAll(() => clinic.close());

const proposals = async (): Promise<readonly Json[]> =>
  found(await find(clinic.ann, `start=${at('09:00')}&end=${at('17:00')}&practitioner=Practitioner/grey`));
const visit = (who: string, start: string, end: string, more: object = {}): object => ({
  resourceType: 'Appointment',
  status: 'booked',
  start: at(start),
  end: at(end),
  participant: [
    { actor: { reference: `Patient/${who}` }, required: 'required', status: 'accepted' },
    { actor: { reference: 'Practitioner/grey' }, required: 'required', status: 'accepted' },
  ],
  ...more,
});

test('a transaction cancels a visit and books another one at a time that overlaps it', async () => {
  const first = await clinic.ann('POST', 'Appointment', visit('ann', '09:00', '09:30'));
  expect(first.status, first.text).toBe(201);
  const id = String(first.body['id']);
  const swap = await clinic.staff('POST', '', {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [
      { resource: visit('ann', '09:15', '09:45'), request: { method: 'POST', url: 'Appointment' } },
      { resource: { ...first.body, status: 'cancelled' }, request: { method: 'PUT', url: `Appointment/${id}` } },
    ],
  });
  expect(swap.status, swap.text).toBe(200);
  expect((await clinic.staff('GET', `Appointment/${id}`)).body['status']).toBe('cancelled');
  const taken = await clinic.bob('POST', 'Appointment', visit('bob', '09:30', '10:00'));
  expect(taken.status, taken.text).toBe(409);
});

test('a hold is booked in the place of a visit of the same patient at the same time with somebody else', async () => {
  const there = await bookProposal(
    clinic.ann,
    String((await proposals()).find((p) => String(p['start']).includes('T14:00'))?.['id']),
  );
  expect(there.status, there.text).toBe(200);
  const elsewhere = found(
    await find(clinic.nobody, `start=${at('14:00')}&end=${at('14:30')}&practitioner=Practitioner/house`),
  )[0];
  const moved = await bookProposal(
    clinic.ann,
    String(elsewhere?.['id']),
    referring('cancelled-appt-id', `Appointment/${String(found(there)[0]?.['id'])}`),
  );
  expect(moved.status, moved.text).toBe(200);
});

test('two who change places at the same time do not wait for one another in a circle', async () => {
  const { pool } = clinic.server.kairos;
  const deadlocks = async (): Promise<unknown> => {
    // A session tells what it has counted with its first statement after a second.
    await sleep(1_100);
    await Promise.all(Array.from({ length: 8 }, () => poolNamed(pool, 'select pg_sleep(0.05)')));
    const { rows } = await poolNamed(pool, 'select deadlocks from pg_stat_database where datname = current_database()');
    return rows;
  };
  const before = await deadlocks();
  const [a, b] = await Promise.all([
    clinic.ann('POST', 'Appointment', visit('ann', '10:00', '10:30')),
    clinic.bob('POST', 'Appointment', visit('bob', '10:30', '11:00')),
  ]);
  const move = (id: unknown, to: string) =>
    clinic.staff('POST', `Appointment/${String(id)}/$reschedule`, params({ name: 'start', valueDateTime: at(to) }));
  for (let i = 0; i < 30; i++) {
    const both = await Promise.all([move(a.body['id'], '10:30'), move(b.body['id'], '10:00')]);
    // Neither can, as long as the other one is there.
    expect(both.map((x) => x.status)).toEqual([409, 409]);
  }
  const third = await clinic.staff('POST', 'Appointment', visit('ann', '15:00', '15:30'));
  for (let i = 0; i < 30; i++) {
    const to = ['15:30', '16:00', '16:30'][i % 3] ?? '';
    const from = ['16:00', '16:30', '15:30'][i % 3] ?? '';
    const both = await Promise.all([move(third.body['id'], to), move(a.body['id'], from), move(b.body['id'], to)]);
    expect(both.every((x) => x.status === 200 || x.status === 409)).toBe(true);
  }
  expect(await deadlocks()).toEqual(before);
});
