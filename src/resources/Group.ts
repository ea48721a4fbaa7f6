/** A defined set of things or people. @see https://hl7.org/fhir/R4/group.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'Group',
  sealed: { plain: ['actual', 'member'] },
});
