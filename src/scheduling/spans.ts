/** Spans of time in which Slots are brought to the status that they have in truth, as `scheduling_restate` takes them. @see https://hl7.org/fhir/R4/slot.html */
import type { Offer, ScheduleEntry } from './directory.ts';

/** The Slots of an offer that meet a time. */
export interface Span {
  readonly schedule: string;
  readonly service: string | null;
  /** Those that name no service, too, as hand-made Slots may. `bare`: it might be any, and they are as a visit without buffers or a room is. */
  readonly plain: 'own' | 'bare' | null;
  readonly from: string;
  readonly upto: string;
  /** Seconds. */
  readonly before: number;
  readonly after: number;
  readonly capacity: number;
  readonly actors: readonly string[];
  readonly pool: readonly string[];
}

function plainOf({ entry: { offers }, serviceReference }: Offer, isFirst: boolean): Span['plain'] {
  if (serviceReference === undefined) return null;
  if (offers.length === 1) return 'own';
  return isFirst && offers.every((o) => o.serviceReference !== undefined) ? 'bare' : null;
}

export function spanOf(offer: Offer, from: string, upto: string): Span {
  const { entry, parameters, serviceReference, pool } = offer;
  return {
    schedule: entry.reference,
    service: serviceReference ?? null,
    plain: plainOf(offer, entry.offers[0] === offer),
    from,
    upto,
    before: parameters.before * 60,
    after: parameters.after * 60,
    // That of the hours, where it is another one, is known to the database Slot by Slot.
    capacity: parameters.capacity,
    actors: entry.actors.map((a) => a.key),
    pool: pool.map((a) => a.key),
  };
}

/** All Slots of a Schedule that meet a time. */
export const spansIn = (entry: ScheduleEntry, from: string, upto: string): Span[] =>
  entry.offers.map((offer) => spanOf(offer, from, upto));
