/** Codes and their meaning. @see https://hl7.org/fhir/R4/codesystem.html */
import { READ_ONLY, defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'CodeSystem',
  sealed: false,
  interactions: READ_ONLY,
  storage: 'definitions',
});
