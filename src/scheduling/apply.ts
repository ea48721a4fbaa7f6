/**
 * What changes of appointments do to the rows of time, as the one statement that the database runs for them. The constraint there decides every race.
 * @see https://www.postgresql.org/docs/18/ddl-constraints.html#DDL-CONSTRAINTS-EXCLUSION
 */
import type { Actor } from './actor.ts';
import { capRows, type CapRow } from './caps.ts';
import type { Directory } from './directory.ts';
import { MINUTE } from './model/dates.ts';
import { spanOf, spansIn, type Span } from './spans.ts';
import { keysOf, locksOf } from './time-lock.ts';
import { capacityAt, type Visit } from './visit.ts';

/** A visit before and after a change; undefined: it was, or is, not there. */
export interface VisitChange {
  readonly id: string;
  readonly version: number;
  readonly before: Visit | undefined;
  readonly after: Visit | undefined;
  /** Staff may be in the way of a patient's other visit, and is told so; patients may not. */
  readonly forgivesPatients: boolean;
  /** Live holds that a patient may have; undefined: no limit. */
  readonly mostHolds: number | undefined;
}

const iso = (ms: number): string => new Date(ms).toISOString();

interface OccupancyRow {
  readonly appointment: string;
  readonly actor: string;
  readonly ref: string;
  readonly start: string;
  readonly end: string;
  readonly capacity: number;
  readonly tentative: boolean;
  readonly expires: string | null;
  /** What becomes of it when the time is taken: `override`: it is there all the same; `warn`: and whoever did it is told. */
  readonly force: 'override' | 'warn' | null;
}

/**
 * Whether the visit is where it is over the rules. A reason given for one time, or one actor, is none for another.
 * @param actor undefined: the time
 */
function isOverridden(visit: Visit, before: Visit | undefined, actor?: Actor): boolean {
  if (visit.overrideReason === undefined) return false;
  if (!before || before.overrideText !== visit.overrideText) return true;
  const sameTime = before.start === visit.start && before.end === visit.end;
  return sameTime && (!actor || [...before.actors, ...before.patients].some((a) => a.key === actor.key));
}

function rowsOf(visit: Visit, was: Visit | undefined, forgivesPatients: boolean): OccupancyRow[] {
  const { start, end, offer } = visit;
  if (!visit.holds || start === undefined || end === undefined) return [];
  const { before = 0, after = 0 } = offer?.parameters ?? {};
  const common = {
    appointment: visit.id,
    tentative: visit.status === 'pending',
    expires: visit.expires === undefined ? null : iso(visit.expires),
  };
  const capacity = capacityAt(offer, start);
  return [
    ...visit.actors.map(
      (a) =>
        ({
          ...common,
          actor: a.key,
          ref: a.reference,
          start: iso(start - before * MINUTE),
          end: iso(end + after * MINUTE),
          capacity,
          force: isOverridden(visit, was, a) ? 'override' : null,
        }) as const,
    ),
    ...visit.patients.map(
      (p) =>
        ({
          ...common,
          actor: p.key,
          ref: p.reference,
          start: iso(start),
          end: iso(end),
          capacity: 1,
          force: isOverridden(visit, was, p) ? 'override' : forgivesPatients ? 'warn' : null,
        }) as const,
    ),
  ];
}

/** Slots of whomever a visit occupies or occupied, in every Schedule of theirs, and of all offers that might take place in its room. */
function spansOf(directory: Directory, visit: Visit | undefined): Span[] {
  if (!visit?.holds || visit.start === undefined || visit.end === undefined) return [];
  const { before = 0, after = 0 } = visit.offer?.parameters ?? {};
  const [from, upto] = [iso(visit.start - before * MINUTE), iso(visit.end + after * MINUTE)];
  return visit.actors.flatMap(({ reference }) => [
    ...directory.of(reference).flatMap((entry) => spansIn(entry, from, upto)),
    ...directory.pooling(reference).map((offer) => spanOf(offer, from, upto)),
  ]);
}

const distinct = (spans: readonly Span[]): Span[] => [
  ...new Map(spans.map((s) => [`${s.schedule} ${s.service ?? ''} ${s.from} ${s.upto}`, s])).values(),
];

/** Whether a change leaves the rows of time as they are. */
function keepsTime(before: OccupancyRow[], after: OccupancyRow[]): boolean {
  return before.length === after.length && JSON.stringify(before) === JSON.stringify(after);
}

/** Whether a visit is with nobody, or in no Schedule, where it was not before. */
const keepsPlace = (before: Visit, after: Visit): boolean =>
  after.actors.every((a) => before.actors.some((b) => b.key === a.key)) ||
  after.schedules.every((s) => before.schedules.includes(s));

/** The parameter of `scheduling_apply`. */
export interface Apply {
  readonly revision: string;
  readonly leave: readonly string[];
  readonly freed: readonly string[];
  /** The locks of all whose time is given up or taken, ascending. */
  readonly locks: readonly number[];
  readonly caps: readonly CapRow[];
  readonly visits: readonly object[];
  readonly rows: readonly OccupancyRow[];
  /** Some actor has several visits at a time. */
  readonly groups: boolean;
  /** Some visit is there whoever has the time. */
  readonly forced: boolean;
  readonly holds: readonly object[];
  readonly spans: readonly Span[];
  readonly events: readonly object[];
}

export function applyOf(directory: Directory, changes: readonly VisitChange[]): Apply {
  const leave: string[] = [];
  const freed = new Set<string>();
  const caps: CapRow[] = [];
  const visits: object[] = [];
  const rows: OccupancyRow[] = [];
  const locked = new Set<string>();
  const holds: object[] = [];
  const spans: Span[] = [];
  for (const { id, before, after, forgivesPatients, mostHolds } of changes) {
    const was = before ? rowsOf(before, before, forgivesPatients) : [];
    const is = after ? rowsOf(after, before, forgivesPatients) : [];
    // A pending one may have run out, and its rows be gone.
    if (keepsTime(was, is) && before?.status !== 'pending') continue;
    if (before) leave.push(id);
    for (const row of was) freed.add(row.actor);
    rows.push(...is);
    const keeps = before !== undefined && after !== undefined && keepsPlace(before, after);
    const stays =
      keeps && before.holds && before.status !== 'pending' && before.start === after.start && before.end === after.end;
    if (after?.holds && after.start !== undefined && after.end !== undefined) {
      if (after.expires !== undefined)
        holds.push({
          appointment: id,
          patient: after.patients[0]?.reference ?? null,
          expires: iso(after.expires),
          most: mostHolds ?? null,
        });
      const judged = !stays && !isOverridden(after, before);
      if (after.offer && judged)
        caps.push(
          ...capRows(
            after.offer,
            after.start,
            after.patients.map((p) => p.reference),
          ),
        );
      if (after.offer) for (const key of keysOf(after.offer.entry)) locked.add(key);
      if (judged)
        visits.push({
          appointment: id,
          schedules: after.schedules,
          slots: after.slots,
          service: after.service ?? null,
          start: iso(after.start),
          end: iso(after.end),
          keeps,
        });
    }
    spans.push(...spansOf(directory, before), ...spansOf(directory, after));
  }
  return {
    // Also what takes no time was judged by the rules, and Slots are restated by them.
    revision: directory.revision,
    leave,
    freed: [...freed],
    locks: locksOf([...freed, ...rows.map((r) => r.actor), ...locked]),
    caps,
    visits,
    rows,
    groups: rows.some((r) => r.capacity > 1),
    forced: rows.some((r) => r.force === 'override'),
    holds,
    spans: distinct(spans),
    events: changes.map(({ id, version }) => ({ type: 'Appointment', id, version })),
  };
}
