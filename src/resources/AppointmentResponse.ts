/** A participant's reply to an appointment request. @see https://hl7.org/fhir/R4/appointmentresponse.html */
import { defineResource } from '../fhir/resource.ts';
import type { UseContext } from '../operation-context.ts';

export default (use: UseContext) =>
  defineResource({
    type: 'AppointmentResponse',
    sealed: { plain: ['appointment', 'part-status', 'actor', 'patient', 'practitioner', 'location'] },
    project: (tx, changes, by) => use().scheduling.responses(tx, changes, by),
  });
