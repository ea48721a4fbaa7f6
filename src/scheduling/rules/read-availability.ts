/** A Schedule's extension `schedule-availability` as the calendar of the model. @see https://hl7.org/fhir/R5/metadatatypes.html#Availability */
import type { Extension, Location, Organization, Schedule } from '@medplum/fhirtypes';
import {
  WEEKDAYS,
  type Break,
  type Calendar,
  type DateOverride,
  type Holiday,
  type Hours,
  type NotAvailable,
  type Weekday,
  type WeeklyRule,
} from '../model/rules.ts';
import { MAX_CAPACITY } from '../model/lanes.ts';
import { zoneOf } from '../model/zone.ts';
import { extensionOf, extensionsOf, minutesOfTime, type Extended } from '../extension.ts';
import { AVAILABILITY, HOLIDAY } from '../urls.ts';

const isWeekday = (code: string | undefined): code is Weekday =>
  (WEEKDAYS as readonly (string | undefined)[]).includes(code);

const codes = (of: Extended, url: string): Weekday[] =>
  extensionsOf(of, url)
    .map((e) => e.valueCode)
    .filter(isWeekday);

const services = (of: Extended): { services?: readonly string[] } => {
  const found = extensionsOf(of, 'service').flatMap((e) => e.valueReference?.reference ?? []);
  return found.length > 0 ? { services: found } : {};
};

const time = (of: Extended, url: string): number | undefined => {
  const { valueTime } = extensionOf(of, url) ?? {};
  return valueTime === undefined ? undefined : minutesOfTime(valueTime);
};

function breakOf(e: Extension): Break[] {
  const [start, end] = [time(e, 'start'), time(e, 'end')];
  const name = extensionOf(e, 'name')?.valueString;
  return start === undefined || end === undefined ? [] : [{ start, end, ...(name === undefined ? {} : { name }) }];
}

/** undefined: neither the whole day nor both times are given, or they are for more visits than there can be. */
function hoursOf(e: Extension): Hours | undefined {
  const allDay = extensionOf(e, 'allDay')?.valueBoolean === true;
  const [start, end] = allDay ? [0, 1440] : [time(e, 'availableStartTime'), time(e, 'availableEndTime')];
  if (start === undefined || end === undefined) return undefined;
  const capacity = extensionOf(e, 'capacity')?.valuePositiveInt;
  if (capacity !== undefined && capacity > MAX_CAPACITY) return undefined;
  return {
    start,
    end,
    breaks: extensionsOf(e, 'break').flatMap(breakOf),
    ...services(e),
    ...(capacity === undefined ? {} : { capacity }),
  };
}

/** The local dates of a Period; of times the days that they lie in. */
const season = (of: Extended): { from?: string; until?: string } => {
  const { start, end } = extensionOf(of, 'period')?.valuePeriod ?? {};
  return {
    ...(start === undefined ? {} : { from: start.slice(0, 10) }),
    ...(end === undefined ? {} : { until: end.slice(0, 10) }),
  };
};

function ruleOf(e: Extension, index: number): WeeklyRule | undefined {
  const hours = hoursOf(e);
  if (!hours) return undefined;
  const days = codes(e, 'daysOfWeek');
  const weekOf = extensionOf(e, 'weekOf')?.valueDate;
  const zone = extensionOf(e, 'timezone')?.valueCode;
  // By another clock it would be at other times.
  if (zone !== undefined && !zoneOf(zone)) return undefined;
  return {
    ...hours,
    ...season(e),
    id: e.id ?? String(index + 1),
    days: days.length > 0 ? days : WEEKDAYS,
    everyWeeks: extensionOf(e, 'everyWeeks')?.valuePositiveInt ?? 1,
    ...(weekOf === undefined ? {} : { weekOf }),
    ...(zone === undefined ? {} : { zone }),
  };
}

function overrideOf(e: Extension): DateOverride[] {
  const date = extensionOf(e, 'date')?.valueDate;
  const description = extensionOf(e, 'description')?.valueString;
  if (date === undefined) return [];
  return [
    {
      date,
      ...(description === undefined ? {} : { description }),
      hours: extensionsOf(e, 'availableTime').flatMap((w) => hoursOf(w) ?? []),
    },
  ];
}

const DATE = /^\d{4}-\d{2}-\d{2}$/;

/** Dates stay local days; anything finer is an instant. */
const moment = (text: string | undefined): string | number | undefined =>
  text === undefined || DATE.test(text) ? text : Date.parse(text);

function notAvailableOf(e: Extension): NotAvailable[] {
  const during = extensionOf(e, 'during')?.valuePeriod;
  if (!during) return [];
  const [start, end] = [time(e, 'startTime'), time(e, 'endTime')];
  const days = codes(e, 'daysOfWeek');
  const everyWeeks = extensionOf(e, 'everyWeeks')?.valuePositiveInt ?? 1;
  const recurs = days.length > 0 || start !== undefined || everyWeeks > 1;
  const description = extensionOf(e, 'description')?.valueString;
  const reason = extensionOf(e, 'reason')?.valueCoding;
  return [
    {
      ...(e.id === undefined ? {} : { id: e.id }),
      ...(description === undefined ? {} : { description }),
      ...(reason?.code === undefined ? {} : { reason: reason.display ?? reason.code }),
      from: moment(during.start),
      until: moment(during.end),
      ...(recurs
        ? {
            recurrence: {
              days: days.length > 0 ? days : WEEKDAYS,
              start: start ?? 0,
              end: end ?? 1440,
              everyWeeks,
            },
          }
        : {}),
      ...services(e),
    },
  ];
}

/** The public holidays that a place or an organization observes. */
export const holidaysOf = (place: Location | Organization | undefined): readonly Holiday[] =>
  extensionsOf(place, HOLIDAY).flatMap((e) => {
    const date = extensionOf(e, 'date')?.valueDate;
    const name = extensionOf(e, 'name')?.valueString ?? '';
    return date === undefined ? [] : [{ date, name, yearly: extensionOf(e, 'yearly')?.valueBoolean === true }];
  });

/** What the extension says itself, before places lend it zone and holidays. */
export interface Availability extends Omit<Calendar, 'zone' | 'holidays' | 'weekStart'> {
  readonly zone: string | undefined;
  readonly observesHolidays: boolean;
  /** `Location/1` or `Organization/1`, where another calendar than that of the place counts. */
  readonly holidayCalendar: string | undefined;
}

/** undefined: the Schedule says nothing of hours; only hand-made Slots open it. */
export function readAvailability(schedule: Schedule): Availability | undefined {
  const e = extensionOf(schedule, AVAILABILITY);
  if (!e) return undefined;
  return {
    ...season(e),
    zone: extensionOf(e, 'timezone')?.valueCode,
    rules: extensionsOf(e, 'availableTime').flatMap((rule, i) => ruleOf(rule, i) ?? []),
    overrides: extensionsOf(e, 'dateOverride').flatMap(overrideOf),
    notAvailable: extensionsOf(e, 'notAvailableTime').flatMap(notAvailableOf),
    observesHolidays: extensionOf(e, 'holidays')?.valueCode !== 'ignore',
    holidayCalendar: extensionOf(e, 'holidayCalendar')?.valueReference?.reference,
  };
}
