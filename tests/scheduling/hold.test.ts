/** Holds, D4: https://profiles.ihe.net/ITI/Scheduling/ITI-116.html */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, Json, Send } from '../http/client.ts';
import {
  appointmentOf,
  bookProposal,
  done,
  entries,
  find,
  found,
  idOf,
  later,
  openClinic,
  params,
  put,
  referring,
  said,
  service,
  starts,
  statusOf,
  times,
  visit,
  type Clinic,
} from './clinic.ts';
import { expireHolds } from '../../src/scheduling/use/expire-holds.ts';
import { partsOf } from './slots.ts';

const OWN = 'https://kairos.example/fhir/StructureDefinition';
let clinic: Clinic;
beforeAll(async () => void (clinic = await openClinic()));
afterAll(() => clinic.close());

const next = times(7);
/** The proposal of a start. */
async function proposed(start: string, practitioner = 'grey'): Promise<string> {
  const query = `start=${encodeURIComponent(start)}&end=${encodeURIComponent(later(start, 30))}`;
  const [proposal] = found(done(await find(clinic.nobody, `${query}&practitioner=Practitioner/${practitioner}`)));
  return String(proposal?.['id']);
}
const hold = (send: Send, id: string, ...more: readonly object[]): Promise<Answer> =>
  send('POST', 'Appointment/$hold', params(referring('appointment-reference', `Appointment/${id}`), ...more));
const expiryOf = (answer: Answer): number => {
  const list = (appointmentOf(answer)['extension'] ?? []) as unknown as { url: string; valueInstant: string }[];
  return Date.parse(list.find((e) => e.url.endsWith('hold-expires'))?.valueInstant ?? '');
};
/** Minutes from now, about. */
const lasts = (answer: Answer): number => Math.round((expiryOf(answer) - clinic.clock.now()) / 60_000);
/** A hold that the database's clock says is over: the server's own is behind. */
async function overdue(send: Send, start: string): Promise<string> {
  const id = await proposed(start);
  clinic.clock.ahead = -10 * 60_000;
  try {
    return idOf(done(await hold(send, id)));
  } finally {
    clinic.clock.ahead = 0;
  }
}
const free = async (start: string): Promise<boolean> =>
  (await starts(clinic.nobody, start.slice(0, 10))).includes(start.slice(11, 16));
const release = (send: Send, id: string): Promise<Answer> => send('POST', `Appointment/${id}/$release`);

test('7.2: one pending appointment, tentative, that says until when', async () => {
  const answer = done(await hold(clinic.ann, await proposed(next())));
  expect(answer.body).toMatchObject({ resourceType: 'Bundle', type: 'searchset', total: 1 });
  expect(found(answer)).toHaveLength(1);
  const held = appointmentOf(answer);
  expect(held['status']).toBe('pending');
  expect(held['participant']).toMatchObject([
    { actor: { reference: 'Patient/ann' }, required: 'required', status: 'tentative' },
    { actor: { reference: 'Practitioner/grey' }, required: 'required', status: 'tentative' },
    { required: 'information-only' },
    { required: 'information-only' },
  ]);
  expect(lasts(answer)).toBe(5);
  done(await release(clinic.ann, idOf(answer)));
});

test.each([
  ['appointment-reference', (id: string) => referring('appointment-reference', `Appointment/${id}`)],
  ['appt-id', (id: string) => ({ name: 'appt-id', valueUri: `Appointment/${id}` })],
  ['appt-id', (id: string) => ({ name: 'appt-id', valueId: id })],
])('names the proposal by %s', async (_, parameter) => {
  const answer = await clinic.ann('POST', 'Appointment/$hold', params(parameter(await proposed(next()))));
  expect(said(answer)).toBe('200 ');
  done(await release(clinic.ann, idOf(answer)));
});

test.each(['appointment-resource', 'appt-resource', undefined])('takes the proposal itself (%s)', async (name) => {
  const start = next();
  const query = `start=${encodeURIComponent(start)}&end=${encodeURIComponent(later(start, 30))}&practitioner=Practitioner/grey`;
  const [resource] = found(await find(clinic.nobody, query));
  const body = name === undefined ? resource : params({ name, resource });
  const answer = await clinic.ann('POST', 'Appointment/$hold', body);
  expect(said(answer)).toBe('200 ');
  expect([statusOf(answer), Date.parse(String(appointmentOf(answer)['start']))]).toEqual([
    'pending',
    Date.parse(start),
  ]);
  done(await release(clinic.ann, idOf(answer)));
});

test('takes an appointment that is described, and one by its Slots', async () => {
  const start = next();
  const answer = await clinic.ann('POST', 'Appointment/$hold', visit({ start }, { status: 'proposed' }));
  expect([said(answer), statusOf(answer)]).toEqual(['200 ', 'pending']);
  expect(await free(start)).toBe(false);
  done(await release(clinic.ann, idOf(answer)));
  const late = next();
  done(
    await clinic.system('PUT', 'Slot/one', {
      resourceType: 'Slot',
      id: 'one',
      schedule: { reference: 'Schedule/grey' },
      status: 'free',
      start: late,
      end: later(late, 30),
    }),
  );
  const bySlot = {
    resourceType: 'Appointment',
    slot: [{ reference: 'Slot/one' }],
    participant: [{ actor: { reference: 'Patient/ann' }, status: 'needs-action' }],
  };
  const held = await clinic.ann('POST', 'Appointment/$hold', bySlot);
  expect([said(held), statusOf(held)]).toEqual(['200 ', 'pending']);
  expect((await clinic.system('GET', 'Slot/one')).body['status']).toBe('busy-tentative');
  done(await release(clinic.ann, idOf(held)));
  expect((await clinic.system('GET', 'Slot/one')).body['status']).toBe('free');
});

test('7.2: others are refused the time; the refusal has the words of IHE, and other times', async () => {
  const start = next();
  const id = await proposed(start);
  const held = done(await hold(clinic.ann, id));
  const refused = await hold(clinic.bob, id);
  expect(refused.status).toBe(409);
  expect(refused.body['resourceType']).toBe('OperationOutcome');
  const issues = refused.body['issue'] as unknown as Json[];
  expect(issues.map((i) => [String(i['severity']), String(i['code'])])).toEqual([
    ['error', 'conflict'],
    ['fatal', 'not-found'],
  ]);
  expect(refused.body['contained']).toHaveLength(3);
  expect((await bookProposal(clinic.bob, id)).status).toBe(409);
  const described = await clinic.bob('POST', 'Appointment', visit({ start, patient: 'bob' }));
  expect(described.status).toBe(409);
  expect(await free(start)).toBe(false);
  done(await release(clinic.ann, idOf(held)));
  expect(await free(start)).toBe(true);
  const now = done(await hold(clinic.bob, id));
  done(await release(clinic.bob, idOf(now)));
});

test('released: cancelled, the participants as they were, and free', async () => {
  const start = next();
  const id = idOf(done(await hold(clinic.ann, await proposed(start))));
  const released = done(await release(clinic.ann, id));
  expect(released.body).toMatchObject({
    status: 'cancelled',
    participant: [{ status: 'tentative' }, { status: 'tentative' }, {}, {}],
  });
  expect(released.body).not.toHaveProperty('cancelationReason');
  expect(await free(start)).toBe(true);
  // Once more: it is done already.
  expect((await release(clinic.ann, id)).body['meta']).toEqual(released.body['meta']);
  const booked = done(await clinic.ann('POST', 'Appointment', visit({ start: next() })));
  expect(said(await release(clinic.ann, idOf(booked)))).toContain('422 This is no hold');
});

describe('how long', () => {
  test('minutes are asked for; patients a quarter of an hour at most, staff half an hour', async () => {
    const asked = async (send: Send, minutes: number): Promise<number> => {
      const answer = done(
        await hold(
          send,
          await proposed(next()),
          { name: 'minutes', valuePositiveInt: minutes },
          referring('patient-reference', 'Patient/ann'),
        ),
      );
      done(await release(send, idOf(answer)));
      return lasts(answer);
    };
    expect(await asked(clinic.ann, 10)).toBe(10);
    expect(await asked(clinic.ann, 60)).toBe(15);
    expect(await asked(clinic.staff, 25)).toBe(25);
    expect(await asked(clinic.staff, 60)).toBe(30);
    for (const minutes of [0, -1, 2.5])
      expect(
        (await hold(clinic.ann, await proposed(next()), { name: 'minutes', valuePositiveInt: minutes })).status,
      ).toBe(400);
  });

  test('or what the service says', async () => {
    await put(clinic.system, service('visit', { url: 'holdMinutes', valuePositiveInt: 8 }));
    const answer = done(await hold(clinic.ann, await proposed(next())));
    expect(lasts(answer)).toBe(8);
    const again = done(await hold(clinic.ann, idOf(answer)));
    expect(lasts(again)).toBe(8);
    done(await release(clinic.ann, idOf(answer)));
    await put(clinic.system, service('visit'));
  });
});

test('renewed once, by whoever holds it', async () => {
  const id = idOf(done(await hold(clinic.ann, await proposed(next()), { name: 'minutes', valuePositiveInt: 1 })));
  expect((await hold(clinic.bob, id)).status).toBe(404);
  const renewed = done(await hold(clinic.ann, id));
  expect([idOf(renewed), lasts(renewed)]).toEqual([id, 5]);
  expect(said(await hold(clinic.ann, id))).toContain('422 A hold is renewed once');
  expect(said(await clinic.ann('POST', `Appointment/${id}/$hold`))).toContain('422 A hold is renewed once');
  expect(said(await bookProposal(clinic.ann, id))).toBe('200 ');
  expect(said(await hold(clinic.ann, id))).toContain('422 Only a hold is renewed');
});

test('two at a time for a patient, whoever asks for them as a patient', async () => {
  const one = idOf(done(await hold(clinic.ann, await proposed(next()))));
  const two = idOf(
    done(await hold(clinic.parent, await proposed(next()), referring('patient-reference', 'Patient/ann'))),
  );
  const third = await proposed(next());
  const refused = await hold(clinic.ann, third);
  expect(said(refused)).toContain('422 A patient may hold 2 times at once');
  expect((await hold(clinic.parent, third, referring('patient-reference', 'Patient/ann'))).status).toBe(422);
  // A renewal is no third; another patient has holds of their own; staff knows what it does.
  expect(said(await hold(clinic.ann, one))).toBe('200 ');
  done(await release(clinic.bob, idOf(done(await hold(clinic.bob, third)))));
  const byStaff = idOf(done(await hold(clinic.staff, third, referring('patient-reference', 'Patient/ann'))));
  done(await release(clinic.staff, byStaff));
  // Booked, it is none any more.
  done(await bookProposal(clinic.ann, one));
  const after = idOf(done(await hold(clinic.ann, third)));
  for (const id of [two, after]) done(await release(clinic.ann, id));
});

describe('D4: what has run out, by the clock of the database', () => {
  test('holds nothing: the time is found, held and booked by others', async () => {
    const start = next();
    await overdue(clinic.ann, start);
    expect(await free(start)).toBe(true);
    const held = done(await hold(clinic.bob, await proposed(start)));
    done(await release(clinic.bob, idOf(held)));
    expect(said(await bookProposal(clinic.bob, await proposed(start)))).toBe('200 ');
  });

  test('is booked by its holder while the time is free', async () => {
    const start = next();
    const id = await overdue(clinic.ann, start);
    const booked = done(await bookProposal(clinic.ann, id));
    expect([idOf(booked), statusOf(booked)]).toEqual([id, 'booked']);
    expect(JSON.stringify(booked.body)).not.toContain('hold-expires');
    expect(await free(start)).toBe(false);
  });

  test('and is lost to whoever came meanwhile: 409 with other times', async () => {
    const start = next();
    const id = await overdue(clinic.ann, start);
    done(await bookProposal(clinic.bob, await proposed(start)));
    const lost = await bookProposal(clinic.ann, id);
    expect(lost.status).toBe(409);
    expect(lost.body['contained']).toHaveLength(3);
    expect((await clinic.ann('GET', `Appointment/${id}`)).body['status']).toBe('pending');
  });

  test('also when it was cancelled since, as a job does', async () => {
    const start = next();
    const id = await overdue(clinic.ann, start);
    await expireHolds(partsOf(clinic.server.kairos));
    expect((await clinic.ann('GET', `Appointment/${id}`)).body['status']).toBe('cancelled');
    const booked = done(await bookProposal(clinic.ann, id));
    expect([idOf(booked), statusOf(booked)]).toEqual([id, 'booked']);
    expect(JSON.stringify(booked.body)).not.toContain(`${OWN}/hold`);
    const later = next();
    const other = await overdue(clinic.ann, later);
    await expireHolds(partsOf(clinic.server.kairos));
    const taken = done(await clinic.bob('POST', 'Appointment', visit({ start: later, patient: 'bob' })));
    expect((await bookProposal(clinic.ann, other)).status).toBe(409);
    // Given back, it is free again.
    done(await clinic.bob('POST', `Appointment/${idOf(taken)}/$cancel`));
    expect(said(await hold(clinic.ann, other))).toContain('422 Only a hold is renewed');
    const stands = done(await clinic.ann('GET', `Appointment/${other}`)).body;
    const held = { ...stands, status: 'pending' };
    expect((await clinic.ann('PUT', `Appointment/${other}`, held)).status).toBe(422);
    expect(statusOf(done(await bookProposal(clinic.ann, other)))).toBe('booked');
  });

  test('does not count among those that a patient may have', async () => {
    for (let i = 0; i < 3; i++) await overdue(clinic.eve, next());
    const one = idOf(done(await hold(clinic.eve, await proposed(next()))));
    const two = idOf(done(await hold(clinic.eve, await proposed(next()))));
    // To renew one that has run out is to hold again.
    const late = next();
    for (const id of [one, two]) done(await release(clinic.eve, id));
    const lapsed = await overdue(clinic.eve, late);
    const three = idOf(done(await hold(clinic.eve, await proposed(next()))));
    const four = idOf(done(await hold(clinic.eve, await proposed(next()))));
    expect((await hold(clinic.eve, lapsed)).status).toBe(422);
    for (const id of [three, four]) done(await release(clinic.eve, id));
    expect(said(await hold(clinic.eve, lapsed))).toBe('200 ');
    done(await release(clinic.eve, lapsed));
  });
});

test('booked by its holder: accepted, without the marks of a hold', async () => {
  const id = idOf(done(await hold(clinic.ann, await proposed(next()))));
  expect((await bookProposal(clinic.bob, id)).status).toBe(404);
  const booked = done(
    await clinic.ann('POST', `Appointment/${id}/$book`, params({ name: 'comment', valueString: 'by the stairs' })),
  );
  expect(appointmentOf(booked)).toMatchObject({ id, status: 'booked', comment: 'by the stairs' });
  const replies = appointmentOf(booked)['participant'] as unknown as { status: string }[];
  expect(new Set(replies.map((p) => p.status))).toEqual(new Set(['accepted']));
  expect(JSON.stringify(booked.body)).not.toContain(`${OWN}/hold`);
});

test('nobody in particular holds nothing', async () => {
  const id = await proposed(next());
  const answer = await hold(clinic.nobody, id);
  expect([answer.status, entries(answer).length]).toEqual([401, 0]);
});

describe('what is no proposal', () => {
  test('a name that was changed, or never given: 409, and IHE’s words', async () => {
    const id = await proposed(next());
    // Each other last character, also those that differ in bits that stand for nothing.
    const changed = [...'ABCDEFGHQRghwx.-'].filter((c) => !id.endsWith(c)).map((c) => id.slice(0, -1) + c);
    for (const wrong of [...changed, 'P.x', `P.${'A'.repeat(62)}`]) {
      const answer = await hold(clinic.ann, wrong);
      expect([answer.status, answer.body['issue']?.[0]?.['code'], answer.body['issue']?.[1]?.['code']]).toEqual([
        409,
        'conflict',
        'not-found',
      ]);
    }
    expect((await hold(clinic.ann, 'unknown')).status).toBe(404);
    expect((await clinic.ann('POST', 'Appointment/$hold', params())).status).toBe(400);
  });

  test('a time that is not offered any more: 422, and a Slot that is gone: 409 with others', async () => {
    const start = next();
    const id = await proposed(start);
    await put(clinic.system, service('visit', { url: 'channel', valueCode: 'staff' }));
    expect((await hold(clinic.ann, id)).status).toBe(422);
    await put(clinic.system, service('visit'));
    const gone = visit({ start: next() }, { status: 'proposed', slot: [{ reference: 'Slot/gone' }] });
    const answer = await clinic.ann('POST', 'Appointment/$hold', gone);
    expect([answer.status, answer.body['contained']?.['length']]).toEqual([409, 3]);
  });
});
