/** A place where services are provided. @see https://hl7.org/fhir/R4/location.html */
import { defineResource } from '../fhir/resource.ts';
import type { UseContext } from '../operation-context.ts';
import { placeIssues } from '../scheduling/rules/check-zone.ts';

export default (use: UseContext) =>
  defineResource({
    type: 'Location',
    profiles: ['https://kairos.example/fhir/StructureDefinition/location'],
    sealed: false,
    check: (r) => (r.resourceType === 'Location' ? [...placeIssues(r)] : []),
    projectsFirst: true,
    project: (tx, changes, by) => use().scheduling.rules(tx, changes, by),
  });
