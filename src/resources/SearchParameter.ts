/** A defined search criterion. @see https://hl7.org/fhir/R4/searchparameter.html */
import { READ_ONLY, defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'SearchParameter',
  sealed: false,
  interactions: READ_ONLY,
  storage: 'definitions',
});
