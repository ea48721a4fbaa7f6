/** A defined operation. @see https://hl7.org/fhir/R4/operationdefinition.html */
import { READ_ONLY, defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'OperationDefinition',
  sealed: false,
  interactions: READ_ONLY,
  storage: 'definitions',
});
