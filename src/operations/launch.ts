/**
 * Opens a SMART app with context: mints a launch handle for the person who calls, and says where to send the browser.
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#launch-app-ehr-launch
 */
import { findClient } from '../auth/clients/registry.ts';
import type { FhirContext, LaunchContext } from '../auth/smart/launch.ts';
import { mintLaunch } from '../auth/smart/launch.ts';
import type { RequestContext } from '../fhir/context.ts';
import type { Engine } from '../fhir/engine.ts';
import { demandLive } from '../fhir/interaction/version.ts';
import { defineOperation, type OperationInput } from '../fhir/operation-parameters.ts';
import { badRequest, errorIssue, FhirError } from '../fhir/outcome.ts';
import type { UseContext } from '../operation-context.ts';

/** Who works here and has patients' records open. */
const ROLES = ['staff', 'physician'];
const MAX_CONTEXT = 10;
const REFERENCE = /^([A-Z][A-Za-z]+)\/([A-Za-z0-9.-]{1,64})$/;

/** The account that calls. @throws FhirError 403 for everybody who does not work here */
function demandStaff({ access: { principal } }: RequestContext): string {
  const { kind, account, roles = [] } = principal;
  if (kind !== 'user' || account === undefined || !roles.some((role) => ROLES.includes(role)))
    throw new FhirError(403, [
      errorIssue('forbidden', '$launch is for staff and physicians: apps open in their name.'),
    ]);
  return account;
}

/** Reads what a reference points to, as far as the caller may. @throws FhirError 400 or 404 */
async function read(
  engine: Engine,
  ctx: RequestContext,
  reference: string,
  parameter: string,
  only?: string,
): Promise<Readonly<Record<string, unknown>>> {
  const [, type = '', id = ''] = REFERENCE.exec(reference) ?? [];
  if (!engine.resources.has(type) || (only !== undefined && type !== only))
    throw badRequest('value', `Parameter ${parameter} must be ${only ?? 'a type that is served here'}/id.`, parameter);
  ctx.access.demand('read', type);
  const { content } = demandLive(await engine.repository.read(type, id, ctx.access.to('read')), type, id);
  return JSON.parse(content) as Readonly<Record<string, unknown>>;
}

/** @throws FhirError 400 when the encounter is another patient's */
async function encounterOf(
  engine: Engine,
  ctx: RequestContext,
  encounter: string | undefined,
  patient: string | undefined,
): Promise<string | undefined> {
  if (encounter === undefined) return undefined;
  const { subject } = await read(engine, ctx, encounter, 'encounter', 'Encounter');
  const of = typeof subject === 'object' && subject !== null && 'reference' in subject ? subject.reference : undefined;
  if (patient === undefined || of !== patient)
    throw badRequest('invalid', 'Parameter encounter must be an encounter of the patient.', 'encounter');
  return encounter;
}

async function fhirContextOf(
  engine: Engine,
  ctx: RequestContext,
  references: readonly string[],
): Promise<readonly FhirContext[] | undefined> {
  if (references.length === 0) return undefined;
  if (references.length > MAX_CONTEXT)
    throw badRequest('too-costly', `Parameter fhirContext may be given ${MAX_CONTEXT} times.`, 'fhirContext');
  for (const reference of references) {
    if (/^(?:Patient|Encounter)\//.test(reference))
      throw badRequest('invalid', 'Patient and encounter have parameters of their own.', 'fhirContext');
    await read(engine, ctx, reference, 'fhirContext');
  }
  return references.map((reference) => ({ reference }));
}

async function contextOf(engine: Engine, ctx: RequestContext, input: OperationInput): Promise<LaunchContext> {
  const patient = input.text('patient');
  if (patient !== undefined) await read(engine, ctx, patient, 'patient', 'Patient');
  const encounter = await encounterOf(engine, ctx, input.text('encounter'), patient);
  const fhirContext = await fhirContextOf(engine, ctx, input.texts('fhirContext'));
  const intent = input.text('intent');
  const needPatientBanner = input.boolean('needPatientBanner');
  return {
    ...(patient === undefined ? {} : { patient }),
    ...(encounter === undefined ? {} : { encounter }),
    ...(fhirContext === undefined ? {} : { fhirContext }),
    ...(intent === undefined ? {} : { intent }),
    ...(needPatientBanner === undefined ? {} : { needPatientBanner }),
  };
}

export default (use: UseContext) =>
  defineOperation({
    code: 'launch',
    url: 'https://kairos.example/fhir/OperationDefinition/launch',
    system: true,
    type: false,
    instance: false,
    needs: [],
    affectsState: true,
    async handle(engine, ctx, _request, input) {
      const accountId = demandStaff(ctx);
      const { identity } = use();
      const clientId = input.text('client') ?? '';
      const client = await findClient(identity, clientId);
      if (client?.launchUrl === undefined)
        throw badRequest('not-found', 'Parameter client names no app that can be launched from here.', 'client');
      const context = await contextOf(engine, ctx, input);
      const launch = await mintLaunch(identity, { clientId, accountId, context });
      const url = new URL(client.launchUrl);
      url.searchParams.set('iss', identity.fhirBase);
      url.searchParams.set('launch', launch);
      const shown = [context.patient, context.encounter].filter((reference) => reference !== undefined);
      return {
        status: 200,
        body: { resourceType: 'Parameters', parameter: [{ name: 'url', valueUrl: url.href }] },
        resources: [...shown, ...(context.fhirContext ?? []).map((c) => c.reference)],
      };
    },
  });
