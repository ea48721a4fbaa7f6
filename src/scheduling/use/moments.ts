/** Moments and spans of time that operations are asked for. A date is a day by the clock of the place. @see https://hl7.org/fhir/R4/datatypes.html#dateTime */
import { badRequest } from '../../fhir/outcome.ts';
import { addDays } from '../model/dates.ts';
import type { Interval } from '../model/interval.ts';
import type { Zone } from '../model/zone.ts';

/** How far ahead of, and behind, UTC a place may be. */
const FARTHEST_AHEAD = 14 * 3_600_000;
const FARTHEST_BEHIND = 12 * 3_600_000;

/** Nobody is seen before or after; and beyond, calendars and databases differ. */
const YEARS = /^(?:19|20|21)\d\d/;

/** @throws FhirError 400 */
function demandYear(text: string, name: string): void {
  if (!YEARS.test(text)) throw badRequest('value', `Parameter ${name} must lie between the years 1900 and 2199.`, name);
}

/** @throws FhirError 400: a moment needs an offset, since nobody knows whose wall clock it is by */
export function momentOf(text: string, name: string): number {
  demandYear(text, name);
  const at = /(?:Z|[+-]\d{2}:\d{2})$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isFinite(at)) return at;
  throw badRequest('value', `Parameter ${name} needs an offset, as in 2026-11-27T09:00:00-05:00.`, name);
}

const DATE = /^\d{4}(?:-\d{2}){0,2}$/;

/** The first day of a date, month or year; undefined: it is a moment. */
const firstDay = (text: string): string | undefined => (DATE.test(text) ? `${text}-01-01`.slice(0, 10) : undefined);

/** The day after a date, month or year. */
function dayAfter(text: string): string | undefined {
  const first = firstDay(text);
  if (first === undefined) return undefined;
  if (text.length === 10) return addDays(first, 1);
  // No month has more than 31 days, no year more than 366.
  const within = addDays(first, text.length === 7 ? 31 : 366);
  return text.length === 7 ? `${within.slice(0, 7)}-01` : `${within.slice(0, 4)}-01-01`;
}

/** Within it lies the span by the clock of each place. */
export interface Span extends Interval {
  /** Some of it is said in dates. */
  readonly isLocal: boolean;
  spanAt(zone: Zone | undefined): Interval;
}

/** The span that is asked for: dates are whole days by the clock of each place. @throws FhirError 400 */
export function spanOf(startText: string, endText: string): Span {
  demandYear(startText, 'start');
  demandYear(endText, 'end');
  const first = firstDay(startText);
  const next = dayAfter(endText);
  const start = first === undefined ? momentOf(startText, 'start') : undefined;
  const end = next === undefined ? momentOf(endText, 'end') : undefined;
  const midnight = (date: string | undefined, zone: Zone | undefined): number =>
    zone ? zone.instantOf(date ?? '', 0, 'start') : Date.parse(date ?? '');
  return {
    isLocal: first !== undefined || next !== undefined,
    // Somewhere on earth it is that day by then, or still.
    start: start ?? Date.parse(first ?? '') - FARTHEST_AHEAD,
    end: end ?? Date.parse(next ?? '') + FARTHEST_BEHIND,
    spanAt: (zone) => ({ start: start ?? midnight(first, zone), end: end ?? midnight(next, zone) }),
  };
}
