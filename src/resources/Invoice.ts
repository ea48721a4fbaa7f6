/** Charge items with their total. @see https://hl7.org/fhir/R4/invoice.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'Invoice',
  sealed: { plain: ['status', 'patient', 'subject', 'date', 'participant', 'recipient'] },
});
