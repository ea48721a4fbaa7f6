/** What the clinic cancels, D12: other times for the patient, or a place on the waitlist. https://hl7.org/fhir/R4/appointment-definitions.html#Appointment.priority */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, Json, Send } from '../http/client.ts';
import {
  at,
  bookProposal,
  done,
  entries,
  later,
  openClinic,
  params,
  put,
  referring,
  said,
  schedule,
  service,
  statusOf,
  taking,
  times,
  visit,
  workday,
  type Clinic,
} from './clinic.ts';

const REASONS = 'http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason';
const R5 = 'http://hl7.org/fhir/5.0/StructureDefinition/extension-Appointment';
let clinic: Clinic;
beforeAll(async () => void (clinic = await openClinic()));
afterAll(() => clinic.close());

const next = times(7);
const booked = async (more: object = {}, start = next()): Promise<Json> =>
  done(await clinic.staff('POST', 'Appointment', visit({ start }, more))).body;
const reason = (code: string): object => ({ name: 'reason', valueCoding: { system: REASONS, code } });
const WAITLIST = { name: 'waitlist', valueBoolean: true };
const cancel = (send: Send, { id }: Json, ...parameter: readonly object[]): Promise<Answer> =>
  send('POST', `Appointment/${String(id)}/$cancel`, params(...parameter));

interface Told {
  readonly cancelled: Json;
  readonly waiting: readonly Json[];
  readonly issue: Json;
  readonly instead: readonly Json[];
}

function told(answer: Answer): Told {
  const of = (mode: string): Json[] =>
    entries(done(answer))
      .filter((e) => String(e['search']?.['mode']) === mode)
      .map((e) => e['resource'] as Json);
  const [[cancelled = {}], [outcome = {}]] = [of('match'), of('outcome')];
  expect([String(answer.body['type']), answer.body['total']]).toEqual(['searchset', 1]);
  return {
    cancelled,
    waiting: of('include'),
    issue: outcome['issue']?.[0] ?? {},
    instead: (outcome['contained'] ?? []) as unknown as Json[],
  };
}

const actorsOf = (a: Json): string[] =>
  (a['participant'] as unknown as { actor: { reference: string }; required: string; status: string }[]).map(
    (p) => `${p.actor.reference} ${p.required} ${p.status}`,
  );
const waitingFor = async ({ id }: Json): Promise<Json[]> =>
  entries(done(await clinic.staff('GET', `Appointment?supporting-info=Appointment/${String(id)}`))).map(
    (e) => e['resource'] as Json,
  );

describe('other times', () => {
  test.each(['prov-pers', 'prov', 'maint', 'meds-inc', 'oth-weath', 'other'])('with the reason %s', async (code) => {
    const stands = await booked();
    const { cancelled, waiting, issue, instead } = told(await cancel(clinic.staff, stands, reason(code)));
    expect(cancelled).toMatchObject({
      id: stands['id'],
      status: 'cancelled',
      cancelationReason: { coding: [{ code }] },
    });
    expect(waiting).toEqual([]);
    expect(issue).toMatchObject({ severity: 'information', code: 'informational' });
    expect(instead.map((a) => [a['resourceType'], a['status']])).toEqual(
      Array.from({ length: 3 }, () => ['Appointment', 'proposed']),
    );
    expect(instead.map((a) => String(a['start']))).not.toContain(stands['start']);
    for (const { start } of instead) expect(String(issue['diagnostics'])).toContain(String(start));
    expect(String(issue['diagnostics'])).toMatch(/\$book.*waitlist/);
  });

  test('fit the same patient, and are booked as the answer says', async () => {
    const day = workday(30);
    const [stands, near] = [await booked({}, at(day, '10:00')), at(day, '10:30')];
    done(await clinic.staff('POST', 'Appointment', visit({ start: near, practitioner: 'house' })));
    done(await clinic.staff('POST', 'Appointment', visit({ start: at(day, '09:30'), patient: 'bob' })));
    const { instead } = told(await cancel(clinic.staff, stands, reason('prov-edu')));
    expect(instead.map((a) => String(a['start']).slice(11, 16))).toEqual(['09:00', '11:00', '11:30']);
    const again = await bookProposal(
      clinic.staff,
      String(instead[1]?.['id']),
      referring('patient-reference', 'Patient/ann'),
    );
    expect(statusOf(done(again))).toBe('booked');
  });

  test('are those of colleagues where the practitioner is away', async () => {
    await put(clinic.system, { resourceType: 'Practitioner', id: 'away', name: [{ family: 'away' }] });
    await put(clinic.system, schedule('away', 'away'));
    const start = next();
    const stands = done(
      await clinic.staff('POST', 'Appointment', visit({ start, practitioner: 'away', patient: 'eve' })),
    ).body;
    const hit = await clinic.staff(
      'POST',
      'Schedule/away/$block',
      params(
        { name: 'start', valueDateTime: new Date().toISOString() },
        { name: 'end', valueDateTime: later(start, 40 * 1440) },
      ),
    );
    done(hit);
    const { instead } = told(await cancel(clinic.staff, stands, reason('prov-hosp')));
    expect(instead.flatMap(actorsOf).filter((a) => a.startsWith('Practitioner'))).toHaveLength(3);
    expect(instead.flatMap(actorsOf).join(' ')).not.toContain('Practitioner/away');
    // At the same time with somebody else: the best there is.
    expect(instead.map((a) => a['start'])).toContain(start);
  });

  test('are none where nobody has any', async () => {
    await put(clinic.system, service('rare', { url: 'horizon', extension: [{ url: 'days', valuePositiveInt: 1 }] }));
    await put(
      clinic.system,
      schedule('rare', 'house', {
        actor: ['Practitioner/house', 'Location/site', 'HealthcareService/rare'].map((reference) => ({ reference })),
      }),
    );
    const wish = visit({ start: at(workday(40), '09:00'), practitioner: 'house', service: 'rare' });
    const stands = done(await clinic.staff('POST', 'Appointment', wish)).body;
    const { issue, instead } = told(await cancel(clinic.staff, stands, reason('maint')));
    expect([instead.length, String(issue['diagnostics']).includes('No other time')]).toEqual([0, true]);
  });

  test('once more: the same is told, and nothing is changed', async () => {
    const stands = await booked();
    const first = told(await cancel(clinic.staff, stands, reason('prov')));
    expect(told(await cancel(clinic.staff, stands, reason('prov')))).toEqual(first);
  });
});

describe('nothing of it', () => {
  test('where it lies with the patient, or nobody says with whom', async () => {
    for (const parameter of [[reason('pat')], [reason('pat-crs')], []]) {
      const { body } = done(await cancel(clinic.staff, await booked(), ...parameter));
      expect([body['resourceType'], body['status']]).toEqual(['Appointment', 'cancelled']);
    }
    // Nor when the patient was first.
    const stands = await booked();
    done(await cancel(clinic.ann, stands));
    expect(done(await cancel(clinic.staff, stands, reason('prov'))).body['resourceType']).toBe('Appointment');
    const refused = await cancel(clinic.staff, stands, reason('prov'), WAITLIST);
    expect([refused.status, refused.body['issue']?.[0]?.['expression']?.[0]]).toEqual([422, 'waitlist']);
  });

  test('for patients, whatever they say', async () => {
    const coding = [{ system: 'urn:test:reasons', code: 'prov-pers' }];
    const elsewhere = { name: 'reason', valueCodeableConcept: { coding } };
    const stands = await booked();
    const refused = await cancel(clinic.ann, stands, WAITLIST);
    expect([refused.status, refused.body['issue']?.[0]?.['expression']?.[0]]).toEqual([403, 'waitlist']);
    expect((await clinic.staff('GET', `Appointment/${String(stands['id'])}`)).body['status']).toBe('booked');
    const { body } = done(await cancel(clinic.ann, stands, elsewhere));
    expect([body['resourceType'], body['status']]).toEqual(['Appointment', 'cancelled']);
    expect((await cancel(clinic.ann, stands, WAITLIST)).status).toBe(403);
    expect(await waitingFor(stands)).toEqual([]);
    // Nor of what fits those who come all the same.
    const start = next();
    const { participant } = visit({ start }) as { participant: object[] };
    const both = await booked({ participant: [...participant, taking('Patient/bob')] }, start);
    expect(done(await cancel(clinic.ann, both, elsewhere)).body).toMatchObject({
      resourceType: 'Appointment',
      status: 'booked',
    });
  });

  test('for a visit of nobody', async () => {
    const start = next();
    const alone = { participant: [taking('Practitioner/grey')] };
    const { body } = done(await cancel(clinic.staff, await booked(alone, start), reason('maint')));
    expect(body['resourceType']).toBe('Appointment');
    const stands = await booked(alone, start);
    expect(said(await cancel(clinic.staff, stands, reason('maint'), WAITLIST))).toContain('422 Only a patient');
    expect((await clinic.staff('GET', `Appointment/${String(stands['id'])}`)).body['status']).toBe('booked');
  });
});

describe('a place on the waitlist', () => {
  test('for the same patient, service and practitioner, before others, in the same transaction', async () => {
    const start = next();
    const room = { participant: ['Patient/ann', 'Location/room'].map((r) => taking(r)) };
    const stands = await booked(
      {
        reasonCode: [{ text: 'cough' }],
        minutesDuration: 30,
        participant: [...(visit({ start }) as { participant: object[] }).participant, ...room.participant.slice(1)],
      },
      start,
    );
    const { waiting, issue, instead } = told(await cancel(clinic.staff, stands, reason('prov-pers'), WAITLIST));
    const [entry = {}] = waiting;
    const reference = `Appointment/${String(stands['id'])}`;
    expect([waiting.length, instead.length]).toEqual([1, 3]);
    expect(entry).toMatchObject({
      status: 'waitlist',
      priority: 3,
      reasonCode: [{ text: 'cough' }],
      minutesDuration: 30,
      supportingInformation: [{ reference }],
      extension: [
        { url: `${R5}.previousAppointment`, valueReference: { reference } },
        { url: `${R5}.replaces`, valueReference: { reference } },
      ],
    });
    expect(actorsOf(entry).sort()).toEqual([
      'HealthcareService/visit information-only accepted',
      'Location/site information-only accepted',
      'Patient/ann required accepted',
      'Practitioner/grey required needs-action',
    ]);
    expect([entry['start'], entry['slot']]).toEqual([undefined, undefined]);
    expect(String(issue['diagnostics'])).toContain(`Appointment/${String(entry['id'])} (waitlist)`);
    const together = await clinic.sql('select count(distinct xmin::text) n from appointment where id = any($1)', [
      [stands['id'], entry['id']],
    ]);
    expect(together).toEqual([{ n: '1' }]);
    expect((await waitingFor(stands)).map((a) => a['id'])).toEqual([entry['id']]);
    expect((await clinic.ann('GET', `Appointment/${String(entry['id'])}`)).body['status']).toBe('waitlist');
  });

  test.each([
    [1, 1],
    [2, 1],
    [5, 3],
    [9, 3],
    [0, 3],
  ])('a visit of priority %i waits with %i', async (was, is) => {
    const { waiting } = told(await cancel(clinic.staff, await booked({ priority: was }), reason('prov'), WAITLIST));
    expect(waiting.map((a) => a['priority'])).toEqual([is]);
  });

  test('may be asked for later, and is given once', async () => {
    const stands = await booked();
    expect(told(await cancel(clinic.staff, stands, reason('prov'))).waiting).toEqual([]);
    const all = await Promise.all(
      Array.from({ length: 4 }, () => cancel(clinic.staff, stands, reason('prov'), WAITLIST)),
    );
    const ids = new Set(all.flatMap((a) => told(a).waiting.map((w) => String(w['id']))));
    expect([ids.size, (await waitingFor(stands)).length]).toEqual([1, 1]);
  });

  test('two who ask at once wait for one another', async () => {
    const stands = await booked();
    done(await cancel(clinic.staff, stands, reason('prov')));
    await clinic.sql('begin');
    await clinic.sql('select from appointment where id = $1 for update', [stands['id']]);
    const { pool } = clinic.server.kairos;
    const both = [1, 2].map(() => cancel(clinic.staff, stands, reason('prov'), WAITLIST));
    const waiting = `select count(*)::text n from pg_stat_activity where wait_event_type = 'Lock' and query like '%no key update%'`;
    try {
      await expect.poll(async () => (await pool.query(waiting)).rows, { timeout: 5_000 }).toEqual([{ n: '2' }]);
    } finally {
      await clinic.sql('commit');
    }
    await Promise.all(both);
    expect(await waitingFor(stands)).toHaveLength(1);
  });

  test('needs no reason: who asks for it says whose it was', async () => {
    const other = await booked();
    expect(told(await cancel(clinic.staff, other, WAITLIST)).waiting).toHaveLength(1);
    expect(told(await cancel(clinic.staff, other, WAITLIST)).waiting).toHaveLength(1);
    expect(await waitingFor(other)).toHaveLength(1);
    const [{ id } = {}] = await waitingFor(other);
    done(await clinic.staff('POST', `Appointment/${String(id)}/$cancel`, params()));
    expect(told(await cancel(clinic.staff, other, WAITLIST)).waiting.map((w) => w['id'])).not.toContain(id);
  });

  test('with a reason of the patient: refused, and the visit stands', async () => {
    const stands = await booked();
    expect(said(await cancel(clinic.staff, stands, reason('pat-fb'), WAITLIST))).toContain(
      '422 A place on the waitlist',
    );
    expect((await clinic.staff('GET', `Appointment/${String(stands['id'])}`)).body['status']).toBe('booked');
  });

  test('what waits is not put on the waitlist again', async () => {
    const [waiting = {}] = told(await cancel(clinic.staff, await booked(), reason('prov'), WAITLIST)).waiting;
    expect((await cancel(clinic.staff, waiting, reason('prov'), WAITLIST)).status).toBe(422);
    expect((await clinic.staff('GET', `Appointment/${String(waiting['id'])}`)).body['status']).toBe('waitlist');
    expect(done(await cancel(clinic.staff, waiting, reason('prov'))).body['status']).toBe('cancelled');
  });

  test('of a group: each for themselves, or who is named', async () => {
    await put(clinic.system, service('group', { url: 'capacity', valuePositiveInt: 3 }));
    await put(
      clinic.system,
      schedule('group', 'house', {
        actor: ['Practitioner/house', 'Location/site', 'HealthcareService/group'].map((reference) => ({ reference })),
      }),
    );
    const together = async (): Promise<Json> => {
      const wish = visit({ start: next(), practitioner: 'house', service: 'group' }) as { participant: object[] };
      const participant = [...wish.participant, taking('Patient/bob'), taking('Patient/eve', 'declined', 'optional')];
      return done(await clinic.staff('POST', 'Appointment', { ...wish, participant })).body;
    };
    const patients = (list: readonly Json[]): string[] =>
      list
        .flatMap(actorsOf)
        .filter((a) => a.startsWith('Patient'))
        .sort();
    const one = await together();
    const bob = referring('patient-reference', 'Patient/bob');
    const some = told(await cancel(clinic.staff, one, reason('prov'), bob, WAITLIST));
    expect([some.cancelled['status'], patients(some.waiting)]).toEqual(['booked', ['Patient/bob required accepted']]);
    const again = told(await cancel(clinic.staff, one, reason('prov'), bob, WAITLIST));
    expect(again.waiting.map((w) => w['id'])).toEqual(some.waiting.map((w) => w['id']));
    const all = told(await cancel(clinic.staff, await together(), reason('prov'), WAITLIST));
    expect([all.cancelled['status'], patients(all.waiting)]).toEqual([
      'cancelled',
      ['Patient/ann required accepted', 'Patient/bob required accepted'],
    ]);
  });

  test('a retry with the same key gives the same place', async () => {
    const stands = await booked();
    const key = { 'Idempotency-Key': 'cancel-once' };
    const send = (): Promise<Answer> =>
      clinic.staff('POST', `Appointment/${String(stands['id'])}/$cancel`, params(reason('prov'), WAITLIST), key);
    const [one, two] = [told(await send()), told(await send())];
    expect(two).toEqual(one);
    expect(await waitingFor(stands)).toHaveLength(1);
  });
});
