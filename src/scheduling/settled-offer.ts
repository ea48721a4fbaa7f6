/**
 * Of several offers that a visit may be of, as of a practitioner with several Schedules, the one in which its time was taken, or else in which it is free.
 * @see https://hl7.org/fhir/R4/schedule.html
 */
import type { Reader } from '../fhir/store/repository.ts';
import { sql } from '../platform/database/sql.ts';
import { calendarsWithin } from './calendars.ts';
import type { Directory, Offer } from './directory.ts';
import { findStarts } from './find.ts';
import { MINUTE } from './model/dates.ts';
import type { Channel } from './model/rules.ts';
import { ANYTHING } from './select.ts';
import { capacityAt, fittest, type Visit } from './visit.ts';

type Query = Pick<Reader, 'query'>;

/** The offer by whose rules the time was taken that the visit has. */
async function takenIn(reader: Query, { id, start = 0, end = 0, actors, possible }: Visit): Promise<Offer | undefined> {
  const rows = await reader.query(
    sql`select (extract(epoch from lower(o.during)) * 1000)::int8, (extract(epoch from upper(o.during)) * 1000)::int8, o.capacity
        from occupancy o where o.appointment = ${id} and o.actor = any(${actors.map((a) => a.key)}::uuid[])`,
  );
  const alike = possible.filter((offer) => {
    const { before, after } = offer.parameters;
    return rows.some(
      ([from, upto, capacity]) =>
        Number(from) === start - before * MINUTE &&
        Number(upto) === end + after * MINUTE &&
        Number(capacity) === capacityAt(offer, start),
    );
  });
  return fittest(alike, start, end);
}

/** The first offer in which the start of a visit is free, rather one whose visits are as long. */
export async function freeIn(
  reader: Query,
  directory: Directory,
  possible: readonly Offer[],
  { id, start = 0, end, patients }: Pick<Visit, 'id' | 'start' | 'end' | 'patients'>,
  channel: Channel,
  now: number,
): Promise<Offer | undefined> {
  const known = (): Promise<Directory> => Promise.resolve(directory);
  const engine = { repository: reader };
  const found = await findStarts(
    { engine, directory: { current: known, renewed: known }, calendars: calendarsWithin(engine) },
    {
      wanted: { ...ANYTHING, schedules: [...new Set(possible.map((o) => o.entry.reference))] },
      channel,
      now,
      start,
      end: start + MINUTE,
      also: channel === 'patient' ? patients : [],
      ignoring: id,
    },
  );
  const free = found
    .page(0, found.total)
    .filter((s) => s.start === start && possible.includes(s.offer))
    .map((s) => s.offer);
  return free.find((o) => end === start + o.parameters.duration * MINUTE) ?? free[0];
}

/**
 * @param was the visit as it stands, at the same time
 * @returns undefined: it is clear which, or as clear as it can be
 */
export async function settledOffer(
  reader: Query,
  directory: Directory,
  visit: Visit,
  was: Visit | undefined,
  channel: Channel,
  now: number,
): Promise<Offer | undefined> {
  if (visit.possible.length === 0 || !visit.holds || visit.start === undefined) return undefined;
  const taken = was?.holds ? await takenIn(reader, visit) : undefined;
  return taken ?? freeIn(reader, directory, visit.possible, visit, channel, now);
}
