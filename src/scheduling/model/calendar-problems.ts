/**
 * What is wrong with a calendar, said before it is kept: hours that never are would otherwise be found out by patients.
 * @see https://hl7.org/fhir/R5/metadatatypes.html#Availability
 */
import { MAX_CAPACITY } from './lanes.ts';
import type { Calendar, Hours } from './rules.ts';
import { zoneOf } from './zone.ts';

const clock = (minutes: number): string =>
  `${String(Math.floor(minutes / 60) % 24).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;

const isTime = (minutes: number): boolean => minutes >= 0 && minutes <= 1440;

function* problemsOfHours(hours: Hours, of: string): Generator<string> {
  if (!isTime(hours.start) || !isTime(hours.end)) yield `${of}: hours are from 00:00 to 24:00`;
  if (hours.capacity !== undefined && !(hours.capacity >= 1 && hours.capacity <= MAX_CAPACITY)) {
    yield `${of}: capacity must be between 1 and ${MAX_CAPACITY}`;
  }
  const length = hours.end - hours.start + (hours.end <= hours.start ? 1440 : 0);
  for (const { start, end } of hours.breaks) {
    // Both counted from the start of the hours, which may run past midnight.
    const from = (start - hours.start + 1440) % 1440;
    const until = from + ((end - start + 1440) % 1440);
    const name = `${of}: the break from ${clock(start)} to ${clock(end)}`;
    if (start === end) yield `${name} is empty`;
    else if (until > length) yield `${name} is not inside the hours`;
  }
}

const backwards = (from: string | number | undefined, until: string | number | undefined): boolean =>
  from !== undefined && until !== undefined && typeof from === typeof until && from > until;

/** In sentences; none: it may be used. */
export function* calendarProblems(calendar: Calendar): Generator<string> {
  if (!zoneOf(calendar.zone)) yield `there is no time zone ${calendar.zone}`;
  if (backwards(calendar.from, calendar.until)) yield 'the season ends before it begins';
  const ids = new Set<string>();
  for (const rule of calendar.rules) {
    const of = `rule ${rule.id}`;
    if (ids.has(rule.id)) yield `${of}: another one has the same id`;
    ids.add(rule.id);
    if (rule.days.length === 0) yield `${of}: it is on no day`;
    if (rule.zone !== undefined && !zoneOf(rule.zone)) yield `${of}: there is no time zone ${rule.zone}`;
    if (backwards(rule.from, rule.until)) yield `${of}: it ends before it begins`;
    if (!(rule.everyWeeks >= 1)) yield `${of}: everyWeeks must be 1 or more`;
    if (rule.everyWeeks > 1 && rule.weekOf === undefined)
      yield `${of}: everyWeeks needs weekOf, a date in a week that counts`;
    yield* problemsOfHours(rule, of);
  }
  for (const { date, hours } of calendar.overrides) {
    for (const each of hours) yield* problemsOfHours(each, `the override of ${date}`);
  }
  for (const off of calendar.notAvailable) {
    const of = off.id === undefined ? 'time off' : `time off ${off.id}`;
    if (backwards(off.from, off.until) || (typeof off.from === 'number' && off.from === off.until)) {
      yield `${of}: it ends before it begins`;
    }
    if (!off.recurrence) continue;
    if (off.recurrence.days.length === 0) yield `${of}: it is on no day`;
    if (off.recurrence.everyWeeks > 1 && off.from === undefined) {
      yield `${of}: everyWeeks needs a start, whose week is the first that counts`;
    }
  }
}
