/** What the benchmark runs against: plain resources by number, made as they are needed. */
import type { Appointment, Patient, Practitioner, Resource, Schedule, Slot } from '@medplum/fhirtypes';
import { seeded } from '../demo/random.ts';

export interface Size {
  readonly patients: number;
  readonly schedules: number;
  readonly slotsPerSchedule: number;
  readonly practitioners: number;
  readonly appointmentsPerPractitioner: number;
}

const MINUTES = 20;
const SLOTS_A_DAY = 20;
/** A Monday; slots fill weekdays from nine o'clock UTC. */
const FIRST_DAY = Date.UTC(2027, 0, 4);
const DAY_MS = 86_400_000;

const HEADS = [
  'Ba',
  'Ber',
  'Cal',
  'Chan',
  'Dal',
  'Del',
  'Ed',
  'Fair',
  'Gal',
  'Gar',
  'Hal',
  'Har',
  'Is',
  'Jan',
  'Kel',
  'Lan',
  'Mar',
  'Mor',
  'Nor',
  'Os',
  'Pel',
  'Quin',
  'Ram',
  'Ros',
  'Sal',
  'Stan',
  'Tor',
  'Ul',
  'Ven',
  'Wal',
];
const MIDDLES = [
  'a',
  'an',
  'ber',
  'chi',
  'da',
  'den',
  'el',
  'er',
  'fi',
  'gan',
  'i',
  'in',
  'ka',
  'ker',
  'la',
  'lin',
  'mo',
  'na',
  'o',
  'ren',
  'ri',
  'sa',
  'ster',
  'ti',
  'un',
  'va',
  'wi',
  'ya',
  'ze',
  'zo',
];
const TAILS = [
  'ard',
  'ber',
  'court',
  'dale',
  'dez',
  'field',
  'gren',
  'ham',
  'ides',
  'kov',
  'land',
  'ley',
  'man',
  'mont',
  'nen',
  'owski',
  'quist',
  'ran',
  'son',
  'ton',
  'ura',
  'vich',
  'well',
  'wood',
  'yan',
  'zer',
];
const GIVEN = [
  'Ada',
  'Ben',
  'Carla',
  'Dmitri',
  'Elena',
  'Farah',
  'Goran',
  'Hana',
  'Ivo',
  'Jamila',
  'Kemal',
  'Lucía',
  'Marek',
  'Nadia',
  'Omar',
  'Paula',
  'Rafael',
  'Sofia',
  'Tomás',
  'Uma',
  'Viktor',
  'Wen',
  'Yara',
  'Zoë',
];

const at = (list: readonly string[], n: number): string => list[n % list.length] ?? '';

/** One of 23,400 invented family names. */
export const familyName = (n: number): string => {
  const chance = seeded('family', n);
  return at(HEADS, chance.int(0, 999)) + at(MIDDLES, chance.int(0, 999)) + at(TAILS, chance.int(0, 999));
};

export const patientId = (n: number): string => `bench-patient-${n}`;
export const scheduleId = (n: number): string => `bench-schedule-${n}`;
export const practitionerId = (n: number): string => `bench-practitioner-${n}`;

/** A patient of about 0.8 kB. @param family another name than the number's own */
export function patient(n: number, family: string = familyName(n)): Patient & { id: string } {
  return {
    resourceType: 'Patient',
    id: patientId(n),
    identifier: [
      { use: 'usual', system: 'https://kairos.example/fhir/identifier/mrn', value: `B${String(n).padStart(8, '0')}` },
    ],
    active: true,
    name: [{ use: 'official', family, given: [at(GIVEN, n * 7 + 1), at(GIVEN, n * 5)] }],
    telecom: [
      { system: 'phone', value: `+1 212 555 ${String(n % 10_000).padStart(4, '0')}`, use: 'mobile' },
      { system: 'email', value: `patient${n}@example.com`, use: 'home' },
    ],
    gender: n % 2 === 0 ? 'female' : 'male',
    birthDate: new Date(Date.UTC(1935, 0, 1) + (n % 29_000) * DAY_MS).toISOString().slice(0, 10),
    address: [
      {
        use: 'home',
        line: [`${(n % 900) + 1} Linden Boulevard`],
        city: 'Brooklyn',
        state: 'NY',
        postalCode: String(11_201 + (n % 40)),
        country: 'US',
      },
    ],
    communication: [
      {
        language: { coding: [{ system: 'urn:ietf:bcp:47', code: 'en-US', display: 'English (United States)' }] },
        preferred: true,
      },
    ],
  };
}

const startOf = (index: number): number => {
  const day = Math.floor(index / SLOTS_A_DAY);
  return (
    FIRST_DAY +
    (Math.floor(day / 5) * 7 + (day % 5)) * DAY_MS +
    9 * 3_600_000 +
    (index % SLOTS_A_DAY) * MINUTES * 60_000
  );
};
const instant = (ms: number): string => new Date(ms).toISOString();

const practitioner = (n: number): Practitioner => ({
  resourceType: 'Practitioner',
  id: practitionerId(n),
  active: true,
  name: [{ family: familyName(n + 1_000_000), given: [at(GIVEN, n)] }],
});

const schedule = (n: number, practitioners: number): Schedule => ({
  resourceType: 'Schedule',
  id: scheduleId(n),
  active: true,
  actor: [{ reference: `Practitioner/${practitionerId(n % practitioners)}` }],
});

const slot = (scheduleNumber: number, index: number): Slot => ({
  resourceType: 'Slot',
  id: `bench-slot-${scheduleNumber}-${index}`,
  serviceType: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/service-type', code: '124' }] }],
  schedule: { reference: `Schedule/${scheduleId(scheduleNumber)}` },
  status: (scheduleNumber + index) % 3 === 0 ? 'busy' : 'free',
  start: instant(startOf(index)),
  end: instant(startOf(index) + MINUTES * 60_000),
});

const appointment = (practitionerNumber: number, index: number, patients: number): Appointment => ({
  resourceType: 'Appointment',
  id: `bench-appointment-${practitionerNumber}-${index}`,
  status: 'booked',
  serviceType: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/service-type', code: '124' }] }],
  start: instant(startOf(index)),
  end: instant(startOf(index) + MINUTES * 60_000),
  participant: [
    {
      actor: { reference: `Patient/${patientId((practitionerNumber * 7919 + index * 104_729) % patients)}` },
      status: 'accepted',
    },
    { actor: { reference: `Practitioner/${practitionerId(practitionerNumber)}` }, status: 'accepted' },
  ],
});

/** Every resource of the population, type after type, each after those that it refers to. */
export function* population(size: Size): Generator<Resource> {
  for (let n = 0; n < size.patients; n++) yield patient(n);
  for (let n = 0; n < size.practitioners; n++) yield practitioner(n);
  for (let n = 0; n < size.schedules; n++) yield schedule(n, size.practitioners);
  for (let n = 0; n < size.schedules; n++) for (let i = 0; i < size.slotsPerSchedule; i++) yield slot(n, i);
  for (let n = 0; n < size.practitioners; n++) {
    for (let i = 0; i < size.appointmentsPerPractitioner; i++) yield appointment(n, i, size.patients);
  }
}

/** A week of a schedule that has slots, as first instant and the one after the last. */
export function week(slotsPerSchedule: number, n: number): readonly [from: string, to: string] {
  const weeks = Math.max(1, Math.floor(slotsPerSchedule / (5 * SLOTS_A_DAY)));
  const from = FIRST_DAY + (n % weeks) * 7 * DAY_MS;
  return [instant(from), instant(from + 7 * DAY_MS)];
}
