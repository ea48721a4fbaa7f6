/** A time that may be booked. @see https://hl7.org/fhir/R4/slot.html */
import type { Resource } from '@medplum/fhirtypes';
import { defineResource } from '../fhir/resource.ts';
import type { UseContext } from '../operation-context.ts';
import { beyondHorizon } from '../scheduling/horizon.ts';
import { slotTexts } from '../scheduling/private-texts.ts';

const isHeld = (slot: Resource): boolean => slot.resourceType === 'Slot' && slot.status === 'busy-tentative';

export default (use: UseContext) =>
  defineResource({
    type: 'Slot',
    profiles: ['https://kairos.example/fhir/StructureDefinition/slot'],
    sealed: false,
    indexes: [{ columns: ['schedule', 'start'], where: "status = 'free'" }, { columns: ['schedule', 'start', 'end'] }],
    defaultSort: ['start'],
    // To hold a time, and to let it go.
    needsMatch: (before, after) => isHeld(before) !== isHeld(after),
    advise: (query, now) => beyondHorizon(query, now, use().scheduling.parts.slotHorizonDays),
    withheld: slotTexts,
    lock: (tx, entries) => use().scheduling.lockSlots(tx, entries),
    project: (tx, changes, by) => use().scheduling.slots(tx, changes, by),
  });
