/**
 * Wall clock and instants of IANA zones. Temporal finds the moments at which a zone's offset changes, once; from then on it is binary search.
 * @see https://tc39.es/proposal-temporal/#sec-temporal.zoneddatetime.prototype.gettimezonetransition
 */
import { Temporal } from 'temporal-polyfill';
import { DAY, dateOf, dayNumber, MINUTE } from './dates.ts';

export { addDays, daysBetween, weekdayOf } from './dates.ts';

export interface Zone {
  /** As IANA spells it. */
  readonly name: string;
  /** Milliseconds that local time is ahead of UTC. */
  offsetAt(instant: number): number;
  /** The first instant after this one at which the offset changes; `Infinity`: none that we know of. */
  nextChange(instant: number): number;
  /**
   * The instant of a wall-clock time; minutes beyond 1440 belong to following days.
   * A time that does not occur: the instant at which clocks jumped over it. One that occurs twice: the earlier as a start, the later as an end.
   */
  instantOf(date: string, minutes: number, which: 'start' | 'end'): number;
  /** The local date of an instant as days since 1970-01-01. */
  dayOf(instant: number): number;
  localOf(instant: number): { readonly date: string; readonly minutes: number };
  /** `2026-11-27T09:00:00-05:00` */
  format(instant: number): string;
}

/** Offsets in order of time: `offsets[i]` holds from `starts[i]` on. */
interface Spans {
  readonly starts: readonly number[];
  readonly offsets: readonly number[];
}

// 17 years at a time are looked up when first asked for, from 1883 to 2211; before and after, the first and the last offset go on.
const BLOCK = 2 ** 39;
const [FIRST_BLOCK, LAST_BLOCK] = [-5, 13];

function spansOf(name: string, block: number): Spans {
  // From three days before the block on: who asks for a moment in it may look two days back for the change.
  const begin = Temporal.Instant.fromEpochMilliseconds(block * BLOCK - 3 * DAY).toZonedDateTimeISO(name);
  const starts = [-Infinity];
  const offsets = [begin.offsetNanoseconds / 1e6];
  for (let at = begin.getTimeZoneTransition('next'); at; at = at.getTimeZoneTransition('next')) {
    // One beyond the end is kept: it answers `nextChange` for all of the block.
    starts.push(at.epochMilliseconds);
    offsets.push(at.offsetNanoseconds / 1e6);
    if (at.epochMilliseconds >= (block + 1) * BLOCK) break;
  }
  return { starts, offsets };
}

function zoneWith(name: string): Zone {
  const blocks = new Map<number, Spans>();

  const spansAt = (instant: number): Spans => {
    const block = Math.min(Math.max(Math.floor(instant / BLOCK), FIRST_BLOCK), LAST_BLOCK);
    let spans = blocks.get(block);
    if (!spans) blocks.set(block, (spans = spansOf(name, block)));
    return spans;
  };
  /** The last span that starts at or before the instant. */
  const indexIn = ({ starts }: Spans, instant: number): number => {
    let [low, high] = [0, starts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] ?? Infinity) <= instant) low = middle;
      else high = middle - 1;
    }
    return low;
  };
  const offsetAt = (instant: number): number => {
    const spans = spansAt(instant);
    return spans.offsets[indexIn(spans, instant)] ?? 0;
  };
  const startOfSpan = (instant: number): number => {
    const spans = spansAt(instant);
    return spans.starts[indexIn(spans, instant)] ?? instant;
  };

  return {
    name,
    offsetAt,
    nextChange(instant) {
      const spans = spansAt(instant);
      return spans.starts.find((start) => start > instant) ?? Infinity;
    },
    instantOf(date, minutes, which) {
      const local = dayNumber(date) * DAY + minutes * MINUTE;
      // No offset is as much as a day, and no zone changes twice in two: these are the offsets before and after the change, if there is one.
      const [before, after] = [offsetAt(local - DAY), offsetAt(local + DAY)];
      if (before === after) return local - before;
      const [earlier, later] = [local - before, local - after];
      const [isBefore, isAfter] = [offsetAt(earlier) === before, offsetAt(later) === after];
      if (isBefore && isAfter) return which === 'start' ? Math.min(earlier, later) : Math.max(earlier, later);
      if (isBefore) return earlier;
      return isAfter ? later : startOfSpan(earlier);
    },
    dayOf: (instant) => Math.floor((instant + offsetAt(instant)) / DAY),
    localOf(instant) {
      const local = instant + offsetAt(instant);
      const day = Math.floor(local / DAY);
      return { date: dateOf(day), minutes: (local - day * DAY) / MINUTE };
    },
    format(instant) {
      // Written in whole minutes, as RFC 3339 has it; the local time goes by what is written.
      const offset = Math.round(offsetAt(instant) / MINUTE);
      const iso = new Date(instant + offset * MINUTE).toISOString();
      const hours = String(Math.trunc(Math.abs(offset) / 60)).padStart(2, '0');
      const rest = String(Math.abs(offset) % 60).padStart(2, '0');
      return `${iso.slice(0, iso.endsWith('.000Z') ? -5 : -1)}${offset < 0 ? '-' : '+'}${hours}:${rest}`;
    },
  };
}

/** Not a cache of answers that could grow old: the zones of this process, each under its one name. */
const known = new Map<string, Zone>();

/** As IANA spells it, or undefined. Offsets (`+02:00`) and timestamps, which Temporal takes for zones as well, are none. */
function spelled(name: string): string | undefined {
  if (!/^[A-Za-z][A-Za-z0-9._+-]*(?:\/[A-Za-z0-9._+-]+)*$/.test(name)) return undefined;
  try {
    return Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(name).timeZoneId;
  } catch {
    return undefined;
  }
}

/** The zone of this name; undefined: there is none. */
export function zoneOf(name: string): Zone | undefined {
  const cached = known.get(name);
  if (cached) return cached;
  const spelling = spelled(name);
  if (spelling === undefined) return undefined;
  let zone = known.get(spelling);
  if (!zone) known.set(spelling, (zone = zoneWith(spelling)));
  return zone;
}

/** The zone of a calendar whose zone was looked at when it was read. @throws RangeError there is none of this name */
export function zoneNamed(name: string): Zone {
  const zone = zoneOf(name);
  if (!zone) throw new RangeError(`no such time zone: ${name}`);
  return zone;
}

/** Which edition of the zones' rules this process knows. */
export const tzdataVersion: string = process.versions.tz ?? 'unknown';
