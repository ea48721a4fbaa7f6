/** Times of the demo clinic: wall-clock hours at a site become instants, right on the days when clocks change too. */
import { Temporal } from 'temporal-polyfill';
import { windowsOf } from '../scheduling/model/availability.ts';
import { addDays } from '../scheduling/model/dates.ts';
import { DEFAULT_PARAMETERS, WEEKDAYS, type Calendar } from '../scheduling/model/rules.ts';
import { candidateStarts } from '../scheduling/model/starts.ts';
import { zoneNamed } from '../scheduling/model/zone.ts';
import { DAYS, type Hours } from './staff.ts';

/** A time that is offered; instants carry the site's offset, as FHIR writes them. */
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

const minutesOf = (time: string): number => Number(time.slice(0, 2)) * 60 + Number(time.slice(3));

/** Times that the rules offer and that do not overlap, as many as fit before and after lunch. */
export function timesOf(date: string, zone: string, hours: Hours, minutes: number, interval = minutes): Time[] {
  const place = zoneNamed(zone);
  const day: Calendar = {
    zone,
    rules: [
      {
        id: 'week',
        days: WEEKDAYS,
        start: minutesOf(hours.from),
        end: minutesOf(hours.to),
        breaks: [{ start: minutesOf(hours.lunchFrom), end: minutesOf(hours.lunchTo) }],
        everyWeeks: 1,
      },
    ],
    overrides: [],
    holidays: [],
    notAvailable: [],
    weekStart: 'mon',
  };
  const lunch = place.instantOf(date, minutesOf(hours.lunchTo), 'start');
  const times: Time[] = [];
  let free = 0;
  for (const window of windowsOf(day, date)) {
    for (const start of candidateStarts(window, { ...DEFAULT_PARAMETERS, duration: minutes, interval })) {
      if (start < free) continue;
      free = start + minutes * 60_000;
      const label = `${new Date(start).toISOString().slice(0, 16).replace(/[-:]/g, '')}Z`;
      times.push({ start: place.format(start), end: place.format(free), label, afternoon: start >= lunch });
    }
  }
  return times;
}

/** An instant moved by whole days and hours, in UTC: when something was written down. */
export const earlier = (instant: string, days: number, hours: number): string =>
  new Date(Date.parse(instant) - (days * 24 + hours) * 3_600_000).toISOString();

/** A written instant some minutes later, at the same offset. */
export function later(instant: string, minutes: number): string {
  const offset = instant.slice(19);
  const local = new Date(Date.parse(`${instant.slice(0, 19)}Z`) + minutes * 60_000);
  return local.toISOString().slice(0, 19) + offset;
}

/** The date some days after an instant or a date. */
export const dayAfter = (instant: string, days: number): string => addDays(instant.slice(0, 10), days);
