/** A resource for what has no type yet. @see https://hl7.org/fhir/R4/basic.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'Basic',
  sealed: { plain: ['patient', 'subject', 'author'] },
});
