/** Holds that have ended: what the clock has ended may be won again by whoever held it, what somebody has ended may not. D4 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expireHolds } from '../../src/scheduling/use/expire-holds.ts';
import type { Answer, Json, Send } from '../http/client.ts';
import {
  appointmentOf,
  bookProposal,
  done,
  find,
  found,
  idOf,
  later,
  openClinic,
  params,
  put,
  referring,
  said,
  service,
  starts,
  statusOf,
  taking,
  times,
  visit,
  type Clinic,
} from './clinic.ts';
import { partsOf } from './slots.ts';

const OWN = 'https://kairos.example/fhir/StructureDefinition';
let clinic: Clinic;
beforeAll(async () => void (clinic = await openClinic()));
afterAll(() => clinic.close());

const next = times(7);
async function proposed(start: string): Promise<string> {
  const query = `start=${encodeURIComponent(start)}&end=${encodeURIComponent(later(start, 30))}&practitioner=Practitioner/grey`;
  return String(found(done(await find(clinic.nobody, query)))[0]?.['id']);
}
const hold = (send: Send, id: string): Promise<Answer> =>
  send('POST', 'Appointment/$hold', params(referring('appointment-reference', `Appointment/${id}`)));
const release = (send: Send, id: string): Promise<Answer> => send('POST', `Appointment/${id}/$release`);
/** A hold that the database's clock says is over. */
async function overdue(send: Send, start: string): Promise<string> {
  const id = await proposed(start);
  clinic.clock.ahead = -10 * 60_000;
  try {
    return idOf(done(await hold(send, id)));
  } finally {
    clinic.clock.ahead = 0;
  }
}
const free = async (start: string): Promise<boolean> =>
  (await starts(clinic.nobody, start.slice(0, 10))).includes(start.slice(11, 16));
/** With all who take part. */
const accepted = ({ cancelationReason: _, ...appointment }: Readonly<Record<string, unknown>>): object => ({
  ...appointment,
  participant: (appointment['participant'] as object[]).map((p) => ({ ...p, status: 'accepted' })),
});

test('where patients ask, it waits for approval again', async () => {
  await put(clinic.system, service('visit', { url: 'mode', valueCode: 'pending' }));
  const id = await overdue(clinic.ann, next());
  await expireHolds(partsOf(clinic.server.kairos));
  const stands = done(await clinic.ann('GET', `Appointment/${id}`)).body;
  const booked = await clinic.ann('PUT', `Appointment/${id}`, accepted({ ...stands, status: 'booked' }));
  expect(booked.status, said(booked)).toBe(422);
  const asked = done(await bookProposal(clinic.ann, id));
  expect([statusOf(asked), JSON.stringify(asked.body).includes('awaiting-approval')]).toEqual(['pending', true]);
  await put(clinic.system, service('visit'));
});

test('what somebody has let go, or taken away, is not', async () => {
  const ends: readonly (readonly [string, (id: string, stands: Json) => Promise<Answer>])[] = [
    ['released', (id) => release(clinic.ann, id)],
    ['cancelled', (id) => clinic.ann('POST', `Appointment/${id}/$cancel`)],
    ['cancelled by staff', (id) => clinic.staff('POST', `Appointment/${id}/$cancel`)],
    ['put', (id, stands) => clinic.ann('PUT', `Appointment/${id}`, { ...stands, status: 'cancelled' })],
    ['put by staff', (id, stands) => clinic.staff('PUT', `Appointment/${id}`, { ...stands, status: 'cancelled' })],
    [
      'patched',
      (id) => clinic.ann('PATCH', `Appointment/${id}`, [{ op: 'replace', path: '/status', value: 'cancelled' }]),
    ],
  ];
  for (const lapsed of [false, true])
    for (const [how, end] of ends) {
      const start = next();
      const id = lapsed ? await overdue(clinic.ann, start) : idOf(done(await hold(clinic.ann, await proposed(start))));
      done(await end(id, done(await clinic.ann('GET', `Appointment/${id}`)).body));
      await expireHolds(partsOf(clinic.server.kairos));
      const again = await bookProposal(clinic.ann, id);
      expect([how, lapsed, again.status, said(again).includes('cannot become booked')]).toEqual([
        how,
        lapsed,
        422,
        true,
      ]);
      const stands = done(await clinic.ann('GET', `Appointment/${id}`)).body;
      const put = await clinic.ann('PUT', `Appointment/${id}`, accepted({ ...stands, status: 'booked' }));
      expect([how, put.status, said(put).includes('cannot become booked')]).toEqual([how, 422, true]);
      expect(await free(start)).toBe(true);
    }
});

test('nor is that of another patient, nor one that only says that it has run out', async () => {
  const start = next();
  const id = await overdue(clinic.ann, start);
  await expireHolds(partsOf(clinic.server.kairos));
  expect((await bookProposal(clinic.bob, id)).status).toBe(404);
  const patch = [{ op: 'replace', path: '/status', value: 'booked' }];
  expect((await clinic.bob('PATCH', `Appointment/${id}`, patch)).status).toBe(404);
  expect(await free(start)).toBe(true);
  const expired = { url: `${OWN}/hold-expired`, valueBoolean: true };
  const said_ = visit(
    { start },
    {
      status: 'pending',
      extension: [{ url: `${OWN}/hold-expires`, valueInstant: later(new Date().toISOString(), 5) }, expired],
      participant: [taking('Patient/ann'), taking('Practitioner/grey', 'tentative')],
    },
  );
  const forged = await clinic.ann('POST', 'Appointment', said_);
  expect([forged.status, forged.body['issue']?.[0]?.['expression']?.[0]]).toEqual([422, 'Appointment.extension[1]']);
  const mine = appointmentOf(done(await hold(clinic.ann, await proposed(start))));
  const marked = { ...mine, status: 'cancelled', extension: [...((mine['extension'] ?? []) as object[]), expired] };
  expect((await clinic.ann('PUT', `Appointment/${String(mine['id'])}`, marked)).status).toBe(422);
  done(await release(clinic.ann, String(mine['id'])));
});
