/**
 * Turns replies and errors into HTTP responses.
 * @see https://hl7.org/fhir/R4/http.html#return
 */
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import { breather } from '../breathe.ts';
import { toOutcome, type FhirError } from '../outcome.ts';
import { FHIR_JSON } from './negotiate.ts';
import { etagOf } from './preconditions.ts';
import type { Reply } from './request.ts';

const compressBrotli = promisify(brotliCompress);
const compressGzip = promisify(gzip);

/** Smaller bodies fit into one packet anyway. */
const COMPRESS_FROM_BYTES = 1400;

/** Headers that scripts of other origins may read. */
const EXPOSED =
  'Accept-Patch, Allow, Content-Disposition, Content-Location, ETag, Idempotency-Replayed, Last-Modified, Location, Retry-After, WWW-Authenticate, X-Request-Id';

/** @see https://fetch.spec.whatwg.org/#http-cors-protocol */
export const PREFLIGHT_HEADERS: Readonly<Record<string, string>> = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Methods': 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS',
  'Access-Control-Allow-Headers':
    'Accept, Authorization, Content-Type, Idempotency-Key, If-Match, If-Modified-Since, If-None-Exist, If-None-Match, Prefer, X-Request-Id, X-Security-Context',
  'Access-Control-Expose-Headers': EXPOSED,
  'Access-Control-Max-Age': '86400',
};

export const errorReply = (error: FhirError): Reply => ({
  status: error.status,
  headers: error.headers,
  body: JSON.stringify(toOutcome(error.issues, error.contained)),
});

/** The encoding to use, if the client takes one. */
function encodingOf(accept: string | undefined): 'br' | 'gzip' | undefined {
  if (accept === undefined) return undefined;
  const offered = accept
    .toLowerCase()
    .split(',')
    .filter((e) => !/;\s*q\s*=\s*0(?:\.0*)?\s*$/.test(e))
    .map((e) => (e.split(';')[0] ?? '').trim());
  return offered.includes('br') ? 'br' : offered.includes('gzip') || offered.includes('*') ? 'gzip' : undefined;
}

const compress = (body: string | Uint8Array, encoding: 'br' | 'gzip'): Promise<Buffer> =>
  encoding === 'br'
    ? compressBrotli(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } })
    : compressGzip(body, { level: 5 });

export interface RenderOptions {
  readonly requestId: string;
  readonly isHead: boolean;
  /** The request has an Origin. */
  readonly crossOrigin: boolean;
  readonly acceptEncoding: string | undefined;
}

/** Longer texts become bytes piece by piece. */
const PIECE_LENGTH = 524_288;

/** UTF-8 of a long text, with pauses. */
async function encode(body: string): Promise<Buffer> {
  const breathe = breather();
  const pieces: Buffer[] = [];
  for (let at = 0; at < body.length;) {
    let end = Math.min(at + PIECE_LENGTH, body.length);
    // Both halves of a surrogate pair belong to one piece.
    const last = body.charCodeAt(end - 1);
    if (end < body.length && last >= 0xd800 && last <= 0xdbff) end++;
    pieces.push(Buffer.from(body.slice(at, end)));
    at = end;
    await breathe();
  }
  return Buffer.concat(pieces);
}

/** A reply as a response; without waiting where nothing is compressed. */
export function render(reply: Reply, options: RenderOptions): Response | Promise<Response> {
  if (typeof reply.body === 'string' && reply.body.length > PIECE_LENGTH)
    return encode(reply.body).then((body) => render({ ...reply, body }, options));
  const { status, body } = reply;
  const headers: Record<string, string> =
    body === undefined ? {} : { 'Content-Type': FHIR_JSON, 'X-Content-Type-Options': 'nosniff' };
  headers['Cache-Control'] = 'no-store';
  headers['X-Request-Id'] = options.requestId;
  if (options.crossOrigin) {
    headers['Access-Control-Allow-Origin'] = '*';
    headers['Access-Control-Expose-Headers'] = EXPOSED;
  }
  if (reply.version) {
    headers['ETag'] = etagOf(reply.version.version);
    headers['Last-Modified'] = reply.version.lastUpdated.toUTCString();
  }
  for (const name in reply.headers) headers[name] = reply.headers[name] ?? '';
  if (body === undefined) return new Response(null, { status, headers });
  if (body.length >= COMPRESS_FROM_BYTES) {
    headers['Vary'] = 'Accept, Accept-Encoding';
    const encoding = encodingOf(options.acceptEncoding);
    if (encoding) {
      return compress(body, encoding).then((packed) => {
        headers['Content-Encoding'] = encoding;
        return finish(status, headers, packed, options.isHead);
      });
    }
  }
  return finish(status, headers, body, options.isHead);
}

function finish(status: number, headers: Record<string, string>, body: string | Uint8Array, isHead: boolean): Response {
  if (isHead) {
    headers['Content-Length'] = String(typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength);
    return new Response(null, { status, headers });
  }
  // The bytes of a Buffer are an ordinary ArrayBuffer's.
  return new Response(typeof body === 'string' ? body : (body as Uint8Array<ArrayBuffer>), { status, headers });
}
