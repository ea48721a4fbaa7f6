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

/** What is wrong with parameters, in sentences; none: they may be used. */
export function problemsOf(parameters: Parameters): readonly string[] {
  const { duration, interval, offset, before, after, notice, horizon, capacity, caps } = parameters;
  const problems: string[] = [];
  const demand = (holds: boolean, problem: string): void => void (holds || problems.push(problem));

  demand(duration > 0, 'duration must be longer than nothing');
  demand(duration <= 1440, 'duration must not be longer than a day');
  demand(interval > 0 && interval <= 1440, 'interval must be longer than nothing and no longer than a day');
  demand(offset >= 0 && (offset < interval || offset === 0), 'offset must be less than the interval, and not negative');
  demand(before >= 0 && after >= 0, 'buffers must not be negative');
  demand(before <= 1440 && after <= 1440, 'buffers must not be longer than a day');
  demand(
    Number.isInteger(capacity) && capacity >= 1 && capacity <= MAX_CAPACITY,
    `capacity must be between 1 and ${MAX_CAPACITY}`,
  );
  demand(
    parameters.channels.length > 0 && new Set(parameters.channels).size === parameters.channels.length,
    'channel must name patient, staff or both',
  );
  for (const channel of CHANNELS) {
    demand(lengthOf(notice[channel]) >= 0, `minimumNotice of ${channel} must not be negative`);
    if (horizon.days === undefined) continue;
    demand(
      horizon.days * DAY > lengthOf(notice[channel]),
      `horizon must be longer than the minimumNotice of ${channel}`,
    );
  }
  demand(horizon.days === undefined || horizon.days > 0, 'horizon must be a day or more');
  demand(
    horizon.opensAt === undefined || (horizon.opensAt >= 0 && horizon.opensAt < 1440),
    'opensAt must be a time of day',
  );
  demand(lengthOf(parameters.cancelNotice) >= 0, 'cancelNotice must not be negative');
  demand(!parameters.lateCancel || lengthOf(parameters.lateCancel) >= 0, 'lateCancel must not be negative');
  demand((parameters.selfCheckInMs ?? 0) >= 0, 'selfCheckIn must not be negative');
  demand((parameters.noShowAfterMs ?? 0) >= 0, 'noShowAfter must not be negative');
  demand((parameters.holdMinutes ?? 1) > 0, 'holdMinutes must be longer than nothing');
  for (const cap of caps) demand(cap.limit >= 1, `the cap of ${cap.of} per ${cap.per} must be 1 or more`);
  return problems;
}
