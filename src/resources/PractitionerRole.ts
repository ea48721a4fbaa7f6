/** What a practitioner does at an organization and where. @see https://hl7.org/fhir/R4/practitionerrole.html */
import { defineResource } from '../fhir/resource.ts';
import type { UseContext } from '../operation-context.ts';

export default (use: UseContext) =>
  defineResource({
    type: 'PractitionerRole',
    profiles: ['https://kairos.example/fhir/StructureDefinition/practitioner-role'],
    sealed: false,
    projectsFirst: true,
    project: (tx, changes, by) => use().scheduling.rules(tx, changes, by),
  });
