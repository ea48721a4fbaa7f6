/** Ids of generated Slots: made of what they offer, so that a second generation names the same ones. @see https://hl7.org/fhir/R4/slot.html */
import { hash } from 'node:crypto';

/** @param start ms since the epoch */
export const slotId = (schedule: string, service: string | undefined, start: number): string =>
  hash('sha256', `${schedule} ${service ?? ''} ${start}`).slice(0, 32);
