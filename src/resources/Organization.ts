/** A grouping of people with a common purpose. @see https://hl7.org/fhir/R4/organization.html */
import type { Organization } from '@medplum/fhirtypes';
import { CHART_TEMPLATE, parseChartTemplate } from '../auth/ehr/chart-url.ts';
import { errorIssue, type Issue } from '../fhir/outcome.ts';
import { defineResource } from '../fhir/resource.ts';
import type { UseContext } from '../operation-context.ts';
import { placeIssues } from '../scheduling/rules/check-zone.ts';

/** People follow what the template gives: it must be one that can only lead to its own host. */
function chartTemplates(organization: Organization): readonly Issue[] {
  const found = (organization.extension ?? []).flatMap((extension, i) =>
    extension.url === CHART_TEMPLATE ? [{ extension, at: `Organization.extension[${i}]` }] : [],
  );
  return found.flatMap(({ extension, at }, i) => {
    if (i > 0) return [errorIssue('structure', 'An organization has one chart URL template: keep one.', at)];
    if (extension.valueString === undefined)
      return [errorIssue('required', 'The chart URL template is missing: add valueString.', at)];
    const parsed = parseChartTemplate(extension.valueString);
    return typeof parsed === 'string' ? [errorIssue('value', `The template ${parsed}.`, `${at}.valueString`)] : [];
  });
}

export default (use: UseContext) =>
  defineResource({
    type: 'Organization',
    profiles: ['https://kairos.example/fhir/StructureDefinition/organization'],
    sealed: false,
    check: (resource) =>
      resource.resourceType === 'Organization' ? [...chartTemplates(resource), ...placeIssues(resource)] : [],
    projectsFirst: true,
    project: (tx, changes, by) => use().scheduling.rules(tx, changes, by),
  });
