/**
 * From weekly hours, seasons, overrides and holidays to windows of instants: the one place where rules of wall clock become time.
 * @see https://hl7.org/fhir/R5/metadatatypes.html#Availability
 */
import { dateOf, dayNumber, weekCounts, weekdayOf, withinDates } from './dates.ts';
import { type Interval, overlaps } from './interval.ts';
import type { Calendar, DateOverride, Holiday, Hours, NotAvailable, Weekday, WeeklyRule } from './rules.ts';
import { type Zone, zoneNamed } from './zone.ts';

/** Time in which visits may lie. Breaks are inside it. */
export interface Window extends Interval {
  readonly breaks: readonly (Interval & { readonly name?: string })[];
  readonly capacity?: number;
  readonly origin: { readonly kind: 'rule' | 'override' | 'opening'; readonly id?: string };
  /** Whose wall clock the grid of starts goes by. */
  readonly zone: string;
}

/** What shapes a date, the strongest first: outside the season there is nothing, an override replaces the rules, a holiday closes them. */
export interface Shape {
  readonly outOfSeason: boolean;
  readonly overrides: readonly DateOverride[];
  readonly holiday?: Holiday;
  /** The weekly rules of this date, whether or not they hold. */
  readonly rules: readonly WeeklyRule[];
}

const isOn = (holiday: Holiday, date: string): boolean =>
  holiday.date === date || (holiday.yearly && holiday.date.slice(4) === date.slice(4));

const isDayOf = (rule: WeeklyRule, date: string, weekday: Weekday): boolean =>
  rule.days.includes(weekday) && withinDates(date, rule.from, rule.until);

const isWeekOf = (rule: WeeklyRule, date: string, calendar: Calendar): boolean =>
  weekCounts(date, rule.everyWeeks, rule.weekOf ?? rule.from ?? date, calendar.weekStart);

const appliesOn = (rule: WeeklyRule, date: string, weekday: Weekday, calendar: Calendar): boolean =>
  isDayOf(rule, date, weekday) && isWeekOf(rule, date, calendar);

/** Rules that would hold on a local date, were its week not one of those that they leave out. */
export function rulesOfOtherWeeks(calendar: Calendar, date: string, service?: string): readonly WeeklyRule[] {
  const weekday = weekdayOf(date);
  return calendar.rules.filter(
    (rule) => isFor(rule, service) && isDayOf(rule, date, weekday) && !isWeekOf(rule, date, calendar),
  );
}

/** What closes or shapes a local date. */
export function rulesOn(calendar: Calendar, date: string): Shape {
  const weekday = weekdayOf(date);
  const holiday = calendar.holidays.find((each) => isOn(each, date));
  return {
    outOfSeason: !withinDates(date, calendar.from, calendar.until),
    overrides: calendar.overrides.filter((each) => each.date === date),
    ...(holiday && { holiday }),
    rules: calendar.rules.filter((rule) => appliesOn(rule, date, weekday, calendar)),
  };
}

const isFor = (of: { readonly services?: readonly string[] }, service: string | undefined): boolean =>
  service === undefined || of.services === undefined || of.services.includes(service);

/** Minutes of wall clock that run past midnight when they end no later than they start. */
export const endOf = (hours: { readonly start: number; readonly end: number }): number =>
  hours.end <= hours.start ? hours.end + 1440 : hours.end;

/** The breaks of hours that may run past midnight: a break is of the day before, of this day or of the next. */
function breaksOf(hours: Hours, date: string, zone: Zone, window: Interval): Window['breaks'] {
  return hours.breaks
    .flatMap((each) =>
      [-1440, 0, 1440].map((shift) => ({ ...each, start: each.start + shift, end: endOf(each) + shift })),
    )
    .filter((each) => each.start < endOf(hours) && each.end > hours.start)
    .map(({ name, start, end }) => ({
      start: Math.max(zone.instantOf(date, start, 'start'), window.start),
      end: Math.min(zone.instantOf(date, end, 'end'), window.end),
      ...(name !== undefined && { name }),
    }))
    .filter((each) => each.start < each.end)
    .sort((a, b) => a.start - b.start);
}

/** A window, and of which hours and date it is. */
interface Dated {
  readonly window: Window;
  readonly hours: Hours;
}

function dated(hours: Hours, date: string, zoneName: string, origin: Window['origin']): Dated | undefined {
  const zone = zoneNamed(zoneName);
  const span = {
    start: zone.instantOf(date, hours.start, 'start'),
    end: zone.instantOf(date, endOf(hours), 'end'),
  };
  // Hours that clocks jump over are none.
  if (span.start >= span.end) return undefined;
  const breaks = breaksOf(hours, date, zone, span);
  const capacity = hours.capacity === undefined ? {} : { capacity: hours.capacity };
  return { hours, window: { ...span, breaks, ...capacity, origin, zone: zoneName } };
}

function datedOf(calendar: Calendar, date: string, service?: string): Dated[] {
  const { outOfSeason, overrides, holiday, rules } = rulesOn(calendar, date);
  if (outOfSeason) return [];
  const found: (Dated | undefined)[] = [];
  if (overrides.length > 0) {
    for (const hours of overrides.flatMap((each) => each.hours)) {
      if (isFor(hours, service)) found.push(dated(hours, date, calendar.zone, { kind: 'override' }));
    }
  } else if (!holiday) {
    for (const rule of rules) {
      const zone = rule.zone ?? calendar.zone;
      if (isFor(rule, service)) found.push(dated(rule, date, zone, { kind: 'rule', id: rule.id }));
    }
  }
  return found.filter((each) => each !== undefined).sort((a, b) => a.window.start - b.window.start);
}

/** The windows that start on this local date, for a service or (left out) for any. */
export const windowsOf = (calendar: Calendar, date: string, service?: string): readonly Window[] =>
  datedOf(calendar, date, service).map(({ window }) => window);

/** Whoever is there to midnight and from midnight on is there at midnight, too: such windows are one. @param after starts at midnight */
function goesOn(before: Dated, after: Dated, service: string | undefined): boolean {
  return (
    before.window.end >= after.window.start &&
    before.window.end < after.window.end &&
    before.window.zone === after.window.zone &&
    before.window.capacity === after.window.capacity &&
    (service !== undefined || String(before.hours.services) === String(after.hours.services))
  );
}

/** All windows that have a moment in `[from, to)`, in order, joined where they run on through midnight. */
export function windowsBetween(calendar: Calendar, from: number, to: number, service?: string): readonly Window[] {
  const joined: Dated[] = [];
  // A rule may have a zone of its own, whose date is another one: two days at most.
  const elsewhere = calendar.rules.some((rule) => rule.zone !== undefined) ? 2 : 0;
  for (const date of datesBetween(calendar, from, to, 2 + elsewhere)) {
    for (const next of datedOf(calendar, date, service)) {
      const at = next.hours.start === 0 ? joined.findLastIndex((before) => goesOn(before, next, service)) : -1;
      const before = joined[at];
      if (!before) {
        joined.push(next);
        continue;
      }
      const breaks = [...before.window.breaks, ...next.window.breaks];
      joined[at] = { hours: before.hours, window: { ...before.window, end: next.window.end, breaks } };
    }
  }
  return joined
    .map(({ window }) => window)
    .filter((window) => overlaps(window, { start: from, end: to }))
    .sort((a, b) => a.start - b.start);
}

/** The local dates of a span and so many around it: hours run into the next day, and zones differ. */
function* datesBetween(calendar: Calendar, from: number, to: number, around: number): Generator<string> {
  if (!(from < to)) return;
  const zone = zoneNamed(calendar.zone);
  const first = dayNumber(zone.localOf(from).date) - around;
  const last = dayNumber(zone.localOf(to).date) + around;
  for (let day = first; day <= last; day++) yield dateOf(day);
}

/** Time off as instants. */
export type Block = Interval & { readonly why: NotAvailable };

/** The whole span of time off, before its recurrence. */
function spanOf({ from, until }: NotAvailable, zone: Zone): Interval {
  return {
    start: typeof from === 'string' ? zone.instantOf(from, 0, 'start') : (from ?? -Infinity),
    end: typeof until === 'string' ? zone.instantOf(until, 1440, 'end') : (until ?? Infinity),
  };
}

/** All time off that has a moment in `[from, to)`, in order. Without a service: what is time off from every one. */
export function blocksBetween(calendar: Calendar, from: number, to: number, service?: string): readonly Block[] {
  const zone = zoneNamed(calendar.zone);
  const asked = { start: from, end: to };
  const blocks: Block[] = [];
  for (const why of calendar.notAvailable) {
    if (why.services !== undefined && (service === undefined || !why.services.includes(service))) continue;
    const span = spanOf(why, zone);
    if (!overlaps(span, asked)) continue;
    if (!why.recurrence) {
      blocks.push({ ...span, why });
      continue;
    }
    const { days, start, everyWeeks } = why.recurrence;
    const origin = typeof why.from === 'number' ? zone.localOf(why.from).date : why.from;
    for (const date of datesBetween(calendar, Math.max(from, span.start), Math.min(to, span.end), 1)) {
      if (!days.includes(weekdayOf(date)) || !weekCounts(date, everyWeeks, origin ?? date, calendar.weekStart))
        continue;
      const block = {
        start: Math.max(zone.instantOf(date, start, 'start'), span.start),
        end: Math.min(zone.instantOf(date, endOf(why.recurrence), 'end'), span.end),
        why,
      };
      if (overlaps(block, asked)) blocks.push(block);
    }
  }
  return blocks.sort((a, b) => a.start - b.start);
}
