/** Who takes part in a visit, and how much that matters. @see https://hl7.org/fhir/R4/appointment-definitions.html#Appointment.participant.required */
import type { AppointmentParticipant } from '@medplum/fhirtypes';

/** Whether it may be without them. Of whom nothing is said, they are needed. */
export const isOptional = ({ required }: Pick<AppointmentParticipant, 'required'>): boolean =>
  required === 'optional' || required === 'information-only';
