/**
 * Dates as intervals: every date or time has the implicit precision it is written with. Text without a time zone is UTC.
 * @see https://hl7.org/fhir/R4/search.html#date
 */

/** Milliseconds since the epoch, `high` excluded. */
export interface Moment {
  readonly low: number;
  readonly high: number;
}

const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const daysIn = (year: number, month: number): number =>
  month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : (DAYS[month - 1] ?? 0);

/** `Date.UTC` without its special treatment of the years 0 to 99. */
function utc(year: number, month: number, day: number): number {
  return year > 99 ? Date.UTC(year, month, day) : new Date(0).setUTCFullYear(year, month, day);
}

/** Number written with `count` digits at `at`, or -1. */
function digits(text: string, at: number, count: number): number {
  let value = 0;
  for (let i = at; i < at + count; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (!(digit >= 0 && digit <= 9)) return -1;
    value = value * 10 + digit;
  }
  return value;
}

const DASH = 45;
const COLON = 58;
const MINUTE = 60_000;

/** Offset in minutes of `Z`, `+hh:mm` or `-hh:mm` at the end of the text; 0 for nothing; undefined for anything else. */
function offsetAt(text: string, at: number): number | undefined {
  const rest = text.length - at;
  if (rest === 0) return 0;
  const sign = text.charCodeAt(at);
  if (rest === 1) return sign === 90 ? 0 : undefined;
  if (rest !== 6 || (sign !== 43 && sign !== DASH) || text.charCodeAt(at + 3) !== COLON) return undefined;
  const hours = digits(text, at + 1, 2);
  const minutes = digits(text, at + 4, 2);
  if (hours < 0 || hours > 14 || minutes < 0 || minutes > 59) return undefined;
  return (sign === 43 ? 1 : -1) * (hours * 60 + minutes);
}

function timeOf(text: string, day: number, leapSecond: boolean): Moment | undefined {
  const hour = digits(text, 11, 2);
  const minute = digits(text, 14, 2);
  if (hour < 0 || hour > 23 || text.charCodeAt(13) !== COLON || minute < 0 || minute > 59) return undefined;
  let low = day + hour * 3_600_000 + minute * MINUTE;
  let width = MINUTE;
  let at = 16;
  if (text.charCodeAt(at) === COLON) {
    const second = digits(text, 17, 2);
    if (second < 0 || second > (leapSecond ? 60 : 59)) return undefined;
    low += second * 1000;
    width = 1000;
    at = 19;
    if (text.charCodeAt(at) === 46) {
      let digit = text.charCodeAt(++at) - 48;
      if (!(digit >= 0 && digit <= 9)) return undefined;
      for (; digit >= 0 && digit <= 9; digit = text.charCodeAt(++at) - 48) {
        if (width === 1) continue;
        width /= 10;
        low += digit * width;
      }
    }
  }
  const offset = offsetAt(text, at);
  if (offset === undefined) return undefined;
  low -= offset * MINUTE;
  return { low, high: low + width };
}

/**
 * Reads a FHIR date, dateTime or instant; times finer than a millisecond are cut to it.
 * @param leapSecond accept second 60, as resources may hold it
 * @returns undefined when it is none, or not in the calendar
 */
export function parseMoment(text: string, leapSecond = true): Moment | undefined {
  const year = digits(text, 0, 4);
  if (year < 1) return undefined;
  if (text.length === 4) return { low: utc(year, 0, 1), high: utc(year + 1, 0, 1) };
  const month = digits(text, 5, 2);
  if (text.charCodeAt(4) !== DASH || month < 1 || month > 12) return undefined;
  if (text.length === 7) return { low: utc(year, month - 1, 1), high: utc(year, month, 1) };
  const day = digits(text, 8, 2);
  if (text.charCodeAt(7) !== DASH || day < 1 || day > daysIn(year, month)) return undefined;
  const low = utc(year, month - 1, day);
  if (text.length === 10) return { low, high: low + 86_400_000 };
  return text.charCodeAt(10) === 84 ? timeOf(text, low, leapSecond) : undefined;
}

const FIRST = utc(1, 0, 1);
const LAST = utc(9999, 11, 31) + 86_400_000;

/** Text that PostgreSQL reads as timestamptz, for years 1 to 9999 (the ends are kept within). */
export function timestampText(ms: number): string {
  if (ms >= LAST) return '10000-01-01T00:00:00Z';
  return new Date(ms < FIRST ? FIRST : ms).toISOString();
}

/** Text that PostgreSQL reads as tstzrange; an infinite end is left open. */
export function rangeText(moment: Moment): string {
  const low = moment.low === -Infinity ? '' : timestampText(moment.low);
  const high = moment.high === Infinity ? '' : timestampText(moment.high);
  return `[${low},${high})`;
}

const text = (value: unknown): Moment | undefined => (typeof value === 'string' ? parseMoment(value) : undefined);

const hull = (a: Moment, b: Moment): Moment => ({ low: Math.min(a.low, b.low), high: Math.max(a.high, b.high) });

interface Bounds {
  readonly start?: unknown;
  readonly end?: unknown;
  readonly event?: unknown;
  readonly repeat?: { readonly boundsPeriod?: Bounds };
}

/**
 * The interval of a date value in a resource. A Period without an end is open there; of a Timing only the outer limits count.
 * @returns undefined when the value tells no time
 */
export function momentOf(type: string, value: unknown): Moment | undefined {
  if (typeof value === 'string') return parseMoment(value);
  if (typeof value !== 'object' || value === null) return undefined;
  const { start, end, event, repeat } = value as Bounds;
  if (type === 'Timing') {
    const parts = (Array.isArray(event) ? event : []).map(text);
    if (repeat?.boundsPeriod) parts.push(momentOf('Period', repeat.boundsPeriod));
    return parts.reduce<Moment | undefined>((all, m) => (all && m ? hull(all, m) : (m ?? all)), undefined);
  }
  const from = text(start);
  const to = text(end);
  if (from && to) return hull(from, to);
  if (from) return { low: from.low, high: Infinity };
  return to ? { low: -Infinity, high: to.high } : undefined;
}
