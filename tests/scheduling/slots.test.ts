/** Slots follow bookings, in the same transaction: https://hl7.org/fhir/R4/valueset-slotstatus.html */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { slotId } from '../../src/scheduling/slot-id.ts';
import {
  bookProposal,
  find,
  found,
  openClinic,
  params,
  put,
  schedule,
  service,
  workday,
  type Clinic,
} from './clinic.ts';

const DAY = workday(7);
const at = (time: string): string => new Date(`${DAY}T${time}:00-05:00`).toISOString();

let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
});
afterAll(() => clinic.close());

async function slotAt(of: string, offered: string, from: string, to: string): Promise<string> {
  const id = slotId(`Schedule/${of}`, `HealthcareService/${offered}`, Date.parse(at(from)));
  await put(clinic.system, {
    resourceType: 'Slot',
    id,
    meta: { tag: [{ system: 'https://kairos.example/fhir/CodeSystem/slot-origin', code: 'generated' }] },
    extension: [
      {
        url: 'https://kairos.example/fhir/StructureDefinition/slot-service',
        valueReference: { reference: `HealthcareService/${offered}` },
      },
    ],
    schedule: { reference: `Schedule/${of}` },
    status: 'free',
    start: at(from),
    end: at(to),
  });
  return id;
}
const statusOf = async (id: string): Promise<unknown> => (await clinic.staff('GET', `Slot/${id}`)).body['status'];

test('a Slot of a group is busy when the last place is taken, and free again with the first that is given back', async () => {
  await put(clinic.system, service('group', { url: 'capacity', valuePositiveInt: 2 }));
  await put(
    clinic.system,
    schedule('circle', 'house', {
      actor: [
        { reference: 'Practitioner/house' },
        { reference: 'Location/site' },
        { reference: 'HealthcareService/group' },
      ],
    }),
  );
  const slot = await slotAt('circle', 'group', '09:00', '09:30');
  const free = found(await find(clinic.ann, `start=${at('09:00')}&end=${at('09:30')}&schedule=Schedule/circle`));
  const id = String(free[0]?.['id']);
  const first = await bookProposal(clinic.ann, id);
  expect(first.status, first.text).toBe(200);
  expect(await statusOf(slot)).toBe('free');
  const second = await bookProposal(clinic.bob, id);
  expect(second.status, second.text).toBe(200);
  expect(await statusOf(slot)).toBe('busy');
  const gone = await clinic.ann('POST', `Appointment/${String(found(first)[0]?.['id'])}/$cancel`, params());
  expect(gone.status, gone.text).toBe(200);
  expect(await statusOf(slot)).toBe('free');
});

test('who names a Slot that somebody else has taken comes too late, and is told other times', async () => {
  const slot = await slotAt('grey', 'visit', '09:00', '09:30');
  const wanted = (who: string, status = 'booked'): object => ({
    resourceType: 'Appointment',
    status,
    start: at('09:00'),
    end: at('09:30'),
    slot: [{ reference: `Slot/${slot}` }],
    participant: [
      { actor: { reference: `Patient/${who}` }, required: 'required', status: 'accepted' },
      { actor: { reference: 'Practitioner/grey' }, required: 'required', status: 'accepted' },
    ],
  });
  const won = await clinic.ann('POST', 'Appointment', wanted('ann'));
  expect(won.status, won.text).toBe(201);
  const lost = await clinic.bob('POST', 'Appointment', wanted('bob'));
  expect(lost.status, lost.text).toBe(409);
  expect(lost.body['contained']).toHaveLength(3);
  const bundled = await clinic.bob('POST', '', {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [{ resource: wanted('bob'), request: { method: 'POST', url: 'Appointment' } }],
  });
  expect(bundled.status, bundled.text).toBe(409);
  // The same is said of one that never was; and what else is wrong is still a mistake.
  const never = { ...wanted('bob'), slot: [{ reference: 'Slot/never' }] };
  expect((await clinic.bob('POST', 'Appointment', never)).status).toBe(409);
  const mistaken = { ...never, reasonReference: [{ reference: 'Condition/never' }, { reference: 'Procedure/never' }] };
  expect(
    (await clinic.bob('POST', 'Appointment', { ...mistaken, basedOn: [{ reference: 'ServiceRequest/never' }] })).status,
  ).toBe(422);
});

test('a Slot whose hold has run out is taken by who names it, before any job has looked', async () => {
  const slot = await slotAt('grey', 'visit', '10:00', '10:30');
  const visit = (who: string, more: object): object => ({
    resourceType: 'Appointment',
    start: at('10:00'),
    end: at('10:30'),
    slot: [{ reference: `Slot/${slot}` }],
    participant: [
      { actor: { reference: `Patient/${who}` }, required: 'required', status: 'accepted' },
      { actor: { reference: 'Practitioner/grey' }, required: 'required', status: 'accepted' },
    ],
    ...more,
  });
  const expires = Date.now() + 700;
  const held = await clinic.ann(
    'POST',
    'Appointment',
    visit('ann', {
      status: 'pending',
      extension: [
        {
          url: 'https://kairos.example/fhir/StructureDefinition/hold-expires',
          valueInstant: new Date(expires).toISOString(),
        },
      ],
    }),
  );
  expect(held.status, held.text).toBe(201);
  const early = await clinic.bob('POST', 'Appointment', visit('bob', { status: 'booked' }));
  expect([early.status, Date.now() < expires]).toEqual([409, true]);
  await new Promise((resolve) => setTimeout(resolve, expires - Date.now() + 50));
  expect(await statusOf(slot)).toBe('busy-tentative');
  const late = await clinic.bob('POST', 'Appointment', visit('bob', { status: 'booked' }));
  expect(late.status, late.text).toBe(201);
});

test('a time off is no Slot that patients may name', async () => {
  const blocked = await clinic.staff(
    'POST',
    'Schedule/grey/$block',
    params({ name: 'start', valueDateTime: at('11:00') }, { name: 'end', valueDateTime: at('11:30') }),
  );
  expect(blocked.status, blocked.text).toBe(200);
  const id = /"reference":"(Slot\/[^"]+)"|"id":"([^"]+)"/.exec(blocked.text)?.[2] ?? '';
  const named = {
    resourceType: 'Appointment',
    status: 'proposed',
    slot: [{ reference: `Slot/${id}` }],
    participant: [{ actor: { reference: 'Patient/ann' }, status: 'needs-action' }],
  };
  expect((await clinic.staff('GET', `Slot/${id}`)).body['status']).toBe('busy-unavailable');
  expect((await clinic.ann('POST', 'Appointment', named)).status).toBe(409);
  expect((await clinic.ann('POST', 'Appointment', { ...named, slot: undefined })).status).toBe(201);
});

test('a Slot that names no service has the buffers of the only one of its Schedule, whatever changes beside it', async () => {
  await put(clinic.system, { resourceType: 'Practitioner', id: 'cuddy', name: [{ family: 'cuddy' }] });
  await put(
    clinic.system,
    service('long', {
      url: 'bufferAfter',
      valueDuration: { value: 15, system: 'http://unitsofmeasure.org', code: 'min' },
    }),
  );
  await put(clinic.system, service('short'));
  const offering = (...services: readonly string[]): Promise<unknown> =>
    put(
      clinic.system,
      schedule('cuddy', 'cuddy', {
        actor: ['Practitioner/cuddy', 'Location/site', ...services.map((s) => `HealthcareService/${s}`)].map(
          (reference) => ({ reference }),
        ),
      }),
    );
  const slot = { resourceType: 'Slot', id: 'plain', schedule: { reference: 'Schedule/cuddy' }, status: 'free' };
  const beside = async (): Promise<string[]> => {
    const seen: string[] = [];
    const see = async (): Promise<void> => void seen.push(String(await statusOf('plain')));
    await put(clinic.system, { ...slot, start: at('13:00'), end: at('13:30') });
    const booked = await clinic.staff('POST', 'Appointment', {
      resourceType: 'Appointment',
      status: 'booked',
      start: at('13:30'),
      end: at('14:00'),
      participant: ['Patient/ann', 'Practitioner/cuddy', 'HealthcareService/short'].map((reference) => ({
        actor: { reference },
        status: 'accepted',
      })),
    });
    expect(booked.status, booked.text).toBe(201);
    await see();
    const block = params({ name: 'start', valueDateTime: at('13:00') }, { name: 'end', valueDateTime: at('13:10') });
    for (const name of ['block', 'unblock']) {
      expect((await clinic.staff('POST', `Schedule/cuddy/$${name}`, block)).status).toBe(200);
      await see();
    }
    const id = String(booked.body['id']);
    expect((await clinic.staff('POST', `Appointment/${id}/$cancel`)).status).toBe(200);
    await see();
    expect((await clinic.system('DELETE', 'Slot/plain')).status).toBe(204);
    return seen;
  };
  await offering('long');
  expect(await beside()).toEqual(['busy', 'busy-unavailable', 'busy', 'free']);
  // Of several nobody knows which it will be.
  await offering('long', 'short');
  expect(await beside()).toEqual(['free', 'busy-unavailable', 'free', 'free']);
});
