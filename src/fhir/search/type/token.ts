/**
 * Token parameters: codes, identifiers, contact points, booleans.
 * @see https://hl7.org/fhir/R4/search.html#token
 */
import { or, raw, sql } from '../../../platform/database/sql.ts';
import { badRequest } from '../../outcome.ts';
import type { TokenValue, Value } from '../criteria.ts';
import { splitEscaped, unescape } from '../escape.ts';
import {
  badValue,
  indexed,
  NONE,
  oneOf,
  overlaps,
  shown,
  type ColumnKind,
  type Found,
  type Meaning,
  type SearchKind,
} from '../kind.ts';
import { arrayLiteral, bounded } from '../literal.ts';
import { normalCode, normalContact, normalText } from '../normal.ts';
import { asArray, asObject, asString, eachValue, isScalar } from '../values.ts';
import type { SearchParam } from '../../definitions/registry.ts';

/** The column holds one bare code, whose system is implicit. */
export function isBareCode(param: SearchParam): boolean {
  for (const type of param.datatypes) if (type !== 'code' && type !== 'boolean') return false;
  return isScalar(param);
}

/** A code in its lookup forms: `code`, and `system|code` with `system|`, or `|code` where there is no system. */
export function addForms(forms: string[], system: string | undefined, code: string | undefined): void {
  if (system !== undefined) {
    const bound = bounded(system);
    forms.push(`${bound}|`);
    if (code !== undefined) forms.push(code, `${bound}|${code}`);
  } else if (code !== undefined) forms.push(code, `|${code}`);
}

function addCoding(forms: string[], value: unknown): void {
  const coding = asObject(value);
  if (!coding) return;
  const code = asString(coding['code']);
  addForms(forms, asString(coding['system']), code === undefined ? undefined : normalCode(code));
}

/** Lookup forms of one value of a token parameter. */
export function tokenForms(forms: string[], type: string, value: unknown): void {
  switch (type) {
    case 'CodeableConcept':
      for (const coding of asArray(asObject(value)?.['coding'])) addCoding(forms, coding);
      return;
    case 'Coding':
      addCoding(forms, value);
      return;
    case 'Identifier': {
      // Identifier.value is case sensitive, unless its system is known to be otherwise.
      const identifier = asObject(value);
      const text = asString(identifier?.['value']);
      addForms(forms, asString(identifier?.['system']), text === undefined ? undefined : bounded(text));
      return;
    }
    case 'ContactPoint': {
      const contact = asObject(value);
      const text = asString(contact?.['value']);
      addForms(forms, asString(contact?.['system']), text === undefined ? undefined : normalContact(text));
      return;
    }
    case 'code':
    case 'boolean':
      forms.push(bounded(String(value)));
      return;
    default:
      if (typeof value === 'string') addForms(forms, undefined, bounded(value));
  }
}

export const tokenColumns: ColumnKind = {
  shapes: (param) => (isBareCode(param) ? [{ sqlType: 'text', index: 'none' }] : [{ sqlType: 'text[]', index: 'gin' }]),
  extractor(param) {
    if (isBareCode(param)) {
      return (resource, out, at) => eachValue(resource, param, (value) => (out[at] = bounded(String(value))));
    }
    return (resource, out, at) => {
      let forms: string[] | undefined;
      eachValue(resource, param, (value, path) => tokenForms((forms ??= []), path.type, value));
      if (forms) out[at] = arrayLiteral(forms);
    };
  },
};

/** `system|code`, `code`, `|code` or `system|`. */
export function parseToken(text: string, name: string): TokenValue {
  const parts = splitEscaped(text, '|');
  const [first = '', second] = parts;
  if (parts.length > 2)
    throw badValue(name, `${shown(text)} has more than one |: write system|code, and \\| for a bar within.`);
  if (second === undefined) return { kind: 'token', system: undefined, code: unescape(first) };
  if (first === '' && second === '') throw badValue(name, 'neither system nor code is given: write system|code.');
  return { kind: 'token', system: unescape(first), code: unescape(second) };
}

function parseTyped(text: string, name: string): Value {
  const [system = '', code = '', value = '', more] = splitEscaped(text, '|').map(unescape);
  if (code === '' || value === '' || more !== undefined) {
    throw badValue(
      name,
      `${shown(text)} must have three parts: system|code|value, such as http://terminology.hl7.org/CodeSystem/v2-0203|MR|446053.`,
    );
  }
  return { kind: 'of-type', system, code, value };
}

/** @throws FhirError 400 when its codes are not known, under the name that was sent (`:in` or `:not-in`) */
function parseValueSet(text: string, meaning: Meaning, name: string): Value {
  const url = unescape(text);
  if (meaning.terminology.expand(url)) return { kind: 'text', text: url };
  throw badRequest(
    'not-supported',
    `${name}: the codes of value set ${shown(url)} cannot be listed here; search for the codes themselves, separated by commas.`,
    name,
  );
}

const CODED = ['Coding', 'CodeableConcept', 'code'];
const has = (param: SearchParam, types: readonly string[]): boolean => types.some((t) => param.datatypes.has(t));

const SPECIAL_VALUES = 'http://terminology.hl7.org/CodeSystem/special-values';

/** Whether bare codes of the parameter belong to the system, by the required binding of their element. */
function isImplicit(param: SearchParam, system: string, code: string, meaning: Meaning): boolean {
  return param.paths.some(({ type, element }) => {
    if (type === 'boolean') return system === SPECIAL_VALUES;
    const valueSet = type === 'code' ? element?.binding?.valueSet : undefined;
    if (valueSet === undefined) return false;
    return (
      meaning.terminology.systemOf(valueSet) === system ||
      (code !== '' && meaning.terminology.contains(valueSet, system, code) === true)
    );
  });
}

const onlyBareCodes = (param: SearchParam): boolean =>
  [...param.datatypes].every((t) => t === 'code' || t === 'boolean');

/** What is looked for: lookup forms, or any bare code at all. */
interface Wanted {
  readonly forms: ReadonlySet<string>;
  readonly any: boolean;
}

function addWanted(
  forms: Set<string>,
  param: SearchParam,
  system: string | undefined,
  code: string,
  meaning: Meaning,
): boolean {
  let any = false;
  const prefix = system === undefined ? '' : `${bounded(system)}|`;
  for (const type of param.datatypes) {
    if (type === 'code' || type === 'boolean') {
      if (system === undefined || (system === '' && type === 'boolean')) forms.add(bounded(code));
      else if (system !== '' && isImplicit(param, system, code, meaning)) {
        if (code === '') any = true;
        else forms.add(bounded(code));
      }
    } else {
      const normal =
        type === 'Coding' || type === 'CodeableConcept'
          ? normalCode(code)
          : type === 'ContactPoint'
            ? // A plus that was not percent-encoded arrives as a space.
              normalContact(/^ \d/.test(code) ? `+${code.slice(1)}` : code)
            : bounded(code);
      forms.add(prefix + normal);
    }
  }
  return any;
}

/** Codes that lie below or above the one given, in its own system or in the implicit one. */
function subsumed(
  param: SearchParam,
  value: TokenValue,
  direction: 'below' | 'above',
  meaning: Meaning,
): { system: string; codes: readonly string[] } {
  const implicit = param.paths.map((p) => p.element?.binding?.valueSet).find((v) => v !== undefined);
  const system = value.system ?? (implicit === undefined ? undefined : meaning.terminology.systemOf(implicit));
  const name = `${param.code}:${direction}`;
  if (system === undefined || system === '' || value.code === '')
    throw badValue(name, 'give system and code: system|code.');
  const codes = meaning.terminology.subsumed(system, value.code, direction);
  if (!codes) {
    throw badRequest(
      'not-supported',
      `${name}: the hierarchy of ${system.slice(0, 200)} is not at hand; search for the codes themselves, separated by commas.`,
      name,
    );
  }
  return { system, codes };
}

export function wantedOf(
  param: SearchParam,
  modifier: string | undefined,
  values: readonly Value[],
  meaning: Meaning,
): Wanted {
  const forms = new Set<string>();
  let any = false;
  for (const value of values) {
    if (value.kind === 'text' && modifier === 'in') {
      // That they can be listed was made sure when the value was read.
      for (const c of meaning.terminology.expand(value.text) ?? []) addWanted(forms, param, c.system, c.code, meaning);
    } else if (value.kind === 'token' && (modifier === 'below' || modifier === 'above')) {
      const { system, codes } = subsumed(param, value, modifier, meaning);
      for (const code of codes) addWanted(forms, param, system, code, meaning);
    } else if (value.kind === 'token') {
      if (addWanted(forms, param, value.system, value.code, meaning)) any = true;
    }
  }
  return { forms, any };
}

/** Text that goes with a code: CodeableConcept.text, Coding.display, Identifier.type.text. */
function textsOf(value: unknown): string[] {
  const object = asObject(value);
  const all = [object?.['text'], object?.['display'], asObject(object?.['type'])?.['text']];
  for (const coding of asArray(object?.['coding'])) all.push(asObject(coding)?.['display']);
  return all.filter((t) => typeof t === 'string').map(normalText);
}

function isTyped(value: unknown, wanted: Value): boolean {
  const identifier = asObject(value);
  if (wanted.kind !== 'of-type' || identifier?.['value'] !== wanted.value) return false;
  return asArray(asObject(identifier['type'])?.['coding']).some((c) => {
    const coding = asObject(c);
    const code = asString(coding?.['code']);
    return (
      code !== undefined &&
      normalCode(code) === normalCode(wanted.code) &&
      (asString(coding?.['system']) ?? '') === wanted.system
    );
  });
}

/** Codes that may stand in a statement's text, so that partial indexes on them can be used: those of the parameter's required binding. */
function isInlined(param: SearchParam, code: string, meaning: Meaning): boolean {
  if (!/^[a-z][a-z-]{0,30}$/.test(code)) return false;
  if (param.datatypes.has('boolean')) return code === 'true' || code === 'false';
  const binding = param.paths[0]?.element?.binding;
  return binding?.strength === 'required' && meaning.terminology.contains(binding.valueSet, undefined, code) === true;
}

/** @throws FhirError 400 for what a boolean never is; what its system asks for is looked up */
function demandBoolean(param: SearchParam, { system, code }: TokenValue, name: string): void {
  if (param.datatypes.size !== 1 || !param.datatypes.has('boolean') || (system !== undefined && system !== '')) return;
  if (code !== 'true' && code !== 'false') throw badValue(name, `${shown(code)} is neither true nor false.`);
}

export const tokenKind: SearchKind = {
  modifiers(param) {
    if (param.code === '_id') return ['not'];
    return [
      'not',
      ...(has(param, ['Coding', 'CodeableConcept', 'Identifier']) ? ['text'] : []),
      ...(has(param, CODED) ? ['in', 'not-in', 'below', 'above'] : []),
      ...(has(param, ['Identifier']) ? ['of-type'] : []),
    ];
  },
  comparators: [],
  parse(text, param, modifier, meaning, name) {
    if (modifier === 'in') return parseValueSet(text, meaning, name);
    if (modifier === 'text') return { kind: 'text', text: unescape(text) };
    if (modifier === 'of-type') return parseTyped(text, name);
    const value = parseToken(text, name);
    demandBoolean(param, value, name);
    return value;
  },
  condition(columns, modifier, values, meaning) {
    const { param } = columns;
    if (modifier === 'text') return { sql: sql`${columns.column()} is not null`, exact: false };
    if (modifier === 'of-type') {
      const forms = values.flatMap((v) => (v.kind === 'of-type' ? [bounded(v.value)] : []));
      return { sql: overlaps(columns.column(), forms), exact: false, fenced: true };
    }
    const { forms, any } = wantedOf(param, modifier, values, meaning);
    const list = [...forms];
    const [only] = list;
    if (only === undefined && !any) return NONE;
    if (param.code === '_id')
      return {
        sql: oneOf(
          columns.column(),
          list.filter((f) => !f.includes('|')),
        ),
        exact: true,
      };
    if (isBareCode(param)) {
      if (any) return { sql: sql`${columns.column()} is not null`, exact: true };
      if (only !== undefined && list.length === 1 && isInlined(param, only, meaning)) {
        return { sql: sql`${columns.column()} = ${raw(`'${only}'`)}`, exact: true };
      }
      return { sql: oneOf(columns.column(), list), exact: true };
    }
    if (any)
      return {
        sql: or([sql`${columns.column()} <> '{}'`, ...(only === undefined ? [] : [overlaps(columns.column(), list)])]),
        exact: true,
      };
    return { sql: indexed(columns, (c) => overlaps(c, list)), exact: true, fenced: true };
  },
  matches(param, found: readonly Found[], modifier, values, meaning) {
    if (modifier === 'text') {
      const starts = values.flatMap((v) => (v.kind === 'text' ? [normalText(v.text)] : []));
      return found.some(({ value }) => textsOf(value).some((t) => starts.some((s) => t.startsWith(s))));
    }
    if (modifier === 'of-type') return found.some(({ value }) => values.some((v) => isTyped(value, v)));
    const wanted = wantedOf(param, modifier, values, meaning);
    return found.some(({ value, path }) => {
      const forms: string[] = [];
      tokenForms(forms, path.type, value);
      return (wanted.any && onlyBareCodes(param)) || forms.some((f) => wanted.forms.has(f));
    });
  },
  sortKey(param, column, descending) {
    if (isBareCode(param) || param.code === '_id') return { sql: column, cast: 'text' };
    // Forms with a bar repeat a code together with its system.
    return {
      sql: sql`(select ${raw(descending ? 'max' : 'min')}(v) from unnest(${column}) v where strpos(v, '|') = 0)`,
      cast: 'text',
    };
  },
};
