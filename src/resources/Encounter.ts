/** An actual meeting of patient and providers. @see https://hl7.org/fhir/R4/encounter.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'Encounter',
  profiles: ['https://kairos.example/fhir/StructureDefinition/encounter'],
  sealed: {
    plain: ['status', 'date', 'patient', 'subject', 'class', 'appointment', 'participant', 'practitioner', 'location'],
  },
});
