/** Insurance of a patient. @see https://hl7.org/fhir/R4/coverage.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'Coverage',
  profiles: ['https://kairos.example/fhir/StructureDefinition/coverage'],
  sealed: { plain: ['status', 'beneficiary', 'patient', 'payor', 'policy-holder', 'subscriber'] },
});
