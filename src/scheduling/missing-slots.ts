/**
 * Appointments that name Slots which are not there: the time was taken, and is not shown any more, or it is not offered any more. Whether it is the one or
 * the other is not told. @see https://hl7.org/fhir/R4/slot.html
 */
import type { Resource } from '@medplum/fhirtypes';
import type { FhirError } from '../fhir/outcome.ts';
import { alternativesTo } from './alternatives.ts';
import type { SchedulingParts } from './parts.ts';
import { TimeTaken } from './refusal.ts';
import { visitOfAppointment } from './visit.ts';

/** @param targets `Type/id`, that the appointment refers to and that lead nowhere */
export function missingSlots(
  parts: SchedulingParts,
  appointment: Resource,
  targets: readonly string[],
): FhirError | undefined {
  if (appointment.resourceType !== 'Appointment' || !targets.every((t) => t.startsWith('Slot/'))) return undefined;
  return new TimeTaken('This time is taken, or not offered any more.', async () => {
    const directory = await parts.directory.current();
    const visit = visitOfAppointment(directory, parts.engine.baseUrl, appointment, new Map());
    return alternativesTo(parts, visit, 'patient');
  });
}
