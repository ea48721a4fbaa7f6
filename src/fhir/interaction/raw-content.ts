/**
 * Resources that wrap content of another media type: as FHIR JSON for those who ask for it, else as the content itself.
 * What is served raw can do nothing in a browser: it is an attachment, not sniffed, in a sandbox.
 * @see https://hl7.org/fhir/R4/binary.html#rest
 */
import type { Engine } from '../engine.ts';
import { acceptedTypes, demandJson, mediaTypeOf } from '../http/negotiate.ts';
import type { FhirRequest, Handler, Reply } from '../http/request.ts';
import { badRequest, errorIssue, FhirError } from '../outcome.ts';

const FHIR_TYPES: ReadonlySet<string> = new Set([
  'application/fhir+json',
  'application/json',
  'application/json+fhir',
  'text/json',
]);
const MEDIA_TYPE = /^[\w!#$&^.+-]{1,127}\/[\w!#$&^.+-]{1,127}(?:; ?[\w-]{1,40}="?[\w.:+-]{1,80}"?){0,4}$/;

const SAFE_HEADERS = {
  'Content-Disposition': 'attachment',
  'Content-Security-Policy': "sandbox; default-src 'none'",
  'X-Content-Type-Options': 'nosniff',
};

/** The client names a FHIR form. */
function asksForFhir(request: FhirRequest): boolean {
  if (request.query.some(([name]) => name === '_format' || name === '_summary' || name === '_elements')) return true;
  const accept = request.header('accept');
  return accept !== undefined && acceptedTypes(accept).some((range) => FHIR_TYPES.has(mediaTypeOf(range)));
}

function accepts(accept: string | undefined, contentType: string): boolean {
  if (accept === undefined) return true;
  const own = mediaTypeOf(contentType);
  return acceptedTypes(accept).some((range) => {
    const type = mediaTypeOf(range);
    return type === '*/*' || type === own || (type.endsWith('/*') && own.startsWith(type.slice(0, -1)));
  });
}

/** The content of a reply's resource. @throws FhirError 406 */
function unwrap(request: FhirRequest, reply: Reply): Reply {
  if (typeof reply.body !== 'string') return reply;
  const { contentType, data } = JSON.parse(reply.body) as { contentType?: unknown; data?: unknown };
  const own =
    typeof contentType === 'string' && MEDIA_TYPE.test(contentType) ? contentType : 'application/octet-stream';
  if (!accepts(request.header('accept'), own)) {
    throw new FhirError(406, [
      errorIssue('not-supported', `The content is ${own}: accept that, or application/fhir+json.`, 'http.Accept'),
    ]);
  }
  return {
    ...reply,
    headers: { ...reply.headers, ...SAFE_HEADERS, 'Content-Type': own },
    body: Buffer.from(typeof data === 'string' ? data : '', 'base64'),
  };
}

/** Reads and vreads: raw unless a FHIR form is asked for. */
export const servedRaw =
  (handle: Handler): Handler =>
  async (engine, ctx, request) => {
    if (asksForFhir(request)) {
      demandJson(request.header('accept'), request.query);
      return handle(engine, ctx, request);
    }
    return unwrap(request, await handle(engine, ctx, request));
  };

/** Wraps raw bytes as the resource that they are the content of. */
async function wrap(
  engine: Engine,
  request: FhirRequest,
  contentType: string,
  body: Extract<FhirRequest['body'], { kind: 'stream' }>,
): Promise<FhirRequest> {
  if (!MEDIA_TYPE.test(contentType))
    throw badRequest('value', 'Content-Type is no media type: send one such as application/pdf.', 'http.Content-Type');
  // As base64 the content takes a third more.
  const bytes = await body.read(Math.floor((engine.limits.resourceBytes * 3) / 4));
  const context = request.header('x-security-context');
  const value = {
    resourceType: request.type,
    ...(request.id === undefined ? {} : { id: request.id }),
    contentType,
    ...(context === undefined ? {} : { securityContext: { reference: context } }),
    ...(bytes.length === 0 ? {} : { data: Buffer.from(bytes).toString('base64') }),
  };
  return { ...request, body: { kind: 'tree', value } };
}

/** Creates and updates: a body that is not FHIR JSON is the content itself. */
export const takenRaw =
  (handle: Handler): Handler =>
  async (engine, ctx, request) => {
    const { body } = request;
    if (body.kind !== 'stream' || body.contentType === undefined || FHIR_TYPES.has(mediaTypeOf(body.contentType))) {
      return handle(engine, ctx, request);
    }
    return handle(engine, ctx, await wrap(engine, request, body.contentType, body));
  };
