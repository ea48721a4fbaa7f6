/** Bookings that come at the same time share a transaction, and nobody notices: `src/fhir/store/shared-create.ts`. */
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { actorKey } from '../../src/scheduling/actor.ts';
import type { Answer, Json } from '../http/client.ts';
import {
  at,
  bookProposal,
  done,
  find,
  found,
  openClinic,
  referring,
  said,
  starts,
  workday,
  type Clinic,
} from './clinic.ts';

let clinic: Clinic;
beforeAll(async () => void (clinic = await openClinic()));
afterAll(() => clinic.close());

const proposals = async (day: string, practitioner: string): Promise<string[]> => {
  const answer = await find(
    clinic.nobody,
    `start=${day}&end=${day}&_count=200&practitioner=Practitioner/${practitioner}`,
  );
  return found(done(answer)).map((a) => String(a['id']));
};

const book = (id: string, ...more: readonly object[]): Promise<Answer> => bookProposal(clinic.staff, id, ...more);

/** Transactions in which appointments were made since the test began. */
async function transactionsDuring(work: () => Promise<void>): Promise<{ appointments: number; transactions: number }> {
  const last = async (): Promise<string> =>
    String((await clinic.sql('select coalesce(max(id), 0) as id from outbox'))[0]?.['id']);
  const before = await last();
  await work();
  const [counted] = await clinic.sql(
    `select count(*)::int as appointments, count(distinct xid)::int as transactions from outbox
      where id > $1::bigint and topic = 'event' and payload->>'type' = 'Appointment'`,
    [before],
  );
  return counted as { appointments: number; transactions: number };
}

test('bookings of the same moment are written together, each with all that belongs to it', async () => {
  const day = workday(20);
  const ids = [...(await proposals(day, 'grey')), ...(await proposals(day, 'house'))];
  const { appointments, transactions } = await transactionsDuring(async () => {
    const answers = await Promise.all(ids.map((id) => book(id)));
    expect(answers.map(said)).toEqual(ids.map(() => '200 '));
  });
  expect(appointments).toBe(28);
  expect(transactions).toBeLessThan(14);
  expect(await starts(clinic.staff, day)).toEqual([]);
  expect(await starts(clinic.staff, day, 'practitioner=Practitioner/house')).toEqual([]);
});

test('one that is refused fails alone, with other times to choose from', async () => {
  const ids = await proposals(workday(30), 'grey');
  const [twice = ''] = ids;
  const answers = await Promise.all([...ids, twice].map((id) => book(id)));
  const refused = answers.filter((a) => a.status !== 200);
  expect(refused.map((a) => a.status)).toEqual([409]);
  expect(refused.map((a) => (a.body['contained'] as unknown as Json[]).length)).toEqual([3]);
});

test('who is told that a patient is in two places is the one who did it', async () => {
  const day = workday(40);
  const [grey = ''] = await proposals(day, 'grey');
  const [, ...others] = await proposals(day, 'house');
  done(await book(grey, referring('patient-reference', 'Patient/ann')));
  const [house = ''] = await proposals(day, 'house');
  const answers = await Promise.all([
    book(house, referring('patient-reference', 'Patient/ann')),
    ...others.map((id) => book(id)),
  ]);
  const told = answers.map((a) => a.text.includes('has another appointment'));
  expect(told).toEqual([true, ...others.map(() => false)]);
});

test('one that must wait for somebody does not hold up the others', async () => {
  const day = workday(50);
  const [, lateGrey = ''] = await proposals(day, 'grey');
  const ofHouse = await proposals(day, 'house');
  const other = new pg.Client(clinic.server.kairos.roles.superuser);
  await other.connect();
  try {
    const lock = Number.parseInt(actorKey('Practitioner/grey').slice(0, 4), 16) & 1023;
    await other.query('begin');
    await other.query('select pg_advisory_xact_lock(19266, $1)', [lock]);
    let isBooked = false;
    const waiting = book(lateGrey).finally(() => (isBooked = true));
    const answers = await Promise.all(ofHouse.map((id) => book(id)));
    expect(answers.map(said)).toEqual(ofHouse.map(() => '200 '));
    expect(isBooked).toBe(false);
    await other.query('commit');
    expect(said(await waiting)).toBe('200 ');
  } finally {
    await other.end();
  }
  expect((await starts(clinic.staff, day))[0]).toBe(at(day, '09:00').slice(11, 16));
});
