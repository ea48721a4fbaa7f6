/**
 * Reads the body of a large Bundle piece by piece: sixteen megabytes parsed in one go would hold up every other request.
 * The text is cut at the entries, each is parsed by itself, and others get their turn in between.
 * @see https://hl7.org/fhir/R4/bundle.html
 */
import { breather } from '../breathe.ts';
import type { Engine } from '../engine.ts';
import { parseJson } from '../json.ts';
import { badRequest, errorIssue, FhirError } from '../outcome.ts';
import { demandJsonBody } from './negotiate.ts';
import type { FhirRequest } from './request.ts';
import { readJson } from './body.ts';

/** Smaller bodies are parsed at once, in a few milliseconds. */
const CUT_FROM_BYTES = 262_144;
const SCAN_STRETCH_BYTES = 1_048_576;

const QUOTE = 34;
const COMMA = 44;
const COLON = 58;
const OPEN_ARRAY = 91;
const BACKSLASH = 92;
const CLOSE_ARRAY = 93;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;
const ENTRY_KEY = Buffer.from('"entry"');

const isSpace = (c: number | undefined): boolean => c === 32 || c === 9 || c === 10 || c === 13;

/** Where entries stand in the text, `end` excluded. */
interface Cuts {
  /** Between the brackets of `entry`. */
  readonly array: { readonly start: number; readonly end: number } | undefined;
  readonly entries: readonly { readonly start: number; readonly end: number }[];
}

const unbalanced = (): FhirError =>
  badRequest('structure', 'The JSON of the Bundle is cut off, or its brackets do not match: send it whole.');

/** End of a string that starts at `at`, which is its quote. */
function endOfString(bytes: Uint8Array, at: number): number {
  for (let i = at + 1; i < bytes.length; i++) {
    const c = bytes[i];
    if (c === BACKSLASH) i++;
    else if (c === QUOTE) return i + 1;
  }
  throw unbalanced();
}

/** Whether the string at `at` is the key `entry` with an array as its value; gives the place after the bracket. */
function entryArrayAt(bytes: Uint8Array, at: number, end: number): number | undefined {
  if (end - at !== ENTRY_KEY.length || ENTRY_KEY.compare(bytes, at, end) !== 0) return undefined;
  let i = end;
  while (isSpace(bytes[i])) i++;
  if (bytes[i] !== COLON) return undefined;
  i++;
  while (isSpace(bytes[i])) i++;
  return bytes[i] === OPEN_ARRAY ? i + 1 : undefined;
}

/** One pass over brackets and strings; whether the pieces are JSON is for the parser to say. */
export async function cutEntries(bytes: Uint8Array, maxEntries: number): Promise<Cuts> {
  const entries: { start: number; end: number }[] = [];
  let array: { start: number; end: number } | undefined;
  let inEntries = false;
  let entryStart = 0;
  let depth = 0;
  const breathe = breather();
  let pauseAt = SCAN_STRETCH_BYTES;
  const close = (end: number): void => {
    let start = entryStart;
    while (start < end && isSpace(bytes[start])) start++;
    if (start < end || entries.length > 0 || bytes[end] === COMMA) entries.push({ start, end });
    if (entries.length > maxEntries) {
      throw new FhirError(413, [
        errorIssue('too-costly', `The Bundle has more than ${maxEntries} entries: split it.`, 'Bundle.entry'),
      ]);
    }
  };
  for (let i = 0; i < bytes.length; i++) {
    if (i >= pauseAt) {
      await breathe();
      pauseAt = i + SCAN_STRETCH_BYTES;
    }
    const c = bytes[i];
    if (c === QUOTE) {
      const end = endOfString(bytes, i);
      const start = depth === 1 && !array ? entryArrayAt(bytes, i, end) : undefined;
      if (start !== undefined) {
        array = { start, end: start };
        inEntries = true;
        entryStart = start;
        depth = 2;
        i = start - 1;
      } else i = end - 1;
    } else if (c === OPEN_OBJECT || c === OPEN_ARRAY) depth++;
    else if (c === CLOSE_OBJECT || c === CLOSE_ARRAY) {
      depth--;
      if (inEntries && depth === 1 && array) {
        inEntries = false;
        array.end = i;
        close(i);
      }
    } else if (c === COMMA && inEntries && depth === 2) {
      close(i);
      entryStart = i + 1;
    }
  }
  if (depth !== 0) throw unbalanced();
  return { array, entries };
}

/** The parser counts lines from where an entry begins. */
function inPiece(index: number, error: unknown): unknown {
  if (!(error instanceof FhirError)) return error;
  const place = `Bundle.entry[${index}]`;
  return new FhirError(
    error.status,
    error.issues.map((i) => ({
      ...i,
      diagnostics: `In ${place}, counted from its beginning: ${i.diagnostics}`,
      expression: [place],
    })),
  );
}

async function parsePieces(engine: Engine, bytes: Uint8Array): Promise<unknown> {
  const { bundleEntries, jsonDepth, resourceBytes, resourceValues } = engine.limits;
  const { array, entries } = await cutEntries(bytes, bundleEntries);
  const limits = { maxDepth: jsonDepth, maxValues: resourceValues };
  const rest = array ? Buffer.concat([bytes.subarray(0, array.start), bytes.subarray(array.end)]) : bytes;
  if (rest.length > resourceBytes) {
    throw new FhirError(413, [
      errorIssue(
        'too-long',
        `The Bundle holds more than ${resourceBytes} bytes besides its entries: send less.`,
        'Bundle',
      ),
    ]);
  }
  const bundle = parseJson(rest, limits).value as Record<string, unknown>;
  const breathe = breather();
  const parsed: unknown[] = [];
  for (const [index, { start, end }] of entries.entries()) {
    if (end - start > resourceBytes) {
      throw new FhirError(413, [
        errorIssue('too-long', `An entry is larger than ${resourceBytes} bytes: send less.`, `Bundle.entry[${index}]`),
      ]);
    }
    try {
      parsed.push(parseJson(bytes.subarray(start, end), limits).value);
    } catch (error) {
      throw inPiece(index, error);
    }
    await breathe();
  }
  return array ? { ...bundle, entry: parsed } : bundle;
}

export interface ReceivedBundle {
  /** Length of the text in bytes; 0 where it is part of something that was received before. */
  readonly size: number;
  /** Reads it as a JSON value, which takes processor time where receiving takes patience. */
  read(): Promise<unknown>;
}

/**
 * Receives the Bundle that was sent.
 * @throws FhirError 400, 408, 413, 415
 */
export async function receiveBundle(engine: Engine, request: FhirRequest): Promise<ReceivedBundle> {
  const { body } = request;
  if (body.kind !== 'stream') return { size: 0, read: () => readJson(engine, request) };
  demandJsonBody(body.contentType);
  const bytes = await body.read(engine.limits.bundleBytes);
  const size = bytes.length;
  if (size >= CUT_FROM_BYTES) return { size, read: () => parsePieces(engine, bytes) };
  if (size === 0) throw badRequest('required', 'The body is empty: send a Bundle.');
  // So small a Bundle has no more values than one resource may have.
  const { jsonDepth, resourceValues } = engine.limits;
  const limits = { maxDepth: jsonDepth, maxValues: resourceValues };
  return { size, read: () => Promise.resolve(parseJson(bytes, limits).value) };
}
