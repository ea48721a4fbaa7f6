/** Clinics made by chance: hours, breaks, days of their own, holidays, time off, buffers, notices, caps, rooms, groups, and a night on which clocks change. */
import { Temporal } from 'temporal-polyfill';
import type { Random } from '../../src/demo/random.ts';
import type { Send } from '../http/client.ts';
import { availability, lunch, minutes, parameters } from './clinic.ts';

const OWN = 'https://kairos.example/fhir/StructureDefinition';
const ZONES = [
  'America/New_York',
  'Europe/London',
  'Australia/Lord_Howe',
  'Asia/Kathmandu',
  'America/St_Johns',
  'Pacific/Apia',
  'Africa/Cairo',
] as const;
const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;

export interface RandomClinic {
  /** What begins the ids of all that is the clinic's. */
  readonly name: string;
  readonly zone: string;
  /** The server's clock, a few days before the days that are asked for. */
  readonly now: number;
  /** Local dates: the clocks change on the second where they do so at all. */
  readonly days: readonly [string, string, string];
  readonly services: readonly string[];
  readonly schedules: readonly string[];
  readonly practitioners: readonly string[];
  readonly rooms: readonly string[];
}

const ext = (url: string, value: object): object => ({ url, ...value });
const time = (at: number): string =>
  `${String(Math.floor(at / 60) % 24).padStart(2, '0')}:${String(at % 60).padStart(2, '0')}:00`;
const some = <T>(random: Random, probability: number, make: () => T): T[] =>
  random.chance(probability) ? [make()] : [];

/** Hours, which may run past midnight, with breaks in them. */
function hours(random: Random, more: readonly object[], id?: string): object {
  const start = random.pick([0, 0, 22 * 60, 7 * 60, 9 * 60, 13 * 60]) + random.int(0, 3) * 15;
  const length = random.int(2, 7) * 60;
  const breaks = some(random, 0.5, () => {
    const from = start + random.int(1, length / 60 - 1) * 60 - 30;
    return lunch(time(from), time(from + random.pick([15, 30, 45])));
  });
  return {
    url: 'availableTime',
    ...(id === undefined ? {} : { id }),
    extension: [
      ext('availableStartTime', { valueTime: time(start) }),
      ext('availableEndTime', { valueTime: time(start + length) }),
      ...breaks,
      ...some(random, 0.2, () => ext('capacity', { valuePositiveInt: random.int(1, 3) })),
      ...more,
    ],
  };
}

function off(random: Random, { zone, days }: RandomClinic): object {
  const day = random.pick(days);
  const at = (hour: number): string =>
    Temporal.PlainDateTime.from(`${day}T${String(hour).padStart(2, '0')}:00`)
      .toZonedDateTime(zone)
      .toString({ timeZoneName: 'never', smallestUnit: 'second' });
  const from = random.int(0, 20);
  const period = random.pick([
    { start: day, end: day },
    { start: at(from), end: at(from + 2) },
    { start: days[0], end: days[2] },
  ]);
  const recurs = period.start === days[0] && period.end === days[2];
  return {
    url: 'notAvailableTime',
    extension: [
      ext('during', { valuePeriod: period }),
      ...(recurs
        ? [
            ...DAYS.map((d) => ext('daysOfWeek', { valueCode: d })),
            ext('startTime', { valueTime: time(from * 60) }),
            ext('endTime', { valueTime: time(from * 60 + 90) }),
          ]
        : []),
    ],
  };
}

function rules(random: Random, clinic: RandomClinic): object {
  const weekly = Array.from({ length: random.int(1, 2) }, (_, i) =>
    hours(
      random,
      [
        ...DAYS.map((d) => ext('daysOfWeek', { valueCode: d })),
        ...some(random, 0.15, () => ext('service', { valueReference: { reference: clinic.services[0] } })),
      ],
      `rule-${i}`,
    ),
  );
  const special = some(random, 0.3, () => ({
    url: 'dateOverride',
    extension: [ext('date', { valueDate: random.pick(clinic.days) }), ...some(random, 0.7, () => hours(random, []))],
  }));
  return availability(
    ...weekly,
    ...special,
    ...some(random, 0.3, () => off(random, clinic)),
    ...some(random, 0.4, () => ext('holidays', { valueCode: random.pick(['observe', 'ignore']) })),
  );
}

const notice = (random: Random, channel: 'patient' | 'staff'): object => ({
  url: 'minimumNotice',
  extension: [
    ext('channel', { valueCode: channel }),
    ext('notice', random.pick([minutes(0), minutes(90), minutes(3000), days(1), days(3)])),
  ],
});
const days = (value: number): object => ({
  valueDuration: { value, unit: 'd', system: 'http://unitsofmeasure.org', code: 'd' },
});
const cap = (random: Random): object => ({
  url: 'cap',
  extension: [
    ext('of', { valueCode: random.pick(['provider', 'service', 'patient', 'new-patient']) }),
    ext('per', { valueCode: random.pick(['day', 'week', 'month']) }),
    ext('limit', { valuePositiveInt: random.int(2, 8) }),
  ],
});

/** How visits are laid out. @param rooms of which one is needed */
function layout(random: Random, rooms: readonly string[]): readonly object[] {
  const interval = random.pick([10, 15, 20, 30, 45]);
  return [
    ext('duration', minutes(random.pick([10, 20, 30, 45, 70]))),
    ...some(random, 0.5, () => ext('interval', minutes(interval))),
    ...some(random, 0.2, () => ext('offset', minutes(5))),
    ...some(random, 0.4, () => ext('bufferBefore', minutes(random.pick([5, 10, 30])))),
    ...some(random, 0.4, () => ext('bufferAfter', minutes(random.pick([5, 15, 40])))),
    ...some(random, 0.3, () => ext('strictBuffers', { valueBoolean: true })),
    ...some(random, 0.3, () => ext('bufferIntoBreak', { valueBoolean: false })),
    ...some(random, 0.3, () => notice(random, 'patient')),
    ...some(random, 0.2, () => notice(random, 'staff')),
    ...some(random, 0.3, () => ext('horizon', { extension: [ext('days', { valuePositiveInt: random.int(5, 9) })] })),
    ...some(random, 0.4, () => ext('capacity', { valuePositiveInt: random.int(1, 4) })),
    ...some(random, 0.2, () => ext('channel', { valueCode: random.pick(['patient', 'staff']) })),
    ...rooms.map((reference) => ext('resource', { valueReference: { reference } })),
  ];
}

/** The night of the next change of the zone's clocks, or else in ten days. */
function nightOf(zone: string): Temporal.PlainDate {
  const now = Temporal.Now.instant().toZonedDateTimeISO(zone).add({ days: 10 });
  return (now.getTimeZoneTransition('next') ?? now).toPlainDate();
}

const type = (code: string): object => ({
  coding: [{ system: 'http://terminology.hl7.org/CodeSystem/location-physical-type', code }],
});

/** Makes a clinic. @param put writes a resource, or says why it cannot be */
export async function randomClinic(
  random: Random,
  name: string,
  put: (resource: object) => Promise<unknown>,
): Promise<RandomClinic> {
  const zone = random.pick(ZONES);
  const night = nightOf(zone);
  const clinic: RandomClinic = {
    name,
    zone,
    now: night.subtract({ days: 4 }).toZonedDateTime({ timeZone: zone, plainTime: '11:07' }).epochMilliseconds,
    days: [night.subtract({ days: 1 }).toString(), night.toString(), night.add({ days: 1 }).toString()],
    services: ['a', 'b'].slice(0, random.int(1, 2)).map((s) => `HealthcareService/${name}-${s}`),
    schedules: ['1', '2', '3'].slice(0, random.int(1, 3)).map((s) => `Schedule/${name}-${s}`),
    practitioners: ['x', 'y'].slice(0, random.int(1, 2)).map((s) => `Practitioner/${name}-${s}`),
    rooms: ['r', 's'].map((s) => `Location/${name}-${s}`),
  };
  const as = (reference: string, more: object): object => {
    const [resourceType, id] = reference.split('/');
    return { resourceType, id, ...more };
  };
  await put(
    as(`Location/${name}`, {
      name,
      extension: [
        { url: 'http://hl7.org/fhir/StructureDefinition/timezone', valueCode: zone },
        ...some(random, 0.4, () => ({
          url: `${OWN}/holiday`,
          extension: [ext('date', { valueDate: random.pick(clinic.days) }), ext('name', { valueString: 'Feast' })],
        })),
      ],
      physicalType: type('si'),
    }),
  );
  for (const room of clinic.rooms)
    await put(as(room, { name: room, partOf: { reference: `Location/${name}` }, physicalType: type('ro') }));
  for (const who of clinic.practitioners) await put(as(who, { name: [{ family: who }] }));
  for (const service of clinic.services) {
    const pool = random.chance(0.4) ? clinic.rooms : [];
    const more = [
      ...some(random, 0.3, () => ext('mode', { valueCode: random.pick(['pending', 'waitlist']) })),
      ...some(random, 0.3, () => cap(random)),
    ];
    await put(as(service, { active: true, name: service, extension: [parameters(...layout(random, pool), ...more)] }));
  }
  for (const schedule of clinic.schedules) {
    const [first = '', ...others] = random.shuffle(clinic.services);
    const services = [first, ...others.filter(() => random.chance(0.5))];
    const own = some(random, 0.3, () => parameters(...layout(random, [])));
    const room = some(random, 0.15, () => random.pick(clinic.rooms as [string, string]));
    await put(
      as(schedule, {
        active: true,
        extension: [rules(random, clinic), ...own],
        actor: [random.pick(clinic.practitioners as [string]), `Location/${name}`, ...room, ...services].map(
          (reference) => ({ reference }),
        ),
      }),
    );
  }
  return clinic;
}

/** An instant of one of the days, in steps of five minutes. */
export function anyInstant(random: Random, { zone, days }: RandomClinic): number {
  const day = Temporal.PlainDate.from(random.pick(days)).toZonedDateTime({ timeZone: zone });
  return day.epochMilliseconds + random.int(0, 287) * 300_000;
}

/** Hand-made Slots: openings and time off. */
export async function randomSlots(random: Random, clinic: RandomClinic, system: Send): Promise<void> {
  for (let i = random.int(0, 3); i > 0; i--) {
    const start = anyInstant(random, clinic);
    const service = some(random, 0.3, () => ({
      url: `${OWN}/slot-service`,
      valueReference: { reference: random.pick(clinic.services as [string]) },
    }));
    const answer = await system('POST', 'Slot', {
      resourceType: 'Slot',
      schedule: { reference: random.pick(clinic.schedules as [string]) },
      status: random.pick(['free', 'free', 'busy-unavailable', 'busy']),
      start: new Date(start).toISOString(),
      end: new Date(start + random.int(2, 12) * 900_000).toISOString(),
      ...(service.length > 0 ? { extension: service } : {}),
    });
    if (answer.status !== 201) throw new Error(answer.text);
  }
}
