/** Days and times of the demo clinic: the starts that its own rules offer, as the server works them out. */
import { Temporal } from 'temporal-polyfill';
import type { Offer as ScheduleOffer } from '../scheduling/directory.ts';
import { addDays } from '../scheduling/model/dates.ts';
import { zoneNamed } from '../scheduling/model/zone.ts';
import { startsAnew } from '../scheduling/offered.ts';
import { holidaysOf, readAvailability } from '../scheduling/rules/read-availability.ts';
import { mergeParameters } from '../scheduling/rules/read-parameters.ts';
import type { Offer } from './places.ts';
import type { Day } from './rules.ts';
import { DAYS, type Post } from './staff.ts';

/** A time that can be booked; texts carry the site's offset, as FHIR writes them. */
export interface Time {
  /** ms */
  readonly at: number;
  readonly start: string;
  readonly end: string;
  /** `20261123T1400Z`: part of ids. */
  readonly label: string;
}

/** A day of the calendar. */
export interface CalendarDay {
  /** `YYYY-MM-DD`. */
  readonly date: string;
  readonly weekday: Day;
  /** Days from today, negative in the past. */
  readonly distance: number;
}

/** Monday to Friday from `before` days ago to `after` days ahead. @param today `YYYY-MM-DD` */
export function weekdays(today: string, before: number, after: number): CalendarDay[] {
  const origin = Temporal.PlainDate.from(today);
  const days: CalendarDay[] = [];
  for (let distance = -before; distance <= after; distance++) {
    const date = origin.add({ days: distance });
    const weekday = DAYS[date.dayOfWeek - 1];
    if (weekday) days.push({ date: date.toString(), weekday, distance });
  }
  return days;
}

/** What the Schedule of a post offers of a service, as the directory of the server has it. */
export function scheduleOffer(
  { schedule, site }: Pick<Post, 'schedule' | 'site'>,
  { service }: Pick<Offer, 'service'>,
): ScheduleOffer {
  const { pool: _, ...parameters } = mergeParameters(schedule, service);
  const said = readAvailability(schedule);
  const zone = zoneNamed(site.zone);
  const calendar = said && { ...said, zone: zone.name, holidays: holidaysOf(site.location), weekStart: 'mon' as const };
  return {
    entry: {
      reference: `Schedule/${schedule.id ?? ''}`,
      schedule,
      actors: [],
      location: site.location,
      organization: undefined,
      zone,
      calendar,
      offers: [],
    },
    service,
    serviceReference: `HealthcareService/${service.id ?? ''}`,
    parameters,
    pool: [],
  };
}

/** Starts of a local date. */
export function timesOf(offer: ScheduleOffer, date: string): Time[] {
  const { zone } = offer.entry;
  if (!zone) return [];
  const midnight = (of: string): number => zone.instantOf(of, 0, 'start');
  return startsAnew(offer, midnight(date), midnight(addDays(date, 1))).map(({ start }) => ({
    at: start,
    start: zone.format(start),
    end: zone.format(start + offer.parameters.duration * 60_000),
    label: `${new Date(start).toISOString().slice(0, 16).replace(/[-:]/g, '')}Z`,
  }));
}

/** An instant moved by whole days and hours, in UTC: when something was written down. */
export const earlier = (instant: string, days: number, hours: number): string =>
  new Date(Date.parse(instant) - (days * 24 + hours) * 3_600_000).toISOString();
