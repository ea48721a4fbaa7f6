/** Our own extensions are held against their definitions wherever they stand. @see https://hl7.org/fhir/R4/extensibility.html */
import { readFileSync, readdirSync } from 'node:fs';
import type { Extension, StructureDefinition } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import { validator } from '../support/definitions.ts';

const OWN = 'https://kairos.example/fhir/StructureDefinition/';
const UCUM = 'http://unitsofmeasure.org';
const minutes = (value: number, code = 'min') => ({ value, system: UCUM, code });

type Part = Readonly<Record<string, unknown>>;
const part = (url: string, value: Part): Part => ({ url, ...value });
const group = (url: string, ...extension: Part[]): Part => ({ url, extension });

const actor = [{ reference: 'Practitioner/1' }];
const schedule = (...extension: Part[]): object => ({ resourceType: 'Schedule', actor, extension });
const service = (...extension: Part[]): object => ({ resourceType: 'HealthcareService', extension });
const slot = (...extension: Part[]): object => ({
  resourceType: 'Slot',
  schedule: { reference: 'Schedule/1' },
  status: 'free',
  start: '2026-11-27T09:00:00Z',
  end: '2026-11-27T09:30:00Z',
  extension,
});
const appointment = (...extension: Part[]): object => ({
  resourceType: 'Appointment',
  status: 'proposed',
  participant: [{ actor: { reference: 'Patient/1' }, status: 'accepted' }],
  extension,
});
const availability = (...parts: Part[]): object => schedule(group(`${OWN}schedule-availability`, ...parts));
const parameters = (...parts: Part[]): object => service(group(`${OWN}scheduling-parameters`, ...parts));

/** `place: words` of each error. */
const errors = (resource: object): string[] =>
  validator.validate(resource).map((i) => `${i.expression?.[0] ?? ''}: ${i.diagnostics ?? ''}`);

const window = (...parts: Part[]): Part =>
  group(
    'availableTime',
    part('daysOfWeek', { valueCode: 'mon' }),
    part('availableStartTime', { valueTime: '09:00:00' }),
    part('availableEndTime', { valueTime: '17:00:00' }),
    ...parts,
  );
const lunch = group(
  'break',
  part('name', { valueString: 'Lunch' }),
  part('start', { valueTime: '12:00:00' }),
  part('end', { valueTime: '13:00:00' }),
);

test.each([
  ['working hours', availability(part('timezone', { valueCode: 'Europe/Vienna' }), window(lunch))],
  ['a closed day', availability(group('dateOverride', part('date', { valueDate: '2026-12-24' })))],
  [
    'a service of the window',
    availability(window(part('service', { valueReference: { reference: 'HealthcareService/1' } }))),
  ],
  [
    'rules of booking',
    parameters(part('duration', { valueDuration: minutes(20) }), part('offset', { valueDuration: minutes(0) })),
  ],
  [
    'rules of booking for two services of a schedule',
    schedule(
      group(`${OWN}scheduling-parameters`, part('channel', { valueCode: 'staff' })),
      group(`${OWN}scheduling-parameters`, part('mode', { valueCode: 'pending' })),
    ),
  ],
  ['a hold', appointment(part(`${OWN}hold-expires`, { valueInstant: '2026-11-27T09:05:00Z' }))],
  ['a reason in a code of others', slot(group(`${OWN}slot-block`, part('reason', { valueCoding: { code: 'x' } })))],
  ['an extension of others', schedule(part('http://x.example/any', { valueString: 'x' }))],
  ['a place on an id of a part', availability({ ...window(), id: 'monday' })],
])('accepted: %s', (_, resource) => {
  expect(errors(resource)).toEqual([]);
});

describe('refused, each at its place', () => {
  const at = 'Schedule.extension[0].extension[0]';
  test.each([
    [
      'a url that is not ours',
      schedule(part(`${OWN}availability`, { valueString: 'x' })),
      'Schedule.extension[0].url',
      'There is no extension',
    ],
    [
      'a profile as an extension',
      schedule(part(`${OWN}schedule`, { valueString: 'x' })),
      'Schedule.extension[0].url',
      'There is no extension',
    ],
    [
      'a version in the url',
      slot(part(`${OWN}slot-service|0.1.0`, { valueString: 'x' })),
      'Slot.extension[0].url',
      'There is no extension',
    ],
    [
      'the wrong type',
      slot(group(`${OWN}schedule-availability`, part('timezone', { valueCode: 'UTC' }))),
      'Slot.extension[0]',
      'belongs to Schedule, not to Slot',
    ],
    [
      'an unknown part',
      availability(part('zone', { valueCode: 'UTC' })),
      at,
      'The extension schedule-availability allows here only timezone, period, availableTime',
    ],
    ['an unknown part, named', availability(part('zone', { valueCode: 'UTC' })), at, ', not zone.'],
    [
      'an unknown part of a part',
      availability(window(part('room', { valueString: 'x' }))),
      `${at}.extension[3]`,
      'not room',
    ],
    [
      'an unknown part of a part of a part',
      availability(
        window(
          group(
            'break',
            part('start', { valueTime: '12:00:00' }),
            part('end', { valueTime: '13:00:00' }),
            part('days', { valueString: 'x' }),
          ),
        ),
      ),
      `${at}.extension[3].extension[2]`,
      'not days',
    ],
    [
      'a value of another type',
      availability(part('timezone', { valueString: 'UTC' })),
      `${at}.value`,
      'allows here only code, not string',
    ],
    [
      'a value of another type, below',
      availability(window(part('capacity', { valueInteger: 2 }))),
      `${at}.extension[3].value`,
      'allows here only positiveInt, not integer',
    ],
    [
      'the date of an override',
      availability(group('dateOverride', part('description', { valueString: 'x' }))),
      `${at}.extension`,
      'asks for extension (date): add it',
    ],
    [
      'the end of a break',
      availability(window(group('break', part('start', { valueTime: '12:00:00' })))),
      `${at}.extension[3].extension`,
      'asks for extension (end)',
    ],
    [
      'a value where parts belong',
      availability(part('availableTime', { valueString: 'x' })),
      `${at}.value`,
      'does not allow value',
    ],
    [
      'parts where a value belongs',
      availability(group('timezone', part('a', { valueString: 'x' }))),
      `${at}.value`,
      'asks for value',
    ],
    [
      'a part too often',
      availability(part('timezone', { valueCode: 'UTC' }), part('timezone', { valueCode: 'UTC' })),
      'Schedule.extension[0].extension',
      'allows extension (timezone) at most 1 time',
    ],
    [
      'no day of the week',
      availability(window(part('daysOfWeek', { valueCode: 'monday' }))),
      `${at}.extension[3].value`,
      'monday',
    ],
    [
      'another target',
      availability(window(part('service', { valueReference: { reference: 'Patient/1' } }))),
      `${at}.extension[3].value.reference`,
      'only references to HealthcareService, not Patient',
    ],
    [
      'a value and not parts',
      schedule(part(`${OWN}schedule-availability`, { valueString: 'x' })),
      'Schedule.extension[0].value',
      'does not allow value',
    ],
    [
      'parts and not a value',
      slot(group(`${OWN}slot-service`, part('x', { valueString: 'x' }))),
      'Slot.extension[0].extension',
      'does not allow extension',
    ],
    [
      'twice',
      schedule(group(`${OWN}schedule-availability`, window()), group(`${OWN}schedule-availability`, window())),
      'Schedule.extension[1]',
      'may be given once: keep one',
    ],
    [
      'as a modifier',
      { resourceType: 'Schedule', actor, modifierExtension: [group(`${OWN}schedule-availability`, window())] },
      'Schedule.modifierExtension[0]',
      'modifies nothing',
    ],
    [
      'in an extension of others',
      schedule(
        group(
          'http://x.example/any',
          part(`${OWN}slot-service`, { valueReference: { reference: 'HealthcareService/1' } }),
        ),
      ),
      at,
      'belongs to Slot, not to Extension',
    ],
    [
      'on a value',
      {
        resourceType: 'Schedule',
        actor: [
          {
            ...actor[0],
            extension: [
              group(`${OWN}holiday`, part('date', { valueDate: '2026-01-01' }), part('name', { valueString: 'x' })),
            ],
          },
        ],
      },
      'Schedule.actor[0].extension[0]',
      'belongs to Location, Organization, not to Reference',
    ],
    [
      'in a contained resource',
      {
        ...schedule(),
        extension: undefined,
        contained: [
          { ...slot(part(`${OWN}slot-service`, { valueString: 'x' })), id: 'a', schedule: { reference: '#' } },
        ],
      },
      'Schedule.contained[0].extension[0].value',
      'only Reference, not string',
    ],
    [
      'in a Bundle',
      {
        resourceType: 'Bundle',
        type: 'collection',
        entry: [{ resource: slot(part(`${OWN}slot-service`, { valueString: 'x' })) }],
      },
      'Bundle.entry[0].resource.extension[0].value',
      'only Reference, not string',
    ],
  ])('%s', (_, resource, place, words) => {
    const found = errors(resource);
    expect(
      found.some((e) => e.startsWith(`${place}: `) && e.includes(words)),
      found.join('\n'),
    ).toBe(true);
  });

  test('once where it may be given several times', () => {
    expect(errors(parameters(part('duration', { valueDuration: minutes(20) })))).toEqual([]);
    const holiday = group(
      `${OWN}holiday`,
      part('date', { valueDate: '2026-01-01' }),
      part('name', { valueString: 'x' }),
    );
    expect(errors({ resourceType: 'Location', extension: [holiday, holiday] })).toEqual([]);
  });
});

describe('codes and lengths of the rules of booking', () => {
  const place = 'HealthcareService.extension[0].extension[0].value';
  test.each([
    ['channel', { valueCode: 'web' }],
    ['mode', { valueCode: 'fulfilled' }],
    ['weekStart', { valueCode: 'monday' }],
    ['duration', { valueDuration: minutes(0) }],
    ['duration', { valueDuration: minutes(-5) }],
    ['duration', { valueDuration: minutes(7.5) }],
    ['duration', { valueDuration: minutes(1, 'd') }],
    ['duration', { valueDuration: { value: 30 } }],
    ['duration', { valueDuration: { value: 30, unit: 'min' } }],
    ['duration', { valueDuration: { system: UCUM, code: 'min' } }],
    ['duration', { valueDuration: { value: 30, system: 'http://x.example', code: 'min' } }],
    ['bufferBefore', { valueDuration: minutes(-1) }],
    ['cancelNotice', { valueDuration: minutes(1, 'wk') }],
    ['capacity', { valuePositiveInt: 0 }],
  ])('%s refuses %j', (name, value) => {
    const found = errors(parameters(part(name, value)));
    expect(
      found.filter((e) => e.startsWith(place)),
      found.join('\n'),
    ).not.toEqual([]);
  });

  const cap = (of: string, per: string) =>
    group(
      'cap',
      part('of', { valueCode: of }),
      part('per', { valueCode: per }),
      part('limit', { valuePositiveInt: 1 }),
    );
  test('caps', () => {
    for (const of of ['provider', 'service', 'patient', 'new-patient'])
      for (const per of ['day', 'week', 'month']) expect(errors(parameters(cap(of, per)))).toEqual([]);
    expect(errors(parameters(cap('clinic', 'day')))).toHaveLength(1);
    expect(errors(parameters(cap('provider', 'year')))).toHaveLength(1);
    expect(errors(parameters(group('cap', part('of', { valueCode: 'provider' }))))).toHaveLength(2);
  });

  test.each([
    [0, [part('days', { valuePositiveInt: 30 })]],
    [0, [part('until', { valueDate: '2027-01-01' }), part('opensAt', { valueTime: '08:00:00' })]],
    [1, [part('days', { valuePositiveInt: 30 }), part('until', { valueDate: '2027-01-01' })]],
    [0, [part('opensAt', { valueTime: '08:00:00' })]],
  ])('a horizon has one end at most (%i)', (faults, parts) => {
    expect(errors(parameters(group('horizon', ...parts)))).toHaveLength(faults);
  });
});

describe('days of the calendar are whole', () => {
  test.each([
    [0, availability(group('dateOverride', part('date', { valueDate: '2026-12-24' })))],
    [1, availability(group('dateOverride', part('date', { valueDate: '2026-12' })))],
    [1, availability(group('dateOverride', part('date', { valueDate: '2026' })))],
    [1, availability(window(part('weekOf', { valueDate: '2026-12' })))],
    [1, parameters(group('horizon', part('until', { valueDate: '2027' })))],
    [0, availability(part('period', { valuePeriod: { start: '2026-01-01', end: '2026-12-31' } }))],
    [0, availability(part('period', { valuePeriod: { end: '2026-12-31' } }))],
    [1, availability(part('period', { valuePeriod: { start: '2026' } }))],
    [1, availability(part('period', { valuePeriod: { end: '2026-12' } }))],
    [1, availability(part('period', { valuePeriod: { start: '2026-01-01T00:00:00Z' } }))],
    [1, availability(window(part('period', { valuePeriod: { start: '2026-06' } })))],
    [2, availability(part('period', { valuePeriod: { id: 'x' } }))],
    [0, availability(group('notAvailableTime', part('during', { valuePeriod: { start: '2026-12-24' } })))],
    [
      0,
      availability(
        group(
          'notAvailableTime',
          part('during', { valuePeriod: { start: '2026-12-24T12:00:00Z', end: '2026-12-24T14:00:00Z' } }),
        ),
      ),
    ],
    [1, availability(group('notAvailableTime', part('during', { valuePeriod: { start: '2026-12' } })))],
    [1, availability(group('notAvailableTime', part('during', { valuePeriod: { start: '2026-12-01', end: '2027' } })))],
  ])('%i: %j', (faults, resource) => {
    expect(errors(resource)).toHaveLength(faults);
  });
});

test('every part of every extension of scheduling is described, and known by its name', () => {
  const folder = new URL('../../fhir-profiles/', import.meta.url);
  let parts = 0;
  for (const name of readdirSync(folder).filter((n) => n.startsWith('StructureDefinition-kairos-'))) {
    const definition = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as StructureDefinition;
    if (definition.type !== 'Extension' || definition.date !== '2026-11-27') continue;
    for (const element of definition.differential?.element ?? []) {
      if (element.sliceName === undefined) continue;
      parts++;
      expect(element.short, element.id).toBeTruthy();
      expect(element.max, element.id).toBeTruthy();
      const url = definition.differential?.element.find((e) => e.id === `${element.id ?? ''}.url`);
      expect(url?.fixedUri, element.id).toBe(element.sliceName);
      expect(definition.differential?.element.some((e) => e.id === `${element.id ?? ''}.value[x]`)).toBe(true);
    }
  }
  expect(parts).toBeGreaterThan(80);
});

test('a claimed profile does not say the same twice', () => {
  const profile = { meta: { profile: [`${OWN}schedule`] } };
  const wrong: Extension[] = [
    { url: `${OWN}schedule-availability`, extension: [{ url: 'timezone', valueString: 'UTC' }] },
  ];
  expect(errors({ resourceType: 'Schedule', actor, extension: wrong, ...profile })).toHaveLength(1);
  expect(errors({ ...availability(window(lunch)), ...profile })).toEqual([]);
});

test('the profile of services: rules of booking at most once, and a name', () => {
  const rules = group(`${OWN}scheduling-parameters`, part('duration', { valueDuration: minutes(20) }));
  const profile = { meta: { profile: [`${OWN}healthcare-service`] } };
  expect(errors({ ...service(rules), name: 'Checkup', ...profile })).toEqual([]);
  expect(errors({ ...service(rules, rules), ...profile })).toEqual([
    'HealthcareService.extension: The profile allows extension (schedulingParameters) at most 1 time, not 2: remove some.',
    'HealthcareService.name: The profile asks for name: add it.',
  ]);
});
