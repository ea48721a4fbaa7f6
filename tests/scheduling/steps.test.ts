/** The day of a visit: arrival, room, completion, and steps back. D1, https://hl7.org/fhir/R4/encounter.html */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { list, type Answer, type Json, type Send } from '../http/client.ts';
import {
  appointmentOf,
  done,
  find,
  idOf,
  later,
  openClinic,
  params,
  put,
  referring,
  said,
  service,
  starts,
  taking,
  times,
  visit,
  type Clinic,
} from './clinic.ts';

let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
  await put(clinic.system, {
    resourceType: 'Location',
    id: 'room-2',
    name: 'Room 2',
    partOf: { reference: 'Location/site' },
    physicalType: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/location-physical-type', code: 'ro' }] },
  });
});
afterAll(() => clinic.close());
beforeEach(() => void (clinic.clock.ahead = 0));
const next = times(7);
const booked = async (more: object = {}): Promise<Json> =>
  done(await clinic.staff('POST', 'Appointment', visit({ start: next() }, more))).body;
const step = (send: Send, { id }: Json, name: string, ...parameter: readonly object[]): Promise<Answer> =>
  send('POST', `Appointment/${String(id)}/$${name}`, params(...parameter));
const encounters = async ({ id }: Json): Promise<Json[]> =>
  (
    (done(await clinic.staff('GET', `Encounter?appointment=Appointment/${String(id)}`)).body['entry'] ??
      []) as unknown as Json[]
  ).map((e) => e['resource'] as Json);
const encounterOf = async (a: Json): Promise<Json> => (await encounters(a))[0] ?? {};
const status = (code: string): object => ({ name: 'status', valueCode: code });
const set = async (a: Json, to: string): Promise<Answer> => {
  const now = done(await clinic.staff('GET', `Appointment/${String(a['id'])}`)).body;
  return clinic.staff('PUT', `Appointment/${String(a['id'])}`, { ...now, status: to });
};
const minutesFrom = (instant: unknown, minutes: number): void => {
  clinic.clock.ahead = Date.parse(String(instant)) + minutes * 60_000 - Date.now();
};

describe('arrival begins an Encounter', () => {
  test('of whom, with whom, where and why', async () => {
    const stands = await booked({
      reasonCode: [{ text: 'knee' }],
      participant: [
        taking('Patient/ann'),
        taking('Practitioner/grey'),
        taking('Location/site', 'accepted', 'information-only'),
        taking('HealthcareService/visit', 'accepted', 'information-only'),
      ],
    });
    done(await step(clinic.staff, stands, 'check-in', status('arrived')));
    expect(await encounters(stands)).toMatchObject([
      {
        status: 'arrived',
        class: { code: 'AMB' },
        subject: { reference: 'Patient/ann' },
        participant: [{ individual: { reference: 'Practitioner/grey' } }],
        appointment: [{ reference: `Appointment/${String(stands['id'])}` }],
        location: [{ location: { reference: 'Location/site' } }],
        reasonCode: [{ text: 'knee' }],
      },
    ]);
    expect((await encounterOf(stands))['period']?.['end']).toBeUndefined();
  });

  test('arrived, checked in, fulfilled: it follows, and keeps what was', async () => {
    const stands = await booked();
    done(await step(clinic.staff, stands, 'check-in', status('arrived')));
    expect(done(await step(clinic.staff, stands, 'check-in')).body['status']).toBe('checked-in');
    expect((await encounterOf(stands))['status']).toBe('triaged');
    expect(done(await step(clinic.staff, stands, 'complete')).body['status']).toBe('fulfilled');
    const encounter = await encounterOf(stands);
    expect(encounter['status']).toBe('finished');
    expect((encounter['statusHistory'] as unknown as { status: string }[]).map((h) => h.status)).toEqual([
      'arrived',
      'triaged',
    ]);
    expect(encounter['period']?.['end']).toBeTruthy();
    // Each step again: it is done already.
    const { meta } = done(await step(clinic.staff, stands, 'complete')).body;
    expect(meta?.['versionId']).toBe('4');
  });

  test('by every door alike', async () => {
    const stands = await booked();
    done(await set(stands, 'arrived'));
    expect((await encounterOf(stands))['status']).toBe('arrived');
    done(
      await clinic.staff('PATCH', `Appointment/${String(stands['id'])}`, [
        { op: 'replace', path: '/status', value: 'checked-in' },
      ]),
    );
    expect((await encounterOf(stands))['status']).toBe('triaged');
    const now = done(await clinic.staff('GET', `Appointment/${String(stands['id'])}`)).body;
    done(
      await clinic.staff('POST', '', {
        resourceType: 'Bundle',
        type: 'transaction',
        entry: [
          {
            request: { method: 'PUT', url: `Appointment/${String(stands['id'])}` },
            resource: { ...now, status: 'fulfilled' },
          },
        ],
      }),
    );
    expect((await encounterOf(stands))['status']).toBe('finished');
    expect(await encounters(stands)).toHaveLength(1);
  });

  test('what the treating side has begun is theirs', async () => {
    const stands = await booked();
    done(await step(clinic.staff, stands, 'check-in', status('arrived')));
    const encounter = await encounterOf(stands);
    done(await clinic.staff('PUT', `Encounter/${String(encounter['id'])}`, { ...encounter, status: 'in-progress' }));
    done(await step(clinic.staff, stands, 'check-in'));
    expect((await encounterOf(stands))['status']).toBe('in-progress');
    done(await step(clinic.staff, stands, 'complete'));
    expect((await encounterOf(stands))['status']).toBe('finished');
  });
});

describe('rooms', () => {
  const rooms = async (a: Json): Promise<string[]> =>
    ((await encounterOf(a))['location'] as unknown as { location: { reference: string }; status: string }[]).map(
      (l) => `${l.location.reference} ${l.status}`,
    );
  test('the room is where the Encounter is; another one takes its place', async () => {
    const stands = await booked({ participant: [taking('Patient/ann'), taking('Practitioner/grey')] });
    done(await step(clinic.staff, stands, 'check-in', referring('room', 'Location/room')));
    expect(await rooms(stands)).toEqual(['Location/room active']);
    // D10: without a word to the patient: the appointment itself stays as it was.
    const { participant } = done(
      await step(clinic.staff, stands, 'check-in', referring('room', 'Location/room-2')),
    ).body;
    expect(await rooms(stands)).toEqual(['Location/room completed', 'Location/room-2 active']);
    expect(participant).toEqual(stands['participant']);
  });
  test('one that there is not, or chosen by the patient, is refused', async () => {
    const stands = await booked();
    const missing = await step(clinic.staff, stands, 'check-in', referring('room', 'Location/nowhere'));
    expect([missing.status, missing.body['issue']?.[0]?.['expression']?.[0]]).toEqual([422, 'room']);
    expect(done(await clinic.staff('GET', `Appointment/${String(stands['id'])}`)).body['status']).toBe('booked');
    await put(
      clinic.system,
      service('visit', {
        url: 'selfCheckIn',
        valueDuration: { value: 30, system: 'http://unitsofmeasure.org', code: 'min' },
      }),
    );
    minutesFrom(stands['start'], -10);
    expect((await step(clinic.ann, stands, 'check-in', referring('room', 'Location/room'))).status).toBe(403);
    await put(clinic.system, service('visit'));
  });
});

describe('patients check in themselves', () => {
  test('within the window of the service, and no further', async () => {
    await put(
      clinic.system,
      service('visit', {
        url: 'selfCheckIn',
        valueDuration: { value: 30, system: 'http://unitsofmeasure.org', code: 'min' },
      }),
    );
    const stands = await booked();
    expect(said(await step(clinic.ann, stands, 'check-in'))).toContain('422 The appointment cannot become checked-in');
    minutesFrom(stands['start'], -40);
    expect((await step(clinic.ann, stands, 'check-in')).status).toBe(422);
    minutesFrom(stands['start'], 5);
    expect((await step(clinic.ann, stands, 'check-in')).status).toBe(422);
    minutesFrom(stands['start'], -20);
    expect((await step(clinic.ann, stands, 'check-in', status('arrived'))).status).toBe(422);
    expect(done(await step(clinic.ann, stands, 'check-in')).body['status']).toBe('checked-in');
    for (const name of ['complete', 'no-show', 'cancel'])
      expect((await step(clinic.ann, stands, name)).status).toBe(422);
    await put(clinic.system, service('visit'));
    const other = await booked();
    minutesFrom(other['start'], -20);
    expect((await step(clinic.ann, other, 'check-in')).status).toBe(422);
  });
});

describe('steps back, by staff, within a day', () => {
  test('arrived to booked: the Encounter did not take place, and begins again with the next arrival', async () => {
    const stands = await booked();
    done(await step(clinic.staff, stands, 'check-in', status('arrived')));
    done(await set(stands, 'booked'));
    expect((await encounterOf(stands))['status']).toBe('cancelled');
    done(await step(clinic.staff, stands, 'check-in', status('arrived')));
    const again = await encounters(stands);
    expect(again.map((e) => String(e['status']))).toEqual(['arrived']);
    expect(again[0]?.['period']?.['end']).toBeUndefined();
  });

  test('fulfilled to checked-in: it goes on', async () => {
    const stands = await booked();
    for (const to of ['arrived', 'checked-in', 'fulfilled', 'checked-in']) done(await set(stands, to));
    const encounter = await encounterOf(stands);
    expect([encounter['status'], encounter['period']?.['end']]).toEqual(['triaged', undefined]);
    done(await set(stands, 'fulfilled'));
    expect((await encounterOf(stands))['status']).toBe('finished');
  });

  test('not after a day', async () => {
    const stands = await booked();
    done(await set(stands, 'arrived'));
    clinic.clock.ahead = 25 * 3_600_000;
    expect(said(await set(stands, 'booked'))).toContain('24 hours');
    clinic.clock.ahead = 23 * 3_600_000;
    expect(said(await set(stands, 'booked'))).toBe('200 ');
  });

  test('a no-show gives its time away; taken back on the day it is taken again, or 409', async () => {
    const stands = await booked();
    minutesFrom(stands['start'], 20);
    done(await step(clinic.staff, stands, 'no-show'));
    expect(said(await set(stands, 'booked'))).toBe('200 ');
    done(await step(clinic.staff, stands, 'no-show'));
    done(await clinic.staff('POST', 'Appointment', visit({ start: String(stands['start']), patient: 'bob' })));
    expect((await set(stands, 'arrived')).status).toBe(409);
    expect((await set(stands, 'booked')).status).toBe(409);
    const other = await booked();
    minutesFrom(other['start'], 0);
    done(await step(clinic.staff, other, 'no-show'));
    minutesFrom(other['start'], 22 * 60);
    const late = await set(other, 'booked');
    expect(late.status, said(late)).toBe(422);
  });

  test('cancelled to booked while the time is free', async () => {
    const stands = await booked();
    done(await step(clinic.staff, stands, 'cancel'));
    const now = done(await clinic.staff('GET', `Appointment/${String(stands['id'])}`)).body;
    const back = { ...now, status: 'booked', cancelationReason: undefined };
    expect((await clinic.ann('PUT', `Appointment/${String(stands['id'])}`, back)).status).toBe(422);
    expect(said(await clinic.staff('PUT', `Appointment/${String(stands['id'])}`, back))).toBe('200 ');
    done(await step(clinic.staff, stands, 'cancel'));
    done(await clinic.bob('POST', 'Appointment', visit({ start: String(stands['start']), patient: 'bob' })));
    expect((await clinic.staff('PUT', `Appointment/${String(stands['id'])}`, back)).status).toBe(409);
  });
});

describe('that somebody did not come', () => {
  test('is said once the visit has begun, by whichever door; what systems write happened elsewhere', async () => {
    const stands = await booked();
    const arrived = await booked();
    done(await step(clinic.staff, arrived, 'check-in', status('arrived')));
    for (const each of [stands, arrived]) {
      // A step back from arrived is possible within a day only.
      if (each === stands) minutesFrom(each['start'], -1);
      for (const answer of [
        await step(clinic.staff, each, 'no-show'),
        await step(clinic.system, each, 'no-show'),
        await set(each, 'noshow'),
      ]) {
        expect(said(answer)).toContain(`can be said from ${String(each['start'])} on`);
        expect([answer.status, answer.body['issue']?.[0]?.['expression']]).toEqual([422, ['Appointment.status']]);
      }
      clinic.clock.ahead = 0;
    }
    minutesFrom(stands['start'], 0);
    expect(done(await step(clinic.staff, stands, 'no-show')).body['status']).toBe('noshow');
    clinic.clock.ahead = 0;
    const { id } = arrived;
    const now = done(await clinic.staff('GET', `Appointment/${String(id)}`)).body;
    done(await clinic.system('PUT', `Appointment/${String(id)}`, { ...now, status: 'noshow' }));
  });
});

describe('ends', () => {
  test('left without being seen: the time is free, the Encounter cancelled', async () => {
    const stands = await booked();
    done(await step(clinic.staff, stands, 'check-in'));
    done(await step(clinic.staff, stands, 'cancel'));
    expect((await encounterOf(stands))['status']).toBe('cancelled');
    expect(await starts(clinic.nobody, String(stands['start']).slice(0, 10))).toContain(
      String(stands['start']).slice(11, 16),
    );
  });

  test('entered in error: so is the Encounter', async () => {
    const stands = await booked();
    for (const to of ['arrived', 'fulfilled', 'entered-in-error']) done(await set(stands, to));
    expect((await encounterOf(stands))['status']).toBe('entered-in-error');
  });

  test('a service without front desk is completed at once: the Encounter is that of the visit', async () => {
    const stands = await booked();
    expect((await step(clinic.staff, stands, 'complete')).status).toBe(422);
    await put(clinic.system, service('visit', { url: 'noFrontDesk', valueBoolean: true }));
    minutesFrom(stands['start'], 35);
    done(await step(clinic.staff, stands, 'complete'));
    const encounter = await encounterOf(stands);
    expect([encounter['status'], encounter['period']?.['start']]).toEqual(['finished', stands['start']]);
    expect(Date.parse(String(encounter['period']?.['end']))).toBeGreaterThan(Date.parse(String(stands['start'])));
    await put(clinic.system, service('visit'));
  });

  test('what has taken place keeps its time from others', async () => {
    const stands = await booked();
    for (const to of ['arrived', 'fulfilled']) done(await set(stands, to));
    expect(
      (await clinic.staff('POST', 'Appointment', visit({ start: String(stands['start']), patient: 'bob' }))).status,
    ).toBe(409);
  });
});

describe('$confirm', () => {
  const pending = async (...replies: string[]): Promise<Json> =>
    done(
      await clinic.staff(
        'POST',
        'Appointment',
        visit(
          { start: next() },
          {
            status: 'pending',
            participant: [
              taking('Patient/ann', replies[0]),
              taking('Practitioner/grey', replies[1]),
              taking('HealthcareService/visit', 'accepted', 'information-only'),
            ],
          },
        ),
      ),
    ).body;
  test('staff approves', async () => {
    const waits = await pending('accepted', 'tentative');
    const answer = done(await step(clinic.staff, waits, 'confirm')).body;
    expect(answer).toMatchObject({
      status: 'booked',
      participant: [{ status: 'accepted' }, { status: 'accepted' }, {}],
    });
  });
  test('or one for whom staff speaks', async () => {
    const waits = await pending('needs-action', 'needs-action');
    const half = done(await step(clinic.staff, waits, 'confirm', referring('actor', 'Practitioner/grey'))).body;
    expect(half).toMatchObject({
      status: 'pending',
      participant: [{ status: 'needs-action' }, { status: 'accepted' }, {}],
    });
    expect(done(await step(clinic.staff, waits, 'confirm', referring('actor', 'Patient/ann'))).body['status']).toBe(
      'booked',
    );
  });
  test('patients accept for themselves, and approve nothing', async () => {
    const waits = await pending('needs-action', 'needs-action');
    expect(done(await step(clinic.ann, waits, 'confirm')).body).toMatchObject({
      status: 'pending',
      participant: [{ status: 'accepted' }, { status: 'needs-action' }, {}],
    });
    const foreign = await step(clinic.ann, waits, 'confirm', referring('actor', 'Practitioner/grey'));
    expect([foreign.status, foreign.body['issue']?.[0]?.['expression']?.[0]]).toEqual([422, 'actor']);
  });
  test('books the hold of a patient who confirms it', async () => {
    const proposed = { ...visit({ start: next() }), status: 'proposed' };
    const held = appointmentOf(
      done(await clinic.ann('POST', 'Appointment/$hold', params({ name: 'appointment-resource', resource: proposed }))),
    );
    const replies = (appointment: Json): readonly string[] =>
      list(appointment['participant'])
        .filter((p) => String(p['required']) === 'required')
        .map((p) => String(p['status']));
    expect([held['status'], ...replies(held)]).toEqual(['pending', 'tentative', 'tentative']);
    const confirmed = done(await step(clinic.ann, held, 'confirm')).body;
    expect([confirmed['status'], ...replies(confirmed)]).toEqual(['booked', 'accepted', 'accepted']);
    expect(JSON.stringify(confirmed)).not.toContain('hold-expires');
  });
  test('nobody confirms for one who takes no part', async () => {
    const waits = await pending('accepted', 'tentative');
    const answer = await step(clinic.staff, waits, 'confirm', referring('actor', 'Practitioner/nobody'));
    expect([answer.status, said(answer)]).toEqual([422, '422 Practitioner/nobody does not take part in this visit.']);
    expect((await clinic.staff('GET', `Appointment/${String(waits['id'])}`)).headers.get('etag')).toBe('W/"1"');
  });
  test('an entry of the waitlist without a time only notes who has accepted', async () => {
    const { start: _, end: __, ...rest } = visit({ start: next() }) as Record<string, unknown>;
    const entry = done(await clinic.staff('POST', 'Appointment', { ...rest, status: 'waitlist' })).body;
    expect(done(await step(clinic.staff, entry, 'confirm')).body['status']).toBe('waitlist');
  });
});

test('there is no step for what there is not', async () => {
  for (const name of ['check-in', 'complete', 'no-show', 'confirm', 'release', 'cancel'])
    expect([name, (await step(clinic.staff, { id: 'nothing' } as unknown as Json, name)).status]).toEqual([name, 404]);
  const stands = await booked();
  for (const odd of [status('asleep'), { name: 'status', valueBoolean: true }, referring('room', 'Patient/ann')])
    expect((await step(clinic.staff, stands, 'check-in', odd)).status).toBe(400);
  expect(idOf(done(await step(clinic.staff, stands, 'check-in')))).toBe(String(stands['id']));
  expect((await find(clinic.nobody, `start=${later(next(), 0)}&end=${later(next(), 0)}`)).status).toBe(200);
});
