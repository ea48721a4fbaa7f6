/** `PATCH [base]/[type]/[id]` by JSON Patch, and `PATCH [base]/[type]?criteria`. @see https://hl7.org/fhir/R4/http.html#patch */
import type { Resource } from '@medplum/fhirtypes';
import type { Access } from '../access.ts';
import type { RequestContext } from '../context.ts';
import type { Engine } from '../engine.ts';
import { insufficientScope } from '../http/challenge.ts';
import { mediaTypeOf, unsupported } from '../http/negotiate.ts';
import { demandMatch } from '../http/preconditions.ts';
import type { FhirRequest, Handler } from '../http/request.ts';
import { parseJson } from '../json.ts';
import { badRequest, errorIssue, FhirError } from '../outcome.ts';
import type { PreparedWrite, Reader } from '../store/repository.ts';
import { onlyMatch } from './criteria.ts';
import { shownText } from '../store/withheld.ts';
import { applyPatch, parsePatch } from './json-patch.ts';
import { nextVersion, put } from './update.ts';
import { demandLive, type LiveVersion } from './version.ts';
import { completed, demandStorable, demandUnseen, replyToWrite, retryOnChange } from './write.ts';

export const JSON_PATCH = 'application/json-patch+json';

export type Patch = ReturnType<typeof parsePatch>;

/** A Bundle carries a patch as a Binary. @see https://hl7.org/fhir/R4/http.html#patch */
function patchInBinary(value: unknown): Uint8Array {
  const { resourceType, contentType, data } = (typeof value === 'object' && value !== null ? value : {}) as Record<
    string,
    unknown
  >;
  if (
    resourceType !== 'Binary' ||
    typeof data !== 'string' ||
    typeof contentType !== 'string' ||
    mediaTypeOf(contentType) !== JSON_PATCH
  ) {
    throw unsupported(`A PATCH entry takes a Binary with contentType ${JSON_PATCH} and the patch as base64 data.`);
  }
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(data.replaceAll(/\s+/g, '')))
    throw badRequest('value', 'The data of the Binary is no base64: encode the JSON Patch as base64.', 'Binary.data');
  return Buffer.from(data, 'base64');
}

/** @throws FhirError 400, 413, 415 */
export async function readPatch(engine: Engine, request: FhirRequest): Promise<Patch> {
  const { body } = request;
  if (body.kind === 'none') throw badRequest('required', 'The body is empty: send a JSON Patch.');
  if (body.kind === 'stream' && (body.contentType === undefined || mediaTypeOf(body.contentType) !== JSON_PATCH)) {
    throw unsupported(`A patch is sent as Content-Type: ${JSON_PATCH}.`, { 'Accept-Patch': JSON_PATCH });
  }
  const bytes = body.kind === 'tree' ? patchInBinary(body.value) : await body.read(engine.limits.resourceBytes);
  const { jsonDepth, resourceValues } = engine.limits;
  return parsePatch(parseJson(bytes, { maxDepth: jsonDepth, maxValues: resourceValues }).value);
}

/** What leads from what the resource holds to something that is answered. */
const TELLING: ReadonlySet<string> = new Set(['copy', 'move', 'test']);

/**
 * The resource after the patch, not yet known to be valid.
 * @throws FhirError 422 where it cannot be applied, 403 where it would tell what the resource holds to those who may write it but not read it
 */
export function applyTo(
  { limits, resources }: Engine,
  { to }: Access,
  { type, content }: LiveVersion,
  patch: Patch,
): unknown {
  // What is not shown is not copied, tested or counted either; `complete` puts it back.
  const shown = shownText(resources, type, content, to('read'));
  const tree = parseJson(shown, { maxDepth: Number.MAX_SAFE_INTEGER }).value;
  const telling = patch.find(({ op }) => TELLING.has(op));
  if (telling && !to('read').admits(type, tree))
    throw insufficientScope(
      `Patch operation ${telling.at}: "${telling.op}" tells what the ${type} holds, which needs a scope to read it.`,
    );
  applyPatch(tree, patch, limits);
  return tree;
}

/** @throws FhirError 413 when the patched resource has become too large */
export function demandFits({ limits }: Engine, { content }: PreparedWrite): void {
  if (Buffer.byteLength(content) > limits.resourceBytes)
    throw new FhirError(413, [
      errorIssue('too-long', `The patched resource is larger than ${limits.resourceBytes} bytes.`),
    ]);
}

/** The version after the patch, valid and with targets that exist. */
export async function patched(
  engine: Engine,
  ctx: RequestContext,
  reader: Reader,
  current: LiveVersion,
  patch: Patch,
  ifMatch: string | undefined,
): Promise<PreparedWrite> {
  const { type, id } = current;
  demandMatch(ifMatch, current);
  const tree = applyTo(engine, ctx.access, current, patch);
  const resource = await demandStorable(engine, ctx.access, reader, type, tree, () => Promise.resolve(current));
  const needsMatch = engine.resources.get(type)?.needsMatch;
  if (ifMatch === undefined && needsMatch?.(JSON.parse(current.content) as Resource, resource) === true)
    throw new FhirError(428, [
      errorIssue(
        'required',
        `Send If-Match with the version that you have read: this change is made to no other.`,
        'http.If-Match',
      ),
    ]);
  const whole = await completed(engine, ctx.access, reader, resource, current);
  const write = nextVersion(engine, ctx, whole, id, current, 'PATCH');
  demandFits(engine, write);
  return write;
}

export const patch: Handler = async (engine, ctx, request) => {
  const type = request.type ?? '';
  const id = request.id ?? '';
  ctx.access.demand('patch', type);
  const operations = await readPatch(engine, request);
  const ifMatch = request.header('if-match');
  const write = await retryOnChange(ifMatch !== undefined, async () => {
    const found = await engine.repository.read(type, id, ctx.access.to('update'));
    if (found === undefined) await demandUnseen(engine.repository, ctx.access, 'update', type, id);
    const current = demandLive(found, type, id);
    const next = await patched(engine, ctx, engine.repository, current, operations, ifMatch);
    await engine.repository.transaction('read committed', (tx) => put(tx, ctx.access, next, current));
    return next;
  });
  ctx.emit({ interaction: 'patch', type, resources: [`${type}/${id}`], outcome: 'success' });
  return replyToWrite(engine, ctx.access, request, 200, write);
};

/** @throws FhirError 404 when nothing matches */
export function demandMatched(match: LiveVersion | undefined, type: string): LiveVersion {
  if (match) return match;
  throw new FhirError(404, [errorIssue('not-found', `No ${type} matches the criteria.`)]);
}

export const conditionalPatch: Handler = async (engine, ctx, request) => {
  const type = request.type ?? '';
  ctx.access.demand('patch', type);
  const operations = await readPatch(engine, request);
  const ifMatch = request.header('if-match');
  const write = await retryOnChange(ifMatch !== undefined, () =>
    engine.repository.transaction('serializable', async (tx) => {
      const current = demandMatched(await onlyMatch(engine, ctx, tx, type, request.query, 'update'), type);
      const next = await patched(engine, ctx, tx, current, operations, ifMatch);
      await put(tx, ctx.access, next, current);
      return next;
    }),
  );
  ctx.emit({ interaction: 'patch', type, resources: [`${type}/${write.id}`], outcome: 'success' });
  return replyToWrite(engine, ctx.access, request, 200, write);
};
