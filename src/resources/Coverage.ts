/** Insurance of a patient. @see https://hl7.org/fhir/R4/coverage.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'Coverage',
  sealed: { plain: ['status', 'beneficiary', 'patient'] },
});
