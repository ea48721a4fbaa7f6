/** Who made a resource, and how. @see https://hl7.org/fhir/R4/provenance.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'Provenance',
  profiles: ['https://kairos.example/fhir/StructureDefinition/provenance'],
  sealed: { plain: ['target', 'patient', 'agent', 'recorded'] },
});
