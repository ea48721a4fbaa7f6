/** Cancelling, D12, and what is not deleted, D17: https://hl7.org/fhir/R4/appointment-definitions.html#Appointment.cancelationReason */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, Json, Send } from '../http/client.ts';
import {
  appointmentOf,
  at,
  bundle,
  done,
  idOf,
  later,
  openClinic,
  params,
  put,
  said,
  service,
  starts,
  statuses,
  times,
  visit,
  workday,
  type Clinic,
} from './clinic.ts';

const REASONS = 'http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason';
let clinic: Clinic;
beforeAll(async () => void (clinic = await openClinic()));
afterAll(() => clinic.close());
const next = times(7);
const booked = async (more: object = {}): Promise<Json> =>
  done(await clinic.staff('POST', 'Appointment', visit({ start: next() }, more))).body;
const cancel = (send: Send, id: unknown, ...parameter: readonly object[]): Promise<Answer> =>
  send('POST', `Appointment/${String(id)}/$cancel`, params(...parameter));
const hours = (value: number): object => ({
  valueDuration: { value, unit: 'h', system: 'http://unitsofmeasure.org', code: 'h' },
});
const days = (value: number): object => ({
  valueDuration: { value, unit: 'd', system: 'http://unitsofmeasure.org', code: 'd' },
});

test('7.4: cancelled by the patient: declined, with the reason of a portal, and free again', async () => {
  const { id, start } = await booked();
  const answer = done(await cancel(clinic.ann, id));
  expect(answer.body).toMatchObject({
    id,
    status: 'cancelled',
    cancelationReason: { coding: [{ system: REASONS, code: 'pat-cpp' }] },
    participant: [{ status: 'declined' }, { status: 'accepted' }, {}],
  });
  expect(await starts(clinic.nobody, String(start).slice(0, 10))).toContain(String(start).slice(11, 16));
});

describe('D12: the reason is coded', () => {
  test('that of staff is the one that is given', async () => {
    const { id } = await booked();
    const reason = { coding: [{ system: REASONS, code: 'prov-pers' }], text: 'moved away' };
    const answer = done(await cancel(clinic.staff, id, { name: 'reason', valueCodeableConcept: reason }));
    expect(appointmentOf(answer)).toMatchObject({
      cancelationReason: reason,
      participant: [{ status: 'accepted' }, {}, {}],
    });
  });
  test('a Coding will do, and words alone get a code', async () => {
    const coding = { system: REASONS, code: 'maint' };
    const answer = done(await cancel(clinic.staff, (await booked())['id'], { name: 'reason', valueCoding: coding }));
    expect(appointmentOf(answer)).toMatchObject({
      cancelationReason: { coding: [coding] },
    });
    const words = { name: 'reason', valueCodeableConcept: { text: 'rain' } };
    expect(done(await cancel(clinic.ann, (await booked())['id'], words)).body).toMatchObject({
      cancelationReason: { coding: [{ code: 'pat-cpp' }], text: 'rain' },
    });
    expect(done(await cancel(clinic.staff, (await booked())['id'])).body).toMatchObject({
      cancelationReason: { coding: [{ system: REASONS, code: 'other' }] },
    });
  });
  test('app-4: also of a no-show', async () => {
    const { id, start } = await booked();
    clinic.clock.ahead = Date.parse(String(start)) - Date.now();
    const reason = { name: 'reason', valueCodeableConcept: { coding: [{ system: REASONS, code: 'pat-ucp' }] } };
    const answer = done(
      await clinic.staff(
        'POST',
        `Appointment/${String(id)}/$no-show`,
        params(reason, { name: 'comment', valueString: 'no answer' }),
      ),
    );
    expect(answer.body).toMatchObject({
      status: 'noshow',
      cancelationReason: { coding: [{ code: 'pat-ucp' }] },
      comment: 'no answer',
    });
    clinic.clock.ahead = 0;
    const stands = await booked();
    const odd = { ...stands, cancelationReason: { text: 'x' } };
    expect((await clinic.staff('PUT', `Appointment/${String(stands['id'])}`, odd)).status).toBe(422);
  });
  test.each([
    ['$cancel', 400, ['reason']],
    ['PUT', 422, ['Appointment.cancelationReason.coding[1].code']],
  ] as const)(
    '%s: a code that the system does not have is refused, and those that it has are named',
    async (door, status, expression) => {
      const stands = await booked();
      const id = String(stands['id']);
      const reason = {
        coding: [
          { system: 'urn:ours', code: 'moon' },
          { system: REASONS, code: 'bored' },
        ],
      };
      const give = (send: Send, said: object): Promise<Answer> =>
        door === 'PUT'
          ? send('PUT', `Appointment/${id}`, { ...stands, status: 'cancelled', cancelationReason: said })
          : cancel(send, id, { name: 'reason', valueCodeableConcept: said });
      for (const send of [clinic.staff, clinic.ann]) {
        const answer = await give(send, reason);
        expect([answer.status, answer.body['issue']?.[0]?.['expression']], answer.text).toEqual([status, expression]);
        expect(answer.text).toContain('pat-cpp, pat-dec');
      }
      const clinics = await give(clinic.ann, { coding: [{ system: REASONS, code: 'prov-pers' }] });
      expect([clinics.status, clinics.body['issue']?.[0]?.['code']], clinics.text).toEqual([422, 'business-rule']);
      expect(done(await clinic.ann('GET', `Appointment/${id}`)).body).toEqual(stands);
      done(
        await give(clinic.ann, {
          coding: [
            { system: 'urn:ours', code: 'moon' },
            { system: REASONS, code: 'pat-fb' },
          ],
        }),
      );
    },
  );
  test('by the other ways as well; a system tells what it was elsewhere', async () => {
    const stands = await booked();
    const id = String(stands['id']);
    const bored = { coding: [{ system: REASONS, code: 'bored' }] };
    const reason = { name: 'reason', valueCodeableConcept: bored };
    for (const name of ['no-show', 'reschedule']) {
      const answer = await clinic.staff('POST', `Appointment/${id}/$${name}`, params(reason));
      expect([answer.status, answer.body['issue']?.[0]?.['expression']], answer.text).toEqual([400, ['reason']]);
    }
    const resource = { ...stands, status: 'cancelled', cancelationReason: bored };
    const sent = params({ name: 'appointment-resource', resource });
    const answer = await clinic.staff('POST', 'Appointment/$book', sent);
    expect([answer.status, answer.body['issue']?.[0]?.['expression']], answer.text).toEqual([
      422,
      ['Appointment.cancelationReason.coding[0].code'],
    ]);
    const brought = done(await clinic.system('PUT', `Appointment/${id}`, resource)).body;
    // What was so before is no fault of whoever writes something else.
    done(await clinic.staff('PUT', `Appointment/${id}`, { ...brought, comment: 'by phone' }));
  });
  test('a comment is kept', async () => {
    const answer = done(await cancel(clinic.ann, (await booked())['id'], { name: 'comment', valueString: 'sorry' }));
    expect(answer.body['comment']).toBe('sorry');
  });
});

test('once more: it is done already', async () => {
  const { id } = await booked();
  const first = done(await cancel(clinic.ann, id));
  expect(done(await cancel(clinic.ann, id)).body).toEqual(first.body);
});

test('a dry run says what would be, and changes nothing', async () => {
  const stands = await booked();
  const answer = done(await cancel(clinic.ann, stands['id'], { name: 'dry-run', valueBoolean: true }));
  expect(answer.body['status']).toBe('cancelled');
  expect(done(await clinic.ann('GET', `Appointment/${String(stands['id'])}`)).body).toEqual(stands);
  const id = stands['id'];
  clinic.clock.ahead = Date.parse(String(stands['start'])) - Date.now();
  done(await clinic.staff('POST', `Appointment/${String(id)}/$no-show`));
  expect((await cancel(clinic.ann, id, { name: 'dry-run', valueBoolean: true })).status).toBe(422);
  clinic.clock.ahead = 0;
});

describe('D6: until when patients may', () => {
  afterAll(async () => {
    clinic.clock.ahead = 0;
    await put(clinic.system, service('visit'));
  });
  const at_ = (instant: unknown, minutesBefore: number): void => {
    clinic.clock.ahead = Date.parse(String(instant)) - minutesBefore * 60_000 - Date.now();
  };
  test('D9: hours are elapsed time', async () => {
    await put(clinic.system, service('visit', { url: 'cancelNotice', ...hours(24) }));
    const one = await booked();
    at_(one['start'], 24 * 60 - 2);
    expect(said(await cancel(clinic.ann, one['id']))).toContain('422 It is too late to cancel or move');
    expect((await cancel(clinic.ann, one['id'], { name: 'dry-run', valueBoolean: true })).status).toBe(422);
    const moved = {
      ...one,
      start: later(String(one['start']), 14 * 1440),
      end: later(String(one['start']), 14 * 1440 + 30),
    };
    expect(said(await clinic.ann('PUT', `Appointment/${String(one['id'])}`, moved))).toContain(
      'too late to cancel or move',
    );
    expect((await clinic.ann('PUT', `Appointment/${String(one['id'])}`, { ...one, status: 'cancelled' })).status).toBe(
      422,
    );
    at_(one['start'], 24 * 60 + 2);
    expect(said(await cancel(clinic.ann, one['id']))).toBe('200 ');
    clinic.clock.ahead = 0;
  });
  test('D9: days are days of the calendar', async () => {
    await put(clinic.system, service('visit', { url: 'cancelNotice', ...days(1) }));
    const day = workday(12);
    const stands = done(await clinic.staff('POST', 'Appointment', visit({ start: at(day, '09:00') }))).body;
    // The evening before is a day before, whatever the hour.
    clinic.clock.ahead = Date.parse(at(day, '00:00')) + 60_000 - Date.now();
    expect((await cancel(clinic.ann, stands['id'])).status).toBe(422);
    clinic.clock.ahead = Date.parse(at(day, '00:00')) - 60_000 - Date.now();
    expect(said(await cancel(clinic.ann, stands['id']))).toBe('200 ');
    clinic.clock.ahead = 0;
  });
  test('staff always may', async () => {
    const stands = await booked();
    at_(stands['start'], 5);
    expect((await cancel(clinic.ann, stands['id'])).status).toBe(422);
    expect(said(await cancel(clinic.staff, stands['id']))).toBe('200 ');
    clinic.clock.ahead = 0;
  });
  test('what has begun is the front desk’s', async () => {
    await put(clinic.system, service('visit'));
    const stands = await booked();
    at_(stands['start'], -5);
    expect(said(await cancel(clinic.ann, stands['id']))).toContain('has begun');
    expect(said(await cancel(clinic.staff, stands['id']))).toBe('200 ');
    clinic.clock.ahead = 0;
  });
  test('D12: late is flagged', async () => {
    await put(clinic.system, service('visit', { url: 'lateCancel', ...hours(24) }));
    const [one, two] = [await booked(), await booked()];
    at_(one['start'], 60);
    const flagged = done(await cancel(clinic.ann, one['id'])).body;
    expect(JSON.stringify(flagged['extension'])).toContain('late-cancel');
    clinic.clock.ahead = 0;
    expect(JSON.stringify(done(await cancel(clinic.ann, two['id'])).body)).not.toContain('late-cancel');
  });
});

describe('by the other doors', () => {
  test('PUT, PATCH and Bundles free the time as well', async () => {
    const doors: ((a: Json) => Promise<Answer>)[] = [
      (a) => clinic.ann('PUT', `Appointment/${String(a['id'])}`, { ...a, status: 'cancelled' }),
      (a) =>
        clinic.ann('PATCH', `Appointment/${String(a['id'])}`, [{ op: 'replace', path: '/status', value: 'cancelled' }]),
      (a) =>
        clinic.ann(
          'POST',
          '',
          bundle('transaction', {
            request: { method: 'PUT', url: `Appointment/${String(a['id'])}` },
            resource: { ...a, status: 'cancelled' },
          }),
        ),
      (a) =>
        clinic.ann(
          'POST',
          '',
          bundle('batch', {
            request: { method: 'PUT', url: `Appointment/${String(a['id'])}` },
            resource: { ...a, status: 'cancelled' },
          }),
        ),
    ];
    for (const door of doors) {
      const stands = await booked();
      done(await door(stands));
      const start = String(stands['start']);
      expect(await starts(clinic.nobody, start.slice(0, 10))).toContain(start.slice(11, 16));
    }
  });

  test('D11: cancelled and booked again in one Bundle, at one time', async () => {
    const stands = await booked();
    const swap = bundle(
      'transaction',
      {
        request: { method: 'PUT', url: `Appointment/${String(stands['id'])}` },
        resource: { ...stands, status: 'cancelled' },
      },
      { request: { method: 'POST', url: 'Appointment' }, resource: visit({ start: String(stands['start']) }) },
    );
    expect(said(await clinic.ann('POST', '', swap))).toBe('200 ');
  });
});

describe('D17: DELETE', () => {
  test('405 for whoever may, by every door, unless it was entered in error', async () => {
    const stands = await booked();
    const url = `Appointment/${String(stands['id'])}`;
    const entry = { request: { method: 'DELETE', url } };
    for (const who of ['staff', 'system'] as const) {
      const answer = await clinic[who]('DELETE', url);
      expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD, PUT, PATCH']);
      expect(said(answer)).toContain('$cancel');
      expect((await clinic[who]('DELETE', `Appointment?_id=${String(stands['id'])}`)).status).toBe(405);
      expect((await clinic[who]('POST', '', bundle('transaction', entry))).status).toBe(405);
      expect(statuses(await clinic[who]('POST', '', bundle('batch', entry)))).toEqual(['405']);
    }
    expect((await clinic.ann('DELETE', url)).status).toBe(403);
    expect(done(await clinic.ann('GET', url)).body).toEqual(stands);
    const cancelled = done(await cancel(clinic.staff, stands['id'])).body;
    expect((await clinic.staff('DELETE', url)).status).toBe(405);
    done(await clinic.staff('PUT', url, { ...cancelled, status: 'entered-in-error', cancelationReason: undefined }));
    expect((await clinic.staff('DELETE', url)).status).toBe(204);
    expect((await clinic.staff('GET', url)).status).toBe(410);
    expect((await clinic.staff('GET', `${url}/_history`)).body['total']).toBe(4);
  });
});

test('left without being seen: an arrived visit is cancelled by staff alone', async () => {
  const stands = await booked();
  done(await clinic.staff('POST', `Appointment/${String(stands['id'])}/$check-in`));
  expect((await cancel(clinic.ann, stands['id'])).status).toBe(422);
  expect(done(await cancel(clinic.staff, stands['id'])).body['status']).toBe('cancelled');
  const [encounter] = (await clinic.staff('GET', `Encounter?appointment=Appointment/${String(stands['id'])}`)).body[
    'entry'
  ] as unknown as Json[];
  expect(encounter?.['resource']?.['status']).toBe('cancelled');
});

test('input that is no good', async () => {
  const { id } = await booked();
  for (const parameter of [
    { name: 'reason', valueString: 'x' },
    { name: 'dry-run', valueString: 'yes' },
    { name: 'comment', valueInteger: 5 },
    { name: 'why', valueString: 'x' },
    { name: 'patient-reference', valueReference: { reference: 'Device/x' } },
  ]) {
    const answer = await cancel(clinic.ann, id, parameter);
    expect([answer.status, String(answer.body['issue']?.[0]?.['expression']?.[0])]).toEqual([400, parameter.name]);
  }
  expect(
    said(await cancel(clinic.staff, id, { name: 'patient-reference', valueReference: { reference: 'Patient/eve' } })),
  ).toContain('422 Patient/eve does not take part');
  expect(idOf(done(await cancel(clinic.ann, id)))).toBe(String(id));
});
