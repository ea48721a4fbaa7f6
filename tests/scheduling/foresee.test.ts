/** Who comes too late for what many want is told so without a transaction: `src/scheduling/foresee.ts`. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Json } from '../http/client.ts';
import {
  bookProposal,
  done,
  find,
  found,
  idOf,
  later,
  openClinic,
  params,
  referring,
  times,
  visit,
  type Clinic,
} from './clinic.ts';

let clinic: Clinic;
beforeAll(async () => void (clinic = await openClinic()));
afterAll(() => clinic.close());

const next = times(9);

async function proposed(start: string): Promise<string> {
  const query = `start=${encodeURIComponent(start)}&end=${encodeURIComponent(later(start, 30))}&practitioner=Practitioner/grey`;
  return String(found(done(await find(clinic.nobody, query)))[0]?.['id']);
}

test('the second and all after it are refused with alternatives, whatever the door', async () => {
  const start = next();
  const id = await proposed(start);
  done(await bookProposal(clinic.ann, id));
  // The first who comes too late finds out in the database.
  expect((await bookProposal(clinic.bob, id)).status).toBe(409);
  const answers = [
    await bookProposal(clinic.bob, id),
    await clinic.staff('POST', 'Appointment', visit({ start, patient: 'eve' })),
    await clinic.bob('POST', 'Appointment/$hold', params(referring('appointment-reference', `Appointment/${id}`))),
  ];
  expect(answers.map((a) => a.status)).toEqual([409, 409, 409]);
  expect(answers.map((a) => (a.body['contained'] as unknown as Json[]).length)).toEqual([3, 3, 3]);
});

test('a time that was given back is to be had again at once', async () => {
  const start = next();
  const id = await proposed(start);
  const first = idOf(done(await bookProposal(clinic.ann, id)));
  expect((await bookProposal(clinic.bob, id)).status).toBe(409);
  expect((await bookProposal(clinic.bob, id)).status).toBe(409);
  done(await clinic.staff('POST', `Appointment/${first}/$cancel`, params()));
  done(await bookProposal(clinic.bob, id));
});

test('the next time of the same practitioner is free, and staff may overbook with a reason', async () => {
  const [start, after] = [next(), next()];
  const id = await proposed(start);
  done(await bookProposal(clinic.ann, id));
  expect((await bookProposal(clinic.bob, id)).status).toBe(409);
  done(await clinic.bob('POST', 'Appointment', visit({ start: after, patient: 'bob' })));
  done(
    await bookProposal(clinic.staff, id, referring('patient-reference', 'Patient/eve'), {
      name: 'override-reason',
      valueString: 'an emergency',
    }),
  );
});

test('what is only held does not keep its holder from booking it', async () => {
  const start = next();
  const slot = {
    resourceType: 'Slot',
    id: 'held',
    schedule: { reference: 'Schedule/grey' },
    status: 'free',
    start,
    end: later(start, 30),
  };
  done(await clinic.system('PUT', 'Slot/held', slot));
  const id = await proposed(start);
  const hold = [{ op: 'replace', path: '/status', value: 'busy-tentative' }];
  const headers = { 'If-Match': 'W/"1"' };
  done(await clinic.staff('PATCH', 'Slot/held', hold, headers));
  expect((await bookProposal(clinic.bob, id)).status).toBe(409);
  done(
    await clinic.staff('POST', 'Appointment', visit({ start, patient: 'ann' }, { slot: [{ reference: 'Slot/held' }] })),
  );
  expect((await bookProposal(clinic.bob, id)).status).toBe(409);
});
