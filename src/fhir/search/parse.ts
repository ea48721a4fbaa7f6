/**
 * Reads a query into criteria. A value that cannot be understood is always refused; a parameter that is not known is left
 * out and told, or refused under `Prefer: handling=strict`.
 * @see https://hl7.org/fhir/R4/search.html#errors
 */
import type { SearchParam } from '../definitions/registry.ts';
import type { Engine } from '../engine.ts';
import { badRequest } from '../outcome.ts';
import type { Query } from './contract.ts';
import type { Condition, ParsedSearch, Value } from './criteria.ts';
import { splitEscaped } from './escape.ts';
import { badValue, shown, type Meaning } from './kind.ts';
import { emptyResult, isResultName, parseResult, type ResultBuilder } from './result-options.ts';
import { servedTargets } from './info.ts';

export type ParseEngine = Pick<Engine, 'definitions' | 'resources' | 'limits'>;

/** A hop to another type costs as much as this many values. */
const HOP_COST = 10;

interface State {
  readonly engine: ParseEngine;
  readonly meaning: Meaning;
  cost: number;
}

/** Why a parameter was left out. */
export interface Unknown {
  readonly kind: 'unknown';
  readonly why: string;
}
const unknown = (why: string): Unknown => ({ kind: 'unknown', why });

function spend(state: State, cost: number, name: string): void {
  state.cost += cost;
  if (state.cost > state.engine.limits.searchValues) {
    throw badRequest(
      'too-costly',
      `${name}: the search holds more values and chains than are allowed (${state.engine.limits.searchValues} values; a hop of a chain counts as ${HOP_COST}). Split it into several searches.`,
      name,
    );
  }
}

function parseMissing(text: string, name: string): Value {
  if (text !== 'true' && text !== 'false') throw badValue(name, `${shown(text)} is neither true nor false.`);
  return { kind: 'missing', missing: text === 'true' };
}

function badModifier(param: SearchParam, modifier: string, allowed: readonly string[], name: string): Error {
  const list = ['missing', ...allowed.filter((m) => m !== 'type')].map((m) => `:${m}`).join(', ');
  const types = param.type === 'reference' ? `, and a type such as :${param.targets[0] ?? 'Patient'}` : '';
  return badRequest(
    'not-supported',
    `${name}: there is no modifier :${modifier.slice(0, 40)} here; ${param.code} has ${list}${types}.`,
    name,
  );
}

/** Values of an OR list; `modifier` is the one that the values are read by. */
function parseValues(
  state: State,
  param: SearchParam,
  modifier: string | undefined,
  text: string,
  name: string,
): Value[] {
  const parts = splitEscaped(text, ',').filter((p) => p.trim() !== '');
  spend(state, Math.max(1, parts.length), name);
  if (modifier === 'missing') return parts.map((p) => parseMissing(p, name)).slice(0, 1);
  const kind = state.meaning.kindOf(param);
  return parts.map((p) => {
    const value = kind.parse(p, param, modifier, state.meaning, name);
    if (kind.weight) spend(state, kind.weight(value, modifier) - 1, name);
    return value;
  });
}

/** `subject:Patient=1`: the type moves into the values. */
function parseTyped(state: State, param: SearchParam, type: string, text: string, name: string): Condition | Unknown {
  if (!param.targets.includes(type)) {
    throw badRequest(
      'not-supported',
      `${name}: ${param.code} does not refer to ${type.slice(0, 64)}; it refers to ${param.targets.slice(0, 12).join(', ')}.`,
      name,
    );
  }
  const values = parseValues(state, param, undefined, text, name).map((v): Value => {
    if (v.kind !== 'reference' || v.url !== undefined) return v;
    if (v.type !== undefined && v.type !== type)
      throw badValue(name, `${v.type}/${v.id ?? ''} is no ${type}: give its id alone, or ${type}/id.`);
    return { ...v, type };
  });
  return values.length === 0 ? unknown('it has no value') : { kind: 'param', param, modifier: undefined, values };
}

const KNOWN_AT_MOST = 5_000;
const KNOWN_LENGTH = 100;

/** Approximate values mean something else at every moment. */
const lasts = (text: string): boolean => text.length <= KNOWN_LENGTH && !text.includes('ap');

function parseParam(state: State, type: string, name: string, text: string, full: string): Condition | Unknown {
  const { known } = state.meaning;
  if (!known || !lasts(text)) return readParam(state, type, name, text, full);
  // NUL stands in neither: with any other sign between them, what one person searched for would answer what another asks.
  const key = `${type}\0${name}\0${text}`;
  const found = known.get(key);
  if (found) {
    spend(state, found.cost, full);
    return found.condition;
  }
  const before = state.cost;
  const condition = readParam(state, type, name, text, full);
  if (condition.kind === 'unknown') return condition;
  if (known.size >= KNOWN_AT_MOST) for (const oldest of known.keys()) if (known.delete(oldest)) break;
  known.set(key, { condition, cost: state.cost - before });
  return condition;
}

function readParam(state: State, type: string, name: string, text: string, full: string): Condition | Unknown {
  const colon = name.indexOf(':');
  const code = colon < 0 ? name : name.slice(0, colon);
  const param = state.engine.definitions.searchParams(type).get(code);
  if (!param) return unknown(`${type} has no search parameter ${shown(code)}`);
  const modifier = colon < 0 ? undefined : name.slice(colon + 1);
  if (modifier !== undefined && modifier !== 'missing') {
    const allowed = state.meaning.kindOf(param).modifiers(param);
    if (allowed.includes('type') && /^[A-Z]/.test(modifier)) return parseTyped(state, param, modifier, text, full);
    if (modifier === 'type' || !allowed.includes(modifier)) throw badModifier(param, modifier, allowed, full);
  }
  const readAs = modifier === 'not' ? undefined : modifier === 'not-in' ? 'in' : modifier;
  const values = parseValues(state, param, readAs, text, full);
  return values.length === 0 ? unknown('it has no value') : { kind: 'param', param, modifier, values };
}

function parseHas(state: State, type: string, name: string, text: string, full: string): Condition | Unknown {
  const [, source = '', code = '', ...rest] = name.split(':');
  if (rest.length === 0 || rest[0] === '')
    throw badValue(full, 'write _has:Type:parameter:criterion, such as _has:Appointment:patient:status=booked.');
  spend(state, HOP_COST, full);
  if (!state.engine.resources.has(source)) return unknown(`the type ${shown(source)} is not served`);
  const param = state.engine.definitions.searchParams(source).get(code);
  if (param?.type !== 'reference') return unknown(`${source} has no reference parameter ${shown(code)}`);
  if (!param.targets.includes(type)) return unknown(`${source}.${code} does not refer to ${type}`);
  const condition = parseCondition(state, source, rest.join(':'), text, full);
  return condition.kind === 'unknown' ? condition : { kind: 'has', type: source, param, condition };
}

function parseChain(
  state: State,
  type: string,
  name: string,
  dot: number,
  text: string,
  full: string,
): Condition | Unknown {
  const [code = '', narrowed, more] = name.slice(0, dot).split(':');
  const rest = name.slice(dot + 1);
  spend(state, HOP_COST, full);
  const param = state.engine.definitions.searchParams(type).get(code);
  if (!param) return unknown(`${type} has no search parameter ${shown(code)}`);
  if (param.type !== 'reference')
    throw badRequest('invalid', `${full}: ${code} is no reference, so nothing can be chained to it.`, full);
  if (more !== undefined || (narrowed !== undefined && !param.targets.includes(narrowed))) {
    throw badRequest(
      'not-supported',
      `${full}: ${code} cannot be narrowed to ${shown(narrowed ?? '')}; it refers to ${param.targets.slice(0, 12).join(', ')}.`,
      full,
    );
  }
  const types = servedTargets(state.engine, param).filter((t) => narrowed === undefined || t === narrowed);
  if (types.length === 0) return unknown(`the types that ${code} refers to are not served`);
  let why: Unknown | undefined;
  const targets: { type: string; condition: Condition }[] = [];
  // A value that only some of the possible types can read is meant for those.
  let refusal: unknown;
  for (const target of types) {
    try {
      const condition = parseCondition(state, target, rest, text, full);
      if (condition.kind === 'unknown') why ??= condition;
      else targets.push({ type: target, condition });
    } catch (error) {
      if (state.cost > state.engine.limits.searchValues) throw error;
      refusal ??= error;
    }
  }
  if (targets.length > 0) return { kind: 'chain', param, narrowed, targets };
  if (refusal !== undefined) throw refusal;
  return why ?? unknown('it leads nowhere');
}

function parseCondition(state: State, type: string, name: string, text: string, full: string): Condition | Unknown {
  if (name.startsWith('_has:')) return parseHas(state, type, name, text, full);
  const dot = name.indexOf('.');
  return dot < 0 ? parseParam(state, type, name, text, full) : parseChain(state, type, name, dot, text, full);
}

function demandText(name: string, value: string): void {
  if (!name.isWellFormed() || !value.isWellFormed() || value.includes('\0') || name.includes('\0')) {
    throw badRequest(
      'value',
      'The query holds a NUL character or half of a surrogate pair: remove it.',
      name.replaceAll('\0', '').toWellFormed().slice(0, 64),
    );
  }
}

interface Ignored {
  readonly name: string;
  readonly why: string;
}

/** Whether what is not known is left out: `always` strict is a search that something is done by. */
export type Strictness = boolean | 'always';

function leaveOut(ignored: Ignored[], name: string, why: string, strict: Strictness): void {
  const known = `${shown(name)} is not used: ${why}.`;
  if (strict !== false) {
    const fix = strict === 'always' ? 'Remove it.' : 'Remove it, or send Prefer: handling=lenient.';
    throw badRequest('not-supported', `${known} ${fix}`, name.slice(0, 200));
  }
  ignored.push({ name, why });
}

/**
 * @param types those that are searched; `_type` narrows them when `typeFilter` is allowed
 * @throws FhirError 400
 */
export function parseSearch(
  engine: ParseEngine,
  meaning: Meaning,
  types: readonly string[],
  query: Query,
  options: { readonly strict: Strictness; readonly typeFilter: boolean },
): ParsedSearch {
  const state: State = { engine, meaning, cost: 0 };
  const ignored: Ignored[] = [];
  const result: ResultBuilder = emptyResult();
  if (query.length > engine.limits.searchValues) {
    throw badRequest(
      'too-costly',
      `A search may have ${engine.limits.searchValues} parameters: split it.`,
      query[0]?.[0],
    );
  }
  const typeFilter = options.typeFilter ? typesAsked(engine, query) : [];
  const searched = typeFilter.length > 0 ? types.filter((t) => typeFilter.includes(t)) : types;
  const byType = searched.map((type) => ({ type, conditions: [] as Condition[] }));
  for (const [name, value] of query) {
    demandText(name, value);
    if (name === '_type' && options.typeFilter) continue;
    if (isResultName(name)) {
      const why = parseResult(engine, searched, result, name, value);
      if (why !== undefined) leaveOut(ignored, name, why, options.strict);
      continue;
    }
    let why: string | undefined;
    const found: Condition[] = [];
    for (const { type } of byType) {
      const condition = parseCondition(state, type, name, value, name.slice(0, 200));
      if (condition.kind === 'unknown') why ??= condition.why;
      else found.push(condition);
    }
    if (why !== undefined) leaveOut(ignored, name, why, options.strict);
    else for (let i = 0; i < byType.length; i++) byType[i]?.conditions.push(...found.slice(i, i + 1));
  }
  return { types: byType, typeFilter, result, ignored };
}

/** `_type`. @throws FhirError 400 when a type is not served */
function typesAsked(engine: ParseEngine, query: Query): string[] {
  const asked = query
    .filter(([name]) => name === '_type')
    .flatMap(([, value]) =>
      value
        .split(',')
        .map((t) => t.trim())
        .filter((t) => t !== ''),
    );
  for (const type of asked) {
    if (!engine.resources.has(type))
      throw badRequest(
        'not-supported',
        `_type: the type ${shown(type)} is not served; /metadata lists those that are.`,
        '_type',
      );
  }
  return [...new Set(asked)].sort();
}
