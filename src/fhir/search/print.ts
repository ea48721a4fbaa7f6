/**
 * Writes criteria as the query that means them: for self links, and as what page links are bound to.
 * @see https://hl7.org/fhir/R4/search.html#conformance
 */
import type { Condition, Include, ParsedSearch, Value } from './criteria.ts';
import { escape } from './escape.ts';

export type Pair = readonly [name: string, value: string];

function printValue(value: Value): string {
  switch (value.kind) {
    case 'token':
      return value.system === undefined ? escape(value.code) : `${escape(value.system)}|${escape(value.code)}`;
    case 'text':
      return escape(value.text);
    case 'date':
    case 'number':
      return (value.prefix === 'eq' ? '' : value.prefix) + value.text;
    case 'quantity': {
      const number = (value.prefix === 'eq' ? '' : value.prefix) + value.text;
      return value.system === undefined ? number : `${number}|${escape(value.system)}|${escape(value.code ?? '')}`;
    }
    case 'reference': {
      if (value.url !== undefined) return escape(value.url);
      const version = value.version === undefined ? '' : `/_history/${value.version}`;
      return `${value.type === undefined ? '' : `${value.type}/`}${value.id ?? ''}${version}`;
    }
    case 'of-type':
      return [value.system, value.code, value.value].map(escape).join('|');
    case 'composite':
      return value.parts.map(printValue).join('$');
    case 'near':
      return value.parts.map(escape).join('|');
    case 'missing':
      return String(value.missing);
    default:
      return value satisfies never;
  }
}

/** Name and value of one criterion, not yet encoded. */
export function printCondition(condition: Condition): Pair {
  switch (condition.kind) {
    case 'param': {
      const { param, modifier, values } = condition;
      return [modifier === undefined ? param.code : `${param.code}:${modifier}`, values.map(printValue).join(',')];
    }
    case 'chain': {
      const { param, narrowed, targets } = condition;
      const [name, value] = targets[0] ? printCondition(targets[0].condition) : ['', ''];
      return [`${param.code}${narrowed === undefined ? '' : `:${narrowed}`}.${name}`, value];
    }
    case 'has': {
      const [name, value] = printCondition(condition.condition);
      return [`_has:${condition.type}:${condition.param.code}:${name}`, value];
    }
    default:
      return condition satisfies never;
  }
}

function printInclude(include: Include): Pair {
  const name = `${include.reverse ? '_revinclude' : '_include'}${include.iterate ? ':iterate' : ''}`;
  if (include.source === '*' && include.target === undefined) return [name, '*'];
  return [name, `${include.source}:${include.code}${include.target === undefined ? '' : `:${include.target}`}`];
}

/** Everything that was understood, save what a page link holds (`_cursor`) and what may differ from page to page (`_count`). */
export function printSearch(search: ParsedSearch): Pair[] {
  const { result, typeFilter } = search;
  const pairs: Pair[] = [];
  if (typeFilter.length > 0) pairs.push(['_type', typeFilter.join(',')]);
  for (const condition of search.types[0]?.conditions ?? []) pairs.push(printCondition(condition));
  if (result.sort.length > 0)
    pairs.push(['_sort', result.sort.map((k) => (k.descending ? `-${k.code}` : k.code)).join(',')]);
  for (const include of result.includes) pairs.push(printInclude(include));
  if (result.summary !== undefined) pairs.push(['_summary', result.summary]);
  if (result.elements.length > 0) pairs.push(['_elements', result.elements.join(',')]);
  if (result.total !== undefined) pairs.push(['_total', result.total]);
  for (const pair of result.rendering) pairs.push(pair);
  return pairs;
}

const PLAIN = /^[A-Za-z0-9_:.,/*-]*$/;
const READABLE: Readonly<Record<string, string>> = { '%3A': ':', '%2C': ',', '%2F': '/', '%24': '$' };

/** Percent-encodes a part of a query; `+` becomes %2B, what reads better stays. */
const encode = (text: string): string =>
  PLAIN.test(text) ? text : encodeURIComponent(text).replace(/%3A|%2C|%2F|%24/g, (code) => READABLE[code] ?? code);

export const encodePairs = (pairs: readonly Pair[]): string => {
  let out = '';
  for (const [name, value] of pairs) out += `${out === '' ? '' : '&'}${encode(name)}=${encode(value)}`;
  return out;
};

/** The query with what may differ from page to page. */
export function withPage(query: string, count: number | undefined, cursor: string | undefined): string {
  let out = query;
  if (count !== undefined) out += `${out === '' ? '' : '&'}_count=${count}`;
  if (cursor !== undefined) out += `${out === '' ? '' : '&'}_cursor=${cursor}`;
  return out === '' ? out : `?${out}`;
}
