/** The demo clinic's practitioners, where and when they work, and the schedules that say so. */
import type { Location, Practitioner, PractitionerRole, Schedule } from '@medplum/fhirtypes';
import { FAMILY, FEMALE, MALE } from './names.ts';
import type { Offer, Places, Site } from './places.ts';
import { seeded } from './random.ts';
import { availabilityOf, type Day, type Hours, type Week } from './rules.ts';
import { TIMEZONE_EXTENSION, ascii, hl7, identifier, meta, phone, reference, snomed, twoDigits } from './terms.ts';

/** Days of the week that have clinics, Monday first. */
export const DAYS: readonly Day[] = ['mon', 'tue', 'wed', 'thu', 'fri'];

/** One practitioner's work at one site, with a Schedule of its own. */
export interface Post {
  readonly key: string;
  readonly practitioner: Practitioner;
  readonly practitionerName: string;
  readonly role: PractitionerRole;
  readonly room: Location;
  readonly schedule: Schedule;
  readonly site: Site;
  readonly offer: Offer;
  /** For several patients at once. */
  readonly groups: Offer | undefined;
  readonly hours: Hours;
  /** Share of the slots that are taken. */
  readonly demand: number;
}

const EARLY: Hours = { from: '08:00', lunchFrom: '12:00', lunchTo: '13:00', to: '16:00' };
const MIDDLE: Hours = { from: '09:00', lunchFrom: '12:30', lunchTo: '13:30', to: '17:30' };
const LATE: Hours = { from: '10:00', lunchFrom: '13:00', lunchTo: '13:45', to: '18:00' };

const WEEK: readonly Day[] = DAYS;
const FIRST_DAYS: readonly Day[] = ['mon', 'tue', 'wed'];
const LAST_DAYS: readonly Day[] = ['thu', 'fri'];

/** Twelve practitioners; two of them divide their week between the two sites in New York. */
const ROSTER: readonly {
  readonly offer: string;
  /** A service for groups, on these days in the last hour of the day. */
  readonly groups?: readonly [offer: string, days: readonly Day[]];
  readonly posts: readonly (readonly [site: number, days: readonly Day[], hours: Hours])[];
}[] = [
  { offer: 'family', posts: [[0, WEEK, EARLY]] },
  { offer: 'family', posts: [[1, WEEK, MIDDLE]] },
  { offer: 'family', posts: [[2, WEEK, MIDDLE]] },
  { offer: 'pediatrics', posts: [[1, WEEK, MIDDLE]] },
  { offer: 'pediatrics', posts: [[2, ['mon', 'wed', 'fri'], EARLY]] },
  {
    offer: 'cardiology',
    posts: [
      [0, FIRST_DAYS, MIDDLE],
      [1, LAST_DAYS, MIDDLE],
    ],
  },
  { offer: 'cardiology', posts: [[2, ['tue', 'wed', 'thu', 'fri'], MIDDLE]] },
  { offer: 'dermatology', posts: [[0, WEEK, LATE]] },
  {
    offer: 'gynecology',
    posts: [
      [1, FIRST_DAYS, EARLY],
      [0, LAST_DAYS, LATE],
    ],
  },
  { offer: 'orthopedics', posts: [[2, WEEK, EARLY]] },
  { offer: 'psychiatry', posts: [[0, ['mon', 'tue', 'thu', 'fri'], LATE]] },
  { offer: 'physiotherapy', groups: ['back-class', ['tue', 'thu']], posts: [[1, WEEK, LATE]] },
];

/** Ten digits with the check digit of a US provider number; none that is issued starts with 9. @see https://hl7.org/fhir/us/core/StructureDefinition-us-core-practitioner.html */
function fictionalNpi(n: number): string {
  const digits = `9${String(n).padStart(8, '0')}`;
  let sum = 24;
  for (let i = 0; i < 9; i++) {
    const d = Number(digits[i]);
    sum += i % 2 === 1 ? d : d < 5 ? 2 * d : 2 * d - 9;
  }
  return digits + String((10 - (sum % 10)) % 10);
}

/** The hour before closing. */
const lastHour = (to: string): string => `${twoDigits(Number(to.slice(0, 2)) - 1)}${to.slice(2)}`;

/** Hours of a post: on the days of groups the last hour is theirs. */
function weeksOf(
  days: readonly Day[],
  hours: Hours,
  offer: Offer,
  groups: { readonly offer: Offer; readonly days: readonly Day[] } | undefined,
): readonly Week[] {
  if (!groups) return [{ id: 'week', days, hours }];
  const service = (of: Offer): string => `HealthcareService/${of.service.id ?? ''}`;
  const own = [service(offer)];
  const last = lastHour(hours.to);
  return [
    { id: 'week', days: days.filter((d) => !groups.days.includes(d)), hours, services: own },
    { id: 'group-days', days: groups.days, hours: { ...hours, to: last }, services: own },
    { id: 'groups', days: groups.days, hours: { from: last, to: hours.to }, services: [service(groups.offer)] },
  ];
}

export function makeStaff(prefix: string, seed: number, places: Places): readonly Post[] {
  const offerOf = (key: string): Offer => {
    const found = places.offers.find((o) => o.key === key);
    if (!found) throw new Error(`no service ${key}`);
    return found;
  };
  return ROSTER.flatMap((row, i): Post[] => {
    const offer = offerOf(row.offer);
    const groups = row.groups && { offer: offerOf(row.groups[0]), days: row.groups[1] };
    const chance = seeded(seed, 'practitioner', i);
    const female = chance.chance(0.5);
    const given = chance.pick(female ? FEMALE : MALE);
    const family = chance.pick(FAMILY);
    const therapist = offer.key === 'physiotherapy';
    const nn = twoDigits(i + 1);
    const practitioner: Practitioner = {
      resourceType: 'Practitioner',
      id: `${prefix}-practitioner-${nn}`,
      meta: meta('practitioner'),
      identifier: [
        { system: 'http://hl7.org/fhir/sid/us-npi', value: fictionalNpi(chance.int(0, 99_999_999)) },
        identifier('staff', `S-${nn}`),
      ],
      active: true,
      name: [
        {
          use: 'official',
          family,
          given: [given],
          ...(therapist ? { suffix: ['DPT'] } : { prefix: ['Dr.'], suffix: ['MD'] }),
        },
      ],
      telecom: [{ system: 'email', value: `${ascii(given)}.${ascii(family)}@clinic.example.com`, use: 'work' }],
      gender: female ? 'female' : 'male',
      qualification: [
        {
          identifier: [identifier('license', `L${chance.int(100_000, 999_999)}`)],
          code: hl7(
            'v2-0360',
            therapist ? 'RPT' : 'MD',
            therapist ? 'Registered Physical Therapist' : 'Doctor of Medicine',
          ),
        },
      ],
      communication: [{ coding: [{ system: 'urn:ietf:bcp:47', code: 'en', display: 'English' }] }],
    };
    const practitionerName = `${therapist ? '' : 'Dr. '}${given} ${family}`;
    const demand = 0.2 + 0.35 * chance.next();
    return row.posts.map(([siteIndex, days, hours], p): Post => {
      const site = places.sites[siteIndex] ?? places.sites[0];
      const key = `${nn}${'abc'.charAt(p)}`;
      const room: Location = {
        resourceType: 'Location',
        id: `${prefix}-room-${key}`,
        meta: meta('location'),
        extension: [{ url: TIMEZONE_EXTENSION, valueCode: site.zone }],
        status: 'active',
        name: `${site.location.name ?? ''}, room ${100 * (siteIndex + 1) + i + 1}`,
        mode: 'instance',
        physicalType: hl7('location-physical-type', 'ro', 'Room'),
        managingOrganization: reference(places.clinic),
        partOf: reference(site.location, site.location.name),
      };
      const role: PractitionerRole = {
        resourceType: 'PractitionerRole',
        id: `${prefix}-role-${key}`,
        meta: meta('practitionerrole'),
        active: true,
        practitioner: reference(practitioner, practitionerName),
        organization: reference(places.department(offer.key), places.department(offer.key).name),
        code: [therapist ? snomed('36682004', 'Physiotherapist') : hl7('practitioner-role', 'doctor', 'Doctor')],
        specialty: offer.service.specialty ?? [],
        location: [reference(site.location, site.location.name)],
        healthcareService: [reference(offer.service, offer.service.name)],
        telecom: [phone(site.towns[0].areaCode, 40 + i, 'work')],
        availableTime: [
          { daysOfWeek: [...days], availableStartTime: `${hours.from}:00`, availableEndTime: `${hours.lunchFrom}:00` },
          { daysOfWeek: [...days], availableStartTime: `${hours.lunchTo}:00`, availableEndTime: `${hours.to}:00` },
        ],
        endpoint: places.endpoints.map((e) => reference(e)),
      };
      const schedule: Schedule = {
        resourceType: 'Schedule',
        id: `${prefix}-schedule-${key}`,
        meta: meta(),
        extension: [availabilityOf(weeksOf(days, hours, offer, groups))],
        identifier: [identifier('schedule', key)],
        active: true,
        serviceCategory: offer.service.category ?? [],
        serviceType: offer.service.type ?? [],
        specialty: offer.service.specialty ?? [],
        actor: [
          reference(practitioner, practitionerName),
          reference(role),
          reference(site.location, site.location.name),
          reference(offer.service, offer.service.name),
          ...(groups ? [reference(groups.offer.service, groups.offer.service.name)] : []),
        ],
        comment: `${offer.service.name ?? ''} with ${practitionerName} at ${site.location.name ?? ''}`,
      };
      return {
        key,
        practitioner,
        practitionerName,
        role,
        room,
        schedule,
        site,
        offer,
        groups: groups?.offer,
        hours,
        demand,
      };
    });
  });
}
