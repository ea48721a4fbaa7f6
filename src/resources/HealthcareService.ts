/** A service offered at a location. @see https://hl7.org/fhir/R4/healthcareservice.html */
import { defineResource } from '../fhir/resource.ts';
import type { UseContext } from '../operation-context.ts';
import { parameterIssues } from '../scheduling/rules/check-parameters.ts';

export default (use: UseContext) =>
  defineResource({
    type: 'HealthcareService',
    profiles: ['https://kairos.example/fhir/StructureDefinition/healthcare-service'],
    sealed: false,
    check: (r) => (r.resourceType === 'HealthcareService' ? [...parameterIssues(r)] : []),
    projectsFirst: true,
    project: (tx, changes, by) => use().scheduling.rules(tx, changes, by),
  });
