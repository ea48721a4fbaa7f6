/** Whoever or whatever a visit needs, as the table of occupancy knows them. @see https://hl7.org/fhir/R4/appointment-definitions.html#Appointment.participant.actor */
import { createHash } from 'node:crypto';

const keys = new Map<string, string>();
const MOST_REMEMBERED = 20_000;

/** The key of `Practitioner/1` in the table of occupancy: a UUID made of the reference, so that no table of actors is needed. */
export function actorKey(reference: string): string {
  const known = keys.get(reference);
  if (known !== undefined) return known;
  const hex = createHash('sha256').update(reference).digest('hex');
  const key = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
  if (keys.size >= MOST_REMEMBERED) keys.clear();
  keys.set(reference, key);
  return key;
}

/** Physical types of places where one visit takes place at a time; a site or a ward is not scarce. @see https://hl7.org/fhir/R4/valueset-location-physical-type.html */
export const SCARCE_PLACES: ReadonlySet<string> = new Set(['ro', 'bd', 've', 'ca', 'rd']);

export interface Actor {
  /** `Practitioner/1`, `Location/2`, `Device/3`. */
  readonly reference: string;
  readonly key: string;
  readonly display: string | undefined;
}

export const actorOf = (reference: string, display?: string): Actor => ({
  reference,
  key: actorKey(reference),
  display,
});
