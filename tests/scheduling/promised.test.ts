/** Zones and late cancellation: scheduling D5.1, D5.6, D12. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { reviewPromises } from '../../src/scheduling/promised.ts';
import {
  bookProposal,
  entries,
  find,
  found,
  openClinic,
  put,
  schedule,
  service,
  workday,
  type Clinic,
} from './clinic.ts';

let clinic: Clinic;
beforeAll(async () => void (clinic = await openClinic()));
afterAll(() => clinic.close());

const site = (zone: string): object => ({
  resourceType: 'Location',
  id: 'site',
  name: 'Site',
  extension: [{ url: 'http://hl7.org/fhir/StructureDefinition/timezone', valueCode: zone }],
  physicalType: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/location-physical-type', code: 'si' }] },
});

test('another zone of a place: whom it would hit is told before, and is on a list after', async () => {
  const day = workday(10);
  const free = await find(
    clinic.ann,
    `start=${day}T00:00:00-05:00&end=${day}T23:00:00-05:00&practitioner=Practitioner/grey`,
  );
  const booked = await bookProposal(clinic.ann, String(found(free)[2]?.['id']));
  expect(booked.status, booked.text).toBe(200);
  const id = String(found(booked)[0]?.['id']);
  const impact = (zone: string) => clinic.staff('GET', `Location/site/$timezone-impact?timezone=${zone}`);
  expect(entries(await impact('America/Toronto'))).toEqual([]);
  const hit = await impact('America/Chicago');
  expect(found(hit).map((a) => a['id'])).toEqual([id]);
  expect((await impact('Mars/Olympus')).status).toBe(400);
  expect((await clinic.ann('GET', 'Location/site/$timezone-impact?timezone=America/Chicago')).status).not.toBe(200);

  const { parts } = clinic.server.kairos.scheduling;
  const { signal } = new AbortController();
  expect(await reviewPromises(parts, signal)).toBe(0);
  await put(clinic.system, site('America/Chicago'));
  await parts.directory.renewed('');
  expect(await reviewPromises(parts, signal)).toBe(1);
  expect(await reviewPromises(parts, signal)).toBe(0);
  const list = await clinic.staff('GET', 'Task?status=requested');
  expect(entries(list).map((e) => e['resource']?.['focus']?.['reference'])).toEqual([`Appointment/${id}`]);
  await put(clinic.system, site('America/New_York'));
});

test('a late cancellation is marked as one', async () => {
  const hours = { valueDuration: { value: 3000, unit: 'h', system: 'http://unitsofmeasure.org', code: 'h' } };
  await put(clinic.system, service('late', { url: 'lateCancel', ...hours }));
  await put(clinic.system, { resourceType: 'Practitioner', id: 'late', name: [{ family: 'L' }] });
  await put(
    clinic.system,
    schedule('late', 'late', {
      actor: [
        { reference: 'Practitioner/late' },
        { reference: 'Location/site' },
        { reference: 'HealthcareService/late' },
      ],
    }),
  );
  const day = workday(5);
  const free = await find(clinic.bob, `start=${day}&end=${day}&service=HealthcareService/late`);
  const booked = await bookProposal(clinic.bob, String(found(free)[0]?.['id']));
  const cancelled = await clinic.bob('POST', `Appointment/${String(found(booked)[0]?.['id'])}/$cancel`, {
    resourceType: 'Parameters',
  });
  expect(cancelled.status, cancelled.text).toBe(200);
  expect(cancelled.text).toContain('late-cancel');
});

test('a search for Slots beyond the horizon points to $find (D2)', async () => {
  const far = await clinic.nobody(
    'GET',
    `Slot?status=free&start=ge${new Date(Date.now() + 90 * 86_400_000).toISOString().slice(0, 10)}`,
  );
  expect(far.text).toContain('$find');
  const near = await clinic.nobody('GET', `Slot?status=free&start=ge${workday(3)}`);
  expect(near.text).not.toContain('$find');
});
