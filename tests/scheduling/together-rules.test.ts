/** Rules and visits that come in one transaction: the visits are read by the rules that come with them. http.html#transaction */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openClinic, schedule, workday, type Clinic } from './clinic.ts';

let clinic: Clinic;
beforeAll(async () => void (clinic = await openClinic()));
afterAll(() => clinic.close());

test('a visit occupies the room and the Schedule that come along with it', async () => {
  const day = workday(8);
  const at = (hour: string) => `${day}T${hour}:00-05:00`;
  const visit = (id: string, who: string) => ({
    resource: {
      resourceType: 'Appointment',
      id,
      status: 'booked',
      start: at('10:00'),
      end: at('10:30'),
      slot: who === 'ann' ? [{ reference: 'Slot/new' }] : undefined,
      participant: [
        { actor: { reference: `Patient/${who}` }, status: 'accepted' },
        { actor: { reference: 'Location/new-room' }, status: 'accepted' },
      ],
    },
    request: { method: 'PUT', url: `Appointment/${id}` },
  });
  const entry = (resource: { resourceType?: string; id?: string }) => ({
    resource,
    request: { method: 'PUT', url: `${resource.resourceType}/${resource.id}` },
  });
  const made = await clinic.system('POST', '', {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [
      visit('new-visit', 'ann'),
      entry({ ...schedule('new', 'grey'), resourceType: 'Schedule', id: 'new' }),
      entry({
        resourceType: 'Slot',
        id: 'new',
        schedule: { reference: 'Schedule/new' },
        status: 'busy',
        start: at('10:00'),
        end: at('10:30'),
      } as object),
      entry({
        resourceType: 'Location',
        id: 'new-room',
        partOf: { reference: 'Location/site' },
        physicalType: { coding: [{ code: 'ro' }] },
      } as object),
    ],
  });
  expect(made.status, made.text).toBe(200);
  const { pool } = clinic.server.kairos;
  const { rows } = await pool.query(`select count(*) from occupancy where appointment = 'new-visit'`);
  // The patient, the room, and the practitioner whose Slot it is.
  expect(Number(rows[0]?.count)).toBe(3);
  const clash = await clinic.system('POST', '', {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [visit('second', 'bob')],
  });
  expect(clash.status, clash.text).toBe(409);
});
