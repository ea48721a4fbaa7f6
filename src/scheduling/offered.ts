/**
 * The starts that the rules of an offer allow on a local day: made once for each day and kept with the directory, since `$find`, every booking and the
 * generation of Slots ask for the same days again and again.
 * @see https://profiles.ihe.net/ITI/Scheduling/ITI-115.html
 */
import type { Offer } from './directory.ts';
import { blocksBetween, windowsBetween, type Block, type Window } from './model/availability.ts';
import { addDays, dateOf, DAY, MINUTE } from './model/dates.ts';
import type { Interval } from './model/interval.ts';
import { admits, candidates, freeAmong, type Candidate } from './model/starts.ts';
import { earliestStart, latestStart } from './model/policy.ts';
import type { Channel } from './model/rules.ts';

/** Days kept for an offer; a horizon of two months needs no more. */
const MOST_DAYS = 100;

const kept = new WeakMap<Offer, Map<number, readonly Candidate[]>>();

/** Time off in the rules, as far as visits that start in a span may meet it. */
export function timeOff({ entry, parameters, serviceReference }: Offer, { start, end }: Interval): readonly Block[] {
  if (!entry.calendar) return [];
  // A visit that starts before midnight may end after it.
  const reach = (parameters.duration + parameters.after) * MINUTE;
  return blocksBetween(entry.calendar, start - parameters.before * MINUTE, end + reach, serviceReference);
}

/** Starts in `[from, to)`, made anew and kept nowhere: for whoever goes through all offers, whose days would fill the memory. */
export function startsAnew(offer: Offer, from: number, to: number): readonly Candidate[] {
  const { calendar } = offer.entry;
  if (!calendar || !(from < to)) return [];
  const { parameters, serviceReference: service } = offer;
  const span = { start: from, end: to };
  const blocks = timeOff(offer, span);
  const starts = candidates(windowsBetween(calendar, from, to, service), parameters, span);
  if (blocks.length === 0) return starts;
  const free = new Set(freeAmong(starts, { blocks, taken: [], parameters }));
  return starts.filter(({ start }) => free.has(start));
}

function make(offer: Offer, day: number): readonly Candidate[] {
  const { zone } = offer.entry;
  if (!zone) return [];
  return startsAnew(offer, zone.instantOf(dateOf(day), 0, 'start'), zone.instantOf(dateOf(day + 1), 0, 'start'));
}

/** Starts on a local day of the Schedule's zone, ascending: in its hours, clear of breaks and of the time off in its rules. @param day since 1970 */
function startsOn(offer: Offer, day: number): readonly Candidate[] {
  let days = kept.get(offer);
  if (!days) kept.set(offer, (days = new Map()));
  const known = days.get(day);
  if (known) return known;
  if (days.size >= MOST_DAYS) days.clear();
  const fresh = make(offer, day);
  days.set(day, fresh);
  return fresh;
}

/** Starts in `[from, to)`. */
export function startsBetween(offer: Offer, from: number, to: number): readonly Candidate[] {
  const { zone } = offer.entry;
  if (!zone || !(from < to)) return [];
  const found: Candidate[] = [];
  const last = zone.dayOf(to - 1);
  for (let day = zone.dayOf(from); day <= last; day++) {
    for (const each of startsOn(offer, day)) if (each.start >= from && each.start < to) found.push(each);
  }
  return found;
}

/** The candidate at an instant, if the rules have one. */
export const candidateAt = (offer: Offer, start: number): Candidate | undefined =>
  offer.entry.zone && startsOn(offer, offer.entry.zone.dayOf(start)).find((c) => c.start === start);

/** An opening made by hand, as the hours that it is. */
export const openedWindow = ({ entry }: Offer, { start, end }: Interval, slot: string): Window => ({
  start,
  end,
  breaks: [],
  zone: entry.zone?.name ?? 'UTC',
  origin: { kind: 'opening', id: slot },
});

/** Whether one of these openings offers a visit of some length: time off in the rules comes before them. */
export function isOpened(offer: Offer, openings: readonly Interval[], { start, end }: Interval): boolean {
  const layout = { ...offer.parameters, duration: (end - start) / MINUTE };
  if (!openings.some((each) => admits(openedWindow(offer, each, ''), layout, start))) return false;
  const blocks = timeOff(offer, { start, end });
  return freeAmong([{ start, capacity: 1 }], { blocks, taken: [], parameters: layout }).length > 0;
}

/** The span in which visits may start, by notice and horizon. */
export function bookable(
  { entry: { zone, schedule }, parameters }: Offer,
  channel: Channel,
  now: number,
): { readonly earliest: number; readonly latest: number } {
  const { start, end } = schedule.planningHorizon ?? {};
  const earliest = zone ? earliestStart(now, parameters.notice[channel], zone) : now;
  const latest = zone ? latestStart(now, parameters.horizon, zone) : now + (parameters.horizon.days ?? 60) * DAY;
  return {
    earliest: start === undefined ? earliest : Math.max(earliest, boundOf(start, 'start', zone)),
    latest: end === undefined ? latest : Math.min(latest, boundOf(end, 'end', zone)),
  };
}

/** A bound of a Period: a date is the whole local day. */
function boundOf(text: string, which: 'start' | 'end', zone: Offer['entry']['zone']): number {
  if (text.length > 10) return Date.parse(text);
  if (text.length === 10 && zone) return zone.instantOf(which === 'start' ? text : addDays(text, 1), 0, 'start');
  // A year or month alone: the whole of it.
  const at = new Date(Date.parse(text));
  if (which === 'start') return at.getTime();
  return text.length === 4 ? Date.UTC(at.getUTCFullYear() + 1, 0) : Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1);
}
