/** Visits that have the time of a Schedule. @see https://hl7.org/fhir/R4/schedule.html */
import type { Appointment } from '@medplum/fhirtypes';
import type { Access } from '../fhir/access.ts';
import type { Reader } from '../fhir/store/repository.ts';
import { sql } from '../platform/database/sql.ts';
import type { Directory, ScheduleEntry } from './directory.ts';
import type { Interval } from './model/interval.ts';
import { candidateAt } from './offered.ts';
import { readSlots, slotsOf } from './slots.ts';
import { visitOfAppointment, type Visit } from './visit.ts';

const iso = (ms: number): string => new Date(ms).toISOString();

/** Ids of live appointments that have a time of a Schedule, or of those who belong to it. */
async function idsIn(
  reader: Pick<Reader, 'query'>,
  { actors, schedule }: ScheduleEntry,
  { start, end }: Interval,
): Promise<readonly string[]> {
  const span = sql`tstzrange(${iso(start)}::timestamptz, ${iso(end)}::timestamptz)`;
  // A Schedule that is nobody's is known by the service and the place.
  const of = schedule.actor.flatMap((a) => a.reference ?? []);
  const rows = await reader.query(
    actors.length > 0
      ? sql`select distinct o.appointment from scheduling_rows(${actors.map((a) => a.key)}::uuid[], ${span}) o
            where o.expires is null or o.expires > now()`
      : sql`select a.id from appointment a where a.actor && ${of}::text[] and a.status in ('pending', 'booked', 'arrived', 'checked-in', 'fulfilled')
            and a.date < ${iso(end)}::timestamptz and a.date > ${iso(start)}::timestamptz - interval '1 day'
            and not exists (select from scheduling_hold h where h.appointment = a.id and h.expires <= now())`,
  );
  return rows.map(([id]) => String(id));
}

/** Of which of several Schedules a visit is may be open: all of them, or those that offer its time. */
function schedulesOf({ schedules, possible, start = 0 }: Visit): readonly string[] {
  const offering = possible.filter((o) => candidateAt(o, start) !== undefined);
  return possible.length === 0 ? schedules : (offering.length > 0 ? offering : possible).map((o) => o.entry.reference);
}

export interface ScheduledVisit {
  readonly appointment: Appointment;
  readonly visit: Visit;
  /** `Schedule/1`: of which it may be. */
  readonly schedules: readonly string[];
}

/** Live visits in a span of a Schedule, or of those who belong to it, as far as whoever asks may see them. */
export async function visitsIn(
  baseUrl: string,
  access: Access,
  reader: Reader,
  directory: Directory,
  entry: ScheduleEntry,
  span: Interval,
): Promise<readonly ScheduledVisit[]> {
  const found: ScheduledVisit[] = [];
  for (const id of await idsIn(reader, entry, span)) {
    const stored = await reader.read('Appointment', id, access.to('read'));
    if (stored?.content === undefined) continue;
    const appointment = JSON.parse(stored.content) as Appointment;
    const slots = await readSlots(reader.query, slotsOf(appointment, baseUrl));
    const visit = visitOfAppointment(directory, baseUrl, appointment, slots);
    const inside = (visit.start ?? 0) < span.end && (visit.end ?? 0) > span.start;
    if (inside) found.push({ appointment, visit, schedules: schedulesOf(visit) });
  }
  return found;
}
