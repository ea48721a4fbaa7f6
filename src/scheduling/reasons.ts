/**
 * What speaks against a visit, rule by rule: the counterpart of `findStarts` for one start, of which each is free exactly when nothing speaks against it.
 * @see https://hl7.org/fhir/R4/operationoutcome.html
 */
import type { Actor } from './actor.ts';
import { capsLeft } from './caps.ts';
import type { Offer } from './directory.ts';
import { openedWindows, poolFor } from './find.ts';
import { windowsBetween } from './model/availability.ts';
import { DAY, MINUTE } from './model/dates.ts';
import { explainStart, occupied, type ExplainInput, type Reason } from './model/explain.ts';
import type { Calendar, Channel, Parameters } from './model/rules.ts';
import type { Interval } from './model/interval.ts';
import { zoneNamed } from './model/zone.ts';
import { bookable, timeOff } from './offered.ts';
import type { Choice } from './select.ts';
import { ofService, readState, type Source, type State } from './state.ts';
import { capacityAt } from './visit.ts';

export interface Asked {
  readonly choice: Choice;
  readonly start: number;
  readonly channel: Channel;
  /** Who would come. */
  readonly patients: readonly Actor[];
}

const NO_RULES: Omit<Calendar, 'zone'> = { rules: [], overrides: [], holidays: [], notAvailable: [], weekStart: 'mon' };

/** What the model asks of an offer and a start. @param parameters by which the visit is laid out */
function inputOf(offer: Offer, state: State, start: number, parameters: Parameters): ExplainInput {
  const { entry, serviceReference } = offer;
  const span = { start: start - DAY, end: start + DAY };
  return {
    calendar: entry.calendar ?? { ...NO_RULES, zone: entry.zone?.name ?? 'UTC' },
    service: serviceReference,
    windows: [
      ...(entry.calendar ? windowsBetween(entry.calendar, span.start, span.end, serviceReference) : []),
      ...openedWindows(offer, state),
    ],
    blocks: [...timeOff(offer, span), ...ofService(state.blocks.get(entry.reference), serviceReference)],
    taken: [...state.taken.values()].flat(),
    actors: entry.actors.map((a) => a.key),
    parameters,
    from: start,
    to: start + MINUTE,
    earliest: -Infinity,
    latest: Infinity,
    capacity: capacityAt(offer, start),
  };
}

/** Without a zone there are no hours. */
function* place({ entry }: Offer, reasons: readonly Reason[]): Generator<Reason> {
  for (const reason of reasons) {
    if (entry.zone || reason.rule !== 'outside-hours') yield reason;
    else yield { rule: 'time-zone', text: 'no time zone is known for this place, so its hours are not read' };
  }
}

function* channelled({ parameters }: Offer, channel: Channel): Generator<Reason> {
  if (parameters.channels.includes(channel)) return;
  yield { rule: 'channel', text: `this service is not booked by ${channel === 'patient' ? 'patients' : 'staff'}` };
}

/** One of several rooms is needed besides. */
function* roomless(choice: Choice, channel: Channel, input: ExplainInput, start: number): Generator<Reason> {
  const pool = poolFor(choice, channel);
  if (!pool) yield { rule: 'room', text: 'visits of this service are not in the room that is asked for' };
  if (!pool || pool.length === 0) return;
  const zone = zoneNamed(input.calendar.zone);
  const taken = pool.flatMap(({ key, reference, display }) => {
    const [reason] = occupied({ ...input, actors: [key] }, start, input.capacity ?? 1, zone);
    return reason ? [[display, reference, reason.private].filter((text) => text !== undefined).join(', ')] : [];
  });
  if (taken.length < pool.length) return;
  yield { rule: 'room', text: 'none of the rooms or devices that it needs is free', private: taken.join('; ') };
}

/** What the hours of an offer say to a visit that has its time already, of whatever length. Nothing: somebody is there for the whole of it. */
export async function hoursAgainst(engine: Source, offer: Offer, { start, end }: Interval): Promise<readonly Reason[]> {
  const state = await readState(engine, [], [offer.entry.reference], { start, end });
  // Where it begins is settled, so the grid is that of each minute.
  const layout = { duration: (end - start) / MINUTE, interval: 1, offset: 0, before: 0, after: 0 };
  const input = inputOf(offer, state, start, { ...offer.parameters, ...layout });
  const reasons = explainStart({ ...input, blocks: timeOff(offer, { start, end }), taken: [] }, start);
  return [...place(offer, reasons)].filter(({ rule }) => rule !== 'grid');
}

/** Nothing: the start is free. */
export async function reasonsAgainst(
  engine: Source,
  { choice, start, channel, patients }: Asked,
  now: number,
): Promise<readonly Reason[]> {
  const { offer, pool } = choice;
  const { entry, parameters } = offer;
  const everybody = [...entry.actors, ...pool, ...patients];
  const keys = everybody.map((a) => a.key);
  const span = { start: start - DAY, end: start + 2 * DAY };
  const state = await readState(engine, keys, [entry.reference], span);
  const input = { ...inputOf(offer, state, start, parameters), ...bookable(offer, channel, now) };
  const left = await capsLeft(engine, [{ offer, start, rank: 0, pool: [] }], { also: patients });
  // A patient is in one place at a time, and needs no time before or after.
  const bare = { ...parameters, before: 0, after: 0 };
  const their = { taken: input.taken, actors: patients.map((p) => p.key), parameters: bare };
  const names = new Map(everybody.map((a) => [a.key, a.reference]));
  const reasons: readonly Reason[] = [
    ...channelled(offer, channel),
    ...place(offer, explainStart(input, start)),
    ...occupied(their, start, 1, zoneNamed(input.calendar.zone)),
    ...roomless(choice, channel, input, start),
    ...(left.length > 0 ? [] : [{ rule: 'cap', text: 'as many visits as allowed are booked in this period' } as const]),
  ];
  return reasons.map((r) => (r.actor === undefined ? r : { ...r, actor: names.get(r.actor) ?? r.actor }));
}
