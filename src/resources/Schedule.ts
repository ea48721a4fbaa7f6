/** A container for an actor's slots. @see https://hl7.org/fhir/R4/schedule.html */
import { defineResource } from '../fhir/resource.ts';
import type { UseContext } from '../operation-context.ts';
import { awayReasons } from '../scheduling/private-texts.ts';
import { availabilityIssues } from '../scheduling/rules/check-availability.ts';
import { parameterIssues } from '../scheduling/rules/check-parameters.ts';

export default (use: UseContext) =>
  defineResource({
    type: 'Schedule',
    profiles: ['https://kairos.example/fhir/StructureDefinition/schedule'],
    sealed: false,
    check: (r) => (r.resourceType === 'Schedule' ? [...availabilityIssues(r), ...parameterIssues(r)] : []),
    withheld: awayReasons,
    projectsFirst: true,
    project: (tx, changes, by) => use().scheduling.rules(tx, changes, by),
  });
