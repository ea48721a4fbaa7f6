/** A request for notifications; stored as requested. @see https://hl7.org/fhir/R4/subscription.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'Subscription',
  sealed: { plain: ['status'] },
});
