/**
 * What a resource is sorted by, told by itself: tags have no order. The same values as the columns of plain parameters give.
 * @see https://hl7.org/fhir/R4/search.html#sort
 */
import { compareDecimals, parseDecimal } from '../decimal.ts';
import type { SortExpression } from '../kind.ts';
import { bounded } from '../literal.ts';
import { momentOf, timestampText } from '../moment.ts';
import { normalText, phonetic } from '../normal.ts';
import { decimalText } from '../type/number.ts';
import { addCanonical, isCanonical, localReference, referenceText } from '../type/reference.ts';
import { eachString, isPhonetic, SEPARATOR } from '../type/string.ts';
import { isBareCode, tokenForms } from '../type/token.ts';
import { uriForms } from '../type/uri.ts';
import { asObject, asString, eachValue } from '../values.ts';
import type { SearchParam } from '../../definitions/registry.ts';

type Compare = (a: string, b: string) => number;

const byBytes: Compare = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b));
const byNumber: Compare = (a, b) => compareDecimals(parseDecimal(a) ?? NOTHING, parseDecimal(b) ?? NOTHING);
const NOTHING = { m: 0n, e: 0 };

/** As PostgreSQL prints it in UTC, or in ISO 8601. */
function instantMs(text: string): number {
  if (text === '-infinity') return -Infinity;
  const ms = Date.parse(`${text.slice(0, 10)}T${text.slice(11).replace('+00', 'Z')}`);
  // Beyond the year 9999.
  return Number.isNaN(ms) ? Infinity : ms;
}
const byTime: Compare = (a, b) => {
  const [left, right] = [instantMs(a), instantMs(b)];
  return left === right ? 0 : left - right;
};

/** The order of values as a statement or `sortValue` tells them. */
export const compareBy: Readonly<Record<SortExpression['cast'], Compare>> = {
  text: byBytes,
  numeric: byNumber,
  timestamptz: byTime,
};

function texts(param: SearchParam, resource: unknown, baseUrl: string): string[] {
  const all: string[] = [];
  if (param.type === 'string') {
    let column = '';
    eachValue(resource, param, (value, path) =>
      eachString(path.type, value, (text) => {
        for (const part of isPhonetic(param) ? phonetic(text) : [normalText(text)]) column += part + SEPARATOR;
      }),
    );
    return column === '' ? [] : [SEPARATOR + column];
  }
  eachValue(resource, param, (value, path) => {
    if (param.type === 'token') {
      if (isBareCode(param)) all.push(bounded(String(value)));
      else tokenForms(all, path.type, value);
    } else if (param.type === 'uri') all.push(...uriForms(path.type, String(value)));
    else {
      const text = referenceText(value);
      if (text === undefined || text === '') return;
      if (isCanonical(param)) addCanonical(all, text);
      else all.push(bounded(localReference(text, baseUrl)));
    }
  });
  // Forms with a bar repeat a code together with its system.
  return param.type === 'token' && !isBareCode(param) ? all.filter((form) => !form.includes('|')) : all;
}

function times(param: SearchParam, resource: unknown): string[] {
  const all: string[] = [];
  eachValue(resource, param, (value, path) => {
    const low = momentOf(path.type, value)?.low;
    if (low !== undefined) all.push(low === -Infinity ? '-infinity' : timestampText(low));
  });
  return all;
}

function numbers(param: SearchParam, resource: unknown): string[] {
  const all: string[] = [];
  eachValue(resource, param, (value) => {
    const quantity = asObject(value);
    const number = quantity ? decimalText(quantity, 'value') : typeof value === 'number' ? String(value) : undefined;
    if (number !== undefined) all.push(number);
  });
  return all;
}

function valuesOf(param: SearchParam, resource: unknown, baseUrl: string): string[] {
  const root = asObject(resource);
  if (param.code === '_id') return [asString(root?.['id']) ?? ''];
  if (param.code === '_lastUpdated') return [asString(asObject(root?.['meta'])?.['lastUpdated']) ?? ''];
  if (param.type === 'date') return times(param, resource);
  if (param.type === 'number' || param.type === 'quantity') return numbers(param, resource);
  return texts(param, resource, baseUrl);
}

/** The least value, or the greatest; null where the resource has none. */
export function sortValue(
  param: SearchParam,
  cast: SortExpression['cast'],
  descending: boolean,
  resource: unknown,
  baseUrl: string,
): string | null {
  const compare = compareBy[cast];
  let best: string | null = null;
  for (const value of valuesOf(param, resource, baseUrl)) {
    const order = best === null ? 0 : compare(value, best);
    if (best === null || (descending ? order > 0 : order < 0)) best = value;
  }
  return best;
}
