/** D1, D14: entries of the waitlist hold no time; they leave the queue in the transaction that gives them one. https://hl7.org/fhir/R4/appointment.html */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, Json, Send } from '../http/client.ts';
import {
  bookProposal,
  done,
  entries,
  find,
  found,
  later,
  openClinic,
  params,
  put,
  referring,
  said,
  schedule,
  service,
  starts,
  taking,
  times,
  visit,
  workdays,
  type Clinic,
} from './clinic.ts';

let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
  await put(clinic.system, service('queue', { url: 'mode', valueCode: 'waitlist' }));
  await put(
    clinic.system,
    schedule('queue', 'house', {
      actor: ['Practitioner/house', 'Location/site', 'HealthcareService/queue'].map((reference) => ({ reference })),
    }),
  );
});
afterAll(() => clinic.close());
const next = times(7);
const nextDay = workdays(30);

const entry = (patient = 'ann', more: object = {}): object => ({
  resourceType: 'Appointment',
  status: 'waitlist',
  priority: 5,
  requestedPeriod: [{ start: '2027-01-01', end: '2027-03-31' }],
  participant: [
    taking(`Patient/${patient}`),
    taking('Practitioner/grey', 'needs-action'),
    taking('HealthcareService/visit', 'accepted', 'information-only'),
  ],
  ...more,
});
const queued = async (patient = 'ann', more: object = {}): Promise<Json> =>
  done(await clinic.staff('POST', 'Appointment', entry(patient, more))).body;
const put_ = (send: Send, a: Json, more: object): Promise<Answer> =>
  send('PUT', `Appointment/${String(a['id'])}`, { ...a, ...more });
const isQueued = async ({ id }: Json): Promise<boolean> => {
  const list = done(await clinic.staff('GET', 'Appointment?status=waitlist&_count=200'));
  return entries(list).some((e) => String(e['resource']?.['id']) === String(id));
};
const replies = (a: Json, status = 'accepted'): object => ({
  participant: (a['participant'] as unknown as object[]).map((p) => ({ ...p, status })),
});

describe('an entry', () => {
  test('holds no time, even with one that is wished for', async () => {
    const start = next();
    await queued('ann', { start, end: later(start, 30) });
    expect(await starts(clinic.nobody, start.slice(0, 10))).toContain(start.slice(11, 16));
    expect((await clinic.bob('POST', 'Appointment', visit({ start, patient: 'bob' }))).status).toBe(201);
  });

  test('is found by patient, practitioner and status', async () => {
    const mine = await queued('eve');
    const ids = async (send: Send, query: string): Promise<string[]> =>
      entries(done(await send('GET', `Appointment?status=waitlist&${query}`))).map((e) =>
        String(e['resource']?.['id']),
      );
    expect(await ids(clinic.staff, 'patient=Patient/eve')).toEqual([mine['id']]);
    expect(await ids(clinic.staff, 'practitioner=Practitioner/grey&_count=200')).toContain(mine['id']);
    expect(await ids(clinic.eve, '')).toEqual([mine['id']]);
    expect(await ids(clinic.bob, 'patient=Patient/eve')).toEqual([]);
  });

  test('of a service that has a waitlist is what a patient’s booking becomes', async () => {
    const day = nextDay();
    const [proposal] = found(done(await find(clinic.ann, `start=${day}&end=${day}&service=HealthcareService/queue`)));
    const answer = done(await bookProposal(clinic.ann, String(proposal?.['id'])));
    expect(found(answer)[0]).toMatchObject({ status: 'waitlist', start: proposal?.['start'] });
    expect(await starts(clinic.nobody, day, 'service=HealthcareService/queue')).toHaveLength(14);
    // Staff books it at once.
    const booked = done(
      await bookProposal(clinic.staff, String(proposal?.['id']), referring('patient-reference', 'Patient/bob')),
    );
    expect(found(booked)[0]?.['status']).toBe('booked');
  });
});

describe('leaves the queue', () => {
  test('booked by staff at a time, by PUT', async () => {
    const mine = await queued();
    const start = next();
    done(await put_(clinic.staff, mine, { status: 'booked', start, end: later(start, 30), ...replies(mine) }));
    expect(await isQueued(mine)).toBe(false);
    expect((await clinic.bob('POST', 'Appointment', visit({ start, patient: 'bob' }))).status).toBe(409);
  });

  test('by $book, at the time that is sent', async () => {
    const mine = await queued();
    const start = next();
    const resource = { ...mine, start, end: later(start, 30) };
    const answer = done(
      await clinic.staff('POST', 'Appointment/$book', params({ name: 'appointment-resource', resource })),
    );
    expect(found(answer)[0]).toMatchObject({
      id: mine['id'],
      status: 'booked',
      participant: [{ status: 'accepted' }, { status: 'accepted' }, {}],
    });
    expect(new Date(String(found(answer)[0]?.['start'])).toISOString()).toBe(new Date(start).toISOString());
    expect(await isQueued(mine)).toBe(false);
    const other = await queued('bob');
    const odd = (at: string, more: object = {}): Promise<Answer> => {
      const resource = { ...other, start: at, end: later(at, 30), ...more };
      return clinic.staff('POST', 'Appointment/$book', params({ name: 'appointment-resource', resource }));
    };
    expect((await odd(next(), { participant: [taking('Patient/bob'), taking('Practitioner/none')] })).status).toBe(422);
    expect(said(await odd(later(next(), 5)))).toContain('not offered');
    expect(await isQueued(other)).toBe(true);
  });

  test('$book without a time says what is missing', async () => {
    const mine = await queued();
    const answer = await clinic.staff(
      'POST',
      'Appointment/$book',
      params(referring('appointment-reference', `Appointment/${String(mine['id'])}`)),
    );
    expect([answer.status, answer.body['issue']?.[0]?.['expression']?.[0]], answer.text).toEqual([
      422,
      'Appointment.start',
    ]);
    expect(await isQueued(mine)).toBe(true);
  });

  test('by a booking that takes its place, in one act: or neither', async () => {
    const mine = await queued();
    const day = nextDay();
    const [proposal] = found(done(await find(clinic.staff, `start=${day}&end=${day}&practitioner=Practitioner/grey`)));
    const replace = (patient: string): Promise<Answer> =>
      bookProposal(
        clinic.staff,
        String(proposal?.['id']),
        referring('patient-reference', `Patient/${patient}`),
        referring('cancelled-appt-id', `Appointment/${String(mine['id'])}`),
      );
    const booked = done(await replace('ann'));
    expect([found(booked)[0]?.['status'], await isQueued(mine)]).toEqual(['booked', false]);
    const other = await queued('bob');
    const late = await bookProposal(
      clinic.staff,
      String(proposal?.['id']),
      referring('patient-reference', 'Patient/bob'),
      referring('cancelled-appt-id', `Appointment/${String(other['id'])}`),
    );
    expect([late.status, await isQueued(other)]).toEqual([409, true]);
  });

  test('not when the time is taken', async () => {
    const mine = await queued();
    const start = next();
    done(await clinic.bob('POST', 'Appointment', visit({ start, patient: 'bob' })));
    const answer = await put_(clinic.staff, mine, { status: 'booked', start, end: later(start, 30), ...replies(mine) });
    expect([answer.status, await isQueued(mine)]).toEqual([409, true]);
  });

  test('of two for one time, one', async () => {
    for (let round = 0; round < 3; round++) {
      const both = [await queued('ann'), await queued('bob')];
      const start = next();
      const answers = await Promise.all(
        both.map((a) => put_(clinic.staff, a, { status: 'booked', start, end: later(start, 30), ...replies(a) })),
      );
      expect(answers.map((a) => a.status).toSorted()).toEqual([200, 409]);
      expect((await Promise.all(both.map(isQueued))).filter(Boolean)).toHaveLength(1);
    }
  });

  test('to be asked for, proposed, or cancelled; and back from there', async () => {
    for (const [status, more] of [
      ['pending', (s: string) => ({ start: s, end: later(s, 30) })],
      ['proposed', () => ({})],
      ['cancelled', () => ({})],
    ] as const) {
      const mine = await queued();
      const answer = await put_(clinic.staff, mine, { status, ...more(next()) });
      expect([status, answer.status], answer.text).toEqual([status, 200]);
      expect(await isQueued(mine)).toBe(false);
      const back = await put_(clinic.staff, answer.body, { status: 'waitlist' });
      expect([status, back.status]).toEqual([status, status === 'cancelled' ? 422 : 200]);
    }
  });

  test('when it goes back, its time is free again', async () => {
    const start = next();
    const asked = done(await clinic.staff('POST', 'Appointment', visit({ start }, { status: 'pending' }))).body;
    expect((await clinic.bob('POST', 'Appointment', visit({ start, patient: 'bob' }))).status).toBe(409);
    done(await put_(clinic.staff, asked, { status: 'waitlist' }));
    expect(await isQueued(asked)).toBe(true);
    expect((await clinic.bob('POST', 'Appointment', visit({ start, patient: 'bob' }))).status).toBe(201);
  });
});

describe('patients', () => {
  test('queue up, change what they wish for, and leave', async () => {
    const mine = done(await clinic.ann('POST', 'Appointment', entry('ann', { priority: undefined }))).body;
    const wish = { requestedPeriod: [{ start: '2027-02-01', end: '2027-02-15' }], comment: 'mornings' };
    const changed = done(await put_(clinic.ann, mine, wish)).body;
    expect(changed).toMatchObject(wish);
    expect(done(await clinic.ann('POST', `Appointment/${String(mine['id'])}/$cancel`, params())).body['status']).toBe(
      'cancelled',
    );
  });

  test('do not take a time by themselves, nor a better place', async () => {
    const mine = done(await clinic.ann('POST', 'Appointment', entry('ann', { priority: undefined }))).body;
    const start = next();
    for (const status of ['booked', 'pending', 'proposed']) {
      const answer = await put_(clinic.ann, mine, { status, start, end: later(start, 30) });
      expect([status, answer.status], answer.text).toEqual([status, 422]);
    }
    expect(said(await put_(clinic.ann, mine, { status: 'booked', start, end: later(start, 30) }))).toContain(
      'waitlist',
    );
    expect((await put_(clinic.ann, mine, { priority: 1 })).status).toBe(422);
    const resource = { ...mine, start, end: later(start, 30) };
    expect(
      (await clinic.ann('POST', 'Appointment/$book', params({ name: 'appointment-resource', resource }))).status,
    ).toBe(422);
    expect(await isQueued(mine)).toBe(true);
  });
});
