/** What patients may do with appointments by themselves, by every door. D1, D3, D11: https://hl7.org/fhir/R4/appointment.html */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Answer, Json } from '../http/client.ts';
import {
  at,
  bundle,
  done,
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
  visit,
  workday,
  type Clinic,
} from './clinic.ts';

const OWN = 'https://kairos.example/fhir/StructureDefinition';
const DAY = workday(7);
let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
  const { system } = clinic;
  await put(system, service('asked', { url: 'mode', valueCode: 'pending' }));
  await put(system, service('queue', { url: 'mode', valueCode: 'waitlist' }));
  await put(
    system,
    schedule('more', 'grey', {
      actor: ['Practitioner/grey', 'Location/site', 'HealthcareService/asked', 'HealthcareService/queue'].map(
        (reference) => ({ reference }),
      ),
    }),
  );
});
afterAll(() => clinic.close());

const next = times(7);
const booked = async (more: object = {}): Promise<Json> =>
  done(await clinic.staff('POST', 'Appointment', visit({ start: next() }, more))).body;

/** The same change by each door. */
async function byEveryDoor(send: Clinic['ann'], to: object): Promise<string[]> {
  const { id } = to as { id: string };
  const before = (await clinic.staff('GET', `Appointment/${id}`)).body;
  const value = to as Readonly<Record<string, unknown>>;
  const patch = [...new Set([...Object.keys(before), ...Object.keys(value)])]
    .filter((key) => JSON.stringify(before[key]) !== JSON.stringify(value[key]))
    .map((key) =>
      value[key] === undefined ? { op: 'remove', path: `/${key}` } : { op: 'add', path: `/${key}`, value: value[key] },
    );
  const entry = { request: { method: 'PUT', url: `Appointment/${id}` }, resource: to };
  const doors: (() => Promise<Answer>)[] = [
    () => send('PUT', `Appointment/${id}`, to),
    () => send('PATCH', `Appointment/${id}`, patch),
    () => send('PUT', `Appointment?_id=${id}`, to),
    () => send('PATCH', `Appointment?_id=${id}`, patch),
    () => send('POST', '', bundle('transaction', entry)),
  ];
  const answers: string[] = [];
  for (const door of doors) answers.push(String((await door()).status));
  answers.push(...statuses(await send('POST', '', bundle('batch', entry))));
  return answers;
}

const ALL = (status: string): string[] => Array.from({ length: 6 }, () => status);

describe('an appointment that stands', () => {
  let stands: Json;
  beforeAll(async () => {
    stands = await booked({
      comment: 'mine',
      priority: 3,
      extension: [{ url: `${OWN}/staff-note`, valueString: 'knows' }],
    });
  });
  beforeEach(async () => {
    const now = (await clinic.staff('GET', `Appointment/${String(stands['id'])}`)).body;
    stands = now;
  });

  const mine: readonly (readonly [string, (a: Json) => object])[] = [
    ['comment', (a) => ({ ...a, comment: 'by the back door' })],
    ['reasonCode', (a) => ({ ...a, reasonCode: [{ text: 'knee' }] })],
  ];
  test.each(mine)('%s is theirs to change', async (_, change) => {
    expect(await byEveryDoor(clinic.ann, change(stands))).toEqual(ALL('200'));
  });

  const others: readonly (readonly [string, (a: Json) => object])[] = [
    ['priority', (a) => ({ ...a, priority: 1 })],
    ['description', (a) => ({ ...a, description: 'a spa day' })],
    ['serviceType', (a) => ({ ...a, serviceType: [{ text: 'other' }] })],
    ['specialty', (a) => ({ ...a, specialty: [{ text: 'other' }] })],
    ['appointmentType', (a) => ({ ...a, appointmentType: { text: 'EMERGENCY' } })],
    ['identifier', (a) => ({ ...a, identifier: [{ system: 'urn:x', value: '1' }] })],
    ['patientInstruction', (a) => ({ ...a, patientInstruction: 'eat well' })],
    ['created', (a) => ({ ...a, created: '2020-01-01' })],
    ['requestedPeriod', (a) => ({ ...a, requestedPeriod: [{ start: '2020-01-01' }] })],
    ['extension', (a) => ({ ...a, extension: [{ url: `${OWN}/staff-note`, valueString: 'is a VIP' }] })],
    ['extension', (a) => ({ ...a, extension: undefined })],
    ['extension', (a) => ({ ...a, extension: [...list(a['extension']), { url: 'urn:of:theirs', valueString: 'x' }] })],
    ['extension', (a) => ({ ...a, extension: [...list(a['extension']), expires(60)] })],
    ['extension', (a) => ({ ...a, extension: [...list(a['extension']), override] })],
    ['participant', (a) => ({ ...a, participant: [...list(a['participant']), taking('Practitioner/house')] })],
    ['participant', (a) => ({ ...a, participant: list(a['participant']).slice(0, 1) })],
    ['participant[1]', (a) => ({ ...a, participant: list(a['participant']).with(1, taking('Practitioner/house')) })],
    ['participant[1]', (a) => ({ ...a, participant: list(a['participant']).with(1, optional) })],
    ['participant[1].status', (a) => ({ ...a, participant: list(a['participant']).with(1, declined) })],
  ];
  test.each(others)('%s is not', async (element, change) => {
    const to = change(stands);
    const answer = await clinic.ann('PUT', `Appointment/${String(stands['id'])}`, to);
    expect(answer.status, said(answer)).toBe(422);
    expect(answer.body['issue']?.[0]?.['code']).toBe('business-rule');
    expect(answer.body['issue']?.[0]?.['expression']?.[0]).toBe(`Appointment.${element}`);
    expect(await byEveryDoor(clinic.ann, to)).toEqual(ALL('422'));
    const still = (await clinic.staff('GET', `Appointment/${String(stands['id'])}`)).body;
    expect(still['meta']).toEqual(stands['meta']);
  });
});

const list = (value: unknown): object[] => (value ?? []) as object[];
const expires = (minutes: number): object => ({
  url: `${OWN}/hold-expires`,
  valueInstant: later(new Date().toISOString(), minutes),
});
const override = { url: `${OWN}/override`, extension: [{ url: 'reason', valueString: 'because' }] };
const optional = taking('Practitioner/grey', 'accepted', 'optional');
const declined = taking('Practitioner/grey', 'declined');

test('D3: who declines cancels: nobody keeps a practitioner waiting for nobody', async () => {
  const stands = await booked();
  const participant = list(stands['participant']).with(0, taking('Patient/ann', 'declined'));
  const answer = await clinic.ann('PUT', `Appointment/${String(stands['id'])}`, { ...stands, participant });
  expect(said(answer)).toContain('422 Who does not come cancels');
  const both = { ...stands, status: 'cancelled', participant };
  expect((await clinic.ann('PUT', `Appointment/${String(stands['id'])}`, both)).status).toBe(200);
});

test('D11: they move by PUT what is offered, and nothing else', async () => {
  const stands = await booked();
  const free = next();
  const to = { ...stands, start: free, end: later(free, 30) };
  expect(said(await clinic.ann('PUT', `Appointment/${String(stands['id'])}`, to))).toBe('200 ');
  const night = { ...stands, start: at(DAY, '22:00'), end: at(DAY, '22:30') };
  expect((await clinic.ann('PUT', `Appointment/${String(stands['id'])}`, night)).status).toBe(422);
  const longer = { ...stands, start: free, end: later(free, 120) };
  expect((await clinic.ann('PUT', `Appointment/${String(stands['id'])}`, longer)).status).toBe(422);
});

test('D3: a reason to override one time is none for another, whoever moves it', async () => {
  const taken = await booked();
  const start = String(taken['start']);
  expect((await clinic.staff('POST', 'Appointment', visit({ start, patient: 'bob' }))).status).toBe(409);
  const over = done(
    await clinic.staff('POST', 'Appointment', visit({ start, patient: 'bob' }, { extension: [override] })),
  ).body;
  const other = await booked({ comment: 'stands elsewhere' });
  const to = { ...over, start: other['start'], end: other['end'] };
  expect((await clinic.bob('PUT', `Appointment/${String(over['id'])}`, { ...to, comment: 'please' })).status).toBe(409);
  expect((await clinic.staff('PUT', `Appointment/${String(over['id'])}`, to)).status).toBe(409);
  const again = { ...to, extension: [{ ...override, extension: [{ url: 'reason', valueString: 'once more' }] }] };
  expect((await clinic.bob('PUT', `Appointment/${String(over['id'])}`, again)).status).toBe(422);
  expect(said(await clinic.staff('PUT', `Appointment/${String(over['id'])}`, again))).toBe('200 ');
  // What else is said of it does not need the reason anew.
  const more = done(await clinic.staff('GET', `Appointment/${String(over['id'])}`)).body;
  const nurse = { ...more, participant: [...list(more['participant']), taking('Practitioner/house')] };
  expect(said(await clinic.staff('PUT', `Appointment/${String(over['id'])}`, nurse))).toBe('200 ');
});

describe('new ones', () => {
  const post = (more: object, wish: object = {}): Promise<Answer> =>
    clinic.ann('POST', 'Appointment', visit({ start: next(), ...wish }, more));
  const refused = async (more: object, expression: string, wish: object = {}): Promise<void> => {
    const answer = await post(more, wish);
    expect(answer.status, said(answer)).toBe(422);
    expect(answer.body['issue']?.[0]?.['expression']?.[0]).toBe(expression);
  };

  test('D1: become what the service says', async () => {
    await refused({ status: 'pending', ...tentative() }, 'Appointment.status');
    await refused({ status: 'booked' }, 'Appointment.status', { service: 'asked' });
    await refused({ status: 'booked' }, 'Appointment.status', { service: 'queue' });
    await refused({ status: 'pending', extension: [expires(5)], ...tentative('queue') }, 'Appointment.status');
    await refused({ status: 'arrived' }, 'Appointment.status');
    const asked = await post({ status: 'pending', ...tentative('asked') });
    expect(said(asked)).toBe('201 ');
    expect((await post({ status: 'waitlist' }, { service: 'queue' })).status).toBe(201);
    expect((await post({ status: 'waitlist' })).status).toBe(201);
    expect((await post({})).status).toBe(201);
    const held = { status: 'pending', extension: [expires(5)], ...tentative() };
    expect(said(await post(held))).toBe('201 ');
  });

  test('D4: a hold of theirs lasts a quarter of an hour at most', async () => {
    await refused({ status: 'pending', extension: [expires(60)], ...tentative() }, 'Appointment.extension');
  });

  test('D13: they do not answer for the clinic', async () => {
    await refused({ status: 'pending' }, 'Appointment.participant[1].status', { service: 'asked' });
  });

  test('say nothing that is the clinic’s', async () => {
    await refused({ priority: 1 }, 'Appointment.priority');
    await refused({ patientInstruction: 'x' }, 'Appointment.patientInstruction');
    await refused({ extension: [override] }, 'Appointment.extension');
    await refused({ extension: [{ url: `${OWN}/staff-note`, valueString: 'x' }] }, 'Appointment.extension[0]');
    await refused({ extension: [{ url: `${OWN}/reschedule-count`, valuePositiveInt: 9 }] }, 'Appointment.extension[0]');
  });

  test('take nobody’s time whom the visit does not need, and all whom it needs', async () => {
    const service = taking('HealthcareService/visit', 'accepted', 'information-only');
    const with_ = (...who: object[]): object => ({ participant: [...who, service] });
    const participant = 'Appointment.participant';
    await refused(with_(taking('Patient/ann'), taking('Practitioner/grey'), taking('Practitioner/house')), participant);
    await refused(with_(taking('Patient/ann'), taking('Practitioner/grey'), taking('Location/room')), participant);
    await refused(
      with_(taking('Patient/ann'), taking('Practitioner/grey', 'accepted', 'information-only')),
      participant,
    );
    await refused(
      with_(taking('Patient/ann', 'accepted', 'information-only'), taking('Practitioner/grey')),
      participant,
    );
    await refused(with_(taking('Patient/ann', 'declined', 'optional'), taking('Practitioner/grey')), participant);
    await refused(with_(taking('Patient/ann')), participant);
  });
});

const tentative = (service = 'visit'): object => ({
  participant: [
    taking('Patient/ann', 'tentative'),
    taking('Practitioner/grey', 'tentative'),
    taking(`HealthcareService/${service}`, 'accepted', 'information-only'),
  ],
});

test('D4: they do not lengthen a hold by writing it again', async () => {
  await clinic.sql('delete from scheduling_hold');
  const start = next();
  const held = done(
    await clinic.ann(
      'POST',
      'Appointment',
      visit({ start }, { status: 'pending', extension: [expires(5)], ...tentative() }),
    ),
  ).body;
  const longer = { ...held, extension: [expires(14)] };
  expect(await byEveryDoor(clinic.ann, longer)).toEqual(ALL('422'));
  const forever = { ...held, extension: undefined };
  expect(await byEveryDoor(clinic.ann, forever)).toEqual(ALL('422'));
  const { extension: _, ...bare } = held as unknown as { extension: unknown };
  const won = { ...bare, status: 'booked', ...visitParticipants };
  expect(said(await clinic.ann('PUT', `Appointment/${String(held['id'])}`, won))).toBe('200 ');
});

const visitParticipants = { participant: (visit({ start: at(DAY, '09:00') }) as { participant: unknown }).participant };

test('another’s is as if it were not there, by every door', async () => {
  const stands = await booked();
  const to = { ...stands, participant: [taking('Patient/bob')] };
  expect(await byEveryDoor(clinic.bob, to)).toEqual(['405', '404', '405', '404', '405', '405']);
  const id = String(stands['id']);
  for (const operation of [
    '$cancel',
    '$confirm',
    '$reschedule',
    '$check-in',
    '$no-show',
    '$complete',
    '$release',
    '$book',
    '$hold',
  ]) {
    const answer = await clinic.bob('POST', `Appointment/${id}/${operation}`, {
      resourceType: 'Parameters',
      ...(operation === '$reschedule' ? { parameter: [{ name: 'start', valueDateTime: next() }] } : {}),
    });
    expect([operation, answer.status]).toEqual([operation, 404]);
    const missing = await clinic.bob('POST', `Appointment/nothing/${operation}`, {
      resourceType: 'Parameters',
      ...(operation === '$reschedule' ? { parameter: [{ name: 'start', valueDateTime: at(DAY, '16:30') }] } : {}),
    });
    expect(missing.text.replace('nothing', id)).toBe(answer.text);
  }
  expect((await clinic.ann('GET', `Appointment/${id}`)).body['meta']?.['versionId']).toBe('1');
});

test('D1: who has no patient to book for is told so', async () => {
  const answer = await clinic.parent('POST', 'Appointment/$book', {
    resourceType: 'Parameters',
    parameter: [
      {
        name: 'appointment-resource',
        resource: { ...visit({ start: next() }), participant: [taking('Practitioner/grey')] },
      },
    ],
  });
  expect(answer.status, said(answer)).toBe(400);
  expect(answer.body['issue']?.[0]?.['expression']?.[0]).toBe('patient-reference');
});

test('a RelatedPerson books for its patient, and for no other', async () => {
  const start = next();
  const own = {
    participant: [
      ...list((visit({ start }) as { participant: unknown }).participant),
      taking('RelatedPerson/parent', 'accepted', 'optional'),
    ],
  };
  const posted = await clinic.parent('POST', 'Appointment', visit({ start }, own));
  expect(said(posted)).toBe('201 ');
  expect(said(await clinic.parent('POST', `Appointment/${idOf(posted)}/$cancel`))).toBe('200 ');
  const booked = await clinic.parent('POST', 'Appointment/$book', {
    resourceType: 'Parameters',
    parameter: [
      { name: 'appointment-resource', resource: visit({ start: next() }) },
      { name: 'patient-reference', valueReference: { reference: 'Patient/ann' } },
    ],
  });
  expect(said(booked)).toBe('200 ');
  const other = await clinic.parent('POST', 'Appointment/$book', {
    resourceType: 'Parameters',
    parameter: [
      { name: 'appointment-resource', resource: visit({ start: next() }) },
      { name: 'patient-reference', valueReference: { reference: 'Patient/bob' } },
    ],
  });
  expect(other.status, said(other)).toBe(400);
  expect((await clinic.parent('POST', 'Appointment', visit({ start: next(), patient: 'bob' }))).status).toBe(422);
});
