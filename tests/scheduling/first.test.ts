/** Finding and booking: https://profiles.ihe.net/ITI/Scheduling/volume-2.html */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bookProposal, find, found, openClinic, referring, workday, type Clinic } from './clinic.ts';

let clinic: Clinic;
beforeAll(async () => void (clinic = await openClinic()));
afterAll(() => clinic.close());

test('what is found is booked, once', async () => {
  const day = workday(7);
  const query = `start=${day}T00:00:00-05:00&end=${day}T23:59:00-05:00&practitioner=Practitioner/grey`;
  const free = await find(clinic.nobody, query);
  expect(free.status, free.text).toBe(200);
  expect(free.body['total']).toBe(14);
  const [first] = found(free);
  const id = String(first?.['id']);
  expect(id).toMatch(/^[A-Za-z0-9.-]{1,64}$/);
  const booked = await bookProposal(clinic.ann, id);
  expect(booked.status, booked.text).toBe(200);
  expect(found(booked)[0]?.['status']).toBe('booked');
  const lost = await bookProposal(clinic.bob, id);
  expect(lost.status, lost.text).toBe(409);
  console.log(lost.text, booked.text);
  const after = await find(clinic.nobody, query);
  expect(after.body['total']).toBe(13);
  const mine = String(found(booked)[0]?.['id']);
  const cancelled = await clinic.ann('POST', `Appointment/${mine}/$cancel`, { resourceType: 'Parameters' });
  expect(cancelled.status, cancelled.text).toBe(200);
  expect((await find(clinic.nobody, query)).body['total']).toBe(14);
  const held = await clinic.ann('POST', 'Appointment/$hold', {
    resourceType: 'Parameters',
    parameter: [referring('appointment-reference', `Appointment/${id}`)],
  });
  expect(held.status, held.text).toBe(200);
  expect((await find(clinic.nobody, query)).body['total']).toBe(13);
  const won = await bookProposal(clinic.ann, String(found(held)[0]?.['id']));
  expect(won.status, won.text).toBe(200);
});
