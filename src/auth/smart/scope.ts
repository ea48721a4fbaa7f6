/**
 * The grammar of SMART scopes, both versions, and what of a request an allow-list leaves. Pure: which types and parameters are served is
 * asked elsewhere (auth/access/supported.ts). @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
 */

/** create, read, update, delete, search: in this order in a scope. */
export type Letter = 'c' | 'r' | 'u' | 'd' | 's';

export interface ResourceScope {
  readonly kind: 'resource';
  readonly text: string;
  readonly level: 'patient' | 'user' | 'system';
  /** `*`: every type. */
  readonly type: string;
  readonly letters: ReadonlySet<Letter>;
  /** Search parameters that must all hold, decoded; none: every resource of the type. */
  readonly filter: readonly (readonly [name: string, value: string])[];
  readonly form: 'v1' | 'v2';
}

export interface PlainScope {
  readonly kind: 'plain';
  readonly text:
    | 'openid'
    | 'fhirUser'
    | 'profile'
    | 'launch'
    | 'launch/patient'
    | 'launch/encounter'
    | 'offline_access'
    | 'online_access';
}

export type Scope = ResourceScope | PlainScope;

export const LETTERS: readonly Letter[] = ['c', 'r', 'u', 'd', 's'];

const PLAIN: ReadonlySet<string> = new Set<PlainScope['text']>([
  'openid',
  'fhirUser',
  'profile',
  'launch',
  'launch/patient',
  'launch/encounter',
  'offline_access',
  'online_access',
]);
const V1: Readonly<Record<string, string>> = { read: 'rs', write: 'cud', '*': 'cruds' };

/** What a scope token may hold. @see https://www.rfc-editor.org/rfc/rfc6749#section-3.3 */
const TOKEN = /^[\x21\x23-\x5B\x5D-\x7E]{1,500}$/;
const RESOURCE = /^(patient|user|system)\/(\*|[A-Z][A-Za-z]{1,63})\.(read|write|\*|c?r?u?d?s?)(?:\?(.*))?$/;
const FILTER_NAME = /^[A-Za-z_][A-Za-z0-9_-]*(?::[A-Za-z-]+)?$/;

const isPlain = (text: string): text is PlainScope['text'] => PLAIN.has(text);
const lettersOf = (text: string): ReadonlySet<Letter> => new Set(LETTERS.filter((letter) => text.includes(letter)));

/** undefined: no list of `name=value`, or one that is not encoded as it should be. */
function parseFilter(text: string): ResourceScope['filter'] | undefined {
  const pairs: (readonly [string, string])[] = [];
  for (const part of text.split('&')) {
    const equals = part.indexOf('=');
    if (equals < 1 || equals === part.length - 1) return undefined;
    try {
      const name = decodeURIComponent(part.slice(0, equals));
      const value = decodeURIComponent(part.slice(equals + 1));
      if (!FILTER_NAME.test(name) || value.includes('\0')) return undefined;
      pairs.push([name, value]);
    } catch {
      return undefined;
    }
  }
  return pairs;
}

/** undefined: unknown or malformed, such as letters out of order. */
export function parseScope(text: string): Scope | undefined {
  if (isPlain(text)) return { kind: 'plain', text };
  const match = TOKEN.test(text) ? RESOURCE.exec(text) : null;
  if (!match) return undefined;
  const [, level, type = '', action = '', query] = match;
  const v1 = V1[action];
  const filter = query === undefined ? [] : v1 === undefined ? parseFilter(query) : undefined;
  if (action === '' || filter === undefined) return undefined;
  return {
    kind: 'resource',
    text,
    level: level === 'patient' || level === 'user' ? level : 'system',
    type,
    letters: lettersOf(v1 ?? action),
    filter,
    form: v1 === undefined ? 'v2' : 'v1',
  };
}

/** The known ones of a space-separated list, in order, without doubles. */
export function parseScopes(text: string): readonly Scope[] {
  const scopes: Scope[] = [];
  for (const part of new Set(text.split(' '))) {
    const scope = parseScope(part);
    if (scope) scopes.push(scope);
  }
  return scopes;
}

/** Who the person is stands in the id_token: without `openid` there is none. */
export const withoutNameless = (scopes: readonly Scope[]): readonly Scope[] =>
  scopes.some(({ text }) => text === 'openid')
    ? scopes
    : scopes.filter(({ text }) => text !== 'fhirUser' && text !== 'profile');

/** As a request or token writes it. */
export const scopeText = (scopes: readonly Scope[]): string => scopes.map((s) => s.text).join(' ');

// What separates parts of a scope must not stand in a value as such; most else may, and stays readable.
const encodeValue = (value: string): string =>
  value.replace(/[^\x21\x24\x28-\x2A\x2C-\x3B\x3F-\x5A\x5F-\x7C\x7E]/g, encodeURIComponent);

/** The v1 word of a set of letters, if there is one. */
const v1Word = (letters: string): string | undefined => Object.keys(V1).find((word) => V1[word] === letters);

function resourceScope(part: Omit<ResourceScope, 'kind' | 'text'>): ResourceScope {
  const letters = LETTERS.filter((letter) => part.letters.has(letter)).join('');
  const word = part.form === 'v1' && part.filter.length === 0 ? v1Word(letters) : undefined;
  const query = part.filter.map(([name, value]) => `${name}=${encodeValue(value)}`).join('&');
  return {
    ...part,
    kind: 'resource',
    form: word === undefined ? 'v2' : 'v1',
    text: `${part.level}/${part.type}.${word ?? letters}${query === '' ? '' : `?${query}`}`,
  };
}

const samePair = (a: readonly [string, string], b: readonly [string, string]): boolean =>
  a[0] === b[0] && a[1] === b[1];

/** Conditions of both. */
const bothFilters = (a: ResourceScope['filter'], b: ResourceScope['filter']): ResourceScope['filter'] => [
  ...a,
  ...b.filter((pair) => !a.some((other) => samePair(pair, other))),
];

/** What both scopes permit. */
function overlap(requested: ResourceScope, allowed: ResourceScope): ResourceScope | undefined {
  if (requested.level !== allowed.level) return undefined;
  if (requested.type !== allowed.type && requested.type !== '*' && allowed.type !== '*') return undefined;
  const letters = requested.letters.intersection(allowed.letters);
  if (letters.size === 0) return undefined;
  const type = requested.type === '*' ? allowed.type : requested.type;
  const filter = bothFilters(requested.filter, allowed.filter);
  const unchanged =
    type === requested.type && letters.size === requested.letters.size && filter.length === requested.filter.length;
  return unchanged ? requested : resourceScope({ level: requested.level, type, letters, filter, form: requested.form });
}

const sameRows = (a: ResourceScope, b: ResourceScope): boolean =>
  a.type === b.type &&
  a.filter.length === b.filter.length &&
  a.filter.every((p) => b.filter.some((o) => samePair(p, o)));

/** One requested resource scope under all that is allowed: letters that several allow for the same rows come together again. */
function narrowed(requested: ResourceScope, allowed: readonly Scope[]): readonly ResourceScope[] {
  const parts: ResourceScope[] = [];
  for (const other of allowed) {
    const part = other.kind === 'resource' ? overlap(requested, other) : undefined;
    if (part === requested) return [requested];
    if (!part) continue;
    const at = parts.findIndex((known) => sameRows(known, part));
    const known = parts[at];
    if (!known) parts.push(part);
    else parts[at] = resourceScope({ ...known, letters: known.letters.union(part.letters), form: requested.form });
  }
  const whole = parts.find((part) => sameRows(part, requested) && part.letters.size === requested.letters.size);
  return whole ? [requested] : parts;
}

const distinct = (scopes: readonly Scope[]): readonly Scope[] => [...new Map(scopes.map((s) => [s.text, s])).values()];

/** Requested scopes as far as the allow-list goes: narrowed to its types, letters and filters, in the form of the request. */
export function permits(scopes: readonly Scope[], allowed: readonly Scope[]): readonly Scope[] {
  return distinct(
    scopes.flatMap((scope): readonly Scope[] =>
      scope.kind === 'plain' ? (allowed.some((a) => a.text === scope.text) ? [scope] : []) : narrowed(scope, allowed),
    ),
  );
}

const READING: ReadonlySet<Letter> = new Set<Letter>(['r', 's']);

/** Without letters that write. */
function reading(scope: ResourceScope): readonly ResourceScope[] {
  const letters = scope.letters.intersection(READING);
  if (letters.size === 0) return [];
  return letters.size === scope.letters.size ? [scope] : [resourceScope({ ...scope, letters })];
}

/**
 * What a backend service gets: scopes of the system alone, and only those that read when the client is for bulk data.
 * None: `invalid_scope`. @see https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html#scopes
 */
export function backendScopes(requested: string, allowed: readonly Scope[], bulk: boolean): readonly Scope[] {
  const system = parseScopes(requested).filter(
    (scope): scope is ResourceScope => scope.kind === 'resource' && scope.level === 'system',
  );
  return permits(bulk ? distinct(system.flatMap((s) => (s.kind === 'resource' ? reading(s) : []))) : system, allowed);
}
