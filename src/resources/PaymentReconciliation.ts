/** How a payment settles claims. @see https://hl7.org/fhir/R4/paymentreconciliation.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'PaymentReconciliation',
  sealed: { plain: ['status', 'requestor'] },
});
