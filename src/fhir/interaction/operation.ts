/** `$operation` on system, type and instance level. @see https://hl7.org/fhir/R4/operations.html */
import type { Parameters, ParametersParameter, Resource } from '@medplum/fhirtypes';
import { actingBy } from '../access.ts';
import { readJson } from '../http/body.ts';
import type { RequestContext } from '../context.ts';
import type { FhirRequest, Handler } from '../http/request.ts';
import { stringify } from '../json.ts';
import type { OperationDeclaration } from '../operation.ts';
import type { Engine } from '../engine.ts';
import { badRequest, errorIssue, FhirError } from '../outcome.ts';

type Level = 'system' | 'type' | 'instance';

const levelOf = (request: FhirRequest): Level =>
  request.id !== undefined ? 'instance' : request.type !== undefined ? 'type' : 'system';

/** Whether an operation is offered for a type (or on system level). */
export const offers = (declaration: OperationDeclaration, level: Level, type: string | undefined): boolean =>
  declaration[level] &&
  (type === undefined || declaration.resourceTypes === undefined || declaration.resourceTypes.includes(type));

const declared = (engine: Engine, request: FhirRequest): OperationDeclaration | undefined =>
  engine.operations.find((o) => o.code === request.operation && offers(o, levelOf(request), request.type));

/** Whether the operation that is called may change something. */
export const changesState = (engine: Engine, request: FhirRequest): boolean =>
  declared(engine, request)?.affectsState === true;

function find(engine: Engine, request: FhirRequest): OperationDeclaration {
  const code = request.operation ?? '';
  const found = declared(engine, request);
  if (!found) {
    const diagnostics = !engine.operations.some((o) => o.code === code)
      ? `There is no operation $${code.slice(0, 64)}: /metadata lists those there are.`
      : `$${code} is not offered on this level: /metadata says where.`;
    throw new FhirError(404, [errorIssue('not-supported', diagnostics)]);
  }
  if ((request.method === 'GET' || request.method === 'HEAD') && found.affectsState) {
    throw new FhirError(405, [errorIssue('not-supported', `$${code} changes data: call it by POST.`)], {
      Allow: 'POST',
    });
  }
  return found;
}

async function parametersOf(engine: Engine, request: FhirRequest, bare = 'resource'): Promise<Parameters> {
  if (request.method === 'GET' || request.method === 'HEAD') {
    const parameter: ParametersParameter[] = request.query.map(([name, valueString]) => ({ name, valueString }));
    return { resourceType: 'Parameters', ...(parameter.length > 0 ? { parameter } : {}) };
  }
  const { body } = request;
  // Operations whose parameters are all optional may be called without a body.
  if (body.kind === 'none' || (body.kind === 'stream' && body.contentType === undefined))
    return { resourceType: 'Parameters' };
  const sent = await readJson(engine, request);
  if (typeof sent !== 'object' || sent === null || Array.isArray(sent)) {
    throw badRequest(
      'structure',
      'The body must be a Parameters resource, or the one resource that the operation takes.',
    );
  }
  const resourceType = (sent as { resourceType?: unknown }).resourceType;
  if (resourceType === 'Parameters') return sent as Parameters;
  if (typeof resourceType !== 'string')
    throw badRequest('required', 'resourceType is missing: send a Parameters resource.', 'resourceType');
  // A bare resource stands for a parameter (its shape is the operation's to judge).
  return { resourceType: 'Parameters', parameter: [{ name: bare, resource: sent as Resource }] };
}

/** What it changes is recorded as its doing. */
function changing(ctx: RequestContext, code: string): RequestContext {
  const { origin } = ctx.access.principal;
  if (!origin) return ctx;
  return {
    requestId: ctx.requestId,
    access: actingBy(ctx.access, { ...origin, operation: code }),
    clock: ctx.clock,
    baseUrl: ctx.baseUrl,
    emit: (event) => ctx.emit(event),
  };
}

/** What is changed must be at a version that the caller knows. */
const matching = (ctx: RequestContext, ifMatch: string): RequestContext => ({
  requestId: ctx.requestId,
  access: ctx.access,
  clock: ctx.clock,
  baseUrl: ctx.baseUrl,
  emit: (event) => ctx.emit(event),
  ifMatch,
});

export const operation: Handler = async (engine, ctx, request) => {
  const declaration = find(engine, request);
  if (declaration.open !== true) ctx.access.demand('operation', request.type, declaration.needs);
  const parameters = await parametersOf(engine, request, declaration.bare);
  const ifMatch = request.id === undefined ? undefined : request.header('if-match');
  const acting = declaration.affectsState ? changing(ctx, declaration.code) : ctx;
  const reply = await declaration.handle(engine, ifMatch === undefined ? acting : matching(acting, ifMatch), {
    ...(request.type === undefined ? {} : { type: request.type }),
    ...(request.id === undefined ? {} : { id: request.id }),
    parameters,
    query: request.query,
  });
  const resources =
    reply.resources ??
    (request.type !== undefined && request.id !== undefined ? [`${request.type}/${request.id}`] : undefined);
  ctx.emit({
    interaction: 'operation',
    operation: declaration.code,
    ...(request.type === undefined ? {} : { type: request.type }),
    ...(resources === undefined ? {} : { resources }),
    outcome: 'success',
  });
  return { status: reply.status, body: typeof reply.body === 'string' ? reply.body : stringify(reply.body) };
};
