/** Who takes part in a visit takes part once. https://hl7.org/fhir/R4/appointment-definitions.html#Appointment.participant */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Answer } from '../http/client.ts';
import { done, openClinic, params, referring, taking, times, visit, type Clinic } from './clinic.ts';

let clinic: Clinic;
beforeAll(async () => void (clinic = await openClinic()));
afterAll(() => clinic.close());
const next = times(7);

const told = (answer: Answer): unknown => {
  const issues = answer.body['issue'] as unknown as { code: string; expression?: string[] }[] | undefined;
  return [answer.status, issues?.map((i) => `${i.code} ${i.expression?.[0] ?? ''}`)];
};
const REFUSED = [422, ['invariant Appointment.participant[3]']];
const parts = (start: string): object[] => (visit({ start }) as { participant: object[] }).participant;

test.each([
  ['a patient', (): string => 'Patient/ann'],
  ['a practitioner', (): string => 'Practitioner/grey'],
  ['under our address', (): string => `${clinic.server.engine.baseUrl}/Patient/ann`],
  ['as a version', (): string => 'Practitioner/grey/_history/1'],
])('%s twice is refused, by every door', async (_, reference) => {
  const start = next();
  const participant = [...parts(start), taking(reference(), 'tentative', 'optional')];
  const twice = visit({ start }, { participant });
  for (const send of [clinic.staff, clinic.ann, clinic.system])
    expect(told(await send('POST', 'Appointment', twice))).toEqual(REFUSED);
  const booked = await clinic.staff(
    'POST',
    'Appointment/$book',
    params({ name: 'appointment-resource', resource: twice }),
  );
  expect(booked.status).toBe(422);
  const stands = done(await clinic.staff('POST', 'Appointment', visit({ start }))).body;
  const id = String(stands['id']);
  expect(told(await clinic.staff('PUT', `Appointment/${id}`, { ...stands, participant }))).toEqual(REFUSED);
});

test('several patients, practitioners or rooms are others; so are those who are only named in words', async () => {
  const start = next();
  const words = { actor: { display: 'Interpreter' }, status: 'accepted' };
  const participant = [...parts(start), taking('Patient/bob'), taking('Practitioner/house'), words, words];
  done(await clinic.staff('POST', 'Appointment', visit({ start }, { participant })));
});

test('a move to a colleague who takes part already does not name them twice', async () => {
  const start = next();
  const participant = [...parts(start), taking('Practitioner/house')];
  const { id } = done(await clinic.staff('POST', 'Appointment', visit({ start }, { participant }))).body;
  const moved = done(
    await clinic.staff(
      'POST',
      `Appointment/${String(id)}/$reschedule`,
      params(referring('practitioner', 'Practitioner/house'), { name: 'start', valueDateTime: next() }),
    ),
  ).body;
  const all = (moved['participant'] as unknown as { actor: { reference: string } }[]).map((p) => p.actor.reference);
  expect(all.filter((r) => r === 'Practitioner/house')).toHaveLength(1);
  expect(all).not.toContain('Practitioner/grey');
});
