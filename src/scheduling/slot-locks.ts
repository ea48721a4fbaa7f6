/**
 * Slots that are written by hand, locked together with all that may have to follow them: the people whose time it is, the rooms that a hold may take, and
 * the other Slots of these at that time, in the order in which bookings ask for them.
 * @see https://www.postgresql.org/docs/18/explicit-locking.html#LOCKING-DEADLOCKS
 */
import type { Resource } from '@medplum/fhirtypes';
import { localReference } from '../fhir/search/type/reference.ts';
import type { Transaction } from '../fhir/store/repository.ts';
import { sql } from '../platform/database/sql.ts';
import type { Actor } from './actor.ts';
import type { Directory, ScheduleEntry } from './directory.ts';
import { MINUTE } from './model/dates.ts';
import { directoryOf, type SchedulingParts } from './parts.ts';
import { keysOf, lockActors } from './time-lock.ts';

interface Place {
  readonly schedule: string;
  readonly start: number;
  readonly end: number;
}

async function placesOf(
  { engine }: SchedulingParts,
  tx: Transaction,
  entries: readonly { readonly id: string; readonly after?: Resource }[],
): Promise<readonly Place[]> {
  const rows = await tx.execute(
    sql`select s.schedule, (extract(epoch from s.start) * 1000)::int8, (extract(epoch from s."end") * 1000)::int8 from slot s where s.id = any(${entries.map((e) => e.id)})`,
  );
  const stored = rows.map(([schedule, start, end]) => ({
    schedule: String(schedule),
    start: Number(start),
    end: Number(end),
  }));
  const wanted = entries.flatMap(({ after }) =>
    after?.resourceType === 'Slot'
      ? [
          {
            schedule: localReference(after.schedule.reference ?? '', engine.baseUrl),
            start: Date.parse(after.start),
            end: Date.parse(after.end),
          },
        ]
      : [],
  );
  return [...stored, ...wanted];
}

/** Rooms of which a hold of a Slot takes one. */
const roomsOf = ({ offers }: ScheduleEntry): readonly Actor[] => offers.flatMap((o) => o.pool);

/** Schedules of the same people, and those whose visits may need the same room. */
const besideOf = (directory: Directory, entry: ScheduleEntry): readonly ScheduleEntry[] =>
  [...entry.actors, ...roomsOf(entry)].flatMap(({ reference }) => [
    ...directory.of(reference),
    ...directory.pooling(reference).map((offer) => offer.entry),
  ]);

const iso = (ms: number): string => new Date(ms).toISOString();

export async function lockSlots(
  parts: SchedulingParts,
  tx: Transaction,
  entries: readonly { readonly id: string; readonly after?: Resource }[],
): Promise<void> {
  const places = await placesOf(parts, tx, entries);
  const directory = await directoryOf(parts, tx);
  const own = places.flatMap((p) => directory.entry(p.schedule) ?? []);
  await lockActors(
    tx,
    own.flatMap((entry) => [...keysOf(entry), ...roomsOf(entry).map((a) => a.key)]),
  );
  const all = [...new Set([...own, ...own.flatMap((entry) => besideOf(directory, entry))])];
  const reach = all
    .flatMap((entry) => entry.offers)
    .reduce((most, { parameters: { before, after } }) => Math.max(most, before + after), 0);
  // Slots of a Schedule that nobody knows are beside none.
  const schedules = [...new Set([...places.map((p) => p.schedule), ...all.map((e) => e.reference)])];
  const spans = places.map((p) => ({ from: iso(p.start - reach * MINUTE), upto: iso(p.end + reach * MINUTE) }));
  await tx.execute(
    sql`select from slot r where r.schedule = any(${schedules}) and exists (
          select from json_to_recordset(${JSON.stringify(spans)}::json) p("from" timestamptz, upto timestamptz)
          where r.start < p.upto and r."end" > p."from") order by r.id for no key update`,
  );
}
