/** A Schedule is not deleted while somebody is expected in it. https://hl7.org/fhir/R4/schedule.html */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Answer, Json } from '../http/client.ts';
import {
  bundle,
  done,
  find,
  found,
  idOf,
  openClinic,
  params,
  put,
  referring,
  said,
  schedule,
  times,
  visit,
  type Clinic,
} from './clinic.ts';

let clinic: Clinic;
beforeAll(async () => void (clinic = await openClinic()));
afterAll(() => clinic.close());
const next = times(7);
let number = 0;
/** A practitioner with a Schedule. */
async function doctor(): Promise<string> {
  const id = `doc-${++number}`;
  await put(clinic.system, { resourceType: 'Practitioner', id, name: [{ family: id }] });
  await put(clinic.system, schedule(id, id));
  return id;
}
const booked = async (practitioner: string, start: string, more: object = {}): Promise<Json> =>
  done(await clinic.system('POST', 'Appointment', visit({ start, practitioner }, more))).body;
const remove = (id: string): Promise<Answer> => clinic.staff('DELETE', `Schedule/${id}`);
const cancel = async ({ id }: Json): Promise<Answer> =>
  done(await clinic.staff('POST', `Appointment/${String(id)}/$cancel`));

test('with visits and holds to come: 409 that says how many, and what to do; without: it goes', async () => {
  const id = await doctor();
  const first = await booked(id, next());
  const [proposal] = found(
    done(await find(clinic.bob, `start=${next().slice(0, 10)}&end=${next().slice(0, 10)}&schedule=Schedule/${id}`)),
  );
  const hold = referring('appointment-reference', `Appointment/${String(proposal?.['id'])}`);
  const held = idOf(done(await clinic.bob('POST', 'Appointment/$hold', params(hold))));
  const refused = await remove(id);
  expect(said(refused)).toContain(`409 Schedule/${id} still has 2 live visits to come`);
  expect(said(refused)).toMatch(/\$cover.*cancel.*active/);
  expect(refused.body['issue']?.[0]?.['code']).toBe('conflict');
  expect((await clinic.staff('GET', `Schedule/${id}`)).status).toBe(200);
  done(await clinic.staff('PUT', `Schedule/${id}`, schedule(id, id, { active: false })));
  done(await clinic.bob('POST', `Appointment/${held}/$release`, params()));
  expect(said(await remove(id))).toContain('still has 1 live visit to come');
  await cancel(first);
  expect((await remove(id)).status).toBe(204);
});

test('what is past, over, or as well of another Schedule does not keep it', async () => {
  const id = await doctor();
  const past = new Date(Date.now() - 7 * 86_400_000).toISOString();
  await booked(id, past);
  await booked(id, next(), { status: 'fulfilled' });
  await booked(id, next(), { status: 'noshow' });
  await put(clinic.system, schedule(`${id}-too`, id));
  await booked(id, next());
  expect((await remove(id)).status).toBe(204);
  expect(said(await remove(`${id}-too`))).toContain('still has 1 live visit');
});

test('nor by a transaction, in which deletions come first', async () => {
  const id = await doctor();
  const stands = await booked(id, next());
  const reference = `Appointment/${String(stands['id'])}`;
  const gone = { request: { method: 'DELETE', url: `Schedule/${id}` } };
  expect((await clinic.staff('POST', '', bundle('transaction', gone))).status).toBe(409);
  const ends = { request: { method: 'PUT', url: reference }, resource: { ...stands, status: 'cancelled' } };
  expect((await clinic.staff('POST', '', bundle('transaction', gone, ends))).status).toBe(409);
  expect((await clinic.staff('GET', `Schedule/${id}`)).status).toBe(200);
  expect((await clinic.staff('GET', reference)).body['status']).toBe('booked');
});

test('of a booking and a deletion at the same moment one is refused', async () => {
  for (let round = 0; round < 12; round++) {
    const id = await doctor();
    const start = next();
    const [book, gone] = await Promise.all([
      clinic.ann('POST', 'Appointment', visit({ start, practitioner: id })),
      remove(id),
    ]);
    expect([book.status, gone.status], `${book.text} ${gone.text}`).toSatisfy(
      ([b, g]: number[]) => (b === 201) !== (g === 204),
    );
    if (book.status === 201) await cancel(book.body);
  }
});
