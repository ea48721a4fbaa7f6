/** Which value set or code system an operation is about: the instance it is called on, or the one that a parameter names. */
import type { Resource } from '@medplum/fhirtypes';
import type { RequestContext } from '../context.ts';
import type { Engine } from '../engine.ts';
import type { OperationRequest } from '../operation.ts';
import type { OperationInput } from '../operation-parameters.ts';
import { badRequest, errorIssue, FhirError, notFound } from '../outcome.ts';
import { brief, withoutVersion } from './model.ts';

/** The stored resource, parsed. @throws FhirError 404, 410 */
export async function readStored(engine: Engine, ctx: RequestContext, type: string, id: string): Promise<Resource> {
  const stored = await engine.repository.read(type, id, ctx.access.to('read'));
  if (!stored) throw notFound(type, id);
  if (stored.content === undefined) throw new FhirError(410, [errorIssue('deleted', `${type}/${id} was deleted.`)]);
  return JSON.parse(stored.content) as Resource;
}

const unknown = (what: string, parameter: string): FhirError =>
  new FhirError(404, [errorIssue('not-found', `${what} is not known here.`, parameter)]);

/** Value sets of whole code systems that cannot be listed: implicit ones, and those that R4 defines of them. */
const OPEN = [
  /^http:\/\/snomed\.info\/(?:x?sct)/,
  /^http:\/\/loinc\.org\/vs(?:\/|$)/,
  /^http:\/\/unitsofmeasure\.org\/vs(?:\/|$)/,
  /^http:\/\/hl7\.org\/fhir\/ValueSet\/(?:all-languages|all-time-units|mimetypes|ucum-[a-z]+)$/,
];

export const isOpen = (url: string): boolean => OPEN.some((pattern) => pattern.test(url));

/**
 * Canonical URL, without version, of the operation's target.
 * @param known what the terminology has under a URL: its version decides whether a version asked for can be served
 * @param versionParameter parameter that carries the version apart from the URL
 * @throws FhirError 400 naming the parameter, 404 for what is not known
 */
export async function targetUrl(
  engine: Engine,
  ctx: RequestContext,
  request: OperationRequest,
  input: OperationInput,
  names: { readonly url: string; readonly version: string },
  known: (url: string) => { readonly version?: string } | 'opaque' | undefined,
): Promise<string> {
  const canonical = input.text(names.url);
  if (request.id !== undefined && canonical !== undefined) {
    throw badRequest(
      'invalid',
      `Parameter ${names.url} can't be given when the operation is called on an instance.`,
      names.url,
    );
  }
  if (request.id !== undefined && request.type !== undefined) {
    const resource = await readStored(engine, ctx, request.type, request.id);
    const url = 'url' in resource && typeof resource.url === 'string' ? resource.url : undefined;
    if (url === undefined || known(url) === undefined) throw unknown(`${request.type}/${request.id}`, 'id');
    return url;
  }
  if (canonical === undefined) throw badRequest('required', `Parameter ${names.url} is missing.`, names.url);
  const url = withoutVersion(canonical);
  const entry = known(url);
  if (entry === undefined) throw unknown(brief(canonical), names.url);
  const version = canonical.split('|')[1] ?? input.text(names.version);
  if (version !== undefined && entry !== 'opaque' && entry.version !== undefined && entry.version !== version) {
    throw unknown(`Version ${brief(version)} of ${url} (this server has ${entry.version})`, names.version);
  }
  return url;
}
