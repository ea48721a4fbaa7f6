/** Times of the demo clinic: wall-clock hours at a site become instants, right on the days when clocks change too. */
import { Temporal } from 'temporal-polyfill';
import { DAYS, type Hours } from './staff.ts';

/** A time that can be booked; instants carry the site's offset, as FHIR writes them. */
export interface Time {
  readonly start: string;
  readonly end: string;
  /** `20261123T1400Z`: part of ids. */
  readonly label: string;
  readonly afternoon: boolean;
}

/** A day of the calendar. */
export interface Day {
  /** `YYYY-MM-DD`. */
  readonly date: string;
  readonly weekday: (typeof DAYS)[number];
  /** Days from today, negative in the past. */
  readonly distance: number;
}

/** Monday to Friday from `before` days ago to `after` days ahead. @param today `YYYY-MM-DD` */
export function weekdays(today: string, before: number, after: number): Day[] {
  const origin = Temporal.PlainDate.from(today);
  const days: Day[] = [];
  for (let distance = -before; distance <= after; distance++) {
    const date = origin.add({ days: distance });
    const weekday = DAYS[date.dayOfWeek - 1];
    if (weekday) days.push({ date: date.toString(), weekday, distance });
  }
  return days;
}

const written = (zoned: Temporal.ZonedDateTime): string =>
  zoned.toString({ timeZoneName: 'never', smallestUnit: 'second' });

/** `minutes` from each other, as many as fit before and after lunch. */
export function timesOf(date: string, zone: string, hours: Hours, minutes: number): Time[] {
  const at = (time: string): Temporal.ZonedDateTime =>
    Temporal.PlainDate.from(date).toZonedDateTime({ timeZone: zone, plainTime: time });
  const half = (from: string, to: string, afternoon: boolean): Time[] => {
    const limit = at(to).epochMilliseconds;
    const times: Time[] = [];
    let start = at(from);
    for (;;) {
      const end = start.add({ minutes });
      if (end.epochMilliseconds > limit) return times;
      const label = `${new Date(start.epochMilliseconds).toISOString().slice(0, 16).replace(/[-:]/g, '')}Z`;
      times.push({ start: written(start), end: written(end), label, afternoon });
      start = end;
    }
  };
  return [...half(hours.from, hours.lunchFrom, false), ...half(hours.lunchTo, hours.to, true)];
}

/** An instant moved by whole days and hours, in UTC: when something was written down. */
export const earlier = (instant: string, days: number, hours: number): string =>
  new Date(Date.parse(instant) - (days * 24 + hours) * 3_600_000).toISOString();

/** First and last instant of a span of days, in UTC. */
export const spanOf = (
  today: string,
  before: number,
  after: number,
): { readonly start: string; readonly end: string } => {
  const origin = Temporal.PlainDate.from(today);
  return { start: origin.subtract({ days: before }).toString(), end: origin.add({ days: after }).toString() };
};
