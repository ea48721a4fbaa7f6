/** A person who provides care. @see https://hl7.org/fhir/R4/practitioner.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'Practitioner',
  profiles: ['https://kairos.example/fhir/StructureDefinition/practitioner'],
  sealed: false,
});
