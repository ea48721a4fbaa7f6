/** Prices and rules of billing codes. @see https://hl7.org/fhir/R4/chargeitemdefinition.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'ChargeItemDefinition',
  sealed: false,
});
