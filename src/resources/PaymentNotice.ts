/** The status of a payment. @see https://hl7.org/fhir/R4/paymentnotice.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'PaymentNotice',
  sealed: { plain: ['status', 'provider'] },
});
