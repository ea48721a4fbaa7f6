/**
 * The clinic whose times are looked for and booked: practitioners with weekly hours, a room and a Schedule each, a few of them to a service.
 * @see https://hl7.org/fhir/R4/schedule.html
 */
import type { Extension, HealthcareService, Location, Practitioner, Resource, Schedule } from '@medplum/fhirtypes';
import { AVAILABILITY, PARAMETERS, TIMEZONE } from '../scheduling/urls.ts';
import { familyName } from './population.ts';

export interface CalendarSize {
  /** Practitioners, each with a Schedule and a room. */
  readonly calendars: number;
  /** Practitioners who offer the same service. */
  readonly perService: number;
}

/** Raised when the resources below change: data that is kept of earlier runs is then no longer that of this one. */
export const CALENDAR_FORMAT = 1;

/** A grid of 24 starts on each of five days a week: a thousand calendars have a million of them in two months. */
const MINUTES = 20;
export const SLOT_MS = MINUTES * 60_000;
const HOURS = ['09:00:00', '17:00:00'] as const;
const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri'];

const SITE = 'bench-site';
export const doctorId = (n: number): string => `bench-doctor-${n}`;
export const roomId = (n: number): string => `bench-room-${n}`;
export const calendarId = (n: number): string => `bench-calendar-${n}`;
export const serviceId = (n: number): string => `bench-service-${n}`;
/** Number of the service that a calendar offers. */
export const serviceOf = ({ perService }: CalendarSize, calendar: number): number => Math.floor(calendar / perService);

const place = (id: string, code: string, more: Partial<Location>): Location => ({
  resourceType: 'Location',
  id,
  status: 'active',
  name: id,
  physicalType: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/location-physical-type', code }] },
  ...more,
});

const doctor = (n: number): Practitioner => ({
  resourceType: 'Practitioner',
  id: doctorId(n),
  active: true,
  name: [{ family: familyName(n + 2_000_000), given: ['Bench'] }],
});

const service = (n: number): HealthcareService => ({
  resourceType: 'HealthcareService',
  id: serviceId(n),
  active: true,
  name: `Consultation ${n}`,
  type: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/service-type', code: '124' }] }],
  extension: [
    {
      url: PARAMETERS,
      extension: [
        {
          url: 'duration',
          valueDuration: { value: MINUTES, unit: 'min', system: 'http://unitsofmeasure.org', code: 'min' },
        },
      ],
    },
  ],
});

const weekly: Extension = {
  id: 'week',
  url: 'availableTime',
  extension: [
    ...DAYS.map((valueCode) => ({ url: 'daysOfWeek', valueCode })),
    { url: 'availableStartTime', valueTime: HOURS[0] },
    { url: 'availableEndTime', valueTime: HOURS[1] },
  ],
};

const schedule = (n: number, size: CalendarSize): Schedule => ({
  resourceType: 'Schedule',
  id: calendarId(n),
  active: true,
  extension: [{ url: AVAILABILITY, extension: [weekly] }],
  actor: [
    { reference: `Practitioner/${doctorId(n)}`, display: `Dr. ${familyName(n + 2_000_000)}` },
    { reference: `Location/${roomId(n)}`, display: roomId(n) },
    { reference: `Location/${SITE}` },
    { reference: `HealthcareService/${serviceId(serviceOf(size, n))}` },
  ],
});

/** Type after type, each after those that it refers to. */
export function* calendarResources(size: CalendarSize): Generator<Resource> {
  const numbers = Array.from({ length: size.calendars }, (_, n) => n);
  yield place(SITE, 'si', { extension: [{ url: TIMEZONE, valueCode: 'America/New_York' }] });
  for (const n of numbers) yield place(roomId(n), 'ro', { partOf: { reference: `Location/${SITE}` } });
  for (const n of numbers) yield doctor(n);
  for (let n = 0; n <= serviceOf(size, size.calendars - 1); n++) yield service(n);
  for (const n of numbers) yield schedule(n, size);
}
