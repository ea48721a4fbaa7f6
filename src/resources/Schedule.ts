/** A container for an actor's slots. @see https://hl7.org/fhir/R4/schedule.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'Schedule',
  profiles: ['https://kairos.example/fhir/StructureDefinition/schedule'],
  sealed: false,
});
