/** The clinic of the calendar's model: four practitioners on one morning, each with a way of booking of their own. */
import { slotId } from '../../../src/scheduling/slot-id.ts';
import {
  at,
  availability,
  done,
  find,
  found,
  later,
  openClinic,
  put,
  schedule,
  service,
  weekly,
  workday,
  type Clinic,
} from '../clinic.ts';
import type { Offer } from './model.ts';

const OWN = 'https://kairos.example/fhir/StructureDefinition';

export const OFFERS: readonly [Offer, Offer, Offer, Offer] = [
  { name: 'visit', schedule: 'visits', practitioner: 'grey', capacity: 1, rooms: [], mode: 'booked' },
  { name: 'class', schedule: 'classes', practitioner: 'house', capacity: 2, rooms: [], mode: 'booked' },
  { name: 'exam', schedule: 'exams', practitioner: 'wilson', capacity: 1, rooms: ['room', 'room-2'], mode: 'booked' },
  { name: 'ask', schedule: 'asks', practitioner: 'cuddy', capacity: 1, rooms: [], mode: 'pending' },
];
export const [VISIT] = OFFERS;

export interface CalendarWorld {
  readonly clinic: Clinic;
  readonly day: string;
  /** Instants at which visits start. */
  readonly starts: readonly number[];
  /** The id of the proposal of each offer and start. */
  readonly proposals: ReadonlyMap<string, string>;
}

/** The Slot of a start with Dr. Grey. */
export const slotOf = (start: number): string => slotId('Schedule/visits', 'HealthcareService/visit', start);

async function offer(
  clinic: Clinic,
  { name, schedule: id, practitioner, capacity, rooms, mode }: Offer,
): Promise<void> {
  const { system } = clinic;
  await put(system, { resourceType: 'Practitioner', id: practitioner, name: [{ family: practitioner }] });
  await put(
    system,
    service(
      name,
      { url: 'capacity', valuePositiveInt: capacity },
      { url: 'mode', valueCode: mode },
      ...rooms.map((r) => ({ url: 'resource', valueReference: { reference: `Location/${r}` } })),
    ),
  );
  const actor = [`Practitioner/${practitioner}`, 'Location/site', `HealthcareService/${name}`].map((reference) => ({
    reference,
  }));
  await put(system, schedule(id, practitioner, { actor, extension: [availability(weekly('09:00:00', '12:00:00'))] }));
}

export async function openCalendar(): Promise<CalendarWorld> {
  const clinic = await openClinic();
  const { system } = clinic;
  for (const id of ['grey', 'house']) done(await system('DELETE', `Schedule/${id}`));
  await put(system, {
    resourceType: 'Location',
    id: 'room-2',
    partOf: { reference: 'Location/site' },
    physicalType: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/location-physical-type', code: 'ro' }] },
  });
  for (const each of OFFERS) await offer(clinic, each);
  return { clinic, day: '', starts: [], proposals: new Map() };
}

/** A morning of its own, so many days ahead. */
export async function openMorning({ clinic }: CalendarWorld, ahead: number): Promise<CalendarWorld> {
  const day = workday(ahead);
  const starts = [0, 1, 2, 3, 4, 5].map((i) => Date.parse(at(day, '09:00')) + i * 30 * 60_000);
  for (const start of starts)
    await put(clinic.system, {
      resourceType: 'Slot',
      id: slotOf(start),
      meta: { tag: [{ system: 'https://kairos.example/fhir/CodeSystem/slot-origin', code: 'generated' }] },
      extension: [{ url: `${OWN}/slot-service`, valueReference: { reference: 'HealthcareService/visit' } }],
      schedule: { reference: 'Schedule/visits' },
      status: 'free',
      start: new Date(start).toISOString(),
      end: later(new Date(start).toISOString(), 30),
    });
  const proposals = new Map<string, string>();
  for (const { name } of OFFERS)
    for (const p of found(
      done(await find(clinic.nobody, `start=${day}&end=${day}&_count=50&service=HealthcareService/${name}`)),
    ))
      proposals.set(`${name} ${Date.parse(String(p['start']))}`, String(p['id']));
  return { clinic, day, starts, proposals };
}
