/**
 * What is wrong with the hours of a Schedule beyond the shape of the extension, said before they are kept: hours that never are would otherwise be found
 * out by patients.
 * @see https://hl7.org/fhir/R5/metadatatypes.html#Availability
 */
import type { Schedule } from '@medplum/fhirtypes';
import type { Issue } from '../../fhir/outcome.ts';
import { extensionOf, minutesOfTime } from '../extension.ts';
import { DAY, MINUTE } from '../model/dates.ts';
import { overlaps, type Interval } from '../model/interval.ts';
import { MAX_CAPACITY } from '../model/lanes.ts';
import { AVAILABILITY } from '../urls.ts';
import { zoneIssues } from './check-zone.ts';
import { partsOf, placed, wrong, wrongValue, type Placed } from './places.ts';

const DAY_MINUTES = DAY / MINUTE;

function* timeIssues(of: Placed, ...names: readonly string[]): Generator<Issue> {
  for (const name of names) {
    for (const part of partsOf(of, name)) {
      const time = part.e.valueTime;
      if (time !== undefined && !/^\d{2}:\d{2}:00(?:\.0+)?$/.test(time))
        yield wrongValue(part, `${name} is given in whole minutes: write ${time.slice(0, 5)}:00.`);
    }
  }
}

const minutesIn = ({ e }: Placed, name: string): number | undefined => {
  const time = extensionOf(e, name)?.valueTime;
  return time === undefined ? undefined : minutesOfTime(time);
};

/** Minutes from the start of the hours, which may run past midnight, to the end of each break. */
function* breakIssues(window: Placed, start: number, end: number): Generator<Issue> {
  const length = end - start + (end <= start ? DAY_MINUTES : 0);
  const before: Interval[] = [];
  for (const each of partsOf(window, 'break')) {
    const [from, until] = [minutesIn(each, 'start'), minutesIn(each, 'end')];
    if (from === undefined || until === undefined) continue;
    const begin = (from - start + DAY_MINUTES) % DAY_MINUTES;
    const span = { start: begin, end: begin + ((until - from + DAY_MINUTES) % DAY_MINUTES) };
    if (from === until) yield wrong(each, 'The break ends when it begins: give it an end that is later.');
    else if (span.end > length)
      yield wrong(
        each,
        'The break is not inside the hours: move it, or change availableStartTime and availableEndTime.',
      );
    else if (before.some((other) => overlaps(other, span)))
      yield wrong(each, 'The break overlaps another one of the same hours: make them one, or move it.');
    before.push(span);
  }
}

function* hoursIssues(window: Placed): Generator<Issue> {
  const [first] = [...partsOf(window, 'availableStartTime'), ...partsOf(window, 'availableEndTime')];
  const isWhole = extensionOf(window.e, 'allDay')?.valueBoolean === true;
  const [start, end] = isWhole
    ? [0, DAY_MINUTES]
    : [minutesIn(window, 'availableStartTime'), minutesIn(window, 'availableEndTime')];
  if (isWhole && first) yield wrong(first, 'Hours that are allDay have no times: leave out the times, or allDay.');
  if (start === undefined || end === undefined)
    yield wrong(window, 'The hours have no times: add availableStartTime and availableEndTime, or allDay.');
  else yield* breakIssues(window, start, end);
  yield* timeIssues(window, 'availableStartTime', 'availableEndTime');
  for (const each of partsOf(window, 'break')) yield* timeIssues(each, 'start', 'end');
  for (const each of partsOf(window, 'capacity'))
    if ((each.e.valuePositiveInt ?? 1) > MAX_CAPACITY)
      yield wrongValue(each, `At most ${MAX_CAPACITY} visits overlap: give a capacity from 1 to ${MAX_CAPACITY}.`);
}

function* weeklyIssues(window: Placed): Generator<Issue> {
  yield* hoursIssues(window);
  for (const zone of partsOf(window, 'timezone')) yield* zoneIssues(zone);
  const [weeks] = partsOf(window, 'everyWeeks');
  if ((weeks?.e.valuePositiveInt ?? 1) > 1 && weeks && partsOf(window, 'weekOf').length === 0)
    yield wrong(weeks, 'Which week counts is open: add weekOf, a date in one that does.');
}

/** Visits and overrides name a rule by its id. */
function* idIssues(windows: readonly Placed[]): Generator<Issue> {
  const ids = new Set<string>();
  for (const each of windows) {
    const { id } = each.e;
    if (id === undefined) continue;
    if (ids.has(id)) yield wrong(each, `Another availableTime has the id ${id}: give each its own.`);
    ids.add(id);
  }
}

function* timeOffIssues(off: Placed): Generator<Issue> {
  yield* timeIssues(off, 'startTime', 'endTime');
  const [start, end, weeks, during] = ['startTime', 'endTime', 'everyWeeks', 'during'].map((n) => partsOf(off, n)[0]);
  if ((start === undefined) !== (end === undefined))
    yield wrong(
      start ?? end ?? off,
      'Time off recurs from startTime to endTime: give both, or neither for whole days.',
    );
  if ((weeks?.e.valuePositiveInt ?? 1) > 1 && weeks && during?.e.valuePeriod?.start === undefined)
    yield wrong(weeks, 'Which week is the first that counts is open: give during a start.');
  const { start: from, end: until } = during?.e.valuePeriod ?? {};
  // Of dates the last one is included.
  if (during && from !== undefined && until !== undefined && from.length > 10 && Date.parse(from) >= Date.parse(until))
    yield wrongValue(during, 'Time off ends when it begins: give it an end that is later.');
}

export function* availabilityIssues(schedule: Schedule): Generator<Issue> {
  for (const all of placed(schedule, 'Schedule', AVAILABILITY)) {
    for (const zone of partsOf(all, 'timezone')) yield* zoneIssues(zone);
    const weekly = partsOf(all, 'availableTime');
    for (const window of weekly) yield* weeklyIssues(window);
    yield* idIssues(weekly);
    for (const date of partsOf(all, 'dateOverride'))
      for (const window of partsOf(date, 'availableTime')) yield* hoursIssues(window);
    for (const off of partsOf(all, 'notAvailableTime')) yield* timeOffIssues(off);
  }
}
