/** The address of one patient's chart, by the template of the organization that keeps it, under the access of who asks. */
import type { Encounter, Organization, Patient, Resource } from '@medplum/fhirtypes';
import type { Access } from '../../fhir/access.ts';
import type { Engine } from '../../fhir/engine.ts';
import { isLive } from '../../fhir/interaction/version.ts';
import { badRequest, errorIssue, FhirError, notFound } from '../../fhir/outcome.ts';
import { relativeToBase } from '../../fhir/own-base.ts';
import { chartTemplateOf, chartUrl, parseChartTemplate } from './chart-url.ts';

export interface ChartLink {
  readonly url: string;
  /** `Organization/id` whose template it is. */
  readonly organization: string;
}

export interface ChartAsked {
  /** `Organization/id`; undefined: the patient's managing organization. */
  readonly organization?: string | undefined;
  /** `Encounter/id`. */
  readonly encounter?: string | undefined;
}

/** Organizations asked for a template, from a department up. */
const MAX_STEPS = 5;

const idIn = (type: string, reference: string): string | undefined =>
  new RegExp(`^${type}/([A-Za-z0-9.-]{1,64})$`).exec(reference)?.[1];

async function readLive<T extends Resource>(
  engine: Engine,
  access: Access,
  type: T['resourceType'],
  id: string,
): Promise<T | undefined> {
  access.demand('read', type);
  const version = await engine.repository.read(type, id, access.to('read'));
  return isLive(version) ? (JSON.parse(version.content) as T) : undefined;
}

/** The nearest organization with a template, from the one named up to the whole that it is part of. */
async function templateFrom(
  engine: Engine,
  access: Access,
  reference: string,
): Promise<{ readonly organization: string; readonly text: string } | undefined> {
  let at: string | undefined = reference;
  for (let step = 0; at !== undefined && step < MAX_STEPS; step++) {
    const id = idIn('Organization', relativeToBase(at, engine.baseUrl));
    const organization: Organization | undefined =
      id === undefined ? undefined : await readLive<Organization>(engine, access, 'Organization', id);
    if (!organization) return undefined;
    const text = chartTemplateOf(organization);
    if (text !== undefined) return { organization: `Organization/${id}`, text };
    at = organization.partOf?.reference;
  }
  return undefined;
}

async function encounterOf(engine: Engine, access: Access, patient: string, reference: string): Promise<Encounter> {
  const id = idIn('Encounter', reference);
  if (id === undefined) throw badRequest('value', 'Parameter encounter must be Encounter/id.', 'encounter');
  const encounter = await readLive<Encounter>(engine, access, 'Encounter', id);
  if (!encounter || relativeToBase(encounter.subject?.reference ?? '', engine.baseUrl) !== `Patient/${patient}`)
    throw notFound('Encounter', id);
  return encounter;
}

const unprocessable = (diagnostics: string): FhirError =>
  new FhirError(422, [errorIssue('business-rule', diagnostics)]);

/**
 * @throws FhirError 404 for what the caller may not see, 422 when there is no template or it cannot be filled in
 */
export async function chartLink(
  engine: Engine,
  access: Access,
  patient: Patient,
  asked: ChartAsked,
): Promise<ChartLink> {
  if (asked.organization !== undefined && idIn('Organization', asked.organization) === undefined)
    throw badRequest('value', 'Parameter organization must be Organization/id.', 'organization');
  const start = asked.organization ?? patient.managingOrganization?.reference;
  if (start === undefined)
    throw unprocessable('The patient has no managing organization: name one in the parameter organization.');
  const template = await templateFrom(engine, access, start);
  if (!template)
    throw unprocessable(
      'The organization has no chart URL template, nor has one that it is part of: add the extension to it.',
    );
  const parsed = parseChartTemplate(template.text);
  if (typeof parsed === 'string') throw unprocessable(`The chart URL template of ${template.organization} ${parsed}.`);
  const encounter =
    asked.encounter === undefined ? undefined : await encounterOf(engine, access, patient.id ?? '', asked.encounter);
  const filled = chartUrl(parsed, patient, encounter);
  if ('missing' in filled)
    throw unprocessable(`The chart URL template needs {${filled.missing}}, which is not known here or cannot be used.`);
  return { url: filled.url, organization: template.organization };
}
