/** A participant's reply to an appointment request. @see https://hl7.org/fhir/R4/appointmentresponse.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'AppointmentResponse',
  sealed: { plain: ['appointment', 'part-status', 'actor', 'patient', 'practitioner', 'location'] },
});
