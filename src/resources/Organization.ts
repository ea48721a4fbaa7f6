/** A grouping of people with a common purpose. @see https://hl7.org/fhir/R4/organization.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'Organization',
  profiles: ['https://kairos.example/fhir/StructureDefinition/organization'],
  sealed: false,
});
