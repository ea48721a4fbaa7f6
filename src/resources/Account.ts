/** A tool for tracking charges. @see https://hl7.org/fhir/R4/account.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'Account',
  sealed: { plain: ['status', 'patient', 'subject'] },
});
