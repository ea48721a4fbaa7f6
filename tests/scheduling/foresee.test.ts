/** Who comes too late for what many want is told so without a transaction: `src/scheduling/foresee.ts`. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { list } from '../http/client.ts';
import {
  appointmentOf,
  bookProposal,
  bundle,
  done,
  find,
  found,
  idOf,
  later,
  openClinic,
  params,
  referring,
  said,
  statuses,
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
  expect(answers.map((a) => list(a.body['contained']).length)).toEqual([3, 3, 3]);
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

/** A time that somebody has, whose actor is known to be contended for. */
async function fought(start: string): Promise<{ readonly id: string; readonly proposal: string }> {
  const proposal = await proposed(start);
  const id = idOf(done(await bookProposal(clinic.ann, proposal)));
  expect((await bookProposal(clinic.bob, proposal)).status).toBe(409);
  return { id, proposal };
}

const posting = (resource: object): object => ({ resource, request: { method: 'POST', url: 'Appointment' } });

test('what a client writes is judged by the rules first', async () => {
  const start = next();
  await fought(start);
  const tooLong = await clinic.bob('POST', 'Appointment', visit({ start, end: later(start, 45), patient: 'bob' }));
  expect(tooLong.status).toBe(422);
  expect(said(tooLong)).toContain('lasts 30 minutes');
  const resource = { ...visit({ start, end: later(start, 45), patient: 'bob' }), status: 'proposed' };
  const described = params({ name: 'appointment-resource', resource });
  const sent = await clinic.bob('POST', 'Appointment/$book', described);
  expect([sent.status, said(sent)]).toEqual([422, said(tooLong)]);
  expect((await clinic.bob('POST', 'Appointment', visit({ start, patient: 'bob' }))).status).toBe(409);
});

test('of a Bundle the entry that comes too late is named, and a transaction that only adds does nothing', async () => {
  const [start, free] = [next(), next()];
  await fought(start);
  const entries = [posting(visit({ start: free, patient: 'bob' })), posting(visit({ start, patient: 'bob' }))];
  const whole = await clinic.bob('POST', '', bundle('transaction', ...entries));
  expect(whole.status).toBe(409);
  expect(JSON.stringify(whole.body['issue'])).toContain('Bundle.entry[1].resource.start');
  expect(list(whole.body['contained']).length).toBe(3);
  const each = await clinic.bob('POST', '', bundle('batch', ...entries));
  expect(statuses(each).map((s) => s.slice(0, 3))).toEqual(['201', '409']);
});

test('a transaction that gives the time back may take it', async () => {
  const start = next();
  const { id } = await fought(start);
  const { body } = done(await clinic.staff('GET', `Appointment/${id}`));
  const answer = await clinic.staff(
    'POST',
    '',
    bundle(
      'transaction',
      { resource: { ...body, status: 'cancelled' }, request: { method: 'PUT', url: `Appointment/${id}` } },
      posting(visit({ start, patient: 'bob' })),
    ),
  );
  expect(statuses(done(answer)).map((s) => s.slice(0, 3))).toEqual(['200', '201']);
});

test('a visit that moves is told, too, but is never in its own way', async () => {
  const [start, other] = [next(), next()];
  const { id } = await fought(start);
  const mine = idOf(done(await clinic.bob('POST', 'Appointment', visit({ start: other, patient: 'bob' }))));
  for (const mode of ['same', 'replace']) {
    const late = await clinic.bob(
      'POST',
      `Appointment/${mine}/$reschedule`,
      params({ name: 'start', valueDateTime: start }, { name: 'mode', valueCode: mode }),
    );
    expect([mode, late.status, list(late.body['contained']).length]).toEqual([mode, 409, 3]);
  }
  const half = later(start, 10);
  const moved = await clinic.staff(
    'POST',
    `Appointment/${id}/$reschedule`,
    params({ name: 'start', valueDateTime: half }, { name: 'override-reason', valueString: 'comes late' }),
  );
  expect(Date.parse(String(appointmentOf(done(moved))['start']))).toBe(Date.parse(half));
});

test('who asks twice at once to move a visit is not told that somebody else was first', async () => {
  const [start, other, to] = [next(), next(), next()];
  await fought(start);
  const id = idOf(done(await clinic.bob('POST', 'Appointment', visit({ start: other, patient: 'bob' }))));
  for (const time of [to, other, to, other, to]) {
    const move = params({ name: 'start', valueDateTime: time });
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => clinic.bob('POST', `Appointment/${id}/$reschedule`, move)),
    );
    expect(answers.map((a) => `${a.status} ${a.status === 200 ? '' : said(a)}`)).toEqual(answers.map(() => '200 '));
  }
});
