/** A planned meeting of actors at a time. @see https://hl7.org/fhir/R4/appointment.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'Appointment',
  profiles: ['https://kairos.example/fhir/StructureDefinition/appointment'],
  sealed: {
    plain: [
      'status',
      'date',
      'actor',
      'patient',
      'practitioner',
      'location',
      'service-type',
      'service-category',
      'specialty',
      'appointment-type',
      'slot',
      'part-status',
    ],
  },
  defaultSort: ['date'],
  // IHE Scheduling: Bundle.total shall be present.
  total: 'accurate',
});
