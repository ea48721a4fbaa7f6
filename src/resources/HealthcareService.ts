/** A service offered at a location. @see https://hl7.org/fhir/R4/healthcareservice.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'HealthcareService',
  profiles: ['https://kairos.example/fhir/StructureDefinition/healthcare-service'],
  sealed: false,
});
