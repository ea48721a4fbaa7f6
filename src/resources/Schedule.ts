/** A container for an actor's slots. @see https://hl7.org/fhir/R4/schedule.html */
import { defineResource } from '../fhir/resource.ts';
import type { UseContext } from '../operation-context.ts';

export default (use: UseContext) =>
  defineResource({
    type: 'Schedule',
    profiles: ['https://kairos.example/fhir/StructureDefinition/schedule'],
    sealed: false,
    projectsFirst: true,
    project: (tx, changes, by) => use().scheduling.rules(tx, changes, by),
  });
