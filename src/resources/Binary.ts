/** Raw content with its media type. @see https://hl7.org/fhir/R4/binary.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'Binary',
  sealed: { plain: [] },
  raw: true,
});
