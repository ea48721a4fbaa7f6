/** A person who receives care. @see https://hl7.org/fhir/R4/patient.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'Patient',
  profiles: ['https://kairos.example/fhir/StructureDefinition/patient'],
  sealed: { plain: ['active', 'general-practitioner', 'link', 'organization'] },
});
