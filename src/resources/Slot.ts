/** A time that may be booked. @see https://hl7.org/fhir/R4/slot.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'Slot',
  profiles: ['https://kairos.example/fhir/StructureDefinition/slot'],
  sealed: false,
  indexes: [{ columns: ['schedule', 'start'], where: "status = 'free'" }, { columns: ['schedule', 'start'] }],
  defaultSort: ['start'],
});
