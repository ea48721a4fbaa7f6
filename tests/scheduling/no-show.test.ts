/** Visits whose patients did not come, where the service says after how long. https://hl7.org/fhir/R4/valueset-appointmentstatus.html */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { markNoShows } from '../../src/scheduling/use/mark-no-shows.ts';
import type { TestKairos } from '../support/kairos.ts';
import { minutes, openClinic, params, put, schedule, service, type Clinic } from './clinic.ts';
import { partsOf, rowsOf } from './slots.ts';

let clinic: Clinic;
let kairos: TestKairos;
/** New York. */
const DAY = '2027-02-03';
let now = Date.parse(`${DAY}T08:00:00-05:00`);
const at = (time: string): void => void (now = Date.parse(`${DAY}T${time}:00-05:00`));
const mark = (): Promise<number> => markNoShows(partsOf(kairos));
beforeAll(async () => {
  clinic = await openClinic({ clock: { now: () => now } });
  ({ kairos } = clinic.server);
  await put(clinic.system, service('visit', { url: 'noShowAfter', ...minutes(45) }));
  // Another service waits for ever.
  await put(clinic.system, service('patient-one'));
  await put(
    clinic.system,
    schedule('house', 'house', {
      actor: ['Practitioner/house', 'Location/site', 'HealthcareService/patient-one'].map((reference) => ({
        reference,
      })),
    }),
  );
});
afterAll(() => clinic.close());
beforeEach(async () => {
  await kairos.pool.query('delete from scheduling_progress; delete from appointment; delete from occupancy');
  at('08:00');
  await mark();
});

async function visit(start: string, end: string, practitioner = 'grey'): Promise<string> {
  const answer = await clinic.staff('POST', 'Appointment', {
    resourceType: 'Appointment',
    status: 'booked',
    start: `${DAY}T${start}:00-05:00`,
    end: `${DAY}T${end}:00-05:00`,
    participant: [`Practitioner/${practitioner}`, 'Patient/ann'].map((reference) => ({
      actor: { reference },
      required: 'required',
      status: 'accepted',
    })),
  });
  expect(answer.status, answer.text).toBe(201);
  return String(answer.body['id']);
}
const statusOf = async (id: string): Promise<unknown> =>
  (await clinic.staff('GET', `Appointment/${id}`)).body['status'];

test('is marked when the time has passed, and not before', async () => {
  const [first, second] = [await visit('09:00', '09:30'), await visit('10:00', '11:30')];
  at('10:14');
  expect(await mark()).toBe(0);
  at('10:16');
  expect(await mark()).toBe(1);
  expect([await statusOf(first), await statusOf(second)]).toEqual(['noshow', 'booked']);
  expect(await rowsOf(kairos, 'select count(*) from occupancy where appointment = $1', [first])).toEqual([['0']]);
  at('12:16');
  expect(await mark()).toBe(1);
});

test('what staff takes back stays so', async () => {
  const id = await visit('09:00', '09:30');
  at('10:30');
  expect(await mark()).toBe(1);
  const booked = await clinic.staff('GET', `Appointment/${id}`);
  expect((await clinic.staff('PUT', `Appointment/${id}`, { ...booked.body, status: 'booked' })).status).toBe(200);
  at('10:31');
  expect(await mark()).toBe(0);
  expect(await statusOf(id)).toBe('booked');
});

test('who has arrived, who was cancelled, and visits of other services are left alone', async () => {
  const [arrived, gone, other] = [
    await visit('09:00', '09:30'),
    await visit('09:30', '10:00'),
    await visit('10:00', '10:30', 'house'),
  ];
  expect((await clinic.staff('POST', `Appointment/${arrived}/$check-in`, params())).status).toBeLessThan(300);
  expect((await clinic.staff('POST', `Appointment/${gone}/$cancel`, params())).status).toBe(200);
  at('16:00');
  expect(await mark()).toBe(0);
  expect([await statusOf(gone), await statusOf(other)]).toEqual(['cancelled', 'booked']);
});

test('what fell due while no worker ran is marked later, by any number of workers once', async () => {
  const id = await visit('09:00', '09:30');
  at('18:00');
  const counts = await Promise.all([mark(), mark(), mark()]);
  expect(counts.reduce((a, b) => a + b)).toBe(1);
  expect(await statusOf(id)).toBe('noshow');
  expect(await rowsOf(kairos, 'select version from appointment')).toEqual([['2']]);
});
