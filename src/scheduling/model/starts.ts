/**
 * Where visits may start: instants whose wall clock lies on the grid, so that a label which clocks jump over never occurs, and one that
 * they show twice is two real starts.
 * @see https://profiles.ihe.net/ITI/Scheduling/ITI-115.html
 */
import type { Window } from './availability.ts';
import { DAY, MINUTE } from './dates.ts';
import { type Interval, merge, overlaps } from './interval.ts';
import { freeLane, type Lane } from './lanes.ts';
import type { Parameters } from './rules.ts';
import { zoneNamed } from './zone.ts';

type Layout = Pick<
  Parameters,
  'duration' | 'interval' | 'offset' | 'before' | 'after' | 'strictBuffers' | 'bufferIntoBreak'
>;

/** A visit that holds an actor's time, buffers included. Lane 0 holds all lanes. */
export interface Taken extends Interval, Lane {
  readonly actor: string;
  /** It ends by itself, unless it is booked. */
  readonly isHold?: boolean;
}

export interface StartsInput {
  readonly windows: readonly Window[];
  readonly blocks: readonly Interval[];
  readonly taken: readonly Taken[];
  /** All of them are needed. */
  readonly actors: readonly string[];
  readonly parameters: Parameters;
  /** Starts in `[from, to)` are asked for. */
  readonly from: number;
  readonly to: number;
  /** By notice and horizon: starts in `[earliest, latest)` may be booked. */
  readonly earliest: number;
  readonly latest: number;
}

export const visitAt = (start: number, layout: Layout): Interval => ({
  start,
  end: start + layout.duration * MINUTE,
});

export const paddedAt = (start: number, layout: Layout): Interval => ({
  start: start - layout.before * MINUTE,
  end: start + (layout.duration + layout.after) * MINUTE,
});

/** Instants of the grid in `[from, last]`, ascending. */
function* gridOf(window: Pick<Window, 'start' | 'origin' | 'zone'>, layout: Layout, from: number, last: number) {
  const step = layout.interval * MINUTE;
  if (!(step > 0)) return;
  if (window.origin.kind === 'opening') {
    const first = window.start + Math.max(0, Math.ceil((from - window.start) / step)) * step;
    for (let start = first; start <= last; start += step) yield start;
    return;
  }
  const zone = zoneNamed(window.zone);
  const offset = layout.offset * MINUTE;
  // From change to change of the clock, and from midnight to midnight: in such a piece the grid is even.
  for (let at = from; at <= last;) {
    const ahead = zone.offsetAt(at);
    const midnight = Math.floor((at + ahead) / DAY) * DAY - ahead;
    const end = Math.min(zone.nextChange(at), midnight + DAY);
    const first = midnight + offset + Math.ceil((at - midnight - offset) / step) * step;
    for (let start = first; start < end && start <= last; start += step) yield start;
    at = end;
  }
}

/** Whether the visit, and with it the buffers that must, stays clear of the breaks. */
const missesBreaks = (window: Pick<Window, 'breaks'>, start: number, layout: Layout): boolean => {
  const visit = layout.bufferIntoBreak ? visitAt(start, layout) : paddedAt(start, layout);
  return window.breaks.every((each) => !overlaps(each, visit));
};

function startsWithin(
  window: Pick<Window, 'start' | 'end' | 'breaks' | 'origin' | 'zone'>,
  layout: Layout,
  span: Interval,
) {
  const [before, after] = layout.strictBuffers ? [layout.before, layout.after] : [0, 0];
  const from = Math.max(window.start + before * MINUTE, span.start);
  const last = Math.min(window.end - (layout.duration + after) * MINUTE, span.end - 1);
  const starts: number[] = [];
  for (const start of gridOf(window, layout, from, last)) {
    if (missesBreaks(window, start, layout)) starts.push(start);
  }
  return starts;
}

/** Every start of a visit that the window has room for, ascending. A visit lasts its duration in elapsed time. */
export const candidateStarts = (
  window: Interval & Pick<Window, 'breaks' | 'origin' | 'zone'>,
  layout: Layout,
): number[] => startsWithin(window, layout, { start: -Infinity, end: Infinity });

export const isOnGrid = (window: Pick<Window, 'start' | 'origin' | 'zone'>, layout: Layout, start: number): boolean =>
  start >= window.start && !gridOf(window, layout, start, start).next().done;

/** Whether the window has room for a visit that starts then. */
export const admits = (window: Window, layout: Layout, start: number): boolean =>
  startsWithin(window, layout, { start, end: start + 1 }).includes(start);

/** Answers, for spans asked for in ascending order, which of these have a moment in them. What it answers is good until the next question. */
function sweep<T extends Interval>(list: readonly T[]): (start: number, end: number) => readonly T[] {
  const isSorted = list.every((each, i) => i === 0 || (list[i - 1]?.start ?? 0) <= each.start);
  const sorted = isSorted ? list : [...list].sort((a, b) => a.start - b.start);
  let next = 0;
  let open: T[] = [];
  return (start, end) => {
    if (open.some((each) => each.end <= start)) open = open.filter((each) => each.end > start);
    for (let each = sorted[next]; each && each.start < end; each = sorted[++next]) {
      if (each.end > start && each.end > each.start) open.push(each);
    }
    return open;
  };
}

/** A start that windows have room for, and how many visits its actors may have at a time. */
export interface Candidate {
  readonly start: number;
  readonly capacity: number;
}

/** Starts in a span with the greatest capacity of the windows that have room for them, ascending: more tolerance never has less room. */
export function candidates(
  windows: readonly Window[],
  parameters: Layout & Pick<Parameters, 'capacity'>,
  span: Interval,
): Candidate[] {
  const capacities = new Map<number, number>();
  for (const window of windows) {
    const capacity = window.capacity ?? parameters.capacity;
    for (const start of startsWithin(window, parameters, span)) {
      capacities.set(start, Math.max(capacity, capacities.get(start) ?? 0));
    }
  }
  return [...capacities].map(([start, capacity]) => ({ start, capacity })).sort((a, b) => a.start - b.start);
}

/**
 * Of candidates in ascending order those that may be booked: clear of blocks, and with a lane of every actor that is free for the whole visit
 * and its buffers.
 * @param taken actor by actor
 */
export function freeAmong(
  offered: readonly Candidate[],
  {
    blocks,
    taken,
    parameters,
  }: Pick<StartsInput, 'blocks'> & { readonly taken: readonly (readonly Taken[])[]; readonly parameters: Layout },
): readonly number[] {
  const blocked = blocks.length > 0 ? sweep(merge(blocks)) : undefined;
  const busy = taken.map(sweep);
  const before = parameters.before * MINUTE;
  const duration = parameters.duration * MINUTE;
  const after = parameters.after * MINUTE;
  const free: number[] = [];
  for (const { start, capacity } of offered) {
    const end = start + duration;
    const from = start - before;
    const upto = end + after;
    if (blocked && (parameters.strictBuffers ? blocked(from, upto) : blocked(start, end)).length > 0) continue;
    let isFree = true;
    for (const takenIn of busy) {
      const met = takenIn(from, upto);
      isFree = met.length === 0 || freeLane(met, capacity) !== undefined;
      if (!isFree) break;
    }
    if (isFree) free.push(start);
  }
  return free;
}

/** The starts that may be booked, ascending: in a window and on its grid, by notice and horizon, and free. */
export const freeStarts = (input: StartsInput): readonly number[] =>
  freeAmong(
    candidates(input.windows, input.parameters, {
      start: Math.max(input.from, input.earliest),
      end: Math.min(input.to, input.latest),
    }),
    {
      blocks: input.blocks,
      taken: [...new Set(input.actors)].map((actor) => input.taken.filter((each) => each.actor === actor)),
      parameters: input.parameters,
    },
  );
