/** Rooms and devices of a pool that nobody has at a time, whatever else stands against a visit then. @see https://hl7.org/fhir/R4/appointment-definitions.html#Appointment.participant */
import type { Reader } from '../fhir/store/repository.ts';
import type { Actor } from './actor.ts';
import type { Offer } from './directory.ts';
import { MINUTE } from './model/dates.ts';
import type { Interval } from './model/interval.ts';
import { freeLane } from './model/lanes.ts';
import { readState } from './state.ts';
import { capacityAt } from './visit.ts';

/** @param ignoring ids of appointments that are in nobody's way */
export async function roomsLeft(
  repository: Pick<Reader, 'query'>,
  offer: Offer,
  { start, end }: Interval,
  ignoring: readonly string[] = [],
): Promise<readonly Actor[]> {
  const { pool, parameters } = offer;
  if (pool.length === 0) return [];
  const padded = { start: start - parameters.before * MINUTE, end: end + parameters.after * MINUTE };
  const keys = pool.map((a) => a.key);
  const { taken } = await readState({ repository }, keys, [], padded, ignoring);
  const capacity = capacityAt(offer, start);
  return pool.filter(({ key }) => freeLane(taken.get(key) ?? [], capacity) !== undefined);
}
