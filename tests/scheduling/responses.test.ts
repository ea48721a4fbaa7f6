/** Replies of participants, D13: https://hl7.org/fhir/R4/appointmentresponse.html */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, Json, Send } from '../http/client.ts';
import { done, idOf, later, openClinic, said, starts, taking, times, visit, type Clinic } from './clinic.ts';

let clinic: Clinic;
beforeAll(async () => void (clinic = await openClinic()));
afterAll(() => clinic.close());
const next = times(7);

/** Pending, as staff proposes it: some have not answered yet. */
const asked = async (...replies: readonly [patient: string, practitioner: string]): Promise<Json> => {
  const [patient, practitioner] = replies;
  const participant = [
    taking('Patient/ann', patient),
    taking('Practitioner/grey', practitioner),
    taking('HealthcareService/visit', 'accepted', 'information-only'),
  ];
  return done(await clinic.staff('POST', 'Appointment', visit({ start: next() }, { status: 'pending', participant })))
    .body;
};
const booked = async (): Promise<Json> =>
  done(await clinic.staff('POST', 'Appointment', visit({ start: next() }))).body;
const reply = (send: Send, to: unknown, status: string, actor = 'Patient/ann', more: object = {}): Promise<Answer> =>
  send('POST', 'AppointmentResponse', {
    resourceType: 'AppointmentResponse',
    appointment: { reference: `Appointment/${String(to)}` },
    actor: { reference: actor },
    participantStatus: status,
    ...more,
  });
const get = async (id: unknown): Promise<Json> => done(await clinic.staff('GET', `Appointment/${String(id)}`)).body;
const repliesOf = (a: Json): string[] => (a['participant'] as unknown as { status: string }[]).map((p) => p.status);
const tasks = async (id: unknown): Promise<number> =>
  Number(done(await clinic.staff('GET', `Task?focus=Appointment/${String(id)}&_total=accurate`)).body['total']);

describe('what a reply does', () => {
  test.each(['accepted', 'tentative', 'needs-action'])('%s: the participant’s status', async (status) => {
    const { id } = await asked('needs-action', 'needs-action');
    done(await reply(clinic.ann, id, status));
    const now = await get(id);
    expect([now['status'], ...repliesOf(now)]).toEqual(['pending', status, 'needs-action', 'accepted']);
  });

  test('all who are required have accepted: booked, whoever was the last', async () => {
    const { id } = await asked('needs-action', 'accepted');
    done(await reply(clinic.ann, id, 'accepted'));
    expect((await get(id))['status']).toBe('booked');
    const other = await asked('accepted', 'needs-action');
    done(await reply(clinic.staff, other['id'], 'accepted', 'Practitioner/grey'));
    expect((await get(other['id']))['status']).toBe('booked');
  });

  test('a patient who declines cancels, with the words of the reply', async () => {
    const { id, start } = await booked();
    done(await reply(clinic.ann, id, 'declined', 'Patient/ann', { comment: 'on holiday' }));
    const now = await get(id);
    expect(now).toMatchObject({
      status: 'cancelled',
      cancelationReason: { coding: [{ code: 'pat' }], text: 'on holiday' },
    });
    expect(await starts(clinic.nobody, String(start).slice(0, 10))).toContain(String(start).slice(11, 16));
  });

  test('but not later than patients may cancel', async () => {
    const { id, start } = await booked();
    clinic.clock.ahead = Date.parse(String(start)) + 60_000 - Date.now();
    const late = await reply(clinic.ann, id, 'declined');
    clinic.clock.ahead = 0;
    expect(late.status, said(late)).toBe(422);
    expect((await get(id))['status']).toBe('booked');
    expect(
      done(await clinic.staff('GET', `AppointmentResponse?appointment=Appointment/${String(id)}&_total=accurate`)).body[
        'total'
      ],
    ).toBe(0);
  });

  test('a practitioner who declines what is booked: a Task, never a silent cancel', async () => {
    const { id } = await booked();
    done(await reply(clinic.staff, id, 'declined', 'Practitioner/grey'));
    expect([(await get(id))['status'], await tasks(id)]).toEqual(['booked', 1]);
    // Said twice, it is one Task.
    done(await reply(clinic.staff, id, 'declined', 'Practitioner/grey'));
    expect(await tasks(id)).toBe(1);
  });

  test('a practitioner who declines what is asked for cancels it', async () => {
    const { id } = await asked('accepted', 'needs-action');
    done(await reply(clinic.staff, id, 'declined', 'Practitioner/grey'));
    expect(await get(id)).toMatchObject({ status: 'cancelled', cancelationReason: { coding: [{ code: 'prov' }] } });
  });
});

describe('another time', () => {
  test('is a proposal for staff to see; what stands stays', async () => {
    const stands = await booked();
    const other = next();
    const counter = { start: other, end: later(other, 30) };
    done(await reply(clinic.ann, stands['id'], 'tentative', 'Patient/ann', counter));
    const now = await get(stands['id']);
    expect([now['status'], now['start'], now['meta']]).toEqual(['booked', stands['start'], stands['meta']]);
    const proposals = async (): Promise<Json[]> =>
      (
        (done(await clinic.staff('GET', `Appointment?supporting-info=Appointment/${String(stands['id'])}`)).body[
          'entry'
        ] ?? []) as unknown as Json[]
      ).map((e) => e['resource'] as Json);
    expect(await proposals()).toMatchObject([
      { status: 'proposed', start: other, participant: [{ status: 'needs-action' }, { status: 'needs-action' }, {}] },
    ]);
    // A retry proposes nothing new; it holds no time.
    done(await reply(clinic.ann, stands['id'], 'tentative', 'Patient/ann', counter));
    expect(await proposals()).toHaveLength(1);
    expect(await starts(clinic.nobody, other.slice(0, 10))).toContain(other.slice(11, 16));
    // Staff takes it up.
    const [proposal] = await proposals();
    done(await clinic.staff('POST', `Appointment/${String(proposal?.['id'])}/$book`));
    expect(await starts(clinic.nobody, other.slice(0, 10))).not.toContain(other.slice(11, 16));
  });

  test('must end after it starts', async () => {
    const { id } = await booked();
    const other = next();
    const wrong = await reply(clinic.ann, id, 'tentative', 'Patient/ann', { start: other, end: later(other, -30) });
    expect([wrong.status, wrong.body['issue']?.[0]?.['expression']?.[0]]).toEqual([422, 'AppointmentResponse.end']);
  });

  test('the same time is none', async () => {
    const stands = await booked();
    const same = {
      start: new Date(String(stands['start'])).toISOString(),
      end: new Date(String(stands['end'])).toISOString(),
    };
    done(await reply(clinic.ann, stands['id'], 'tentative', 'Patient/ann', same));
    expect(repliesOf(await get(stands['id']))[0]).toBe('tentative');
  });
});

describe('who may reply, and to what', () => {
  test('participants, and a RelatedPerson of one', async () => {
    const { id } = await asked('needs-action', 'needs-action');
    const stranger = await reply(clinic.staff, id, 'accepted', 'Patient/bob');
    expect([stranger.status, stranger.body['issue']?.[0]?.['expression']?.[0]]).toEqual([
      400,
      'AppointmentResponse.actor',
    ]);
    expect((await reply(clinic.staff, id, 'accepted', 'Practitioner/house')).status).toBe(400);
    done(await reply(clinic.staff, id, 'accepted', 'RelatedPerson/parent'));
    expect(repliesOf(await get(id))[0]).toBe('accepted');
  });

  test('patients for themselves alone', async () => {
    const { id } = await asked('needs-action', 'needs-action');
    expect((await reply(clinic.ann, id, 'accepted', 'Practitioner/grey')).status).toBe(403);
    expect((await reply(clinic.bob, id, 'accepted', 'Patient/bob')).status).toBe(422);
    expect((await reply(clinic.bob, id, 'accepted', 'Patient/ann')).status).toBe(422);
    expect((await reply(clinic.nobody, id, 'accepted')).status).toBe(401);
    expect(repliesOf(await get(id))).toEqual(['needs-action', 'needs-action', 'accepted']);
  });

  test('a role replies for its practitioner', async () => {
    await clinic.system('PUT', 'PractitionerRole/role', {
      resourceType: 'PractitionerRole',
      id: 'role',
      practitioner: { reference: 'Practitioner/grey' },
    });
    const { id } = await asked('accepted', 'needs-action');
    done(await reply(clinic.staff, id, 'accepted', 'PractitionerRole/role'));
    expect((await get(id))['status']).toBe('booked');
  });

  test('a reply to an old version: 409 with the one that stands', async () => {
    const { id } = await asked('needs-action', 'needs-action');
    const now = await get(id);
    done(await clinic.staff('PUT', `Appointment/${String(id)}`, { ...now, comment: 'bring your card' }));
    const old = await reply(clinic.ann, `${String(id)}/_history/1`, 'accepted');
    expect([old.status, old.body['issue']?.[0]?.['code']]).toEqual([409, 'conflict']);
    expect(old.body['contained']?.[0]).toMatchObject({ id, comment: 'bring your card', meta: { versionId: '2' } });
    expect(said(await reply(clinic.ann, `${String(id)}/_history/2`, 'accepted'))).toBe('201 ');
  });

  test('the same reply twice changes once', async () => {
    const { id } = await asked('needs-action', 'needs-action');
    done(await reply(clinic.ann, id, 'accepted'));
    const { meta } = await get(id);
    done(await reply(clinic.ann, id, 'accepted'));
    expect((await get(id))['meta']).toEqual(meta);
  });

  test('what is over takes none', async () => {
    const stands = await booked();
    done(await clinic.ann('POST', `Appointment/${String(stands['id'])}/$cancel`));
    expect((await reply(clinic.ann, stands['id'], 'accepted')).status).toBe(422);
    expect((await reply(clinic.staff, 'nothing', 'accepted')).status).toBe(422);
    const foreign = await reply(clinic.bob, stands['id'], 'accepted', 'Patient/bob');
    const missing = await reply(clinic.bob, 'nothing', 'accepted', 'Patient/bob');
    expect([foreign.status, foreign.text.replace(String(stands['id']), 'nothing')]).toEqual([
      missing.status,
      missing.text,
    ]);
  });
});

test('a reply does not book what waits for the clinic', async () => {
  await clinic.system('PUT', 'HealthcareService/visit', {
    ...(done(await clinic.system('GET', 'HealthcareService/visit')).body as object),
    extension: [
      {
        url: 'https://kairos.example/fhir/StructureDefinition/scheduling-parameters',
        extension: [{ url: 'mode', valueCode: 'pending' }],
      },
    ],
  });
  const start = next();
  const id = idOf(done(await clinic.ann('POST', 'Appointment/$book', visit({ start }))));
  expect((await get(id))['status']).toBe('pending');
  done(await reply(clinic.ann, id, 'accepted'));
  expect((await get(id))['status']).toBe('pending');
  done(await reply(clinic.staff, id, 'accepted', 'Practitioner/grey'));
  const now = await get(id);
  expect(now['status']).toBe('booked');
  expect(JSON.stringify(now)).not.toContain('awaiting-approval');
});
