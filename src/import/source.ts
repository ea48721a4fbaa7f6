/**
 * Reads resources from files: single resources, Bundles of any kind, NDJSON; folders with all that is in them.
 * Lines are read as a stream, so that a large file needs no more memory than a small one.
 * @see https://hl7.org/fhir/R4/nd-json.html
 */
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { parseJson } from '../fhir/json.ts';
import { errorIssue, FhirError, type Issue } from '../fhir/outcome.ts';

/** Where a resource stands: the file, and the line or the entries on the way to it. */
export interface Place {
  readonly file: string;
  /** `line 12`, `entry[3]`, `line 2, entry[0]`; empty when the file is the resource. */
  readonly within: string;
}

/** The entries' fullUrls of one Bundle, with the index of the item that each names. */
export type FullUrls = ReadonlyMap<string, Item>;

export interface Item {
  readonly kind: 'resource';
  readonly place: Place;
  readonly tree: Readonly<Record<string, unknown>>;
  readonly fullUrl?: string;
  /** Of the Bundle that it came in. */
  readonly siblings?: FullUrls;
}

export interface Unreadable {
  readonly kind: 'unreadable';
  readonly place: Place;
  readonly issues: readonly Issue[];
}

export interface ReadLimits {
  readonly jsonDepth: number;
  /** Longest line of NDJSON, in bytes. */
  readonly lineBytes: number;
  /** Largest JSON file, in bytes. */
  readonly fileBytes: number;
}

export interface SourceFile {
  readonly path: string;
  readonly bytes: number;
  /** Why it cannot be read. */
  readonly problem?: string;
}

const LINES = /\.(?:ndjson|jsonl)$/i;
const JSON_FILE = /\.json$/i;
const NEWLINE = 10;
const BATCH = 500;

const isNamedRight = (name: string): boolean => JSON_FILE.test(name) || LINES.test(name);

/** What a symbolic link in a folder leads to, if it is to be read. Folders are not followed: they could lead in circles. */
async function followLink(link: string): Promise<SourceFile | undefined> {
  const info = await stat(link).catch(() => undefined);
  if (info?.isDirectory())
    return { path: link, bytes: 0, problem: 'a link to a folder is not followed: name the folder' };
  if (info) return isNamedRight(link) && info.isFile() ? { path: link, bytes: info.size } : undefined;
  // Without an extension it may have been a folder.
  if (!isNamedRight(link) && path.extname(link) !== '') return undefined;
  return { path: link, bytes: 0, problem: 'the link leads nowhere: mend or remove it' };
}

/**
 * The files that the arguments name, those of folders in name order.
 * @throws Error with a sentence when a name leads nowhere
 */
export async function findFiles(names: readonly string[]): Promise<SourceFile[]> {
  const found: SourceFile[] = [];
  for (const name of names) {
    const info = await stat(name).catch(() => undefined);
    if (!info) throw new Error(`${name} does not exist.`);
    if (!info.isDirectory()) {
      found.push({ path: name, bytes: info.size });
      continue;
    }
    const inside = await readdir(name, { recursive: true, withFileTypes: true });
    const files = inside.filter((e) => (e.isFile() && isNamedRight(e.name)) || e.isSymbolicLink());
    const byName = files.map((entry) => ({ entry, at: path.join(entry.parentPath, entry.name) }));
    byName.sort((a, b) => (a.at < b.at ? -1 : 1));
    for (const { entry, at } of byName) {
      const file = entry.isSymbolicLink() ? await followLink(at) : { path: at, bytes: (await stat(at)).size };
      if (file) found.push(file);
    }
  }
  return found;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const within = (outer: string, inner: string): string => (outer === '' ? inner : `${outer}, ${inner}`);
const unreadable = (place: Place, issue: Issue): Unreadable => ({ kind: 'unreadable', place, issues: [issue] });

/** Entries of a Bundle, those of Bundles in it included. Outcomes of a search are no content. */
function unpack(tree: Readonly<Record<string, unknown>>, place: Place, out: (Item | Unreadable)[]): void {
  const entries = Array.isArray(tree['entry']) ? (tree['entry'] as readonly unknown[]) : [];
  const siblings = new Map<string, Item>();
  entries.forEach((entry, i) => {
    const here = { file: place.file, within: within(place.within, `entry[${i}]`) };
    const { resource, fullUrl, search, request } = isObject(entry) ? entry : {};
    if (!isObject(resource)) {
      const method = isObject(request) ? request['method'] : undefined;
      const what =
        typeof method === 'string'
          ? `Only resources are imported: this entry asks for ${method.slice(0, 10)} and holds none.`
          : 'The entry holds no resource.';
      out.push(unreadable(here, errorIssue('required', what, `Bundle.entry[${i}].resource`)));
      return;
    }
    if (isObject(search) && search['mode'] === 'outcome') return;
    if (resource['resourceType'] === 'Bundle') {
      unpack(resource, here, out);
      return;
    }
    const item: Item = {
      kind: 'resource',
      place: here,
      tree: resource,
      siblings,
      ...(typeof fullUrl === 'string' ? { fullUrl } : {}),
    };
    if (item.fullUrl !== undefined && !siblings.has(item.fullUrl)) siblings.set(item.fullUrl, item);
    out.push(item);
  });
}

/** @param text one JSON text */
function readText(text: Uint8Array, place: Place, limits: ReadLimits, out: (Item | Unreadable)[]): void {
  let tree: unknown;
  try {
    tree = parseJson(text, { maxDepth: limits.jsonDepth }).value;
  } catch (error) {
    if (!(error instanceof FhirError)) throw error;
    out.push({ kind: 'unreadable', place, issues: error.issues });
    return;
  }
  if (!isObject(tree))
    out.push(unreadable(place, errorIssue('structure', 'A resource or a Bundle as a JSON object is expected here.')));
  else if (tree['resourceType'] === 'Bundle') unpack(tree, place, out);
  else out.push({ kind: 'resource', place, tree });
}

const isBlank = (line: Uint8Array): boolean => line.every((c) => c === 32 || c === 13 || c === 9);

async function* readLines(
  file: SourceFile,
  limits: ReadLimits,
  progress: (bytes: number) => void,
): AsyncGenerator<readonly (Item | Unreadable)[]> {
  let out: (Item | Unreadable)[] = [];
  let number = 0;
  let rest: Buffer[] = [];
  let restBytes = 0;
  const take = (line: Buffer): void => {
    number++;
    const place = { file: file.path, within: `line ${number}` };
    if (restBytes + line.length > limits.lineBytes) {
      out.push(unreadable(place, errorIssue('too-long', `The line is longer than ${limits.lineBytes} bytes.`)));
    } else {
      const whole = rest.length === 0 ? line : Buffer.concat([...rest, line]);
      if (!isBlank(whole)) readText(whole, place, limits, out);
    }
    rest = [];
    restBytes = 0;
  };
  for await (const chunk of createReadStream(file.path, { highWaterMark: 256 * 1024 }) as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      take(chunk.subarray(start, end));
      start = end + 1;
      if (out.length >= BATCH) {
        yield out;
        out = [];
      }
    }
    restBytes += chunk.length - start;
    // Of a line that is too long nothing is kept but its length.
    if (restBytes <= limits.lineBytes) rest.push(chunk.subarray(start));
    else rest = [];
    progress(chunk.length);
  }
  if (restBytes > 0) {
    const last = Buffer.concat(rest);
    rest = [];
    restBytes -= last.length;
    take(last);
  }
  if (out.length > 0) yield out;
}

/**
 * What is in a file, in batches, in order.
 * @param progress told how many bytes were read since it was last told
 */
export async function* readFileItems(
  file: SourceFile,
  limits: ReadLimits,
  progress: (bytes: number) => void,
): AsyncGenerator<readonly (Item | Unreadable)[]> {
  if (file.problem !== undefined) {
    yield [unreadable({ file: file.path, within: '' }, errorIssue('not-found', `Not read: ${file.problem}.`))];
    return;
  }
  if (LINES.test(file.path)) {
    yield* readLines(file, limits, progress);
    return;
  }
  const place = { file: file.path, within: '' };
  if (file.bytes > limits.fileBytes) {
    yield [
      unreadable(
        place,
        errorIssue(
          'too-long',
          `The file is larger than ${limits.fileBytes} bytes: divide it, or write its resources as NDJSON.`,
        ),
      ),
    ];
    return;
  }
  const out: (Item | Unreadable)[] = [];
  readText(await readFile(file.path), place, limits, out);
  progress(file.bytes);
  for (let i = 0; i < out.length; i += BATCH) yield out.slice(i, i + BATCH);
}
