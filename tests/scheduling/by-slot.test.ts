/** Appointments that name a Slot and a patient alone: whose time the Slot is, takes part. scheduling D1, D6-D9 caps, D10. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, Json, Send } from '../http/client.ts';
import {
  appointmentOf,
  at,
  bundle,
  done,
  entries,
  find,
  found,
  idOf,
  later,
  openClinic,
  put,
  said,
  schedule,
  service,
  statuses,
  taking,
  times,
  workday,
  type Clinic,
} from './clinic.ts';

let clinic: Clinic;
let capped = 0;
beforeAll(async () => {
  clinic = await openClinic();
  const { system } = clinic;
  const cap = (of: string, limit: number): object => ({
    url: 'cap',
    extension: [
      { url: 'of', valueCode: of },
      { url: 'per', valueCode: 'day' },
      { url: 'limit', valuePositiveInt: limit },
    ],
  });
  await put(system, service('capped', cap('patient', 1), cap('provider', 2)));
  await put(system, service('asked', { url: 'mode', valueCode: 'pending' }));
  for (const id of ['capped', 'asked']) {
    await put(system, { resourceType: 'Practitioner', id, name: [{ family: id }] });
    await put(
      system,
      schedule(id, id, {
        actor: [`Practitioner/${id}`, 'Location/site', `HealthcareService/${id}`].map((reference) => ({ reference })),
      }),
    );
  }
});
afterAll(() => clinic.close());

const next = times(7);
/** A Slot as the job writes it, for whom it may be. */
async function slotOf(of: string, start: string): Promise<string> {
  const id = `slot-${++capped}`;
  await put(clinic.system, {
    resourceType: 'Slot',
    id,
    schedule: { reference: `Schedule/${of}` },
    status: 'free',
    start,
    end: later(start, 30),
  });
  return `Slot/${id}`;
}
const wish = (slot: string, start: string, patient: string, more: object = {}): object => ({
  resourceType: 'Appointment',
  status: 'booked',
  slot: [{ reference: slot }],
  start,
  end: later(start, 30),
  participant: [taking(`Patient/${patient}`)],
  ...more,
});
const participants = (answer: Answer): string[] =>
  (appointmentOf(answer)['participant'] as unknown as { actor: { reference: string }; status: string }[]).map(
    (p) => `${p.actor.reference} ${p.status}`,
  );
const list = async (query: string): Promise<string[]> =>
  entries(done(await clinic.staff('GET', `Appointment?${query}`))).map((e) => String((e['resource'] as Json)['id']));

describe('what is written says who takes part', () => {
  const everybody = [
    'Patient/ann accepted',
    'Practitioner/grey accepted',
    'Location/site accepted',
    'HealthcareService/visit accepted',
  ];

  test('by POST, and it is on the physician’s list', async () => {
    const start = next();
    const answer = done(await clinic.ann('POST', 'Appointment', wish(await slotOf('grey', start), start, 'ann')));
    expect(participants(answer)).toEqual(everybody);
    expect(await list(`practitioner=Practitioner/grey&date=${encodeURIComponent(start)}`)).toEqual([idOf(answer)]);
    expect(done(await clinic.ann('GET', `Appointment/${idOf(answer)}`)).body).toEqual(answer.body);
  });

  test('by transaction, PUT and PATCH', async () => {
    const start = next();
    const resource = wish(await slotOf('grey', start), start, 'bob');
    const posted = done(
      await clinic.staff(
        'POST',
        '',
        bundle('transaction', { resource, request: { method: 'POST', url: 'Appointment' } }),
      ),
    );
    expect(statuses(posted)).toEqual(['201']);
    const [id] = await list(`practitioner=Practitioner/grey&date=${encodeURIComponent(start)}`);
    const stored = done(await clinic.staff('GET', `Appointment/${id}`)).body;
    expect(participants({ body: stored } as Answer)).toEqual(everybody.map((p) => p.replace('ann', 'bob')));
    const bare = { ...stored, participant: [taking('Patient/bob')] };
    expect(participants(done(await clinic.staff('PUT', `Appointment/${id}`, bare)))).toEqual(
      everybody.map((p) => p.replace('ann', 'bob')),
    );
    const patch = [{ op: 'replace', path: '/participant', value: [taking('Patient/bob')] }];
    expect(participants(done(await clinic.staff('PATCH', `Appointment/${id}`, patch)))).toEqual(
      everybody.map((p) => p.replace('ann', 'bob')),
    );
  });

  test('whoever is named already stays as named', async () => {
    const start = next();
    const participant = [taking('Patient/ann'), taking('Practitioner/grey', 'accepted', 'optional')];
    const answer = done(
      await clinic.staff('POST', 'Appointment', wish(await slotOf('grey', start), start, 'ann', { participant })),
    );
    expect(participants(answer).filter((p) => p.startsWith('Practitioner/'))).toEqual(['Practitioner/grey accepted']);
  });

  test('who arrives has an Encounter with the physician', async () => {
    const start = next();
    const id = idOf(done(await clinic.staff('POST', 'Appointment', wish(await slotOf('grey', start), start, 'eve'))));
    done(await clinic.staff('POST', `Appointment/${id}/$check-in`));
    const [encounter] = entries(done(await clinic.staff('GET', `Encounter?appointment=Appointment/${id}`)));
    expect(JSON.stringify(encounter)).toContain('Practitioner/grey');
  });
});

describe('caps hold, and count', () => {
  test.each([
    ['ann', workday(20)],
    ['staff', workday(30)],
  ] as const)('for %s', async (who, day) => {
    const send: Send = clinic[who];
    const [first, second, third] = [at(day, '09:00'), at(day, '10:00'), at(day, '11:00')];
    done(await send('POST', 'Appointment', wish(await slotOf('capped', first), first, 'ann')));
    expect(said(await send('POST', 'Appointment', wish(await slotOf('capped', second), second, 'ann')))).toMatch(
      /^422 No more than 1 visit of a patient/,
    );
    done(await clinic.bob('POST', 'Appointment', wish(await slotOf('capped', second), second, 'bob')));
    expect(said(await clinic.eve('POST', 'Appointment', wish(await slotOf('capped', third), third, 'eve')))).toMatch(
      /^422 No more than 2 visits with this practitioner/,
    );
    const offered = await find(clinic.nobody, `start=${day}&end=${day}&practitioner=Practitioner/capped`);
    expect(found(done(offered))).toEqual([]);
  });
});

describe('what staff must approve', () => {
  const accepts = (id: string): Promise<Answer> =>
    clinic.ann('POST', 'AppointmentResponse', {
      resourceType: 'AppointmentResponse',
      appointment: { reference: `Appointment/${id}` },
      actor: { reference: 'Patient/ann' },
      participantStatus: 'accepted',
    });
  const statusOfStored = async (id: string): Promise<string> =>
    String(done(await clinic.staff('GET', `Appointment/${id}`)).body['status']);
  const bare = (reference: string, status: string): object => ({ actor: { reference }, status });

  test('a wish by Slot stays pending, whatever the patient replies', async () => {
    const start = next();
    const wished = wish(await slotOf('asked', start), start, 'ann', { status: 'pending' });
    const answer = done(await clinic.ann('POST', 'Appointment', wished));
    expect(participants(answer)).toContain('Practitioner/asked tentative');
    done(await accepts(idOf(answer)));
    expect(await statusOfStored(idOf(answer))).toBe('pending');
  });

  test('so does one whose participants are not said to be required', async () => {
    const start = next();
    const resource = {
      ...wish('', start, 'ann', { status: 'proposed' }),
      slot: undefined,
      participant: [
        bare('Patient/ann', 'accepted'),
        bare('Practitioner/asked', 'accepted'),
        bare('HealthcareService/asked', 'accepted'),
      ],
    };
    const booked = done(
      await clinic.ann('POST', 'Appointment/$book', {
        resourceType: 'Parameters',
        parameter: [{ name: 'appointment-resource', resource }],
      }),
    );
    expect(appointmentOf(booked)['status']).toBe('pending');
    done(await accepts(idOf(booked)));
    expect(await statusOfStored(idOf(booked))).toBe('pending');
  });

  test.each(['pending', 'proposed'])('nor do patients reply for others in what is %s', async (status) => {
    const start = next();
    const participant = [bare('Patient/ann', 'accepted'), bare('Practitioner/asked', 'accepted')];
    const answer = await clinic.ann(
      'POST',
      'Appointment',
      wish(await slotOf('asked', start), start, 'ann', { status, participant }),
    );
    expect(said(answer)).toBe("422 Others' replies are theirs to give.");
  });

  test('nor by way of a proposal', async () => {
    const start = next();
    const answer = done(
      await clinic.ann('POST', 'Appointment', wish(await slotOf('asked', start), start, 'ann', { status: 'proposed' })),
    );
    done(
      await clinic.ann('PATCH', `Appointment/${idOf(answer)}`, [{ op: 'replace', path: '/status', value: 'pending' }]),
    );
    done(await accepts(idOf(answer)));
    expect(await statusOfStored(idOf(answer))).toBe('pending');
  });
});
