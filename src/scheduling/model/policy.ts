/**
 * How early and how late may be booked and cancelled, and over which days caps count. Elapsed time and days of the calendar are kept apart:
 * "24 hours" ends to the minute, "1 day" with the local date.
 * @see https://hl7.org/fhir/R4/schedule-definitions.html#Schedule.planningHorizon
 */
import { addDays, DAY, weekOf } from './dates.ts';
import type { Interval } from './interval.ts';
import { MAX_CAPACITY } from './lanes.ts';
import {
  type Cap,
  CHANNELS,
  DEFAULT_PARAMETERS,
  type Horizon,
  type Notice,
  type Parameters,
  type Weekday,
} from './rules.ts';
import type { Zone } from './zone.ts';

const midnight = (date: string, zone: Zone): number => zone.instantOf(date, 0, 'start');

/** The first instant at which a visit may start. In days: the first of the local date so many days from today. */
export const earliestStart = (now: number, notice: Notice, zone: Zone): number =>
  notice.unit === 'elapsed'
    ? now + notice.ms
    : Math.max(now, midnight(addDays(zone.localOf(now).date, notice.days), zone));

/** The instant before which a visit must start. Until `opensAt`, the last day is not open yet. */
export function latestStart(now: number, horizon: Horizon, zone: Zone): number {
  const today = zone.localOf(now);
  const opened = horizon.opensAt === undefined || today.minutes >= horizon.opensAt;
  const days = horizon.days ?? (horizon.until === undefined ? DEFAULT_PARAMETERS.horizon.days : undefined);
  const rolling = days === undefined ? Infinity : midnight(addDays(today.date, opened ? days + 1 : days), zone);
  const fixed = horizon.until === undefined ? Infinity : midnight(addDays(horizon.until, 1), zone);
  return Math.min(rolling, fixed);
}

/** The last instant at which a visit may still be cancelled or moved. In days: the last of the local date so many days before it. */
export const latestCancel = (start: number, notice: Notice, zone: Zone): number =>
  notice.unit === 'elapsed'
    ? start - notice.ms
    : Math.min(start, midnight(addDays(zone.localOf(start).date, 1 - notice.days), zone) - 1);

/** The local day, week or month that an instant lies in. */
export function capPeriod(cap: Pick<Cap, 'per'>, instant: number, zone: Zone, weekStart: Weekday): Interval {
  const { date } = zone.localOf(instant);
  const [first, next] = periodOf(cap.per, date, weekStart);
  return { start: midnight(first, zone), end: midnight(next, zone) };
}

function periodOf(per: Cap['per'], date: string, weekStart: Weekday): [string, string] {
  switch (per) {
    case 'day':
      return [date, addDays(date, 1)];
    case 'week': {
      const first = weekOf(date, weekStart);
      return [first, addDays(first, 7)];
    }
    case 'month': {
      const first = `${date.slice(0, 7)}-01`;
      // No month has more than 31 days, and the one after it has more than one.
      return [first, `${addDays(first, 31).slice(0, 7)}-01`];
    }
    default:
      return per satisfies never;
  }
}

const lengthOf = (notice: Notice): number => (notice.unit === 'elapsed' ? notice.ms : notice.days * DAY);

export interface Problem {
  /** Part of the extension that is wrong. */
  readonly part: string;
  /** What is wrong, and the fix. */
  readonly text: string;
  /** Another part, by which it is. */
  readonly beside?: string;
}

const isLength = (minutes: number, least: number): boolean => minutes >= least && minutes <= 1440;

const isCapacity = (capacity: number): boolean =>
  Number.isInteger(capacity) && capacity >= 1 && capacity <= MAX_CAPACITY;

/** Whether visits can be laid into time at all: of others nothing is offered. */
export const isUsable = ({ duration, interval, before, after, capacity }: Parameters): boolean =>
  isLength(duration, Number.MIN_VALUE) &&
  isLength(interval, Number.MIN_VALUE) &&
  isLength(before, 0) &&
  isLength(after, 0) &&
  isCapacity(capacity);

/** Nobody plans farther ahead. */
const MOST_HORIZON_DAYS = 3660;
const MOST_HOLD_MINUTES = 15;

/** What is wrong with parameters; nothing: they may be used. */
export function* problemsOf(parameters: Parameters): Generator<Problem> {
  const { duration, interval, offset, before, after, notice, horizon, capacity, caps, channels } = parameters;
  if (!(duration > 0))
    yield { part: 'duration', text: 'A visit lasts longer than nothing: give a duration of a minute or more.' };
  if (duration > 1440) yield { part: 'duration', text: 'A visit lasts a day at most: give a shorter duration.' };
  if (!isLength(interval, Number.MIN_VALUE))
    yield { part: 'interval', text: 'The interval is longer than nothing and no longer than a day: give another.' };
  if (offset < 0) yield { part: 'offset', text: 'The offset is not negative: count from midnight on.' };
  if (offset > 0 && offset >= interval)
    yield {
      part: 'offset',
      beside: 'interval',
      text: `The offset is less than the interval, ${interval} minutes: subtract the interval from it.`,
    };
  if (!isLength(before, 0)) yield { part: 'bufferBefore', text: 'A buffer lasts from none to a day: give another.' };
  if (!isLength(after, 0)) yield { part: 'bufferAfter', text: 'A buffer lasts from none to a day: give another.' };
  if (!isCapacity(capacity))
    yield {
      part: 'capacity',
      text: `At most ${MAX_CAPACITY} visits overlap: give a capacity from 1 to ${MAX_CAPACITY}.`,
    };
  if (channels.length === 0 || new Set(channels).size < channels.length)
    yield { part: 'channel', text: 'Each channel is named once: patient, staff or both.' };
  for (const channel of CHANNELS) {
    if (lengthOf(notice[channel]) < 0)
      yield { part: 'minimumNotice', text: 'A notice is not negative: give none, or more.' };
    if (horizon.days !== undefined && horizon.days * DAY <= lengthOf(notice[channel]))
      yield {
        part: 'minimumNotice',
        beside: 'horizon',
        text: `Nothing could be booked by the channel ${channel}: give it a notice that is shorter than the horizon, ${horizon.days} d.`,
      };
  }
  if (horizon.days !== undefined && !(horizon.days > 0 && horizon.days <= MOST_HORIZON_DAYS))
    yield { part: 'horizon', text: `A horizon is from 1 to ${MOST_HORIZON_DAYS} days: give another.` };
  if (horizon.opensAt !== undefined && !(horizon.opensAt >= 0 && horizon.opensAt < 1440))
    yield { part: 'horizon', text: 'opensAt is a time of day, from 00:00:00 to 23:59:00.' };
  if (lengthOf(parameters.cancelNotice) < 0)
    yield { part: 'cancelNotice', text: 'A notice is not negative: give none, or more.' };
  if (parameters.lateCancel && lengthOf(parameters.lateCancel) < 0)
    yield { part: 'lateCancel', text: 'A notice is not negative: give none, or more.' };
  if ((parameters.selfCheckInMs ?? 0) < 0)
    yield { part: 'selfCheckIn', text: 'The window is not negative: give none, or more.' };
  if ((parameters.noShowAfterMs ?? 0) < 0)
    yield { part: 'noShowAfter', text: 'The time is not negative: give none, or more.' };
  const { holdMinutes = 1 } = parameters;
  if (!(holdMinutes >= 1 && holdMinutes <= MOST_HOLD_MINUTES))
    yield { part: 'holdMinutes', text: `A time is held from 1 to ${MOST_HOLD_MINUTES} minutes: give another.` };
  for (const cap of caps)
    if (!(cap.limit >= 1))
      yield { part: 'cap', text: `The cap of ${cap.of} per ${cap.per} is 1 or more: give another.` };
}
