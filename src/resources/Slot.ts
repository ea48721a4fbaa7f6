/** A time that may be booked. @see https://hl7.org/fhir/R4/slot.html */
import { defineResource } from '../fhir/resource.ts';
import type { UseContext } from '../operation-context.ts';
import { beyondHorizon } from '../scheduling/horizon.ts';

export default (use: UseContext) =>
  defineResource({
    type: 'Slot',
    profiles: ['https://kairos.example/fhir/StructureDefinition/slot'],
    sealed: false,
    indexes: [{ columns: ['schedule', 'start'], where: "status = 'free'" }, { columns: ['schedule', 'start'] }],
    defaultSort: ['start'],
    advise: beyondHorizon,
    project: (tx, changes, by) => use().scheduling.slots(tx, changes, by),
  });
