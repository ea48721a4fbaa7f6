/** Moving a visit, D11: https://hl7.org/fhir/R4/appointment.html */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, Json, Send } from '../http/client.ts';
import {
  at,
  done,
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
  workday,
  type Clinic,
} from './clinic.ts';

const OWN = 'https://kairos.example/fhir/StructureDefinition';
let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
  await put(clinic.system, { resourceType: 'Practitioner', id: 'chase', name: [{ family: 'chase' }] });
  await put(clinic.system, service('other'));
  await put(
    clinic.system,
    schedule('chase', 'chase', {
      actor: ['Practitioner/chase', 'Location/site', 'HealthcareService/other'].map((reference) => ({ reference })),
    }),
  );
});
afterAll(() => clinic.close());
const next = times(7);
const booked = async (more: object = {}, patient = 'ann'): Promise<Json> =>
  done(await clinic.staff('POST', 'Appointment', visit({ start: next(), patient }, more))).body;
const move = (send: Send, { id }: Json, ...parameter: readonly object[]): Promise<Answer> =>
  send('POST', `Appointment/${String(id)}/$reschedule`, params(...parameter));
const to = (start: string): object => ({ name: 'start', valueDateTime: start });
const free = async (start: unknown, query?: string): Promise<boolean> =>
  (await starts(clinic.nobody, String(start).slice(0, 10), query)).includes(String(start).slice(11, 16));
const extension = (a: Json, name: string): Json | undefined =>
  ((a['extension'] ?? []) as unknown as Json[]).find((e) => String(e['url']) === `${OWN}/${name}`);

describe('the same appointment at another time', () => {
  test('id, status and service stay; the old time is free, the count and the promise are new', async () => {
    const stands = await booked();
    const start = next();
    const moved = done(await move(clinic.ann, stands, to(start))).body;
    expect(moved).toMatchObject({ id: stands['id'], status: 'booked', start, minutesDuration: 30 });
    expect(Date.parse(String(moved['end'])) - Date.parse(start)).toBe(1_800_000);
    expect(extension(moved, 'reschedule-count')?.['valuePositiveInt']).toBe(1);
    expect(extension(moved, 'promised-time')?.['extension']?.[0]?.['valueString']).toBe(start.slice(0, 16));
    expect([await free(stands['start']), await free(start)]).toEqual([true, false]);
    const again = done(await move(clinic.ann, moved, to(next()))).body;
    expect(extension(again, 'reschedule-count')?.['valuePositiveInt']).toBe(2);
  });

  test('its own time is no obstacle: half an hour later, and longer ones over themselves', async () => {
    const start = at(workday(15), '10:00');
    const stands = done(await clinic.staff('POST', 'Appointment', visit({ start, end: later(start, 60) }))).body;
    const moved = done(
      await move(clinic.staff, stands, to(later(start, 30)), { name: 'override-reason', valueString: 'a long one' }),
    ).body;
    expect(Date.parse(String(moved['end'])) - Date.parse(String(moved['start']))).toBe(3_600_000);
    expect(Date.parse(String(moved['start'])) - Date.parse(start)).toBe(1_800_000);
  });

  test('who asked, and why, is kept as Provenance', async () => {
    const stands = await booked();
    const reason = { name: 'reason', valueCodeableConcept: { text: 'train is late' } };
    const moved = done(
      await move(clinic.ann, stands, to(next()), reason, { name: 'comment', valueString: 'sorry' }),
    ).body;
    expect(moved['comment']).toBe('sorry');
    const found = done(await clinic.staff('GET', `Provenance?target=Appointment/${String(stands['id'])}`)).body;
    expect(found['entry']?.[0]?.['resource']).toMatchObject({
      target: [{ reference: `Appointment/${String(stands['id'])}/_history/2` }],
      reason: [{ text: 'train is late' }],
      agent: [{ who: { display: 'ann' } }],
    });
  });

  test('taken: 409 with other times, and nothing has changed', async () => {
    const [stands, other] = [await booked(), await booked({}, 'bob')];
    const answer = await move(clinic.ann, stands, to(String(other['start'])));
    expect([answer.status, answer.body['contained']?.['length']]).toEqual([409, 3]);
    expect(done(await clinic.ann('GET', `Appointment/${String(stands['id'])}`)).body).toEqual(stands);
  });

  test('two who want each other’s time: one after the other is refused, in one Bundle both move', async () => {
    const [mine, yours] = [await booked(), await booked({}, 'bob')];
    const entry = (a: Json, b: Json): object => ({
      request: { method: 'PUT', url: `Appointment/${String(a['id'])}` },
      resource: { ...a, start: b['start'], end: b['end'] },
    });
    const swap = { resourceType: 'Bundle', type: 'transaction', entry: [entry(mine, yours), entry(yours, mine)] };
    expect(said(await clinic.staff('POST', '', swap))).toBe('200 ');
  });

  test('by another practitioner, in order of preference; the service stays', async () => {
    const stands = await booked();
    const moved = done(await move(clinic.ann, stands, referring('practitioner', 'Practitioner/house'))).body;
    expect(moved['start']).toBe(stands['start']);
    expect(JSON.stringify(moved['participant'])).toContain('Practitioner/house');
    expect(JSON.stringify(moved['participant'])).not.toContain('Practitioner/grey');
    expect([await free(stands['start']), await free(stands['start'], 'practitioner=Practitioner/house')]).toEqual([
      true,
      false,
    ]);
    const other = await move(clinic.ann, moved, referring('practitioner', 'Practitioner/chase'));
    expect([other.status, other.body['issue']?.[0]?.['code']]).toEqual([422, 'business-rule']);
    const bySchedule = done(await move(clinic.ann, moved, referring('schedule', 'Schedule/grey'), to(next()))).body;
    expect(JSON.stringify(bySchedule['participant'])).toContain('Practitioner/grey');
  });

  test('to a Slot', async () => {
    const stands = await booked();
    const start = next();
    for (const [i, offset] of [0, 30].entries())
      await put(clinic.system, {
        resourceType: 'Slot',
        id: `to-${i}`,
        schedule: { reference: 'Schedule/grey' },
        status: 'free',
        start: later(start, offset),
        end: later(start, offset + 30),
      });
    const moved = done(await move(clinic.ann, stands, referring('slot', 'Slot/to-0'))).body;
    expect([moved['start'], moved['slot']]).toEqual([start, [{ reference: 'Slot/to-0' }]]);
    expect(done(await clinic.system('GET', 'Slot/to-0')).body['status']).toBe('busy');
    const back = done(await move(clinic.ann, moved, to(next()))).body;
    expect(back['slot']).toBeUndefined();
    expect(done(await clinic.system('GET', 'Slot/to-0')).body['status']).toBe('free');
    const gone = await move(clinic.ann, back, referring('slot', 'Slot/gone'));
    expect(gone.status, said(gone)).toBeGreaterThanOrEqual(409);
    expect(gone.status).toBeLessThan(500);
  });

  test('D9: it counts as a booking: hours, grid, notice, and for staff as well', async () => {
    const stands = await booked();
    const day = workday(16);
    for (const start of [
      at(day, '12:30'),
      at(day, '20:00'),
      at(day, '10:10'),
      at(workday(-7), '09:00'),
      at(workday(300), '09:00'),
    ])
      for (const who of ['ann', 'staff'] as const) {
        const answer = await move(clinic[who], stands, to(start));
        expect([who, start, answer.status]).toEqual([who, start, 422]);
      }
    const anyway = done(
      await move(clinic.staff, stands, to(at(day, '20:00')), { name: 'override-reason', valueString: 'asked for' }),
    ).body;
    expect(extension(anyway, 'override')?.['extension']?.[0]?.['valueString']).toBe('asked for');
    const forbidden = await move(clinic.ann, stands, to(at(day, '20:00')), {
      name: 'override-reason',
      valueString: 'x',
    });
    expect([forbidden.status, forbidden.body['issue']?.[0]?.['expression']?.[0]]).toEqual([403, 'override-reason']);
  });

  test('to the time that it has: what was said of that time stays', async () => {
    const first = await booked({}, 'bob');
    const reason = { name: 'override-reason', valueString: 'it hurts' };
    const over = done(await move(clinic.staff, await booked(), to(String(first['start'])), reason)).body;
    const again = done(await move(clinic.ann, over, to(String(first['start'])))).body;
    const stored = async (): Promise<Json> =>
      done(await clinic.staff('GET', `Appointment/${String(again['id'])}`)).body;
    expect(extension(await stored(), 'override')).toEqual(extension(over, 'override'));
    done(await move(clinic.ann, again, to(next())));
    expect(extension(await stored(), 'override')).toBeUndefined();
  });

  test('what has begun is moved by staff alone', async () => {
    const stands = await booked();
    done(await clinic.staff('POST', `Appointment/${String(stands['id'])}/$check-in`));
    const start = next();
    expect(said(await move(clinic.ann, stands, to(start)))).toContain('422 The appointment has begun');
    const now = done(await clinic.ann('GET', `Appointment/${String(stands['id'])}`)).body;
    const put_ = await clinic.ann('PUT', `Appointment/${String(stands['id'])}`, {
      ...now,
      start,
      end: later(start, 30),
    });
    expect(put_.status).toBe(422);
    expect(said(await move(clinic.staff, stands, to(start)))).toBe('200 ');
  });

  test('who has declined still says by which rules', async () => {
    const declined = [
      taking('Patient/ann'),
      taking('Practitioner/grey', 'declined'),
      taking('HealthcareService/visit', 'accepted', 'information-only'),
    ];
    const stands = await booked({ status: 'pending', participant: declined });
    expect((await move(clinic.staff, stands, to(at(workday(17), '20:00')))).status).toBe(422);
    expect(said(await move(clinic.staff, stands, to(next())))).toBe('200 ');
  });

  test('If-Match: 412 when it has changed since', async () => {
    const stands = await booked();
    const send = (version: string): Promise<Answer> =>
      clinic.ann('POST', `Appointment/${String(stands['id'])}/$reschedule`, params(to(next())), {
        'If-Match': version,
      });
    expect((await send('W/"7"')).status).toBe(412);
    expect((await send('W/"1"')).status).toBe(200);
    expect((await send('W/"1"')).status).toBe(412);
  });

  test('what is over is not moved', async () => {
    const stands = await booked();
    done(await clinic.ann('POST', `Appointment/${String(stands['id'])}/$cancel`));
    for (const who of ['ann', 'staff'] as const)
      expect(said(await move(clinic[who], stands, to(next())))).toContain('422 The appointment is cancelled');
    // Nor does a lack of input say something else first.
    expect(said(await move(clinic.staff, stands))).toContain('by $book');
    for (const status of ['noshow', 'fulfilled', 'entered-in-error']) {
      const over = done(await clinic.system('POST', 'Appointment', visit({ start: next() }, { status }))).body;
      for (const more of [[], [{ name: 'mode', valueCode: 'replace' }]])
        expect(said(await move(clinic.staff, over, to(next()), ...more))).toContain(
          `422 The appointment is ${status}, and what is over does not move: book a new one by $book.`,
        );
    }
  });

  test('D11: the service of a visit does not change, by no door', async () => {
    const stands = await booked();
    const participant = [
      taking('Patient/ann'),
      taking('Practitioner/chase'),
      taking('HealthcareService/other', 'accepted', 'information-only'),
    ];
    const answer = await clinic.staff('PUT', `Appointment/${String(stands['id'])}`, { ...stands, participant });
    expect(answer.status, said(answer)).toBe(422);
  });
});

describe('a new visit in its place', () => {
  test('the old one is cancelled with the reason, the new one says what it replaces', async () => {
    const stands = await booked({
      identifier: [{ system: 'urn:x', value: '1' }],
      comment: 'by the stairs',
      priority: 2,
    });
    const start = next();
    const reason = {
      coding: [{ system: 'http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason', code: 'pat-crs' }],
    };
    const made = done(
      await move(
        clinic.ann,
        stands,
        to(start),
        { name: 'mode', valueCode: 'replace' },
        { name: 'reason', valueCodeableConcept: reason },
      ),
    ).body;
    expect(made['id']).not.toBe(stands['id']);
    expect(made).toMatchObject({
      status: 'booked',
      start,
      comment: 'by the stairs',
      priority: 2,
      supportingInformation: [{ reference: `Appointment/${String(stands['id'])}` }],
    });
    expect(made['identifier']).toBeUndefined();
    const links = (made['extension'] as unknown as Json[])
      .map((e) => String(e['url']))
      .filter((u) => u.startsWith('http://hl7.org/fhir/5.0'));
    expect(links.map((u) => u.split('.').at(-1))).toEqual(['previousAppointment', 'replaces']);
    expect(done(await clinic.ann('GET', `Appointment/${String(stands['id'])}`)).body).toMatchObject({
      status: 'cancelled',
      cancelationReason: reason,
    });
    expect(await free(stands['start'])).toBe(true);
  });

  test('or neither', async () => {
    const [stands, other] = [await booked(), await booked({}, 'bob')];
    expect(
      (await move(clinic.ann, stands, to(String(other['start'])), { name: 'mode', valueCode: 'replace' })).status,
    ).toBe(409);
    expect(done(await clinic.ann('GET', `Appointment/${String(stands['id'])}`)).body).toEqual(stands);
  });

  test('of two who replace it at the same moment, one does, or both in turn', async () => {
    for (let i = 0; i < 5; i++) {
      const stands = await booked();
      const [one, two] = [next(), next()];
      const mode = { name: 'mode', valueCode: 'replace' };
      const both = await Promise.all([one, two].map((start) => move(clinic.ann, stands, to(start), mode)));
      for (const answer of both) expect([200, 409, 422], answer.text).toContain(answer.status);
      expect(both.some((a) => a.status === 200)).toBe(true);
      expect(done(await clinic.ann('GET', `Appointment/${String(stands['id'])}`)).body['status']).toBe('cancelled');
    }
  });

  test('a hold of a Slot is replaced by a visit that names the same one', async () => {
    const start = next();
    await put(clinic.system, {
      resourceType: 'Slot',
      id: 'held',
      schedule: { reference: 'Schedule/grey' },
      status: 'free',
      start,
      end: later(start, 30),
    });
    const patch = [{ op: 'replace', path: '/status', value: 'busy-tentative' }];
    done(await clinic.staff('PATCH', 'Slot/held', patch, { 'If-Match': 'W/"1"' }));
    const found = done(await clinic.staff('GET', 'Appointment?slot=Slot/held&status=pending')).body;
    const hold = (found['entry']?.[0]?.['resource'] ?? {}) as Json;
    const made = done(
      await move(clinic.staff, hold, referring('slot', 'Slot/held'), { name: 'mode', valueCode: 'replace' }),
    ).body;
    expect([made['status'], made['start']]).toEqual(['booked', start]);
    expect(done(await clinic.staff('GET', `Appointment/${String(hold['id'])}`)).body['status']).toBe('cancelled');
  });

  test('staff books anew what was cancelled', async () => {
    const stands = await booked();
    done(await clinic.ann('POST', `Appointment/${String(stands['id'])}/$cancel`));
    const replace = (): Promise<Answer> =>
      move(clinic.staff, stands, to(next()), { name: 'mode', valueCode: 'replace' });
    const made = done(await replace());
    expect(said(await replace())).toMatch(/^409 .* has been replaced already/);
    done(await clinic.staff('POST', `Appointment/${String(made.body['id'])}/$cancel`));
    expect(said(await replace())).toBe('200 ');
  });

  test('once, however many ask at the same time', async () => {
    const stands = await booked();
    const replace = (): Promise<Answer> =>
      move(clinic.staff, stands, to(next()), { name: 'mode', valueCode: 'replace' });
    const answers = await Promise.all([replace(), replace(), replace(), replace()]);
    expect(answers.map((a) => a.status).sort()).toEqual([200, 409, 409, 409]);
    const query = `Appointment?supporting-info=Appointment/${String(stands['id'])}&status=booked`;
    expect(done(await clinic.staff('GET', query)).body['total']).toBe(1);
  });
});

test('input that is no good', async () => {
  const stands = await booked();
  const cases: readonly (readonly [readonly object[], number])[] = [
    [[{ name: 'start', valueDateTime: 'soon' }], 400],
    [[{ name: 'start', valueDateTime: '2026-12-04' }], 400],
    [[{ name: 'start', valueDateTime: '2026-12-04T09:00:00' }], 400],
    [[{ name: 'start', valueDateTime: '9999-12-31T09:00:00Z' }], 400],
    [[to(next()), { name: 'mode', valueCode: 'twice' }], 400],
    [[referring('slot', 'Appointment/x')], 400],
    [[referring('practitioner', 'Practitioner/nobody')], 422],
    [[referring('schedule', 'Schedule/nothing'), to(next())], 422],
    [[referring('location', 'Location/nowhere'), to(next())], 422],
  ];
  for (const [parameters, status] of cases) {
    const answer = await move(clinic.ann, stands, ...parameters);
    expect([JSON.stringify(parameters), answer.status]).toEqual([JSON.stringify(parameters), status]);
    expect(answer.body['issue']?.[0]?.['expression']?.[0]).toBeTruthy();
  }
  expect(done(await clinic.ann('GET', `Appointment/${String(stands['id'])}`)).body).toEqual(stands);
});
