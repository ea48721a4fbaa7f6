/** The shape of a type or profile. @see https://hl7.org/fhir/R4/structuredefinition.html */
import { READ_ONLY, defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'StructureDefinition',
  sealed: false,
  interactions: READ_ONLY,
  storage: 'definitions',
});
