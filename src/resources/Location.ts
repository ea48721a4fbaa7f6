/** A place where services are provided. @see https://hl7.org/fhir/R4/location.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'Location',
  profiles: ['https://kairos.example/fhir/StructureDefinition/location'],
  sealed: false,
});
