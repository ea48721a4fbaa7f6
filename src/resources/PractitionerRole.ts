/** What a practitioner does at an organization and where. @see https://hl7.org/fhir/R4/practitionerrole.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'PractitionerRole',
  profiles: ['https://kairos.example/fhir/StructureDefinition/practitioner-role'],
  sealed: false,
});
