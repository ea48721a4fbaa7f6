/** Visits of several patients, and several visits at a time, D3: https://hl7.org/fhir/R4/appointment-definitions.html#Appointment.participant */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, Json, Send } from '../http/client.ts';
import {
  appointmentOf,
  at,
  availability,
  bookProposal,
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
  starts,
  taking,
  times,
  visit,
  weekly,
  workday,
  type Clinic,
} from './clinic.ts';

let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
  const { system } = clinic;
  await put(system, service('class', { url: 'capacity', valuePositiveInt: 3 }));
  await put(system, service('pair', { url: 'capacity', valuePositiveInt: 2 }));
  for (const id of ['dan', 'fay']) await put(system, { resourceType: 'Patient', id, name: [{ family: id }] });
  await put(
    system,
    schedule('classes', 'house', {
      actor: ['Practitioner/house', 'Location/site', 'HealthcareService/class', 'HealthcareService/pair'].map(
        (reference) => ({ reference }),
      ),
    }),
  );
});
afterAll(() => clinic.close());

const next = times(7);
const cancel = (send: Send, id: string, ...parameter: readonly object[]): Promise<Answer> =>
  send('POST', `Appointment/${id}/$cancel`, params(...parameter));
const get = async (id: string): Promise<Json> => done(await clinic.staff('GET', `Appointment/${id}`)).body;
const replies = async (id: string): Promise<string[]> =>
  ((await get(id))['participant'] as unknown as { actor: { reference: string }; status: string }[])
    .filter((p) => p.actor.reference.startsWith('Patient/'))
    .map((p) => `${p.actor.reference.slice(8)} ${p.status}`);

describe('one visit of several patients', () => {
  const together = (start: string, ...patients: string[]): object => ({
    ...visit({ start }),
    participant: [
      ...patients.map((p) => taking(`Patient/${p}`)),
      taking('Practitioner/grey'),
      taking('HealthcareService/visit', 'accepted', 'information-only'),
    ],
  });
  const group = async (start: string, ...patients: string[]): Promise<string> =>
    idOf(done(await clinic.staff('POST', 'Appointment', together(start, ...patients))));

  test('is one Appointment, and one time of the practitioner', async () => {
    const start = next();
    await group(start, 'ann', 'bob');
    expect((await clinic.staff('POST', 'Appointment', visit({ start, patient: 'eve' }))).status).toBe(409);
    expect(
      (await clinic.ann('POST', 'Appointment', visit({ start, practitioner: 'house', service: 'class' }))).status,
    ).toBe(409);
  });

  test('$book takes them all', async () => {
    const start = next();
    const [proposal] = found(
      await find(
        clinic.staff,
        `start=${encodeURIComponent(start)}&end=${encodeURIComponent(later(start, 30))}&practitioner=Practitioner/grey`,
      ),
    );
    const answer = done(
      await bookProposal(
        clinic.staff,
        String(proposal?.['id']),
        referring('patient-reference', 'Patient/ann'),
        referring('patient-reference', 'Patient/bob'),
      ),
    );
    expect(await replies(idOf(answer))).toEqual(['ann accepted', 'bob accepted']);
  });

  test('one who cancels declines; the visit stays for the others', async () => {
    const start = next();
    const id = await group(start, 'ann', 'bob');
    const answer = done(await cancel(clinic.ann, id));
    expect(appointmentOf(answer)['status']).toBe('booked');
    expect(await replies(id)).toEqual(['ann declined', 'bob accepted']);
    // Whoever has left has the time for something else; the practitioner does not.
    expect(
      (await clinic.ann('POST', 'Appointment', visit({ start, practitioner: 'house', service: 'class' }))).status,
    ).toBe(201);
    expect((await clinic.staff('POST', 'Appointment', visit({ start, patient: 'eve' }))).status).toBe(409);
    // Once more: it is done already.
    expect(said(await cancel(clinic.ann, id))).toBe('200 ');
    expect((await get(id))['meta']?.['versionId']).toBe('2');
  });

  test('the last who leaves cancels it', async () => {
    const start = next();
    const id = await group(start, 'ann', 'bob');
    done(await cancel(clinic.ann, id));
    done(await cancel(clinic.bob, id));
    expect((await get(id))['status']).toBe('cancelled');
    expect((await get(id))['cancelationReason']?.['coding']?.[0]?.['code']).toBe('pat-cpp');
    expect(await starts(clinic.nobody, start.slice(0, 10))).toContain(start.slice(11, 16));
  });

  test('staff cancels for one, or for all', async () => {
    const id = await group(next(), 'ann', 'bob', 'eve');
    done(await cancel(clinic.staff, id, referring('patient-reference', 'Patient/bob')));
    expect(await replies(id)).toEqual(['ann accepted', 'bob declined', 'eve accepted']);
    done(await cancel(clinic.staff, id));
    expect((await get(id))['status']).toBe('cancelled');
  });

  test('nobody leaves or answers for another, nor changes the whole', async () => {
    const id = await group(next(), 'ann', 'bob');
    done(await cancel(clinic.ann, id, referring('patient-reference', 'Patient/ann')));
    expect(await replies(id)).toEqual(['ann declined', 'bob accepted']);
    const confirmed = await clinic.ann('POST', `Appointment/${id}/$confirm`, params(referring('actor', 'Patient/bob')));
    expect(confirmed.status, said(confirmed)).toBe(422);
    expect((await cancel(clinic.eve, id)).status).toBe(404);
    const stands = done(await clinic.bob('GET', `Appointment/${id}`)).body;
    expect((await clinic.bob('PUT', `Appointment/${id}`, { ...stands, status: 'cancelled' })).status).toBe(403);
    expect(
      (await clinic.bob('POST', `Appointment/${id}/$reschedule`, params({ name: 'start', valueDateTime: next() })))
        .status,
    ).toBe(403);
    expect(await replies(id)).toEqual(['ann declined', 'bob accepted']);
  });

  test('who has declined may come after all, while they are free', async () => {
    const start = next();
    const id = await group(start, 'ann', 'bob');
    done(await cancel(clinic.ann, id));
    const elsewhere = idOf(
      done(await clinic.ann('POST', 'Appointment', visit({ start, practitioner: 'house', service: 'class' }))),
    );
    expect((await clinic.ann('POST', `Appointment/${id}/$confirm`)).status).toBe(409);
    expect(await replies(id)).toEqual(['ann declined', 'bob accepted']);
    done(await cancel(clinic.ann, elsewhere));
    done(await clinic.ann('POST', `Appointment/${id}/$confirm`));
    expect(await replies(id)).toEqual(['ann accepted', 'bob accepted']);
    expect(
      (await clinic.ann('POST', 'Appointment', visit({ start, practitioner: 'house', service: 'class' }))).status,
    ).toBe(409);
  });

  test('D13: a reply declines for one', async () => {
    const id = await group(next(), 'ann', 'bob');
    const reply = (who: string): object => ({
      resourceType: 'AppointmentResponse',
      appointment: { reference: `Appointment/${id}` },
      actor: { reference: `Patient/${who}` },
      participantStatus: 'declined',
    });
    expect((await clinic.ann('POST', 'AppointmentResponse', reply('bob'))).status).toBe(422);
    done(await clinic.ann('POST', 'AppointmentResponse', reply('ann')));
    expect([(await get(id))['status'], ...(await replies(id))]).toEqual(['booked', 'ann declined', 'bob accepted']);
    done(await clinic.bob('POST', 'AppointmentResponse', reply('bob')));
    expect((await get(id))['status']).toBe('cancelled');
  });

  test('until when they may is the service’s to say', async () => {
    const start = next();
    const id = await group(start, 'ann', 'bob');
    clinic.clock.ahead = Date.parse(start) + 60_000 - Date.now();
    const late = await cancel(clinic.ann, id);
    clinic.clock.ahead = 0;
    expect(late.status, said(late)).toBe(422);
    expect(await replies(id)).toEqual(['ann accepted', 'bob accepted']);
  });
});

describe('several visits at a time', () => {
  const CLASS = { practitioner: 'house', service: 'class' };
  const PAIR = { practitioner: 'house', service: 'pair' };
  const post = async (wish: {
    start: string;
    patient: string;
    practitioner: string;
    service: string;
    end?: string;
  }): Promise<number> => (await clinic.staff('POST', 'Appointment', visit(wish))).status;
  const places = async (start: string, service = 'class'): Promise<boolean> =>
    (await starts(clinic.nobody, start.slice(0, 10), `service=HealthcareService/${service}`)).includes(
      start.slice(11, 16),
    );

  test('as many as the service says, then no more', async () => {
    const start = next();
    for (const patient of ['ann', 'bob', 'eve']) {
      expect(await places(start)).toBe(true);
      expect(await post({ start, patient, ...CLASS })).toBe(201);
    }
    expect(await places(start)).toBe(false);
    expect(await post({ start, patient: 'dan', ...CLASS })).toBe(409);
  });

  test('the strictest of those that overlap holds for all, whatever came first', async () => {
    const one = next();
    for (const patient of ['ann', 'bob', 'eve']) await post({ start: one, patient, ...CLASS });
    expect(await post({ start: one, patient: 'dan', ...PAIR })).toBe(409);
    const two = next();
    expect(await post({ start: two, patient: 'ann', ...PAIR })).toBe(201);
    expect(await post({ start: two, patient: 'bob', ...CLASS })).toBe(201);
    expect(await post({ start: two, patient: 'eve', ...CLASS })).toBe(409);
    expect(await places(two)).toBe(false);
    // One alone is not disturbed.
    const three = next();
    expect(await post({ start: three, patient: 'ann', practitioner: 'house', service: 'visit' })).toBe(201);
    expect(await post({ start: three, patient: 'bob', ...CLASS })).toBe(409);
  });

  test('of many who race, as many win as there are places', async () => {
    const start = next();
    const answers = await Promise.all(
      ['ann', 'bob', 'eve', 'dan', 'fay'].map((patient) => post({ start, patient, ...CLASS })),
    );
    expect(answers.toSorted()).toEqual([201, 201, 201, 409, 409]);
  });

  test('a patient has one place', async () => {
    const start = next();
    expect(await post({ start, patient: 'ann', ...CLASS })).toBe(201);
    const again = await clinic.ann('POST', 'Appointment', visit({ start, ...CLASS }));
    expect(said(again)).toContain('409 The patient has another visit at this time.');
  });

  test('less capacity later breaks no visit; the Slot says that it is overbooked', async () => {
    const start = next();
    await put(clinic.system, {
      resourceType: 'Slot',
      id: 'class-1',
      schedule: { reference: 'Schedule/classes' },
      status: 'free',
      start,
      end: later(start, 30),
      extension: [
        {
          url: 'https://kairos.example/fhir/StructureDefinition/slot-service',
          valueReference: { reference: 'HealthcareService/class' },
        },
      ],
    });
    const slot = async (): Promise<Json> => done(await clinic.system('GET', 'Slot/class-1')).body;
    const ids: string[] = [];
    for (const patient of ['ann', 'bob', 'eve'])
      ids.push(idOf(done(await clinic.staff('POST', 'Appointment', visit({ start, patient, ...CLASS })))));
    expect((await slot())['status']).toBe('busy');
    await put(clinic.system, service('class', { url: 'capacity', valuePositiveInt: 2 }));
    for (const id of ids) expect((await get(id))['status']).toBe('booked');
    done(await cancel(clinic.staff, ids[0] ?? ''));
    expect(await slot()).toMatchObject({ status: 'busy', overbooked: true });
    done(await cancel(clinic.staff, ids[2] ?? ''));
    expect((await slot())['overbooked']).toBeUndefined();
    expect((await slot())['status']).toBe('free');
    await put(clinic.system, service('class', { url: 'capacity', valuePositiveInt: 3 }));
  });

  test('hours may have their own capacity', async () => {
    const day = workday(30);
    const hours = weekly('09:00:00', '17:00:00', [{ url: 'capacity', valuePositiveInt: 2 }]);
    await put(clinic.system, schedule('grey', 'grey', { extension: [availability(hours)] }));
    const start = at(day, '10:00');
    const statuses: number[] = [];
    for (const patient of ['ann', 'bob', 'eve'])
      statuses.push(await post({ start, patient, practitioner: 'grey', service: 'visit' }));
    expect(statuses).toEqual([201, 201, 409]);
    await put(clinic.system, schedule('grey', 'grey'));
  });
});
