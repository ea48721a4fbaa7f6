/** Why a physician is away, and why a visit was booked over the rules, is told to staff alone. @see https://hl7.org/fhir/R4/security.html#access */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { list, type Json, type Send } from '../http/client.ts';
import {
  appointmentOf,
  at,
  availability,
  bundle,
  done,
  idOf,
  later,
  openClinic,
  params,
  put,
  schedule,
  statusOf,
  taking,
  weekly,
  workday,
  type Clinic,
} from './clinic.ts';

const SECRET = 'Oncology';
const OVERRIDE = 'https://kairos.example/fhir/StructureDefinition/override';

let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
  const away = (url: string): object => ({
    url: 'notAvailableTime',
    extension: [
      { url, valueString: `${SECRET} appointment` },
      { url: 'during', valuePeriod: { start: workday(40), end: workday(40) } },
    ],
  });
  const pause = {
    url: 'break',
    extension: [
      { url: 'start', valueTime: '12:00:00' },
      { url: 'end', valueTime: '12:30:00' },
      { url: 'name', valueString: `${SECRET} call` },
    ],
  };
  const parts = [weekly('09:00:00', '17:00:00', [pause]), away('description')];
  await put(clinic.staff, schedule('grey', 'grey', { extension: [availability(...parts)] }));
});
afterAll(() => clinic.close());

describe('why a physician is away', () => {
  const reads: readonly string[] = [
    'Schedule/grey',
    'Schedule/grey/_history/2',
    'Schedule?_id=grey',
    'Slot?_include=Slot:schedule&schedule=Schedule/grey&_count=1',
    `Appointment/$find?start=${workday(39)}&end=${workday(41)}&schedule=Schedule/grey&_include=Appointment:actor`,
  ];
  test.each(reads)('%s', async (path) => {
    for (const send of [clinic.nobody, clinic.ann]) expect((await send('GET', path)).text).not.toContain(SECRET);
  });

  test('the rest of the rules is there, and staff reads all', async () => {
    const told = done(await clinic.nobody('GET', 'Schedule/grey')).text;
    expect(told).toContain('"during"');
    expect(told).toContain('"break"');
    expect(done(await clinic.staff('GET', 'Schedule/grey')).text.split(SECRET)).toHaveLength(3);
  });
});

describe('why a visit was booked over the rules', () => {
  const why = (resource: Json): string => JSON.stringify(resource['extension'] ?? []);
  /** On a Sunday, when nobody works. */
  async function overbooked(weeks: number): Promise<{ id: string; start: string }> {
    const monday = new Date(`${workday(7 * weeks)}T12:00:00Z`);
    while (monday.getUTCDay() !== 0) monday.setUTCDate(monday.getUTCDate() + 1);
    const start = at(monday.toISOString().slice(0, 10), '10:00');
    const answer = await clinic.staff('POST', 'Appointment', {
      resourceType: 'Appointment',
      status: 'booked',
      start,
      end: later(start, 30),
      participant: ['Patient/ann', 'Practitioner/grey', 'HealthcareService/visit'].map((r) => taking(r)),
      extension: [{ url: OVERRIDE, extension: [{ url: 'reason', valueString: `${SECRET} follow-up` }] }],
    });
    expect(why(appointmentOf(done(answer)))).toContain(SECRET);
    return { id: idOf(answer), start };
  }
  const stored = async (id: string): Promise<Json> => done(await clinic.staff('GET', `Appointment/${id}`)).body;

  test('is not shown to the patient', async () => {
    const { id } = await overbooked(4);
    for (const path of [`Appointment/${id}`, `Appointment/${id}/_history/1`, `Appointment?_id=${id}`]) {
      const { text } = done(await clinic.ann('GET', path));
      expect(text, path).toContain(id);
      expect(text, path).not.toContain(OVERRIDE);
    }
  });

  const changes: readonly (readonly [string, (send: Send, id: string, shown: Json) => Promise<{ text: string }>])[] = [
    ['PUT', (send, id, shown) => send('PUT', `Appointment/${id}`, { ...shown, comment: 'by bus' })],
    ['PATCH', (send, id) => send('PATCH', `Appointment/${id}`, [{ op: 'add', path: '/comment', value: 'by bus' }])],
    [
      'transaction',
      (send, id, shown) =>
        send(
          'POST',
          '',
          bundle('transaction', {
            resource: { ...shown, comment: 'by bus' },
            request: { method: 'PUT', url: `Appointment/${id}` },
          }),
          { Prefer: 'return=representation' },
        ),
    ],
    ['$cancel', (send, id) => send('POST', `Appointment/${id}/$cancel`, params())],
  ];
  test.each(changes)('nor in the answer to their %s, which keeps it', async (_, change) => {
    const { id } = await overbooked(5 + changes.findIndex(([name]) => name === _));
    const shown = done(await clinic.ann('GET', `Appointment/${id}`)).body;
    const { text } = done((await change(clinic.ann, id, shown)) as never);
    expect(text).toContain(id);
    expect(text).not.toContain(OVERRIDE);
    expect(why(await stored(id))).toContain(SECRET);
  });

  test.each(['copy', 'move', 'test'])('nor does a patch that would %s it reach it', async (op) => {
    const { id } = await overbooked(11 + ['copy', 'move', 'test'].indexOf(op));
    const there = '/extension/0/extension/0/valueString';
    const value = `${SECRET} follow-up`;
    const reach = op === 'test' ? { op, path: there, value } : { op, from: there, path: '/comment' };
    const { extension } = await stored(id);
    expect(JSON.stringify(list(extension)[0])).toContain(SECRET);
    // Places are those of what they have read: here stands something else, or nothing.
    const answer = await clinic.ann('PATCH', `Appointment/${id}`, [reach]);
    if (op === 'test') expect(answer.status).toBe(422);
    expect(answer.text).not.toContain(SECRET);
    expect(String((await stored(id))['comment'] ?? '')).not.toContain(SECRET);
    expect(why(await stored(id))).toContain(SECRET);
  });

  test('and whoever sends it back has changed nothing', async () => {
    const { id } = await overbooked(10);
    const shown = done(await clinic.ann('GET', `Appointment/${id}`)).body;
    const answer = done(await clinic.ann('PUT', `Appointment/${id}`, shown));
    expect(statusOf(answer)).toBe('booked');
    expect(why(await stored(id))).toContain(SECRET);
  });
});
