/** Whose time many want at the moment. @see https://hl7.org/fhir/R4/appointment.html */
import { actorKey } from './actor.ts';

const HOT_MS = 2_000;
const MOST_HOT = 1_000;

/** Actors whose time somebody came too late for, by key, and until when that matters; ms of `performance.now()`. */
export type Contended = Map<string, number>;

/** @param reference `Practitioner/1` */
export function noteContention(contended: Contended, reference: string): void {
  if (contended.size >= MOST_HOT) contended.clear();
  stayContended(contended, actorKey(reference));
}

/** @param key of an actor */
export const stayContended = (contended: Contended, key: string): void =>
  void contended.set(key, performance.now() + HOT_MS);
