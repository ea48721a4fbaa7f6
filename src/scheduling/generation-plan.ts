/**
 * What the rules of an offer want Slots for: from when to when, at which starts, and a fingerprint of all that this depends on, so that an offer whose rules
 * are still the same need not be looked at.
 * @see https://hl7.org/fhir/R4/slot.html
 */
import { createHash } from 'node:crypto';
import type { Offer } from './directory.ts';
import { addDays, MINUTE } from './model/dates.ts';
import type { Interval } from './model/interval.ts';
import type { Parameters } from './model/rules.ts';
import { latestStart } from './model/policy.ts';
import type { Candidate } from './model/starts.ts';
import { tzdataVersion } from './model/zone.ts';
import { bookable, startsAnew } from './offered.ts';
import type { SlotPattern } from './generated-slot.ts';

/** Raised when Slots are to be written anew although no rule has changed. */
const EDITION = 1;

const AT_ONCE: Parameters['notice'] = { patient: { unit: 'elapsed', ms: 0 }, staff: { unit: 'elapsed', ms: 0 } };

/** Of the rules of an offer what its Slots depend on. @param pattern the text of each of them */
export function fingerprintOf({ entry, serviceReference, parameters, pool }: Offer, pattern: SlotPattern): string {
  const { duration, interval, offset, before, after, strictBuffers, bufferIntoBreak, capacity, horizon } = parameters;
  const rules = [
    EDITION,
    tzdataVersion,
    entry.zone?.name,
    entry.calendar,
    entry.schedule.planningHorizon,
    entry.actors.map((a) => a.key),
    pool.map((a) => a.key),
    serviceReference,
    { duration, interval, offset, before, after, strictBuffers, bufferIntoBreak, capacity, horizon },
    pattern,
  ];
  return createHash('sha256').update(JSON.stringify(rules)).digest('base64url');
}

/**
 * From when to when an offer has Slots. Notice is not looked at: it differs by who asks, and passes with every minute.
 * @param mostDays no horizon reaches farther
 */
export function horizonOf(offer: Offer, now: number, mostDays: number): Interval {
  const { entry, parameters } = offer;
  const { earliest, latest } = bookable({ ...offer, parameters: { ...parameters, notice: AT_ONCE } }, 'staff', now);
  const bound = entry.zone ? latestStart(now, { days: mostDays }, entry.zone) : now;
  return { start: earliest, end: Math.min(latest, bound) };
}

/** Whole days lie in one span, so that what is made of spans is the same as what is made of days. */
function fromMidnight(offer: Offer, instant: number): number {
  const { zone } = offer.entry;
  return zone ? zone.instantOf(zone.localOf(instant).date, 0, 'start') : instant;
}

/** Days whose starts are made, and written, at once: two months of common ones, fewer where starts are close together. */
const daysAtOnce = ({ parameters }: Offer): number => (parameters.interval >= 15 ? 61 : 10);

/** The starts of an offer in a span, ascending, in parts that are not too long. */
export function* startsWithin(offer: Offer, { start, end }: Interval): Generator<readonly Candidate[]> {
  const { zone } = offer.entry;
  if (!zone) return;
  for (let from = fromMidnight(offer, start); from < end;) {
    const to = zone.instantOf(addDays(zone.localOf(from).date, daysAtOnce(offer)), 0, 'start');
    const starts = startsAnew(offer, from, to).filter((c) => c.start >= start && c.start < end);
    if (starts.length > 0) yield starts;
    from = to;
  }
}

export const endOf = (offer: Offer, start: number): number => start + offer.parameters.duration * MINUTE;
