/** D6: what an opening made by hand offers, and what comes before it. https://hl7.org/fhir/R4/slot.html */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Answer } from '../http/client.ts';
import {
  at,
  availability,
  done,
  find,
  found,
  openClinic,
  params,
  put,
  referring,
  said,
  schedule,
  starts,
  visit,
  weekly,
  workdays,
  type Clinic,
} from './clinic.ts';

const nextDay = workdays(7);
const [holiday, off, plain] = [nextDay(), nextDay(), nextDay()];
let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
  const { system } = clinic;
  const site = done(await system('GET', 'Location/site')).body;
  const day = { url: 'date', valueDate: holiday };
  await put(system, {
    ...site,
    extension: [
      ...(site['extension'] as unknown as object[]),
      {
        url: 'https://kairos.example/fhir/StructureDefinition/holiday',
        extension: [day, { url: 'name', valueString: 'Feast' }],
      },
    ],
  });
  const away = {
    url: 'notAvailableTime',
    extension: [{ url: 'during', valuePeriod: { start: at(off, '17:30'), end: at(off, '18:30') } }],
  };
  await put(system, schedule('grey', 'grey', { extension: [availability(weekly('09:00:00', '10:00:00'), away)] }));
});
afterAll(() => clinic.close());

const open = async (from: string, to: string): Promise<Answer> =>
  done(
    await clinic.staff('POST', 'Slot', {
      resourceType: 'Slot',
      schedule: { reference: 'Schedule/grey' },
      status: 'free',
      start: from,
      end: to,
    }),
  );
const free = (day: string): Promise<string[]> => starts(clinic.nobody, day);

test('one on a holiday is open', async () => {
  expect(await free(holiday)).toEqual([]);
  await open(at(holiday, '09:15'), at(holiday, '10:30'));
  expect(await free(holiday)).toEqual(['09:15', '09:45']);
  expect((await clinic.ann('POST', 'Appointment', visit({ start: at(holiday, '09:45') }))).status).toBe(201);
});

test('time off in the rules comes before it: neither offered nor booked', async () => {
  const [proposal] = found(await find(clinic.ann, `start=${off}&end=${off}&schedule=Schedule/grey`));
  await open(at(off, '17:00'), at(off, '19:00'));
  expect(await free(off)).toEqual(['09:00', '09:30', '17:00', '18:30']);
  for (const time of ['17:30', '18:00'])
    expect(said(await clinic.ann('POST', 'Appointment', visit({ start: at(off, time) })))).toContain(
      '422 This time is not offered',
    );
  const booked = done(
    await clinic.staff(
      'POST',
      'Appointment/$book',
      params(
        referring('appointment-reference', `Appointment/${String(proposal?.['id'])}`),
        referring('patient-reference', 'Patient/ann'),
      ),
    ),
  );
  const move = (time: string, ...more: object[]): Promise<Answer> =>
    clinic.staff(
      'POST',
      `Appointment/${String(found(booked)[0]?.['id'])}/$reschedule`,
      params({ name: 'start', valueDateTime: at(off, time) }, ...more),
    );
  expect((await move('18:00')).status).toBe(422);
  expect((await move('18:30')).status).toBe(200);
  expect((await move('18:00', { name: 'override-reason', valueString: 'comes in for this' })).status).toBe(200);
});

test('visits in it begin as $find says', async () => {
  await open(at(plain, '18:10'), at(plain, '19:20'));
  expect(await free(plain)).toEqual(['09:00', '09:30', '18:10', '18:40']);
  for (const time of ['18:20', '18:30'])
    expect((await clinic.ann('POST', 'Appointment', visit({ start: at(plain, time) }))).status).toBe(422);
  expect((await clinic.ann('POST', 'Appointment', visit({ start: at(plain, '18:40') }))).status).toBe(201);
});
