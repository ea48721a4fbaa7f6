/**
 * JSON as FHIR needs it: decimals keep their digits, duplicate keys and hostile input are refused with the place named.
 * @see https://hl7.org/fhir/R4/json.html#decimal
 * @see https://www.rfc-editor.org/rfc/rfc8259
 */
import { badRequest, type FhirError } from './outcome.ts';

/**
 * Digits of decimals that a JavaScript number would lose: by property, on the object that holds them. Invisible to JSON.stringify and Object.keys.
 * Enumerable, so that `{ ...element }` keeps them; a text that no longer equals its number is ignored.
 */
export const DIGITS: unique symbol = Symbol('digits');

export interface JsonLimits {
  readonly maxDepth: number;
  /** Objects, arrays, strings, numbers, true, false and null together; undefined: as many as there are. */
  readonly maxValues?: number;
}

export interface ParsedJson {
  readonly value: unknown;
}

type Holder = Record<string | number, unknown> & { [DIGITS]?: Record<string, string> };

/** A text may be nested at most this deep whatever the limit says: recursion stays far from the end of the stack. */
const MAX_DEPTH = 1000;
/** Longest number accepted: more digits than any decimal of FHIR needs (the standard asks for 18). */
const MAX_NUMBER = 64;
/** Most properties of one object: no type of FHIR has a tenth of them. */
const MAX_PROPERTIES = 1000;
const QUOTE = 34;
const BACKSLASH = 92;

const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

/** One pass over one text. Recursion is bounded by `maxDepth`, whatever the input. */
class Reader {
  readonly text: string;
  readonly maxDepth: number;
  readonly maxValues: number;
  position = 0;
  values = 0;
  depth = 0;
  /** Key or index being read, by depth: the path of an error. */
  readonly place: (string | number)[] = [];
  /** What the root object says it is, for the FHIRPath of an error. */
  root: Holder | undefined;

  constructor(text: string, { maxDepth, maxValues = Infinity }: JsonLimits) {
    this.text = text;
    this.maxDepth = Math.min(maxDepth, MAX_DEPTH);
    this.maxValues = maxValues;
  }

  fail(message: string, at = this.position): FhirError {
    let path = '';
    for (let i = 0; i < this.depth; i++) {
      const step = this.place[i];
      if (typeof step === 'number') path += `[${step}]`;
      else if (step !== undefined) path += `${path === '' ? '' : '.'}${/^\w{1,64}$/.test(step) ? step : shown(step)}`;
    }
    if (path.length > 200) path = `${path.slice(0, 200)}…`;
    const type = this.root?.['resourceType'];
    const name = typeof type === 'string' && /^[A-Za-z]{1,64}$/.test(type) ? type : undefined;
    const expression =
      name === undefined ? path : path === '' || path.startsWith('[') ? name + path : `${name}.${path}`;
    return malformed(message, this.text, at, expression);
  }

  /** Describes what stands at the position. */
  found(): string {
    const c = this.text.codePointAt(this.position);
    return c === undefined ? 'the end of the text' : shown(String.fromCodePoint(c));
  }

  /** Moves past white space; the code of what follows, NaN at the end. */
  next(): number {
    const { text } = this;
    let c = text.charCodeAt(this.position);
    while (c === 32 || c === 10 || c === 13 || c === 9) c = text.charCodeAt(++this.position);
    return c;
  }

  document(): unknown {
    const value = this.value(this.next(), undefined, '');
    if (!Number.isNaN(this.next()))
      throw this.fail(`nothing may follow the JSON value, but ${this.found()} does: remove it`);
    return value;
  }

  /** @param holder object or array that gets the value: it keeps a decimal's digits */
  value(c: number, holder: Holder | undefined, key: string | number): unknown {
    if (++this.values > this.maxValues)
      throw this.fail(`the text holds more than ${this.maxValues} values: send less at a time`);
    if (c === QUOTE) return this.string();
    if (c === 123) return this.object();
    if (c === 91) return this.array();
    if (c === 45 || (c >= 48 && c <= 57)) return this.number(holder, key);
    const { text, position } = this;
    if (c === 116 && text.startsWith('true', position)) return this.literal(4, true);
    if (c === 102 && text.startsWith('false', position)) return this.literal(5, false);
    if (c === 110 && text.startsWith('null', position)) return this.literal(4, null);
    throw this.fail(
      `a JSON value is expected here (an object, array, string in double quotes, number, true, false or null), but there is ${this.found()}`,
    );
  }

  literal<T>(length: number, value: T): T {
    this.position += length;
    return value;
  }

  enter(): void {
    if (this.depth >= this.maxDepth)
      throw this.fail(`objects and arrays are nested more than ${this.maxDepth} deep: make the structure flatter`);
    this.depth++;
  }

  object(): Holder {
    const object: Holder = {};
    if (this.depth === 0) this.root = object;
    this.enter();
    const level = this.depth - 1;
    this.place[level] = undefined as unknown as string;
    this.position++;
    let c = this.next();
    if (c === 125) return this.leave(object);
    for (let properties = 1; ; properties++) {
      if (properties > MAX_PROPERTIES)
        throw this.fail(`an object has more than ${MAX_PROPERTIES} properties: no element of FHIR has so many`);
      if (c !== QUOTE)
        throw this.fail(`a property name in double quotes is expected here, but there is ${this.found()}`);
      const start = this.position;
      const key = this.string();
      this.place[level] = key;
      if (object[key] !== undefined && Object.hasOwn(object, key)) {
        throw this.fail(`the property ${shown(key)} is given twice in one object: keep one of them`, start);
      }
      if ((key.length === 9 || key.length === 11) && FORBIDDEN_KEYS.has(key))
        throw this.fail(`the property name ${shown(key)} is not allowed: remove it`, start);
      c = this.next();
      if (c !== 58) throw this.fail(`a colon is expected after the property name, but there is ${this.found()}`);
      this.position++;
      object[key] = this.value(this.next(), object, key);
      c = this.next();
      if (c === 125) return this.leave(object);
      if (c !== 44) throw this.fail(`a comma or } is expected here, but there is ${this.found()}`);
      this.position++;
      c = this.next();
    }
  }

  array(): unknown[] {
    const array: unknown[] = [];
    this.enter();
    const level = this.depth - 1;
    this.position++;
    let c = this.next();
    if (c === 93) return this.leave(array);
    for (;;) {
      this.place[level] = array.length;
      array.push(this.value(c, array as unknown as Holder, array.length));
      c = this.next();
      if (c === 93) return this.leave(array);
      if (c !== 44) throw this.fail(`a comma or ] is expected here, but there is ${this.found()}`);
      this.position++;
      c = this.next();
    }
  }

  leave<T>(value: T): T {
    this.position++;
    this.depth--;
    return value;
  }

  string(): string {
    const { text } = this;
    const start = this.position + 1;
    let end = start;
    for (;;) {
      const c = text.charCodeAt(end);
      if (c === QUOTE) break;
      if (c === BACKSLASH) return this.escaped(start, end);
      if (c < 32) throw this.control(c, end);
      if (Number.isNaN(c)) throw this.fail('the string has no closing double quote', start - 1);
      end++;
    }
    this.position = end + 1;
    return text.slice(start, end);
  }

  control(c: number, at: number): FhirError {
    const name = c === 0 ? 'NUL' : `U+${c.toString(16).padStart(4, '0').toUpperCase()}`;
    const fix = c === 10 ? 'write a line break as \\n' : c === 9 ? 'write a tab as \\t' : 'remove it';
    return this.fail(`the control character ${name} may not stand in a string: ${fix}`, at);
  }

  /** The rare string with escapes: parts between them are sliced. */
  escaped(start: number, first: number): string {
    const { text } = this;
    const parts: string[] = [text.slice(start, first)];
    let at = first;
    let unicode = false;
    for (;;) {
      const c = text.charCodeAt(at);
      if (c === QUOTE) break;
      if (c === BACKSLASH) {
        const kind = text.charAt(at + 1);
        const simple = ESCAPES[kind];
        if (simple !== undefined) {
          parts.push(simple);
          at += 2;
        } else {
          const hex = text.slice(at + 2, at + 6);
          if (kind !== 'u' || !/^[0-9a-fA-F]{4}$/.test(hex))
            throw this.fail(`${shown(text.slice(at, at + 2))} is not an escape of JSON: write a backslash as \\\\`, at);
          const code = Number.parseInt(hex, 16);
          if (code === 0) throw this.control(0, at);
          if (code >= 0xd800 && code <= 0xdfff) unicode = true;
          parts.push(String.fromCharCode(code));
          at += 6;
        }
        continue;
      }
      if (c < 32) throw this.control(c, at);
      if (Number.isNaN(c)) throw this.fail('the string has no closing double quote', start - 1);
      let end = at + 1;
      for (let d = text.charCodeAt(end); d !== QUOTE && d !== BACKSLASH && d >= 32;) d = text.charCodeAt(++end);
      parts.push(text.slice(at, end));
      at = end;
    }
    const value = parts.join('');
    if (unicode && !value.isWellFormed())
      throw this.fail(
        'half of a surrogate pair stands alone in this string: write both halves, or the character itself',
        start - 1,
      );
    this.position = at + 1;
    return value;
  }

  number(holder: Holder | undefined, key: string | number): number {
    const { text } = this;
    const start = this.position;
    let at = start;
    let c = text.charCodeAt(at);
    const negative = c === 45;
    if (negative) c = text.charCodeAt(++at);
    const digits = at;
    while (c >= 48 && c <= 57) c = text.charCodeAt(++at);
    const count = at - digits;
    if (count === 0 || (count > 1 && text.charCodeAt(digits) === 48)) {
      throw this.fail(
        count === 0
          ? 'a digit must follow the minus sign'
          : 'a number may not begin with 0: remove it, or write the value as a string',
        start,
      );
    }
    const plain = c !== 46 && c !== 101 && c !== 69;
    if (c === 46) {
      const fraction = ++at;
      c = text.charCodeAt(at);
      while (c >= 48 && c <= 57) c = text.charCodeAt(++at);
      if (at === fraction) throw this.fail('a digit must follow the decimal point', at);
    }
    if (c === 101 || c === 69) {
      c = text.charCodeAt(++at);
      if (c === 43 || c === 45) c = text.charCodeAt(++at);
      const exponent = at;
      while (c >= 48 && c <= 57) c = text.charCodeAt(++at);
      if (at === exponent) throw this.fail('a digit must follow the exponent', at);
    }
    if (at - start > MAX_NUMBER)
      throw this.fail(`the number has more than ${MAX_NUMBER} characters: shorten it`, start);
    this.position = at;
    const written = text.slice(start, at);
    const value = Number(written);
    if (plain && count <= 15 && !(negative && value === 0)) return value;
    if (!Number.isFinite(value) || (value === 0 && /[1-9]/.test(written.split(/e/i)[0] ?? ''))) {
      throw this.fail('the number is out of range: at most about 1.8e308, and no nearer to zero than 5e-324', start);
    }
    if (holder !== undefined && String(value) !== written) (holder[DIGITS] ??= {})[key] = written;
    return value;
  }
}

/** A piece of input in a message: short, printable. */
const shown = (text: string): string => JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);

function malformed(message: string, text: string, at: number, expression: string): FhirError {
  let line = 1;
  let lineStart = 0;
  for (let i = text.indexOf('\n'); i !== -1 && i < at; i = text.indexOf('\n', i + 1)) {
    line++;
    lineStart = i + 1;
  }
  const where = `Line ${line}, column ${at - lineStart + 1}${expression === '' ? '' : ` (${expression})`}`;
  return badRequest('structure', `${where}: ${message}.`, expression === '' ? undefined : expression);
}

/** Decodes bytes, or names the first that is not UTF-8. */
function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    let at = 0;
    for (let size = 65_536; size >= 1; size = size > 1 ? size / 16 : 0) at = firstBad(bytes, at, size);
    const before = new TextDecoder().decode(bytes.subarray(0, at));
    throw malformed(
      'the text is not UTF-8: send it in UTF-8 (application/fhir+json allows no other encoding)',
      before,
      before.length,
      '',
    );
  }
}

/** Start of the first block of `size` bytes, at or after `from`, in which decoding fails. `from` is the start of such a block, or 0. */
function firstBad(bytes: Uint8Array, from: number, size: number): number {
  // A sequence may begin up to three bytes before the block: begin where a character begins.
  let start = from;
  while (start > 0 && start > from - 4 && ((bytes[start] ?? 0) & 0xc0) === 0x80) start--;
  const decoder = new TextDecoder('utf-8', { fatal: true });
  for (let at = start; at < bytes.length; at += size) {
    try {
      decoder.decode(bytes.subarray(at, at + size), { stream: true });
    } catch {
      return at;
    }
  }
  return bytes.length;
}

/**
 * Reads one JSON text.
 * @returns the value; decimals that a number would change keep their text under `DIGITS`
 * @throws FhirError 400 that names line, column, path and the fix
 */
export function parseJson(input: string | Uint8Array, limits: JsonLimits): ParsedJson {
  let text = typeof input === 'string' ? input : decode(input);
  if (typeof input === 'string') {
    if (text.charCodeAt(0) === 0xfeff) text = text.slice(1);
    if (!text.isWellFormed()) {
      const at = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.exec(text)?.index ?? 0;
      throw malformed('half of a surrogate pair stands alone: write both halves, or remove it', text, at, '');
    }
  }
  return { value: new Reader(text, limits).document() };
}

function hasDigits(value: object): boolean {
  if ((value as Holder)[DIGITS] !== undefined) return true;
  if (Array.isArray(value)) {
    for (const item of value) if (typeof item === 'object' && item !== null && hasDigits(item as object)) return true;
    return false;
  }
  for (const key in value) {
    const item = (value as Record<string, unknown>)[key];
    if (typeof item === 'object' && item !== null && hasDigits(item)) return true;
  }
  return false;
}

/** Writes values as JSON.stringify does, and kept digits where they still equal the number. */
function write(value: unknown, digits: string | undefined, indent: number, margin: string): string | undefined {
  if (typeof value === 'number' && digits !== undefined && Object.is(Number(digits), value)) return digits;
  if (typeof value !== 'object' || value === null || 'toJSON' in value)
    return JSON.stringify(value) as string | undefined;
  const kept = (value as Holder)[DIGITS];
  const inner = indent > 0 ? margin + ' '.repeat(indent) : '';
  const isArray = Array.isArray(value);
  const parts: string[] = [];
  if (isArray) {
    for (let i = 0; i < value.length; i++) parts.push(write(value[i], kept?.[i], indent, inner) ?? 'null');
  } else {
    for (const [key, item] of Object.entries(value)) {
      const text = write(item, kept?.[key], indent, inner);
      if (text !== undefined) parts.push(`${JSON.stringify(key)}:${indent > 0 ? ' ' : ''}${text}`);
    }
  }
  const [open, close] = isArray ? ['[', ']'] : ['{', '}'];
  if (parts.length === 0) return open + close;
  return indent > 0
    ? `${open}\n${inner}${parts.join(`,\n${inner}`)}\n${margin}${close}`
    : `${open}${parts.join(',')}${close}`;
}

/**
 * Writes a resource (or any JSON value) with the digits that `parseJson` kept.
 * @param indent spaces per level for people; 0 writes one line
 */
export function stringify(value: unknown, indent = 0): string {
  if (typeof value !== 'object' || value === null || !hasDigits(value))
    return JSON.stringify(value, null, indent) ?? 'null';
  return write(value, undefined, indent, '') ?? 'null';
}
