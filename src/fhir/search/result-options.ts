/**
 * Parameters that say how results are shown: `_sort`, `_count`, `_include` and their like.
 * @see https://hl7.org/fhir/R4/search.html#return
 */
import type { Engine } from '../engine.ts';
import type { Include, ResultOptions, SortKey, Summary } from './criteria.ts';
import { badValue, shown } from './kind.ts';
import { kindOf } from './kinds.ts';
import { raw } from '../../platform/database/sql.ts';

type ResultEngine = Pick<Engine, 'definitions' | 'resources' | 'limits'>;
export type ResultBuilder = { -readonly [K in keyof ResultOptions]: ResultOptions[K] };

const NAMES = new Set([
  '_sort',
  '_count',
  '_include',
  '_include:iterate',
  '_revinclude',
  '_revinclude:iterate',
  '_summary',
  '_elements',
  '_total',
  '_cursor',
  '_format',
  '_pretty',
  '_contained',
]);

export const isResultName = (name: string): boolean =>
  name.charCodeAt(0) === 95 && (NAMES.has(name) || name.startsWith('_include:') || name.startsWith('_revinclude:'));

export const emptyResult = (): ResultBuilder => ({
  sort: [],
  count: undefined,
  includes: [],
  summary: undefined,
  elements: [],
  total: undefined,
  cursor: undefined,
  rendering: [],
});

const SUMMARIES: ReadonlySet<string> = new Set(['true', 'text', 'data', 'count', 'false']);
const TOTALS: ReadonlySet<string> = new Set(['accurate', 'estimate', 'none']);

/** @returns why a key is unknown */
function parseSort(engine: ResultEngine, types: readonly string[], out: SortKey[], value: string): string | undefined {
  let why: string | undefined;
  for (const text of value.split(',').map((t) => t.trim())) {
    if (text === '' || text === '-') continue;
    const descending = text.startsWith('-');
    const code = descending ? text.slice(1) : text;
    const params = types.map((t) => engine.definitions.searchParams(t).get(code));
    if (params.some((p) => p === undefined)) {
      why ??= `${shown(code)} is no search parameter of ${types.slice(0, 3).join(', ')}`;
      continue;
    }
    const casts = new Set(params.map((p) => p && kindOf(p).sortKey(p, raw(''), descending)?.cast));
    if (casts.has(undefined)) throw badValue('_sort', `${code} gives no order; sort by another parameter.`);
    if (casts.size > 1)
      throw badValue('_sort', `${code} is not of one type in ${types.slice(0, 5).join(', ')}: narrow _type.`);
    if (!out.some((k) => k.code === code)) out.push({ code, descending });
  }
  return why;
}

function parseInclude(engine: ResultEngine, name: string, value: string): Include | string {
  const [base = '', modifier] = name.split(':');
  if (modifier !== undefined && modifier !== 'iterate') throw badValue(name, 'the only modifier is :iterate.');
  const reverse = base === '_revinclude';
  const iterate = modifier === 'iterate';
  if (value === '*') return { reverse, iterate, source: '*', code: '*', target: undefined };
  const [source = '', code = '', target, more] = value.split(':');
  if (source === '' || code === '' || more !== undefined)
    throw badValue(name, `${shown(value)} must read Type:parameter, Type:parameter:Target, or *.`);
  if (source !== '*' && !engine.resources.has(source)) return `the type ${shown(source)} is not served`;
  if (target !== undefined && !engine.resources.has(target)) return `the type ${shown(target)} is not served`;
  if (code !== '*') {
    const param = engine.definitions.searchParams(source).get(code);
    if (param?.type !== 'reference') return `${source} has no reference parameter ${shown(code)}`;
    if (target !== undefined && !param.targets.includes(target)) return `${source}.${code} does not refer to ${target}`;
  } else if (source === '*') return { reverse, iterate, source: '*', code: '*', target };
  return { reverse, iterate, source, code, target };
}

function parseCount(engine: ResultEngine, value: string): number {
  const count = /^\d{1,15}(?:\.0{1,15})?(?:[eE]\+?\d{1,3})?$/.test(value.trim()) ? Number(value) : NaN;
  if (Number.isNaN(count)) throw badValue('_count', `${shown(value)} is no number of resources: write 0 or more.`);
  return Math.min(count, engine.limits.maxPageSize);
}

/** `name`, or `Patient.name`. */
const isElement = ({ definitions }: ResultEngine, type: string, text: string): boolean => {
  const name = (text.startsWith(`${type}.`) ? text.slice(type.length + 1) : text).replace(/\[x\]$/, '');
  return (
    name === 'resourceType' ||
    definitions.element(type, name) !== undefined ||
    definitions.elements(type).some((e) => e.name === name)
  );
};

/**
 * Reads one of these parameters into `out`.
 * @returns why it is left out, if it is
 * @throws FhirError 400
 */
export function parseResult(
  engine: ResultEngine,
  types: readonly string[],
  out: ResultBuilder,
  name: string,
  value: string,
): string | undefined {
  if (value.trim() === '' && name !== '_pretty') return 'it has no value';
  switch (name) {
    case '_sort': {
      const keys = [...out.sort];
      const why = parseSort(engine, types, keys, value);
      out.sort = keys;
      return why;
    }
    case '_count':
      out.count = parseCount(engine, value);
      return undefined;
    case '_summary':
      if (!SUMMARIES.has(value)) throw badValue(name, `${shown(value)} is none of true, text, data, count, false.`);
      out.summary = value as Summary;
      return undefined;
    case '_total':
      if (!TOTALS.has(value)) throw badValue(name, `${shown(value)} is none of accurate, estimate, none.`);
      out.total = value as 'accurate' | 'estimate' | 'none';
      return undefined;
    case '_elements': {
      const names = value
        .split(',')
        .map((e) => e.trim())
        .filter((e) => e !== '');
      const known = names.filter((e) => types.some((type) => isElement(engine, type, e)));
      out.elements = [...new Set([...out.elements, ...known.map((e) => e.replace(/\[x\]$/, ''))])];
      const odd = names.find((e) => !known.includes(e));
      return odd && `of it, ${shown(odd)} is no element that stands in ${types.slice(0, 3).join(', ')} itself`;
    }
    case '_cursor':
      out.cursor = value;
      return undefined;
    case '_format':
    case '_pretty':
      out.rendering = [...out.rendering, [name, value]];
      return undefined;
    case '_contained':
      return value === 'false' ? undefined : 'contained resources are not searched';
    default: {
      const include = parseInclude(engine, name, value);
      if (typeof include === 'string') return include;
      const same = (i: Include): boolean =>
        i.reverse === include.reverse &&
        i.iterate === include.iterate &&
        i.source === include.source &&
        i.code === include.code &&
        i.target === include.target;
      if (!out.includes.some(same)) out.includes = [...out.includes, include];
      return undefined;
    }
  }
}

/** Combinations that have no meaning. @throws FhirError 400 */
export function demandConsistent(result: ResultOptions): void {
  const { summary } = result;
  if (result.elements.length > 0 && summary !== undefined && summary !== 'false') {
    throw badValue('_elements', '_elements and _summary exclude each other: send one of them.');
  }
  if (summary === 'text' && result.includes.length > 0)
    throw badValue('_include', '_include and _revinclude cannot be used with _summary=text.');
}
