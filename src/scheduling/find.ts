/**
 * Starts that may be booked now: the rules of the offers asked for, less what holds time. The one source of `$find`, of alternatives and of the plain API.
 * @see https://profiles.ihe.net/ITI/Scheduling/ITI-115.html
 */
import { breather } from '../fhir/breathe.ts';
import { badRequest } from '../fhir/outcome.ts';
import type { Actor } from './actor.ts';
import { capsLeft } from './caps.ts';
import type { Directory, DirectorySource, Offer } from './directory.ts';
import { DAY, MINUTE } from './model/dates.ts';
import type { Interval } from './model/interval.ts';
import { candidates, freeAmong, type Candidate, type Taken } from './model/starts.ts';
import type { Channel } from './model/rules.ts';
import type { Zone } from './model/zone.ts';
import { bookable, startsBetween } from './offered.ts';
import { ofService, readState, type Source, type State } from './state.ts';
import { selectOffers, type Choice, type Wanted } from './select.ts';

export interface FreeStart {
  readonly offer: Offer;
  readonly start: number;
  readonly rank: number;
  /** Rooms or devices of which one is free then; empty: none is needed. */
  readonly pool: readonly Actor[];
  /** The first of them that is free, where rooms were asked for by name. */
  readonly room?: Actor;
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

/** Starts of hand-made openings. */
function openedStarts(offer: Offer, state: State, span: Interval): readonly Candidate[] {
  const openings = ofService(state.openings.get(offer.entry.reference), offer.serviceReference);
  if (openings.length === 0) return NONE;
  const zone = offer.entry.zone?.name ?? 'UTC';
  const windows = openings.map(({ start, end, slot }) => ({
    start,
    end,
    breaks: NONE,
    zone,
    origin: { kind: 'opening' as const, id: slot },
  }));
  return candidates(windows, offer.parameters, span);
}

function joined(a: readonly Candidate[], b: readonly Candidate[]): readonly Candidate[] {
  if (b.length === 0) return a;
  const all = new Map([...b, ...a].map((c) => [c.start, c]));
  return [...all.values()].sort((x, y) => x.start - y.start);
}

function freeOf(choice: Choice, state: State, request: FindRequest): FreeStart[] {
  const { offer, rank, named } = choice;
  const { parameters, entry } = offer;
  // Patients take the rooms that the service is given in.
  const inPool = (a: Actor): boolean => offer.pool.some((b) => b.reference === a.reference);
  const pool = named && request.channel === 'patient' ? choice.pool.filter(inPool) : choice.pool;
  if (named && pool.length === 0) return [];
  if (!parameters.channels.includes(request.channel)) return [];
  const { earliest, latest } = bookable(offer, request.channel, request.now);
  const asked = request.spanAt?.(entry.zone);
  const last = asked ? asked.end - parameters.duration * MINUTE + 1 : request.end;
  const span = { start: Math.max(asked?.start ?? request.start, earliest), end: Math.min(last, latest) };
  if (span.start >= span.end) return [];
  const offered = joined(startsBetween(offer, span.start, span.end), openedStarts(offer, state, span));
  if (offered.length === 0) return [];
  const blocks = ofService(state.blocks.get(entry.reference), offer.serviceReference);
  const takenOf = (actors: readonly Actor[]): readonly Taken[] =>
    actors.length === 1 && actors[0]
      ? (state.taken.get(actors[0].key) ?? NONE)
      : actors.flatMap((a) => state.taken.get(a.key) ?? NONE);
  const free = freeAmong(offered, {
    blocks,
    taken: takenOf(entry.actors),
    actors: entry.actors.map((a) => a.key),
    parameters,
  });
  // A patient is in one place at a time, and needs no time before or after.
  const bare = { ...parameters, before: 0, after: 0 };
  const alone = (list: readonly number[]): readonly Candidate[] => list.map((start) => ({ start, capacity: 1 }));
  const withPatient =
    request.also.length === 0
      ? free
      : freeAmong(alone(free), {
          blocks: NONE,
          taken: takenOf(request.also),
          actors: request.also.map((a) => a.key),
          parameters: bare,
        });
  if (pool.length === 0) return withPatient.map((start) => ({ offer, start, rank, pool: NONE }));
  const capacities = new Map(offered.map((c) => [c.start, c.capacity]));
  const wished = withPatient.map((start) => ({ start, capacity: capacities.get(start) ?? parameters.capacity }));
  const each = pool.map(
    (actor) =>
      [
        actor,
        new Set(freeAmong(wished, { blocks: NONE, taken: takenOf([actor]), actors: [actor.key], parameters })),
      ] as const,
  );
  return withPatient.flatMap((start) => {
    const left = each.filter(([, starts]) => starts.has(start)).map(([actor]) => actor);
    const [room] = left;
    return room ? [{ offer, start, rank, pool: left, ...(named && { room }) }] : [];
  });
}

const widest = (choices: readonly Choice[]): number =>
  choices.reduce((most, { offer: { parameters: p } }) => Math.max(most, p.duration + p.before + p.after), 0) * MINUTE;

export interface Found {
  readonly directory: Directory;
  /** By preference, then by start. */
  readonly starts: readonly FreeStart[];
}

export async function findStarts(
  engine: Source,
  source: Pick<DirectorySource, 'current' | 'renewed'>,
  request: FindRequest,
): Promise<Found> {
  let directory = await source.current();
  for (let tries = 0; ; tries++) {
    const choices = selectOffers(directory, request.wanted);
    if (choices.length * Math.ceil((request.end - request.start) / DAY) > MOST_DAYS)
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
    const state = await readState(
      engine,
      [...actors],
      [...schedules],
      { start: request.start - reach, end: request.end + reach },
      request.ignoring,
    );
    if (state.revision !== directory.revision && tries < 3) {
      directory = await source.renewed(directory.revision);
      continue;
    }
    const starts: FreeStart[] = [];
    const breathe = breather();
    for (const choice of choices) {
      for (const free of freeOf(choice, state, request)) starts.push(free);
      await breathe();
    }
    const left = await capsLeft(engine, starts, request);
    return {
      directory,
      starts: choices.length === 1 ? left : [...left].sort((a, b) => a.rank - b.rank || a.start - b.start),
    };
  }
}
