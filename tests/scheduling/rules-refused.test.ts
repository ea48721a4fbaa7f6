/** Rules that make no sense are refused, by every door, with the element and the fix; those that are there all the same harm nobody else. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, Json } from '../http/client.ts';
import {
  availability,
  bundle,
  done,
  lunch,
  openClinic,
  parameters,
  put,
  schedule,
  service,
  starts,
  weekly,
  workday,
  type Clinic,
} from './clinic.ts';
import { generateAsAsked, mismatch, untrue } from './slots.ts';

let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
});
afterAll(() => clinic.close());

const TIMEZONE = 'http://hl7.org/fhir/StructureDefinition/timezone';
const zone = (valueCode: string): object => ({ url: TIMEZONE, valueCode });
const part = (url: string, ...extension: readonly object[]): object => ({ url, extension });
const time = (url: string, valueTime: string): object => ({ url, valueTime });
const date = (url: string, valueDate: string): object => ({ url, valueDate });
const count = (url: string, valuePositiveInt: number): object => ({ url, valuePositiveInt });
const code = (url: string, valueCode: string): object => ({ url, valueCode });
const period = (url: string, start: string, end?: string): object => ({
  url,
  valuePeriod: { start, ...(end && { end }) },
});
const lasts = (url: string, value: number, unit = 'min'): object => ({
  url,
  valueDuration: { value, code: unit, system: 'http://unitsofmeasure.org' },
});
const refers = (url: string, reference: string): object => ({ url, valueReference: { reference } });
const NINE = time('availableStartTime', '09:00:00');
const FIVE = time('availableEndTime', '17:00:00');
const window = (...more: readonly object[]): object => part('availableTime', NINE, FIVE, ...more);
const off = (...more: readonly object[]): object => part('notAvailableTime', ...more);
const notice = (channel: string, value: number, unit: string): object =>
  part('minimumNotice', code('channel', channel), lasts('notice', value, unit));

interface Case {
  readonly name: string;
  readonly type: 'Schedule' | 'HealthcareService' | 'Location' | 'Organization';
  readonly extension: readonly object[];
  /** Of the issue, after the type. */
  readonly at: string;
}
const hours = (name: string, at: string, ...parts: readonly object[]): Case => ({
  name,
  type: 'Schedule',
  extension: [availability(...parts)],
  at: `extension[0]${at}`,
});
const booking = (name: string, at: string, ...parts: readonly object[]): Case => ({
  name,
  type: 'HealthcareService',
  extension: [parameters(...parts)],
  at: `extension[0]${at}`,
});
/** Of the first window. */
const IN = '.extension[0].extension';

const cases: readonly Case[] = [
  hours('a zone that there is not', '.extension[0].value', code('timezone', 'Mars/Base'), window()),
  hours('a window in a zone that there is not', `${IN}[2].value`, window(code('timezone', 'GMT+25'))),
  hours('a day that there is not', `${IN}[2].value`, window(code('daysOfWeek', 'someday'))),
  hours('no times', '.extension[0]', part('availableTime', code('daysOfWeek', 'mon'))),
  hours('no end', '.extension[0]', part('availableTime', NINE)),
  hours('all day, from nine to five', `${IN}[0]`, window({ url: 'allDay', valueBoolean: true })),
  hours('seconds', `${IN}[0].value`, part('availableTime', time('availableStartTime', '09:00:30'), FIVE)),
  hours('a break before the hours', `${IN}[2]`, window(lunch('08:00:00', '08:30:00'))),
  hours('a break that runs out of them', `${IN}[2]`, window(lunch('16:30:00', '17:30:00'))),
  hours('a break of nothing', `${IN}[2]`, window(lunch('12:00:00', '12:00:00'))),
  hours('a break without an end', `${IN}[2].extension`, window(part('break', time('start', '12:00:00')))),
  hours('breaks that overlap', `${IN}[3]`, window(lunch('12:00:00', '13:00:00'), lunch('12:30:00', '14:00:00'))),
  hours('room for nobody', `${IN}[2].value`, window(count('capacity', 0))),
  hours('room for 33', `${IN}[2].value`, window(count('capacity', 33))),
  hours('every no week', `${IN}[2].value`, window(count('everyWeeks', 0))),
  hours('every other week, which is open', `${IN}[2]`, window(count('everyWeeks', 2))),
  hours('a season that ends first', `${IN}[2].value`, window(period('period', '2027-05-01', '2027-01-01'))),
  hours('two rules of one name', '.extension[1]', weekly('09:00:00', '12:00:00'), weekly('13:00:00', '17:00:00')),
  hours('an override of no date', '.extension[0].extension', part('dateOverride', window())),
  hours('an override of a month', `${IN}[0].value`, part('dateOverride', date('date', '2027-05'))),
  hours(
    'an override with a break outside',
    `${IN}[1].extension[2]`,
    part('dateOverride', date('date', '2027-05-05'), window(lunch('08:00:00', '08:30:00'))),
  ),
  hours('time off that ends first', `${IN}[0].value`, off(period('during', '2027-05-05', '2027-05-01'))),
  hours(
    'time off of no length',
    `${IN}[0].value`,
    off(period('during', '2027-05-05T09:00:00Z', '2027-05-05T10:00:00+01:00')),
  ),
  hours('time off at no time', '.extension[0].extension', off({ url: 'description', valueString: 'some day' })),
  hours('time off from nine to never', `${IN}[1]`, off(period('during', '2027-05-05'), time('startTime', '09:00:00'))),
  hours(
    'time off every other week since ever',
    `${IN}[1]`,
    off({ url: 'during', valuePeriod: { end: '2027-05-05' } }, count('everyWeeks', 2)),
  ),
  booking('visits of no length', '.extension[0].value', lasts('duration', 0)),
  booking('visits of 25 hours', '.extension[0].value', lasts('duration', 25, 'h')),
  booking('visits of moons', '.extension[0].value', lasts('duration', 1, 'mo')),
  booking('starts at no distance', '.extension[0].value', lasts('interval', 0)),
  booking('an offset as long as the interval', '.extension[1].value', lasts('duration', 30), lasts('offset', 30)),
  booking('a buffer of less than nothing', '.extension[0].value', lasts('bufferBefore', -5)),
  booking('room for 40', '.extension[0].value', count('capacity', 40)),
  booking('a channel that there is not', '.extension[0].value', code('channel', 'pigeon')),
  booking('a channel twice', '.extension[0].value', code('channel', 'staff'), code('channel', 'staff')),
  booking('a mode that there is not', '.extension[0].value', code('mode', 'perhaps')),
  booking(
    'a notice as long as the horizon',
    '.extension[1].value',
    part('horizon', count('days', 3)),
    notice('patient', 3, 'd'),
  ),
  booking('a notice of less than nothing', '.extension[0].extension[1].value', notice('patient', -1, 'd')),
  booking('two notices of a channel', '.extension[1]', notice('staff', 1, 'd'), notice('staff', 2, 'd')),
  booking('a horizon of centuries', '.extension[0].value', part('horizon', count('days', 100_000))),
  booking(
    'a horizon in days and by a date',
    '.extension[0]',
    part('horizon', count('days', 3), date('until', '2027-05-05')),
  ),
  booking('a hold of an hour', '.extension[0].value', count('holdMinutes', 60)),
  booking(
    'a cap of the moon',
    '.extension[0].extension[0].value',
    part('cap', code('of', 'moon'), code('per', 'day'), count('limit', 1)),
  ),
  booking(
    'a cap of nothing',
    '.extension[0].extension[2].value',
    part('cap', code('of', 'service'), code('per', 'day'), count('limit', 0)),
  ),
  booking('a room that is a site', '.extension[1].value', lasts('duration', 30), refers('resource', 'Location/site')),
  booking('a room that is a person', '.extension[0].value.reference', refers('resource', 'Practitioner/grey')),
  booking('a room of some name', '.extension[0].value', {
    url: 'resource',
    valueReference: { identifier: { value: 'Room 1' } },
  }),
  booking('what is for another service', '.extension[0]', refers('service', 'HealthcareService/visit')),
  {
    name: 'parameters twice',
    type: 'HealthcareService',
    extension: [parameters(lasts('duration', 20)), parameters(lasts('duration', 30))],
    at: 'extension[1]',
  },
  {
    name: 'parameters of a service twice',
    type: 'Schedule',
    extension: [
      parameters(refers('service', 'HealthcareService/visit'), lasts('duration', 20)),
      parameters(refers('service', 'HealthcareService/visit'), lasts('duration', 30)),
    ],
    at: 'extension[1]',
  },
  {
    name: 'parameters of 33 at a time there',
    type: 'Schedule',
    extension: [parameters(count('capacity', 33))],
    at: 'extension[0].extension[0].value',
  },
  {
    name: 'a room of a Schedule that is a site',
    type: 'Schedule',
    extension: [parameters(refers('resource', 'Location/site'))],
    at: 'extension[0].extension[0].value',
  },
  { name: 'a zone that there is not', type: 'Location', extension: [zone('Mars/Base')], at: 'extension[0].value' },
  { name: 'an offset for a zone', type: 'Organization', extension: [zone('+02:00')], at: 'extension[0].value' },
  { name: 'two zones', type: 'Location', extension: [zone('Europe/Vienna'), zone('Europe/Rome')], at: 'extension[1]' },
];

const right: Record<Case['type'], object> = {
  Schedule: { ...schedule('kept', 'grey'), id: 'kept' },
  HealthcareService: { resourceType: 'HealthcareService', id: 'kept', name: 'Kept' },
  Location: { resourceType: 'Location', id: 'kept', name: 'Kept', extension: [zone('America/New_York')] },
  Organization: { resourceType: 'Organization', id: 'kept', name: 'Kept', extension: [zone('America/New_York')] },
};

type Door = (c: Case, resource: object) => Promise<Answer>;
const doors: Record<string, Door> = {
  POST: ({ type }, { id: _, ...resource }: { id?: string }) => clinic.staff('POST', type, resource),
  PUT: ({ type }, resource) => clinic.staff('PUT', `${type}/kept`, resource),
  PATCH: ({ type, extension }) =>
    clinic.staff('PATCH', `${type}/kept`, [{ op: 'add', path: '/extension', value: extension }]),
  transaction: ({ type }, resource) =>
    clinic.staff('POST', '', bundle('transaction', { request: { method: 'PUT', url: `${type}/kept` }, resource })),
};

describe('refused, with the element and the fix', () => {
  beforeAll(async () => {
    for (const resource of Object.values(right)) await put(clinic.system, resource);
  });
  test.each(cases.map((c) => [`${c.type}: ${c.name}`, c] as const))('%s', async (_, c) => {
    for (const [door, send] of Object.entries(doors)) {
      const answer = await send(c, { ...right[c.type], extension: c.extension });
      expect([door, answer.status], answer.text).toEqual([door, 422]);
      const issues = answer.body['issue'] as unknown as { expression?: string[]; diagnostics: string }[];
      const places = issues.map((i) => i.expression?.[0]?.replace(/^Bundle\.entry\[0\]\.resource/, c.type));
      expect(places, `${door} ${answer.text}`).toContain(`${c.type}.${c.at}`);
      for (const { diagnostics } of issues) expect(diagnostics.length).toBeGreaterThan(20);
    }
    expect((await clinic.staff('GET', `${c.type}/kept`)).body['meta']?.['versionId']).toBe('1');
  });

  test('all that is wrong is said at once', async () => {
    const extension = [availability(window(lunch('08:00:00', '08:30:00')), window(count('capacity', 33)))];
    const answer = await clinic.staff('PUT', 'Schedule/kept', { ...right.Schedule, extension });
    expect((answer.body['issue'] as unknown as unknown[]).length).toBe(2);
  });

  test('hours by no clock: of a Schedule whose place nobody knows the zone of', async () => {
    await put(clinic.system, { resourceType: 'Location', id: 'island', name: 'Island' });
    const at = (...actor: string[]): object => ({
      ...right.Schedule,
      actor: actor.map((reference) => ({ reference })),
    });
    for (const door of ['POST', 'PUT', 'transaction'] as const) {
      const answer = await doors[door]?.(cases[0] as Case, at('Practitioner/grey', 'Location/island'));
      expect([answer?.status, answer?.body['issue']?.[0]?.['expression']?.[0]]).toEqual([
        422,
        expect.stringContaining('.extension[0]'),
      ]);
    }
    // With the Location that says it in one Bundle.
    const answer = await clinic.staff(
      'POST',
      '',
      bundle(
        'transaction',
        {
          request: { method: 'POST', url: 'Location' },
          fullUrl: 'urn:uuid:5d6b2f5e-8c2a-4f1e-9d53-0a9d6f0e1a11',
          resource: { resourceType: 'Location', name: 'New', extension: [zone('Europe/Rome')] },
        },
        {
          request: { method: 'POST', url: 'Schedule' },
          resource: { ...at('Practitioner/house', 'urn:uuid:5d6b2f5e-8c2a-4f1e-9d53-0a9d6f0e1a11'), id: undefined },
        },
      ),
    );
    expect(answer.status, answer.text).toBe(200);
  });

  test('a room of the same Bundle counts', async () => {
    const room = (physicalType: string): object => ({
      resourceType: 'Location',
      name: 'Room',
      physicalType: {
        coding: [{ system: 'http://terminology.hl7.org/CodeSystem/location-physical-type', code: physicalType }],
      },
    });
    const fullUrl = 'urn:uuid:5d6b2f5e-8c2a-4f1e-9d53-0a9d6f0e1a12';
    const both = (physicalType: string): Promise<Answer> =>
      clinic.staff(
        'POST',
        '',
        bundle(
          'transaction',
          { request: { method: 'POST', url: 'Location' }, fullUrl, resource: room(physicalType) },
          {
            request: { method: 'POST', url: 'HealthcareService' },
            resource: {
              resourceType: 'HealthcareService',
              name: 'X',
              extension: [parameters(refers('resource', fullUrl))],
            },
          },
        ),
      );
    expect((await both('ro')).status).toBe(200);
    expect((await both('si')).status).toBe(422);
  });
});

test('what is unusual but right is kept', async () => {
  const night = part(
    'availableTime',
    time('availableStartTime', '22:00:00'),
    time('availableEndTime', '06:00:00'),
    lunch('23:30:00', '00:30:00'),
    lunch('05:00:00', '06:00:00'),
  );
  const edges = window(
    lunch('09:00:00', '09:15:00'),
    lunch('16:45:00', '17:00:00'),
    count('capacity', 32),
    count('everyWeeks', 2),
    { url: 'weekOf', valueDate: '2027-01-05' },
  );
  const whole = part(
    'availableTime',
    { url: 'allDay', valueBoolean: true },
    code('daysOfWeek', 'sun'),
    lunch('12:00:00', '13:00:00'),
  );
  const again = part(
    'availableTime',
    time('availableStartTime', '08:00:00'),
    time('availableEndTime', '08:00:00'),
    lunch('07:00:00', '08:00:00'),
    code('timezone', 'asia/tokyo'),
  );
  const away = off(period('during', '2027-05-05', '2027-05-05'));
  const extension = [
    availability(night, edges, whole, again, away),
    parameters(lasts('offset', 45)),
    parameters(refers('service', 'HealthcareService/visit'), notice('patient', 90, 'd')),
  ];
  done(await clinic.staff('PUT', 'Schedule/kept', { ...right.Schedule, extension }));
  const most = parameters(
    lasts('duration', 24, 'h'),
    lasts('interval', 24, 'h'),
    lasts('bufferAfter', 24, 'h'),
    part('horizon', count('days', 3660)),
    count('capacity', 1),
    count('holdMinutes', 15),
  );
  done(await clinic.staff('PUT', 'HealthcareService/kept', { ...right.HealthcareService, extension: [most] }));
});

describe('what is there all the same', () => {
  /** As a version before this one might have kept it. */
  async function smuggle(
    type: 'schedule' | 'healthcare_service' | 'location',
    id: string,
    extension: readonly object[],
  ): Promise<void> {
    const [row] = await clinic.sql(`select content from ${type} where id = $1`, [id]);
    const content = JSON.stringify({ ...(JSON.parse(String(row?.['content'])) as object), extension });
    await clinic.sql(`update ${type} set content = $2, version = version + 1 where id = $1`, [id, content]);
  }
  const broken: readonly [string, 'schedule' | 'healthcare_service' | 'location', string, readonly object[]][] = [
    ['a window in a zone that there is not', 'schedule', 'bad', [availability(window(code('timezone', 'Mars/Base')))]],
    ['a Schedule in one', 'schedule', 'bad', [availability(code('timezone', 'Mars/Base'), window())]],
    ['a place in one', 'location', 'bad', [zone('Mars/Base')]],
    ['hours for 99', 'schedule', 'bad', [availability(window(count('capacity', 99)))]],
    [
      'no times, half a break, odd dates',
      'schedule',
      'bad',
      [
        availability(
          part('availableTime'),
          window(part('break', NINE)),
          part('dateOverride', date('date', '2027')),
          off(period('during', 'soon')),
        ),
      ],
    ],
    ['visits of no length', 'healthcare_service', 'bad', [parameters(lasts('duration', 0))]],
    ['visits of two days', 'healthcare_service', 'bad', [parameters(lasts('duration', 2, 'd'))]],
    ['no interval', 'healthcare_service', 'bad', [parameters(lasts('interval', 0))]],
    [
      'buffers of less than nothing',
      'healthcare_service',
      'bad',
      [parameters(lasts('bufferBefore', -90), lasts('bufferAfter', -90))],
    ],
    ['room for 99', 'healthcare_service', 'bad', [parameters(count('capacity', 99))]],
    [
      'an odd offset, horizon, notice and pool',
      'healthcare_service',
      'bad',
      [
        parameters(
          lasts('offset', 500),
          part('horizon', count('days', 1)),
          notice('patient', 9, 'd'),
          refers('resource', 'Location/gone'),
        ),
      ],
    ],
  ];
  test.each(broken)('%s: others are offered, and the generation of Slots goes on', async (_, type, id, extension) => {
    const { system } = clinic;
    await put(system, { resourceType: 'Location', id: 'bad', name: 'Bad', extension: [zone('America/New_York')] });
    await put(system, service('bad'));
    await put(
      system,
      schedule('bad', 'house', {
        actor: ['Practitioner/house', 'Location/bad', 'HealthcareService/bad'].map((reference) => ({ reference })),
      }),
    );
    await generateAsAsked(clinic.server.kairos);
    await smuggle(type, id, extension);
    // Something else changes, so that all is read anew.
    await put(system, service('visit'));
    const day = workday(7);
    for (const send of [clinic.ann, clinic.staff]) {
      expect(await starts(send, day, 'schedule=Schedule/grey')).toHaveLength(14);
      expect(await starts(send, day, 'schedule=Schedule/house')).toHaveLength(14);
      const answer = await send(
        'GET',
        `Appointment/$find?start=${day}&end=${day}&practitioner=Practitioner/house&_count=200`,
      );
      expect(answer.status, answer.text).toBe(200);
      const why = await send(
        'GET',
        `Appointment/$explain?start=${day}T10:00:00-05:00&practitioner=Practitioner/house&service=HealthcareService/visit`,
      );
      expect(why.status, why.text).toBe(200);
    }
    await generateAsAsked(clinic.server.kairos);
    expect(await mismatch(clinic.server.kairos)).toEqual([]);
    expect(await untrue(clinic.server.kairos)).toEqual([]);
    const booked = await clinic.staff('POST', 'Appointment', {
      resourceType: 'Appointment',
      status: 'booked',
      start: `${day}T15:00:00-05:00`,
      end: `${day}T15:30:00-05:00`,
      participant: [
        { actor: { reference: 'Patient/eve' }, required: 'required', status: 'accepted' },
        { actor: { reference: 'Practitioner/house' }, required: 'required', status: 'accepted' },
        { actor: { reference: 'HealthcareService/bad' }, required: 'information-only', status: 'accepted' },
      ],
    });
    expect(booked.status, booked.text).toBe(201);
    done(
      await clinic.staff('POST', `Appointment/${String((booked.body as Json)['id'])}/$cancel`, {
        resourceType: 'Parameters',
      }),
    );
  });
});
