/**
 * Why a visit may not start at an instant: the question that staff ask of every schedule. It goes by the same rules as `freeStarts`, one by one.
 * @see https://hl7.org/fhir/R4/operationoutcome.html
 */
import { endOf, rulesOfOtherWeeks, rulesOn, type Window } from './availability.ts';
import { type Interval, overlaps } from './interval.ts';
import { freeLane } from './lanes.ts';
import type { Calendar, NotAvailable, Parameters } from './rules.ts';
import { admits, isOnGrid, paddedAt, type StartsInput, type Taken, visitAt } from './starts.ts';
import { type Zone, zoneNamed } from './zone.ts';

export type ReasonCode =
  | 'outside-hours'
  | 'break'
  | 'holiday'
  | 'override'
  | 'time-off'
  | 'blocked'
  | 'taken'
  | 'buffer'
  | 'room'
  | 'location'
  | 'notice'
  | 'horizon'
  | 'cap'
  | 'channel'
  | 'grid'
  | 'season'
  | 'too-long'
  | 'length'
  | 'time-zone'
  | 'inactive';

export interface Reason {
  readonly rule: ReasonCode;
  /** Without a word about anybody. */
  readonly text: string;
  readonly during?: Interval;
  /** Whose time it is. */
  readonly actor?: string;
  /** For staff only. */
  readonly private?: string;
}

export interface ExplainInput extends StartsInput {
  readonly calendar: Calendar;
  /** `HealthcareService/x`, whose hours these are; left out: of any. */
  readonly service?: string | undefined;
  readonly blocks: readonly (Interval & { readonly why?: NotAvailable })[];
  /** How many visits the actors may have then; left out: as many as the windows say that have room for it. */
  readonly capacity?: number;
}

const clock = (instant: number, zone: Zone): string => zone.format(instant).slice(11, 16);
const label = (instant: number, zone: Zone): string => zone.format(instant).slice(0, 16).replace('T', ' ');
const span = ({ start, end }: Interval, zone: Zone): string => `${clock(start, zone)} to ${clock(end, zone)}`;

/** That somebody is there every other week only, where it is another week; undefined: that is not why. */
function offWeek({ calendar, service }: ExplainInput, start: number, zone: Zone, isOpen: boolean): string | undefined {
  const { date, minutes } = zone.localOf(start);
  const others = rulesOfOtherWeeks(calendar, date, service);
  const rule = others.find((each) => !isOpen || (each.start <= minutes && minutes < endOf(each)));
  return rule && `works on these days only every ${rule.everyWeeks} weeks, and this is an off week`;
}

/** No window is open at the start: what closes it, or the hours that there are. */
function* closed(input: ExplainInput, start: number, zone: Zone): Generator<Reason> {
  const { calendar, windows } = input;
  const { date } = zone.localOf(start);
  const { outOfSeason, overrides, holiday, rules } = rulesOn(calendar, date);
  if (outOfSeason) yield { rule: 'season', text: `this schedule does not hold on ${date}` };
  else if (overrides.length > 0) {
    const description = overrides.map((each) => each.description).find((each) => each !== undefined);
    const hours = overrides.some((each) => each.hours.length > 0);
    const text = hours ? `${date} has hours of its own, and this is outside them` : `closed on ${date}`;
    yield { rule: 'override', text, ...(description !== undefined && { private: description }) };
  } else if (holiday) yield { rule: 'holiday', text: `closed on ${date}: ${holiday.name}` };
  else {
    const open = windows.filter((each) => zone.localOf(each.start).date === date).map((each) => span(each, zone));
    const ended =
      rules.length === 0 && calendar.rules.some((rule) => rule.from !== undefined || rule.until !== undefined);
    const text = open.length > 0 ? `open on ${date} from ${open.join(', ')}` : `no hours on ${date}`;
    const why =
      offWeek(input, start, zone, open.length > 0) ?? (ended ? 'some hours hold in a season only' : undefined);
    yield { rule: 'outside-hours', text: why === undefined ? text : `${text}; ${why}` };
  }
}

/** Why a visit that starts in a window does not fit it. */
function* misfit(window: Window, start: number, layout: Parameters): Generator<Reason> {
  const zone = zoneNamed(window.zone);
  const [visit, padded] = [visitAt(start, layout), paddedAt(start, layout)];
  if (visit.end > window.end) {
    yield {
      rule: 'too-long',
      text: `it would end after ${clock(window.end, zone)}, when the hours do`,
      during: window,
    };
  } else if (layout.strictBuffers && (padded.start < window.start || padded.end > window.end)) {
    yield { rule: 'buffer', text: `the time before and after it must lie in the hours, too`, during: window };
  }
  for (const each of window.breaks) {
    if (!overlaps(each, layout.bufferIntoBreak ? visit : padded)) continue;
    const { start, end, name } = each;
    const hidden = name === undefined ? {} : { private: name };
    yield { rule: 'break', text: `break from ${span(each, zone)}`, during: { start, end }, ...hidden };
  }
  if (!isOnGrid(window, layout, start)) {
    const begin = window.origin.kind === 'opening' ? ' from the start of the opening' : '';
    yield { rule: 'grid', text: `visits start every ${layout.interval} minutes${begin}` };
  }
}

function* place(input: ExplainInput, start: number, zone: Zone): Generator<Reason> {
  if (input.windows.some((window) => admits(window, input.parameters, start))) return;
  const open = input.windows.filter((window) => window.start <= start && start < window.end);
  const misfits = open.map((window) => [...misfit(window, start, input.parameters)]);
  // Of several windows, the one that is nearest to having room for it.
  const fewest = misfits.sort((a, b) => a.length - b.length)[0];
  if (fewest) yield* fewest;
  else yield* closed(input, start, zone);
}

function* blocked({ blocks, parameters }: ExplainInput, start: number): Generator<Reason> {
  const visit = parameters.strictBuffers ? paddedAt(start, parameters) : visitAt(start, parameters);
  for (const each of blocks) {
    if (!overlaps(each, visit)) continue;
    const during = { start: each.start, end: each.end };
    const why = [each.why?.description, each.why?.reason].filter((text) => text !== undefined).join('; ');
    const hidden = why === '' ? {} : { private: why };
    if (each.why) yield { rule: 'time-off', text: `not available at this time`, during, ...hidden };
    else yield { rule: 'blocked', text: `blocked at this time`, during };
  }
}

/** Who of the actors has no lane for a visit, and because of which one. */
export function* occupied(
  { taken, actors, parameters }: Pick<ExplainInput, 'taken' | 'actors' | 'parameters'>,
  start: number,
  capacity: number,
  zone: Zone,
): Generator<Reason> {
  const [visit, padded] = [visitAt(start, parameters), paddedAt(start, parameters)];
  const meets = (each: Taken, actor: string, time: Interval): boolean => each.actor === actor && overlaps(each, time);
  for (const actor of new Set(actors)) {
    const met = taken.filter((each) => meets(each, actor, padded));
    if (met.length === 0 || freeLane(met, capacity) !== undefined) continue;
    const direct = met.filter((each) => overlaps(each, visit));
    const [first] = direct.length > 0 ? direct : met;
    const isBuffer = freeLane(direct, capacity) !== undefined;
    const room = capacity > 1 ? `all ${capacity} places are taken` : 'taken';
    yield {
      rule: isBuffer ? 'buffer' : 'taken',
      text: isBuffer ? 'too little time to the visit before or after it' : room,
      actor,
      ...(first && { during: { start: first.start, end: first.end }, private: span(first, zone) }),
    };
  }
}

function capacityOf({ windows, parameters, capacity }: ExplainInput, start: number): number {
  if (capacity !== undefined) return capacity;
  const rooms = windows.filter((window) => admits(window, parameters, start));
  // More tolerance never has less room.
  return rooms.length > 0
    ? Math.max(...rooms.map((window) => window.capacity ?? parameters.capacity))
    : parameters.capacity;
}

/** What speaks against a visit that starts then; nothing: it is free. */
export function explainStart(input: ExplainInput, start: number): readonly Reason[] {
  const zone = zoneNamed(input.calendar.zone);
  const reasons: Reason[] = [];
  if (start < input.earliest) {
    reasons.push({
      rule: 'notice',
      text: `too soon: the first start that may be booked is ${label(input.earliest, zone)}`,
    });
  }
  if (start >= input.latest) {
    reasons.push({ rule: 'horizon', text: `too far ahead: a visit must start before ${label(input.latest, zone)}` });
  }
  reasons.push(
    ...place(input, start, zone),
    ...blocked(input, start),
    ...occupied(input, start, capacityOf(input, start), zone),
  );
  return reasons;
}
