/** Would this resource be accepted? Nothing is stored. @see https://hl7.org/fhir/R4/resource-operation-validate.html */
import type { Resource } from '@medplum/fhirtypes';
import type { RequestContext } from '../fhir/context.ts';
import type { Engine } from '../fhir/engine.ts';
import { danglingInvalid, danglingIssues, targetsOf } from '../fhir/interaction/write.ts';
import { parseJson } from '../fhir/json.ts';
import type { OperationRequest } from '../fhir/operation.ts';
import { defineOperation, type OperationInput } from '../fhir/operation-parameters.ts';
import { badRequest, errorIssue, FhirError, notFound, toOutcome, type Issue } from '../fhir/outcome.ts';
import type { TypeInteraction } from '../fhir/resource.ts';
import type { StoredVersion } from '../fhir/store/repository.ts';

/** @see http://hl7.org/fhir/ValueSet/resource-validation-mode */
type Mode = 'create' | 'update' | 'delete' | 'profile';

const isError = (issue: Issue): boolean => issue.severity === 'error' || issue.severity === 'fatal';

const ALL_OK: Issue = { severity: 'information', code: 'informational', diagnostics: 'all ok' };

/** @throws FhirError 400 when the mode does not fit the level or the content sent */
function readMode(request: OperationRequest, input: OperationInput): Mode | undefined {
  const mode = input.text('mode') as Mode | undefined;
  if ((mode === 'update' || mode === 'delete') && request.id === undefined) {
    throw badRequest(
      'invalid',
      `Mode ${mode} is for one resource: call ${request.type ?? '[type]'}/[id]/$validate.`,
      'mode',
    );
  }
  if (mode === 'profile' && input.text('profile') === undefined) {
    throw badRequest('required', 'Parameter profile is missing: mode profile needs it.', 'profile');
  }
  const stored = request.id !== undefined && mode !== 'create' && mode !== 'update';
  if (!stored && !input.names.has('resource')) {
    throw badRequest('required', 'Parameter resource is missing: send the resource to validate.', 'resource');
  }
  return mode;
}

async function currentVersion(
  engine: Engine,
  ctx: RequestContext,
  request: OperationRequest,
): Promise<StoredVersion | undefined> {
  if (request.type === undefined || request.id === undefined) return undefined;
  const stored = await engine.repository.read(request.type, request.id, ctx.access.to('read'));
  if (!stored) throw notFound(request.type, request.id);
  if (stored.content === undefined)
    throw new FhirError(410, [errorIssue('deleted', `${request.type}/${request.id} was deleted.`)]);
  return stored;
}

/** Whether the type allows the interaction at all. */
function allowed(engine: Engine, type: string, mode: Mode | undefined): readonly Issue[] {
  if (mode === undefined || mode === 'profile') return [];
  const interactions: readonly TypeInteraction[] = engine.resources.get(type)?.interactions ?? [];
  return interactions.includes(mode)
    ? []
    : [errorIssue('not-supported', `${type} does not support ${mode} on this server.`)];
}

/** An update must name the resource that it replaces. */
function identity(resource: Resource, current: StoredVersion | undefined, mode: Mode | undefined): readonly Issue[] {
  if (mode !== 'update' || !current) return [];
  const expression = `${current.type}.id`;
  if (resource.id === undefined)
    return [errorIssue('required', `The id is missing: set it to ${current.id}.`, expression)];
  if (resource.id !== current.id)
    return [errorIssue('invalid', `The id must be ${current.id}, as in the address.`, expression)];
  const known = resource.meta?.versionId;
  if (known === undefined || known === String(current.version)) return [];
  const diagnostics = `Version ${known} was sent, ${current.version} is current: an update with If-Match would be refused.`;
  return [{ severity: 'warning', code: 'conflict', diagnostics, expression: [`${current.type}.meta.versionId`] }];
}

async function content(
  engine: Engine,
  ctx: RequestContext,
  type: string,
  resource: Resource,
  profile: string | undefined,
): Promise<readonly Issue[]> {
  if (resource.resourceType !== type) {
    return [
      errorIssue(
        'invalid',
        `The resource is of type ${String(resource.resourceType)}, the address is for ${type}.`,
        'resourceType',
      ),
    ];
  }
  const issues = engine.validator.validate(resource, {
    advice: true,
    ...(profile === undefined ? {} : { profiles: [profile] }),
  });
  if (issues.some(isError))
    return [...issues, ...(await danglingInvalid(engine, ctx.access, engine.repository, [resource])).flat()];
  const own = engine.resources.get(type)?.check?.(resource) ?? [];
  if (!engine.validateReferences) return [...issues, ...own];
  const { targets } = targetsOf(engine, resource);
  const existing = await engine.repository.existing([...new Set(targets.map((t) => t.target))], ctx.access.to('refer'));
  return [...issues, ...own, ...danglingIssues(engine, resource, existing)];
}

export default defineOperation({
  code: 'validate',
  url: 'http://hl7.org/fhir/OperationDefinition/Resource-validate',
  system: false,
  type: true,
  instance: true,
  needs: ['read'],
  affectsState: false,
  async handle(engine, ctx, request, input) {
    const type = request.type ?? '';
    const mode = readMode(request, input);
    const current = await currentVersion(engine, ctx, request);
    const sent = mode === 'profile' && current ? undefined : input.resource('resource');
    // Mode delete looks at the stored resource alone; mode profile too.
    const resource =
      mode === 'delete'
        ? undefined
        : (sent ?? (parseJson(current?.content ?? '{}', { maxDepth: engine.limits.jsonDepth }).value as Resource));
    const issues = [
      ...allowed(engine, type, mode),
      ...(resource === undefined
        ? []
        : [
            ...identity(resource, current, mode),
            ...(await content(engine, ctx, type, resource, input.text('profile'))),
          ]),
    ];
    return { status: 200, body: toOutcome(issues.some(isError) ? issues : [...issues, ALL_OK]) };
  },
});
