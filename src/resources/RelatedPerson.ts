/** A person tied to a patient, who is not the target of care. @see https://hl7.org/fhir/R4/relatedperson.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'RelatedPerson',
  profiles: ['https://kairos.example/fhir/StructureDefinition/related-person'],
  sealed: { plain: ['patient', 'active'] },
});
