/** A billable item. @see https://hl7.org/fhir/R4/chargeitem.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'ChargeItem',
  sealed: { plain: ['patient', 'subject', 'context', 'enterer', 'performer-actor'] },
});
