/** A message to be sent. @see https://hl7.org/fhir/R4/communicationrequest.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'CommunicationRequest',
  sealed: { plain: ['status', 'patient', 'subject', 'encounter', 'recipient', 'requester', 'sender', 'authored'] },
});
