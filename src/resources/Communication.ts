/** A message that was sent. @see https://hl7.org/fhir/R4/communication.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'Communication',
  sealed: { plain: ['status', 'patient', 'subject', 'encounter', 'recipient', 'sender', 'sent', 'received'] },
});
