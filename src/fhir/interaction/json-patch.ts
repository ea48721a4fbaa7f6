/**
 * JSON Patch on trees of `json.ts`: strict, without prototypes, decimals keep their digits.
 * @see https://www.rfc-editor.org/rfc/rfc6902
 * @see https://hl7.org/fhir/R4/http.html#patch
 */
import { DIGITS } from '../json.ts';
import { badRequest, errorIssue, FhirError } from '../outcome.ts';

type Tree = unknown;
type Holder = Record<string, unknown> & { [DIGITS]?: Record<string, string> };

interface Operation {
  readonly op: 'add' | 'remove' | 'replace' | 'move' | 'copy' | 'test';
  readonly path: readonly string[];
  readonly from: readonly string[];
  readonly value: Value;
  /** `[3]`: the place in the patch, for messages. */
  readonly at: string;
}

/** A value and the digits that its holder keeps of it. */
interface Value {
  readonly value: Tree;
  readonly digits: string | undefined;
}

const OPERATIONS: ReadonlySet<unknown> = new Set(['add', 'remove', 'replace', 'move', 'copy', 'test']);
const MAX_OPERATIONS = 1000;
/** Values that `copy` may make in all: copies of copies grow exponentially. */
const MAX_COPIED = 10_000;
/** What the server alone writes. */
const FORBIDDEN: readonly string[] = ['id', 'resourceType', 'meta/versionId', 'meta/lastUpdated'];

const isHolder = (value: Tree): value is Holder => typeof value === 'object' && value !== null && !Array.isArray(value);

const unprocessable = (diagnostics: string, at: string): FhirError =>
  new FhirError(422, [errorIssue('processing', `Patch operation ${at}: ${diagnostics}`, at)]);

function pointer(text: unknown, name: string, at: string): readonly string[] {
  if (typeof text !== 'string')
    throw badRequest('structure', `Patch operation ${at}: "${name}" must be a JSON Pointer such as "/status".`, at);
  if (text === '') return [];
  if (!text.startsWith('/'))
    throw badRequest('value', `Patch operation ${at}: "${name}" must begin with a slash: "/${text.slice(0, 60)}".`, at);
  return text
    .slice(1)
    .split('/')
    .map((part) => {
      if (/~(?![01])/.test(part))
        throw badRequest('value', `Patch operation ${at}: in "${name}" a tilde is written ~0, a slash ~1.`, at);
      return part.replaceAll('~1', '/').replaceAll('~0', '~');
    });
}

/** @throws FhirError 400 when it is no JSON Patch */
export function parsePatch(document: unknown): readonly Operation[] {
  if (!Array.isArray(document))
    throw badRequest(
      'structure',
      'A JSON Patch is an array of operations: [{"op":"replace","path":"/status","value":"booked"}].',
    );
  if (document.length > MAX_OPERATIONS)
    throw badRequest('too-costly', `A patch may have ${MAX_OPERATIONS} operations: send several.`);
  return document.map((entry: unknown, index): Operation => {
    const at = `[${index}]`;
    if (!isHolder(entry))
      throw badRequest('structure', `Patch operation ${at} must be an object with "op" and "path".`, at);
    const { op } = entry;
    if (!OPERATIONS.has(op))
      throw badRequest('value', `Patch operation ${at}: "op" must be one of ${[...OPERATIONS].join(', ')}.`, at);
    const path = pointer(entry['path'], 'path', at);
    const needsFrom = op === 'move' || op === 'copy';
    const from = needsFrom ? pointer(entry['from'], 'from', at) : [];
    const needsValue = op === 'add' || op === 'replace' || op === 'test';
    if (needsValue && !Object.hasOwn(entry, 'value'))
      throw badRequest('required', `Patch operation ${at}: "${String(op)}" needs a "value".`, at);
    if (op !== 'test') refuseForbidden(path, at);
    if (op === 'move') {
      refuseForbidden(from, at);
      if (path.length > from.length && from.every((part, i) => part === path[i])) {
        throw badRequest('value', `Patch operation ${at}: a value cannot be moved into itself.`, at);
      }
    }
    return {
      op: op as Operation['op'],
      path,
      from,
      value: { value: entry['value'], digits: entry[DIGITS]?.['value'] },
      at,
    };
  });
}

function refuseForbidden(path: readonly string[], at: string): void {
  if (path.length === 0)
    throw badRequest(
      'business-rule',
      `Patch operation ${at}: the whole resource cannot be patched; send it by PUT.`,
      at,
    );
  const joined = path.slice(0, 2).join('/');
  const forbidden = FORBIDDEN.find((f) => joined === f || joined.startsWith(`${f}/`));
  if (forbidden)
    throw badRequest(
      'business-rule',
      `Patch operation ${at}: ${forbidden.replace('/', '.')} is set by the server alone; leave it out.`,
      at,
    );
}

const INDEX = /^(?:0|[1-9]\d{0,8})$/;

/** Index of an existing item, or undefined. */
function indexIn(array: readonly unknown[], part: string): number | undefined {
  if (!INDEX.test(part)) return undefined;
  const index = Number(part);
  return index < array.length ? index : undefined;
}

const shown = (path: readonly string[]): string => `/${path.join('/')}`.slice(0, 200);

function absent(path: readonly string[], at: string): FhirError {
  return unprocessable(`there is no ${shown(path)} in the resource.`, at);
}

/** The value at a path. */
function get(root: Tree, path: readonly string[], at: string): Value {
  let value = root;
  let digits: string | undefined;
  for (const [depth, part] of path.entries()) {
    if (Array.isArray(value)) {
      const index = indexIn(value, part);
      if (index === undefined) throw absent(path.slice(0, depth + 1), at);
      digits = (value as unknown as Holder)[DIGITS]?.[index];
      value = value[index] as unknown;
    } else if (isHolder(value) && Object.hasOwn(value, part)) {
      digits = value[DIGITS]?.[part];
      value = value[part];
    } else throw absent(path.slice(0, depth + 1), at);
  }
  return { value, digits };
}

function setDigits(holder: Holder, key: string, digits: string | undefined): void {
  const kept = holder[DIGITS];
  if (digits !== undefined) (holder[DIGITS] ??= {})[key] = digits;
  else if (kept && Object.hasOwn(kept, key)) delete kept[key];
}

/** `splice` that moves the digits of decimals along. */
function splice(array: unknown[], index: number, remove: number, insert?: Value): void {
  const kept = (array as unknown as Holder)[DIGITS];
  const digits = kept ? array.map((_, i) => kept[i]) : [];
  if (insert) array.splice(index, remove, insert.value);
  else array.splice(index, remove);
  if (!kept && insert?.digits === undefined) return;
  while (digits.length < index) digits.push(undefined);
  if (insert) digits.splice(index, remove, insert.digits);
  else digits.splice(index, remove);
  (array as unknown as Holder)[DIGITS] = Object.fromEntries(
    digits.flatMap((d, i) => (d === undefined ? [] : [[String(i), d] as const])),
  );
}

function add(root: Tree, path: readonly string[], value: Value, at: string): void {
  const parent = get(root, path.slice(0, -1), at).value;
  const key = path.at(-1) ?? '';
  if (Array.isArray(parent)) {
    const index = key === '-' ? parent.length : INDEX.test(key) ? Number(key) : -1;
    if (index < 0 || index > parent.length)
      throw unprocessable(
        `${shown(path)} is no place in an array of ${parent.length}: use an index up to that, or "-".`,
        at,
      );
    splice(parent, index, 0, value);
  } else if (isHolder(parent)) {
    if (key === '__proto__') throw badRequest('value', `Patch operation ${at}: "__proto__" is no element.`, at);
    parent[key] = value.value;
    setDigits(parent, key, value.digits);
  } else throw absent(path.slice(0, -1), at);
}

function remove(root: Tree, path: readonly string[], at: string): void {
  get(root, path, at);
  const parent = get(root, path.slice(0, -1), at).value;
  const key = path.at(-1) ?? '';
  if (Array.isArray(parent)) splice(parent, Number(key), 1);
  else if (isHolder(parent)) {
    delete parent[key];
    setDigits(parent, key, undefined);
  }
}

function replace(root: Tree, path: readonly string[], value: Value, at: string): void {
  get(root, path, at);
  const parent = get(root, path.slice(0, -1), at).value;
  const key = path.at(-1) ?? '';
  if (Array.isArray(parent)) splice(parent, Number(key), 1, value);
  else if (isHolder(parent)) {
    parent[key] = value.value;
    setDigits(parent, key, value.digits);
  }
}

interface Budget {
  left: number;
}

function copyOf(value: Tree, budget: Budget, at: string): Tree {
  if (--budget.left < 0)
    throw new FhirError(413, [errorIssue('too-costly', `Patch operation ${at}: the patch copies too much.`, at)]);
  if (typeof value !== 'object' || value === null) return value;
  const copy: Holder | unknown[] = Array.isArray(value) ? value.map((v) => copyOf(v, budget, at)) : {};
  if (!Array.isArray(copy)) for (const [key, item] of Object.entries(value)) copy[key] = copyOf(item, budget, at);
  const digits = (value as Holder)[DIGITS];
  if (digits) (copy as Holder)[DIGITS] = { ...digits };
  return copy;
}

/** Equality of RFC 6902 4.6: numbers by value, objects without order. */
function equal(a: Tree, b: Tree): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, i) => equal(item, b[i]));
  if (!isHolder(a) || !isHolder(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]));
}

/** What a patched resource may be at most. */
interface PatchLimits {
  readonly jsonDepth: number;
  readonly resourceValues: number;
}

/** Patches can nest values deeper than a parser would let in, and make more of them. Without recursion, as the depth is what is in doubt. */
function demandSize(root: Tree, { jsonDepth, resourceValues }: PatchLimits): void {
  const refuse = (diagnostics: string): FhirError =>
    new FhirError(422, [errorIssue('too-costly', `The patched resource ${diagnostics}.`)]);
  let level: Tree[] = [root];
  let values = 1;
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > jsonDepth) throw refuse(`is nested more than ${jsonDepth} deep`);
    const below: Tree[] = [];
    for (const holder of level) {
      for (const value of Object.values(holder as object)) {
        values++;
        if (typeof value === 'object' && value !== null) below.push(value);
      }
    }
    if (values > resourceValues) throw refuse(`holds more than ${resourceValues} values`);
    level = below;
  }
}

/**
 * Applies a patch to a tree, in place.
 * @throws FhirError 422 when a path does not exist, a `test` fails or the result is too large; the tree is then to be thrown away
 */
export function applyPatch(root: Tree, operations: readonly Operation[], limits: PatchLimits): void {
  const budget: Budget = { left: MAX_COPIED };
  for (const { op, path, from, value, at } of operations) {
    switch (op) {
      case 'add':
        add(root, path, { ...value, value: copyOf(value.value, budget, at) }, at);
        break;
      case 'remove':
        remove(root, path, at);
        break;
      case 'replace':
        replace(root, path, { ...value, value: copyOf(value.value, budget, at) }, at);
        break;
      case 'move': {
        const moved = get(root, from, at);
        remove(root, from, at);
        add(root, path, moved, at);
        break;
      }
      case 'copy': {
        const source = get(root, from, at);
        add(root, path, { ...source, value: copyOf(source.value, budget, at) }, at);
        break;
      }
      case 'test':
        if (!equal(get(root, path, at).value, value.value)) {
          throw unprocessable(`the test of ${shown(path)} failed: the resource holds another value.`, at);
        }
        break;
      default:
        op satisfies never;
    }
  }
  demandSize(root, limits);
}
