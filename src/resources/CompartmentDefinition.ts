/** How resources belong to a compartment. @see https://hl7.org/fhir/R4/compartmentdefinition.html */
import { READ_ONLY, defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'CompartmentDefinition',
  sealed: false,
  interactions: READ_ONLY,
  storage: 'definitions',
});
