/** A visit is of one service, and goes by its rules: whatever an appointment leaves out, names besides, or says of who is needed. Scheduling D1, D2, D9, D13. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { list, type Answer, type Json } from '../http/client.ts';
import {
  appointmentOf,
  at,
  bookProposal,
  done,
  entries,
  idOf,
  later,
  openClinic,
  params,
  put,
  referring,
  said,
  schedule,
  service,
  taking,
  times,
  visit,
  workday,
  type Clinic,
} from './clinic.ts';

let clinic: Clinic;
let count = 0;
beforeAll(async () => {
  clinic = await openClinic();
  const { system } = clinic;
  const cap = { of: 'valueCode', per: 'valueCode', limit: 'valuePositiveInt' };
  const values = { of: 'patient', per: 'day', limit: 1 } as const;
  const parts = (Object.keys(cap) as (keyof typeof cap)[]).map((url) => ({ url, [cap[url]]: values[url] }));
  await put(system, service('capped', { url: 'cap', extension: parts }));
  await put(system, service('asked', { url: 'mode', valueCode: 'pending' }));
  await put(system, { resourceType: 'Practitioner', id: 'wilson', name: [{ family: 'wilson' }] });
  const all = ['capped', 'asked', 'visit'].map((s) => `HealthcareService/${s}`);
  const actor = ['Practitioner/wilson', 'Location/site', ...all].map((reference) => ({ reference }));
  await put(system, schedule('wilson', 'wilson', { actor }));
});
afterAll(() => clinic.close());

const next = times(8);
async function slotOf(of: string, start: string, served?: string): Promise<string> {
  const id = `own-${++count}`;
  const url = 'https://kairos.example/fhir/StructureDefinition/slot-service';
  const extension = [{ url, valueReference: { reference: `HealthcareService/${served ?? ''}` } }];
  const times = { start, end: later(start, 30) };
  const more = served === undefined ? {} : { extension };
  await put(clinic.system, {
    resourceType: 'Slot',
    id,
    schedule: { reference: `Schedule/${of}` },
    status: 'free',
    ...times,
    ...more,
  });
  return `Slot/${id}`;
}
const bare = (reference: string, status = 'accepted'): object => ({ actor: { reference }, status });
const booking = (start: string, participant: readonly object[], more: object = {}): object => ({
  resourceType: 'Appointment',
  status: 'booked',
  start,
  end: later(start, 30),
  participant,
  ...more,
});
const serviceIn = (answer: Answer): string[] =>
  list(appointmentOf(answer)['participant'])
    .map((p) => String(p['actor']?.['reference']))
    .filter((r) => r.startsWith('HealthcareService/'));

describe('what is left out is said', () => {
  test('of a Slot its service, so that caps hold', async () => {
    const day = workday(40);
    const [one, two] = [at(day, '09:00'), at(day, '10:00')];
    const people = ['Patient/ann', 'Practitioner/wilson'].map((r) => taking(r));
    const wish = async (start: string): Promise<Answer> =>
      clinic.ann(
        'POST',
        'Appointment',
        booking(start, people, { slot: [{ reference: await slotOf('wilson', start, 'capped') }] }),
      );
    expect(serviceIn(done(await wish(one)))).toEqual(['HealthcareService/capped']);
    expect(said(await wish(two))).toMatch(/^422 No more than 1 visit of a patient/);
  });

  test('without a Slot, where there is only one', async () => {
    const start = next();
    const answer = await clinic.ann(
      'POST',
      'Appointment',
      booking(
        start,
        ['Patient/ann', 'Practitioner/grey'].map((r) => taking(r)),
      ),
    );
    expect(serviceIn(done(answer))).toEqual(['HealthcareService/visit']);
    const path = `Appointment/${idOf(answer)}`;
    done(await clinic.ann('PUT', path, { ...answer.body, comment: 'by bus' }));
  });
});

describe('what contradicts itself is refused', () => {
  test.each(['ann', 'staff'] as const)('two services, %s', async (who) => {
    const start = next();
    const people = ['Patient/ann', 'Practitioner/wilson', 'HealthcareService/visit', 'HealthcareService/asked'];
    const answer = await clinic[who](
      'POST',
      'Appointment',
      booking(
        start,
        people.map((r) => taking(r)),
      ),
    );
    expect(said(answer)).toBe(
      '422 An appointment is of one service, HealthcareService/visit: leave HealthcareService/asked out, or book another appointment for it.',
    );
  });

  test('a Slot of another service, or of another time', async () => {
    const [start, other] = [next(), next()];
    const people = ['Patient/ann', 'Practitioner/wilson', 'HealthcareService/visit'].map((r) => taking(r));
    for (const slot of [await slotOf('wilson', start, 'asked'), await slotOf('wilson', other, 'visit')]) {
      const own = await slotOf('wilson', start, 'visit');
      const wish = booking(start, people, { slot: [own, slot].map((reference) => ({ reference })) });
      expect(said(await clinic.ann('POST', 'Appointment', wish))).toBe(
        `422 ${slot} is of another service or time than the appointment: name the Slots of its time, or none.`,
      );
    }
  });
});

describe('who is not said to be required is needed, and what answers nobody is not', () => {
  const people = (start: string, served: string, doctor = 'wilson'): object =>
    params({
      name: 'appointment-resource',
      resource: booking(
        start,
        [`Patient/ann`, `Practitioner/${doctor}`, `HealthcareService/${served}`, 'Location/site'].map((r) => bare(r)),
        { status: 'proposed' },
      ),
    });

  test('a hold so described is booked', async () => {
    const start = next();
    const held = done(await clinic.ann('POST', 'Appointment/$hold', people(start, 'visit')));
    const booked = done(await bookProposal(clinic.ann, idOf(held)));
    expect([idOf(booked), appointmentOf(booked)['status']]).toEqual([idOf(held), 'booked']);
  });

  test('so is one that was written by hand', async () => {
    const start = next();
    const url = 'https://kairos.example/fhir/StructureDefinition/hold-expires';
    const extension = [{ url, valueInstant: new Date(Date.now() + 240_000).toISOString() }];
    const names = ['Patient/ann', 'Practitioner/wilson', 'HealthcareService/visit'].map((r) => bare(r, 'tentative'));
    const hold = booking(start, names, { status: 'pending', extension });
    const id = idOf(done(await clinic.ann('POST', 'Appointment', hold)));
    expect(appointmentOf(done(await bookProposal(clinic.ann, id)))['status']).toBe('booked');
  });

  test.each([
    ['by $confirm', []],
    ['by $confirm for the physician', [referring('actor', 'Practitioner/wilson')]],
  ])('a wish so described is approved %s', async (_, more) => {
    const start = next();
    const asked = done(await clinic.ann('POST', 'Appointment/$book', people(start, 'asked')));
    expect(appointmentOf(asked)['status']).toBe('pending');
    const approved = done(await clinic.staff('POST', `Appointment/${idOf(asked)}/$confirm`, params(...more)));
    expect(appointmentOf(approved)['status']).toBe('booked');
  });

  test('that they decline is a Task', async () => {
    const start = next();
    const names = ['Patient/bob', 'Practitioner/wilson', 'HealthcareService/visit'];
    const id = idOf(
      done(
        await clinic.staff(
          'POST',
          'Appointment',
          booking(
            start,
            names.map((r) => bare(r)),
          ),
        ),
      ),
    );
    const response = { resourceType: 'AppointmentResponse', participantStatus: 'declined' };
    const of = { appointment: { reference: `Appointment/${id}` }, actor: { reference: 'Practitioner/wilson' } };
    done(await clinic.staff('POST', 'AppointmentResponse', { ...response, ...of }));
    const tasks = entries(done(await clinic.staff('GET', 'Task?_count=100'))).map((e) => e['resource'] as Json);
    expect(tasks.map((t) => JSON.stringify(t['focus']))).toContain(JSON.stringify({ reference: `Appointment/${id}` }));
  });

  test('times are written by the clock of the place', async () => {
    const start = next();
    const answer = await clinic.ann('POST', 'Appointment/$book', people(new Date(start).toISOString(), 'visit'));
    expect(appointmentOf(done(answer))['start']).toBe(start);
  });
});

describe('Slots by hand', () => {
  const patch = async (slot: string, changes: Readonly<Record<string, unknown>>): Promise<Answer> => {
    const { body, headers } = done(await clinic.system('GET', slot));
    return clinic.system('PUT', slot, { ...body, ...changes }, { 'If-Match': headers.get('etag') ?? '' });
  };

  test.each(['busy', 'busy-unavailable'])('of one service made %s: the physician is nowhere else', async (status) => {
    const start = next();
    done(await patch(await slotOf('wilson', start, 'asked'), { status }));
    const wish = visit({ start, practitioner: 'wilson' });
    expect((await clinic.ann('POST', 'Appointment', wish)).status).toBe(409);
  });

  test('of a visit: it is neither closed nor moved', async () => {
    const [start, other] = [next(), next()];
    const slot = await slotOf('wilson', start, 'visit');
    const people = ['Patient/ann', 'Practitioner/wilson', 'HealthcareService/visit'].map((r) => taking(r));
    done(await clinic.ann('POST', 'Appointment', booking(start, people, { slot: [{ reference: slot }] })));
    for (const changes of [
      { status: 'busy-unavailable' },
      { status: 'entered-in-error' },
      { start: other, end: later(other, 30) },
    ])
      expect(said(await patch(slot, changes))).toMatch(/^422 An appointment has this time/);
    done(await patch(slot, { comment: 'door 3' }));
  });

  test('why one was blocked is for staff', async () => {
    const start = next();
    const slot = await slotOf('wilson', start);
    const url = 'https://kairos.example/fhir/StructureDefinition/slot-block';
    const coding = { system: 'https://kairos.example/fhir/CodeSystem/block-reason', code: 'sick' };
    const extension = [
      {
        url,
        extension: [
          { url: 'scope', valueCode: 'location' },
          { url: 'reason', valueCoding: coding },
        ],
      },
    ];
    done(await patch(slot, { extension }));
    expect(done(await clinic.staff('GET', slot)).text).toContain('"sick"');
    for (const path of [slot, `Slot?_id=${slot.slice('Slot/'.length)}`])
      expect(done(await clinic.ann('GET', path)).text, path).not.toContain('"sick"');
  });
});
