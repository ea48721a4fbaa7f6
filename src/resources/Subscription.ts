/** A request for notifications; stored as requested, since nothing is delivered yet. @see https://hl7.org/fhir/R4/subscription.html */
import { errorIssue } from '../fhir/outcome.ts';
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'Subscription',
  sealed: { plain: ['status'] },
  check: (resource) =>
    resource.resourceType === 'Subscription' && resource.status === 'active'
      ? [
          errorIssue(
            'business-rule',
            "Notifications are not delivered yet, so a Subscription cannot be 'active'; send status 'requested'.",
            'Subscription.status',
          ),
        ]
      : [],
});
