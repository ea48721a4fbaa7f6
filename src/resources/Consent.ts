/** A patient's choices on the use of data. @see https://hl7.org/fhir/R4/consent.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'Consent',
  documentation: 'Consents are stored and found, and not enforced yet: none opens or closes access to anything.',
  sealed: { plain: ['status', 'patient'] },
});
