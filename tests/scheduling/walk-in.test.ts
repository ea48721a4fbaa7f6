/** D1: who comes without an appointment has arrived: a new one that begins with it. https://hl7.org/fhir/R4/encounter.html */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, Json, Send } from '../http/client.ts';
import {
  bundle,
  done,
  find,
  found,
  idOf,
  later,
  openClinic,
  params,
  put,
  referring,
  said,
  schedule,
  service,
  availability,
  taking,
  visit,
  type Clinic,
} from './clinic.ts';

let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
  // Somebody is there at whatever time the test runs.
  const always = { url: 'availableTime', extension: [{ url: 'allDay', valueBoolean: true }] };
  await put(clinic.system, service('walk'));
  const actor = (who: string): object[] =>
    [`Practitioner/${who}`, 'Location/site', 'HealthcareService/walk'].map((reference) => ({ reference }));
  for (const who of ['grey', 'house'])
    await put(clinic.system, schedule(`${who}-walk`, who, { actor: actor(who), extension: [availability(always)] }));
});
afterAll(() => clinic.close());

let minutes = 0;
/** Half an hour after the other, beginning with now. */
const now = (): string => later(new Date().toISOString(), 31 * minutes++);
const walkIn = (start: string, more: object = {}, patient = 'ann'): object =>
  visit({ start, patient, service: 'walk' }, { status: 'arrived', ...more });
const post = (send: Send, resource: object): Promise<Answer> => send('POST', 'Appointment', resource);
const encounters = async (id: string): Promise<Json[]> =>
  (
    (done(await clinic.staff('GET', `Encounter?appointment=Appointment/${id}`)).body['entry'] ??
      []) as unknown as Json[]
  ).map((e) => e['resource'] as Json);

describe('a walk-in', () => {
  test('has arrived, occupies the practitioner, and has its Encounter from the start', async () => {
    const start = now();
    const id = idOf(done(await post(clinic.staff, walkIn(start, { reasonCode: [{ text: 'cut' }] }))));
    expect(await encounters(id)).toMatchObject([
      {
        status: 'arrived',
        subject: { reference: 'Patient/ann' },
        participant: [{ individual: { reference: 'Practitioner/grey' } }],
        reasonCode: [{ text: 'cut' }],
      },
    ]);
    expect((await post(clinic.staff, walkIn(later(start, 10), {}, 'bob'))).status).toBe(409);
    const free = found(
      done(
        await find(
          clinic.staff,
          `start=${encodeURIComponent(start)}&end=${later(start, 60)}&schedule=Schedule/grey-walk`,
        ),
      ),
    );
    expect(free.every((a) => Date.parse(String(a['start'])) >= Date.parse(start) + 30 * 60_000)).toBe(true);
  });

  test('goes on as any other: room, check-in, end', async () => {
    const id = idOf(done(await post(clinic.staff, walkIn(now()))));
    done(await clinic.staff('POST', `Appointment/${id}/$check-in`, params(referring('room', 'Location/room'))));
    expect((await encounters(id))[0]).toMatchObject({
      status: 'triaged',
      location: expect.arrayContaining([
        expect.objectContaining({ location: { reference: 'Location/room' } }),
      ]) as unknown,
    });
    done(await clinic.staff('POST', `Appointment/${id}/$complete`, params()));
    expect((await encounters(id)).map((e) => String(e['status']))).toEqual(['finished']);
  });

  test('who leaves again gives the time back', async () => {
    const start = now();
    const id = idOf(done(await post(clinic.staff, walkIn(start))));
    done(await clinic.staff('POST', `Appointment/${id}/$cancel`, params()));
    expect((await encounters(id)).map((e) => String(e['status']))).toEqual(['cancelled']);
    expect((await post(clinic.staff, walkIn(start, {}, 'bob'))).status).toBe(201);
  });

  test('also one whom nobody sees yet', async () => {
    const participant = [taking('Patient/eve'), taking('HealthcareService/walk', 'accepted', 'information-only')];
    const id = idOf(done(await post(clinic.staff, walkIn(now(), { participant }, 'eve'))));
    expect((await encounters(id))[0]).toMatchObject({ status: 'arrived', subject: { reference: 'Patient/eve' } });
  });

  test('over who is there, with a reason', async () => {
    const start = now();
    done(await post(clinic.staff, walkIn(start)));
    const urgent = {
      url: 'https://kairos.example/fhir/StructureDefinition/override',
      extension: [{ url: 'reason', valueString: 'bleeds' }],
    };
    expect((await post(clinic.staff, walkIn(start, {}, 'bob'))).status).toBe(409);
    expect((await post(clinic.staff, walkIn(start, { extension: [urgent] }, 'bob'))).status).toBe(201);
  });

  test('in a Bundle: with the patient, who is registered in the same act', async () => {
    const fullUrl = 'urn:uuid:8d6b2f5e-8c2a-4f1e-9d53-0a9d6f0e1a77';
    const participant = [
      { actor: { reference: fullUrl }, required: 'required', status: 'accepted' },
      taking('Practitioner/house'),
      taking('HealthcareService/walk', 'accepted', 'information-only'),
    ];
    const answer = await clinic.staff(
      'POST',
      '',
      bundle(
        'transaction',
        {
          fullUrl,
          request: { method: 'POST', url: 'Patient' },
          resource: { resourceType: 'Patient', name: [{ family: 'New' }], gender: 'unknown' },
        },
        { request: { method: 'POST', url: 'Appointment' }, resource: walkIn(now(), { participant }) },
      ),
    );
    expect(answer.status, answer.text).toBe(200);
    const [, id = ''] = /Appointment\/([^/"]+)/.exec(answer.text) ?? [];
    const [encounter] = await encounters(id);
    expect(encounter).toMatchObject({
      status: 'arrived',
      subject: { reference: expect.stringMatching(/^Patient\//) as unknown },
    });
  });
});

describe('is none', () => {
  test('by patients, without a time, or of what has gone on already', async () => {
    expect(said(await post(clinic.ann, walkIn(now())))).toContain('422 The appointment cannot become arrived');
    const { start: _, end: __, ...timeless } = walkIn(now()) as Record<string, unknown>;
    expect((await post(clinic.staff, timeless)).status).toBe(422);
    for (const status of ['checked-in', 'fulfilled', 'noshow', 'cancelled', 'entered-in-error']) {
      const answer = await post(clinic.staff, walkIn(now(), { status }));
      expect([status, answer.status, answer.body['issue']?.[0]?.['code']], answer.text).toEqual([
        status,
        422,
        'business-rule',
      ]);
      expect(said(answer)).toContain('proposed, pending, booked, waitlist, arrived');
    }
  });
});
