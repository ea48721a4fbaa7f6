/**
 * Reads bodies within limits that hold while the bytes arrive: a lying Content-Length, an endless chunked body or a slow sender gain nothing.
 * @see https://www.rfc-editor.org/rfc/rfc9110#name-content-type
 */
import type { IncomingMessage } from 'node:http';
import type { Engine } from '../engine.ts';
import { parseJson } from '../json.ts';
import { badRequest, errorIssue, FhirError } from '../outcome.ts';
import type { Query } from '../search/contract.ts';
import { demandJsonBody, mediaTypeOf, unsupported } from './negotiate.ts';
import type { Body, FhirRequest } from './request.ts';
import { parseQuery } from './url.ts';

export interface BodyOptions {
  /** Whole body, from the first byte waited for to the last. */
  readonly timeoutMs: number;
}

const tooLarge = (limitBytes: number): FhirError =>
  new FhirError(413, [errorIssue('too-long', `The body is larger than ${limitBytes} bytes: send less, or split it.`)], {
    Connection: 'close',
  });

const tooSlow = (): FhirError =>
  new FhirError(408, [errorIssue('timeout', 'The body did not arrive in time: send it without pauses.')], {
    Connection: 'close',
  });

const brokenOff = (): FhirError => badRequest('incomplete', 'The body broke off before its end: send it again.');

/** Straight from Node's stream: the fetch body is several times slower. */
function readIncoming(incoming: IncomingMessage, limitBytes: number, options: BodyOptions): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const finish = (): void => {
      clearTimeout(timer);
      incoming.off('data', onData).off('end', onEnd).off('error', onBroken).off('close', onBroken);
    };
    const fail = (error: FhirError): void => {
      finish();
      incoming.pause();
      reject(error);
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > limitBytes) fail(tooLarge(limitBytes));
      else chunks.push(chunk);
    };
    const onEnd = (): void => {
      finish();
      resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks));
    };
    const onBroken = (): void => fail(brokenOff());
    const timer = setTimeout(() => fail(tooSlow()), options.timeoutMs);
    incoming.on('data', onData).on('end', onEnd).on('error', onBroken).on('close', onBroken);
    if (incoming.readableEnded) onEnd();
    else if (incoming.destroyed) onBroken();
  });
}

async function readWeb(
  stream: ReadableStream<Uint8Array>,
  limitBytes: number,
  options: BodyOptions,
): Promise<Uint8Array> {
  const reader = stream.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(tooSlow()), options.timeoutMs);
  });
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), late]);
      if (done) return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
      size += value.length;
      if (size > limitBytes) throw tooLarge(limitBytes);
      chunks.push(value);
    }
  } catch (error) {
    void reader.cancel().catch(() => undefined);
    throw error instanceof FhirError ? error : brokenOff();
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The body of an HTTP request.
 * @param incoming Node's request, when there is a socket
 * @param stream the fetch request's body otherwise
 */
export function bodyOf(
  header: (name: string) => string | undefined,
  incoming: IncomingMessage | undefined,
  stream: () => ReadableStream<Uint8Array> | null,
  options: BodyOptions,
): Body {
  return {
    kind: 'stream',
    contentType: header('content-type'),
    async read(limitBytes) {
      const encoding = header('content-encoding');
      if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
        throw new FhirError(
          415,
          [errorIssue('not-supported', 'Compressed bodies are not read: send it plain.', 'http.Content-Encoding')],
          {
            'Accept-Encoding': 'identity',
            Connection: 'close',
          },
        );
      }
      const length = header('content-length');
      if (length !== undefined && Number(length) > limitBytes) throw tooLarge(limitBytes);
      if (incoming) return readIncoming(incoming, limitBytes, options);
      const source = stream();
      return source ? readWeb(source, limitBytes, options) : new Uint8Array();
    },
  };
}

/** A body whose bytes have been read; limits hold as before. */
export const receivedBody = (contentType: string | undefined, bytes: Uint8Array): Body => ({
  kind: 'stream',
  contentType,
  received: true,
  read: (limitBytes) => (bytes.length > limitBytes ? Promise.reject(tooLarge(limitBytes)) : Promise.resolve(bytes)),
});

const missing = (): FhirError => badRequest('required', 'The body is empty: send the resource as JSON.');

/** The JSON value that was sent. @throws FhirError 400, 408, 413, 415 */
export async function readJson(engine: Engine, request: FhirRequest): Promise<unknown> {
  const { body } = request;
  if (body.kind === 'tree') return body.value;
  if (body.kind === 'none') throw missing();
  demandJsonBody(body.contentType);
  const bytes = await body.read(engine.limits.resourceBytes);
  if (bytes.length === 0) throw missing();
  const { jsonDepth, resourceValues } = engine.limits;
  return parseJson(bytes, { maxDepth: jsonDepth, maxValues: resourceValues }).value;
}

/** Parameters of a form body (POST _search). @throws FhirError 400, 408, 413, 415 */
export async function readForm(engine: Engine, request: FhirRequest): Promise<Query> {
  const { body } = request;
  if (body.kind !== 'stream') return [];
  if (body.contentType !== undefined && mediaTypeOf(body.contentType) !== 'application/x-www-form-urlencoded') {
    throw unsupported(
      `${mediaTypeOf(body.contentType) || 'An empty Content-Type'} is not read here: send Content-Type: application/x-www-form-urlencoded.`,
    );
  }
  const bytes = await body.read(engine.limits.resourceBytes);
  if (body.contentType === undefined && bytes.length > 0) {
    throw unsupported('Content-Type is missing: send Content-Type: application/x-www-form-urlencoded.');
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw badRequest('value', 'The form is not UTF-8: percent-encode it as UTF-8.');
  }
  return parseQuery(text);
}
