/**
 * Starts that may be booked now: the rules of the offers asked for, less what holds time. The one source of `$find`, of alternatives and of the plain API.
 * @see https://profiles.ihe.net/ITI/Scheduling/ITI-115.html
 */
import { breather } from '../fhir/breathe.ts';
import { badRequest } from '../fhir/outcome.ts';
import type { Actor } from './actor.ts';
import type { Calendars } from './calendars.ts';
import { capsLeft } from './caps.ts';
import type { Directory, DirectorySource, Offer } from './directory.ts';
import { DAY, MINUTE } from './model/dates.ts';
import type { Interval } from './model/interval.ts';
import type { Window } from './model/availability.ts';
import { candidates, freeAmong, type Candidate, type Taken } from './model/starts.ts';
import type { Channel } from './model/rules.ts';
import type { Zone } from './model/zone.ts';
import { bookable, openedWindow, startsBetween, timeOff } from './offered.ts';
import { ofService, type Source, type State } from './state.ts';
import { selectOffers, type Choice, type Wanted } from './select.ts';
import { capacityAt } from './visit.ts';

export interface FreeStart {
  readonly offer: Offer;
  readonly start: number;
  readonly rank: number;
  /** Rooms or devices of which one is free then; empty: none is needed. */
  readonly pool: readonly Actor[];
  /** The first of them that is free, where rooms were asked for by name. */
  readonly room?: Actor;
}

/** The free starts of one offer, ascending. */
interface FreeOfChoice {
  readonly choice: Choice;
  readonly starts: readonly number[];
  /** Rooms or devices of which one is free at a start. */
  readonly pools?: ReadonlyMap<number, readonly Actor[]>;
}

export interface FindRequest extends Interval {
  readonly wanted: Wanted;
  readonly channel: Channel;
  readonly now: number;
  /** Actors that must be free besides: a patient. */
  readonly also: readonly Actor[];
  /** An appointment that is not in its own way. */
  readonly ignoring?: string;
  /** The span by the clock of each place, in which visits must end as well; within that of all. */
  spanAt?(zone: Zone | undefined): Interval;
}

/** Days of calendars that one request looks through. */
const MOST_DAYS = 3_000;

const NONE: readonly never[] = [];

/** Hand-made openings for an offer, as windows. */
export const openedWindows = (offer: Offer, state: State): readonly Window[] =>
  ofService(state.openings.get(offer.entry.reference), offer.serviceReference).map((o) =>
    openedWindow(offer, o, o.slot),
  );

/** Starts of hand-made openings: time off comes before them. */
function openedStarts(offer: Offer, state: State, span: Interval): readonly Candidate[] {
  const windows = openedWindows(offer, state);
  if (windows.length === 0) return NONE;
  const starts = candidates(windows, offer.parameters, span);
  const awake = new Set(freeAmong(starts, { blocks: timeOff(offer, span), taken: NONE, parameters: offer.parameters }));
  return starts
    .filter(({ start }) => awake.has(start))
    .map(({ start }) => ({ start, capacity: capacityAt(offer, start) }));
}

/** Rooms or devices that would do; undefined: none of those that are asked for. */
export function poolFor({ offer, pool, named }: Choice, channel: Channel): readonly Actor[] | undefined {
  if (!named || channel === 'staff') return pool;
  // Patients take the rooms that the service is given in.
  const theirs = pool.filter((a) => offer.pool.some((b) => b.reference === a.reference));
  return theirs.length > 0 ? theirs : undefined;
}

function joined(a: readonly Candidate[], b: readonly Candidate[]): readonly Candidate[] {
  if (b.length === 0) return a;
  const all = new Map([...b, ...a].map((c) => [c.start, c]));
  return [...all.values()].sort((x, y) => x.start - y.start);
}

const NOTHING: readonly number[] = [];

function freeOf(choice: Choice, state: State, request: FindRequest): FreeOfChoice {
  const { offer } = choice;
  const { parameters, entry } = offer;
  const nothing = { choice, starts: NOTHING };
  const pool = poolFor(choice, request.channel);
  if (!pool) return nothing;
  if (!parameters.channels.includes(request.channel)) return nothing;
  const { earliest, latest } = bookable(offer, request.channel, request.now);
  const asked = request.spanAt?.(entry.zone);
  const last = asked ? asked.end - parameters.duration * MINUTE + 1 : request.end;
  const span = { start: Math.max(asked?.start ?? request.start, earliest), end: Math.min(last, latest) };
  if (span.start >= span.end) return nothing;
  const offered = joined(startsBetween(offer, span.start, span.end), openedStarts(offer, state, span));
  if (offered.length === 0) return nothing;
  const takenOf = (actors: readonly Actor[]): (readonly Taken[])[] =>
    actors.flatMap((a) => {
      const taken = state.taken.get(a.key);
      return taken ? [taken] : [];
    });
  const blocks = ofService(state.blocks.get(entry.reference), offer.serviceReference);
  const free = freeAmong(offered, { blocks, taken: takenOf(entry.actors), parameters });
  // A patient is in one place at a time, and needs no time before or after.
  const withPatient =
    request.also.length === 0
      ? free
      : freeAmong(
          free.map((start) => ({ start, capacity: 1 })),
          { blocks: NONE, taken: takenOf(request.also), parameters: { ...parameters, before: 0, after: 0 } },
        );
  if (pool.length === 0) return { choice, starts: withPatient };
  const capacities = new Map(offered.map((c) => [c.start, c.capacity]));
  const wished = withPatient.map((start) => ({ start, capacity: capacities.get(start) ?? parameters.capacity }));
  const pools = new Map<number, Actor[]>();
  for (const actor of pool) {
    for (const start of freeAmong(wished, { blocks: NONE, taken: takenOf([actor]), parameters })) {
      const list = pools.get(start);
      if (list) list.push(actor);
      else pools.set(start, [actor]);
    }
  }
  return { choice, starts: withPatient.filter((start) => pools.has(start)), pools };
}

function startOf({ choice, pools }: FreeOfChoice, start: number): FreeStart {
  const pool = pools?.get(start) ?? NONE;
  const [room] = pool;
  return { offer: choice.offer, start, rank: choice.rank, pool, ...(choice.named && room && { room }) };
}

/** Orders of a start and the number of its choice as one number: more choices than this are refused. */
const MOST_CHOICES = 2_048;

/** By preference, then by start: as places in a list of so many choices, made into more than numbers only where they are asked for. */
function inOrder(all: readonly FreeOfChoice[]): Found['page'] {
  const ordered: Float64Array[] = [];
  for (let from = 0; from < all.length;) {
    const rank = all[from]?.choice.rank;
    let upto = from;
    let count = 0;
    for (; all[upto]?.choice.rank === rank && upto < all.length; upto++) count += all[upto]?.starts.length ?? 0;
    const keys = new Float64Array(count);
    for (let i = from, at = 0; i < upto; i++)
      for (const start of all[i]?.starts ?? NOTHING) keys[at++] = start * MOST_CHOICES + i;
    ordered.push(upto - from === 1 ? keys : keys.sort());
    from = upto;
  }
  return (offset, count) => {
    const found: FreeStart[] = [];
    let before = 0;
    for (const keys of ordered) {
      const until = Math.min(keys.length, offset + count - before);
      for (let i = Math.max(0, offset - before); i < until; i++) {
        const key = keys[i] ?? 0;
        const of = all[key % MOST_CHOICES];
        if (of) found.push(startOf(of, Math.floor(key / MOST_CHOICES)));
      }
      before += keys.length;
    }
    return found;
  };
}

const widest = (choices: readonly Choice[]): number =>
  choices.reduce((most, { offer: { parameters: p } }) => Math.max(most, p.duration + p.before + p.after), 0) * MINUTE;

export interface Found {
  readonly directory: Directory;
  readonly total: number;
  /** Some of them: by preference, then by start. */
  page(offset: number, count: number): readonly FreeStart[];
}

/** Where visits are counted, each start is looked at. */
async function withoutFull(
  engine: Source,
  all: readonly FreeOfChoice[],
  request: FindRequest,
): Promise<readonly FreeOfChoice[]> {
  if (all.every(({ choice }) => choice.offer.parameters.caps.length === 0)) return all;
  const counted = all.map((of) => of.starts.map((start) => startOf(of, start)));
  const left = new Set(await capsLeft(engine, counted.flat(), request));
  return all.map((of, i) => ({
    ...of,
    starts: (counted[i] ?? []).filter((each) => left.has(each)).map((each) => each.start),
  }));
}

/** What looking for times needs: the store, or an open transaction. */
export interface FindParts {
  readonly engine: Source;
  readonly directory: Pick<DirectorySource, 'current' | 'renewed'>;
  readonly calendars: Calendars;
}

/** @throws FhirError 400 when it is too much */
export async function findStarts(
  { engine, directory: source, calendars }: FindParts,
  request: FindRequest,
): Promise<Found> {
  let directory = await source.current();
  for (let tries = 0; ; tries++) {
    const choices = selectOffers(directory, request.wanted);
    const days = Math.ceil((request.end - request.start) / DAY);
    if (choices.length * days > MOST_DAYS || choices.length > MOST_CHOICES)
      throw badRequest(
        'too-costly',
        `This asks for the times of ${choices.length} calendars at once: name a service, a practitioner or a place, or fewer days.`,
        'end',
      );
    const actors = new Set(
      [...choices.flatMap((c) => [...c.offer.entry.actors, ...c.pool]), ...request.also].map((a) => a.key),
    );
    const schedules = new Set(choices.map((c) => c.offer.entry.reference));
    const reach = widest(choices);
    const state = await calendars.read({
      actors: [...actors],
      schedules: [...schedules],
      start: request.start - reach,
      end: request.end + reach,
      ignoring: request.ignoring,
    });
    if (state.revision !== directory.revision && tries < 3) {
      directory = await source.renewed(directory.revision);
      continue;
    }
    const found: FreeOfChoice[] = [];
    const breathe = breather();
    for (const choice of choices) {
      found.push(freeOf(choice, state, request));
      await breathe();
    }
    const left = await withoutFull(engine, found, request);
    const total = left.reduce((sum, { starts }) => sum + starts.length, 0);
    return { directory, total, page: inOrder(left) };
  }
}
