/** A set of codes. @see https://hl7.org/fhir/R4/valueset.html */
import { READ_ONLY, defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'ValueSet',
  sealed: false,
  interactions: READ_ONLY,
  storage: 'definitions',
});
