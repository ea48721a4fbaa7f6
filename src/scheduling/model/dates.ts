/**
 * Local dates `YYYY-MM-DD` and the arithmetic of whole days: a calendar without clocks, so without zones.
 * @see https://hl7.org/fhir/R4/datatypes.html#date
 */
import { WEEKDAYS, type Weekday } from './rules.ts';

export const MINUTE = 60_000;
export const DAY = 1440 * MINUTE;

/** Days since 1970-01-01. Asked for each rule of each date, so not by `Date.parse`, which is five times as slow; years below 100 are not ours. */
export const dayNumber = (date: string): number =>
  Date.UTC(Number(date.slice(0, 4)), Number(date.slice(5, 7)) - 1, Number(date.slice(8, 10))) / DAY;

export const dateOf = (day: number): string => new Date(day * DAY).toISOString().slice(0, 10);

export const addDays = (date: string, days: number): string => dateOf(dayNumber(date) + days);

/** How many days `b` is after `a`. */
export const daysBetween = (a: string, b: string): number => dayNumber(b) - dayNumber(a);

const modulo = (a: number, n: number): number => ((a % n) + n) % n;

/** 1970-01-01 was a Thursday. */
const weekdayIndex = (date: string): number => modulo(dayNumber(date) + 3, 7);

export const weekdayOf = (date: string): Weekday => WEEKDAYS[weekdayIndex(date)] ?? 'mon';

/** The first day of the week that `date` lies in. */
export const weekOf = (date: string, weekStart: Weekday): string =>
  addDays(date, -modulo(weekdayIndex(date) - WEEKDAYS.indexOf(weekStart), 7));

/** Whether the week of `date` counts, when every `n`th does and that of `origin` is one of them. */
export const weekCounts = (date: string, everyWeeks: number, origin: string, weekStart: Weekday): boolean =>
  everyWeeks <= 1 || (daysBetween(weekOf(origin, weekStart), weekOf(date, weekStart)) / 7) % everyWeeks === 0;

/** Inclusive on both sides; a side left out is open. */
export const withinDates = (date: string, from?: string, until?: string): boolean =>
  (from === undefined || date >= from) && (until === undefined || date <= until);
