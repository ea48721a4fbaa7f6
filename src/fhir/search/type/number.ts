/** Number parameters. @see https://hl7.org/fhir/R4/search.html#number */
import { DIGITS } from '../../json.ts';
import { or, raw, sql, type Sql } from '../../../platform/database/sql.ts';
import type { Prefix } from '../criteria.ts';
import {
  approximately,
  compareDecimals,
  numericText,
  parseDecimal,
  precisionInterval,
  type Decimal,
} from '../decimal.ts';
import { unescape } from '../escape.ts';
import { ALL_PREFIXES, badValue, extreme, shown, splitPrefix, type ColumnKind, type SearchKind } from '../kind.ts';
import { arrayLiteral } from '../literal.ts';
import { eachValue, isScalar } from '../values.ts';

/** The decimal in a property with all the digits that were sent, if it is a number. */
export function decimalText(holder: object, property: string): string | undefined {
  const value = (holder as Record<string, unknown>)[property];
  if (typeof value !== 'number' || !Number.isFinite(value)) return undefined;
  const digits = (holder as Record<symbol, unknown>)[DIGITS];
  const exact =
    typeof digits === 'object' && digits !== null ? (digits as Record<string, unknown>)[property] : undefined;
  return typeof exact === 'string' ? exact : String(value);
}

export const numberColumns: ColumnKind = {
  shapes: (param) =>
    isScalar(param) ? [{ sqlType: 'numeric', index: 'btree' }] : [{ sqlType: 'numeric[]', index: 'none' }],
  extractor(param) {
    const scalar = isScalar(param);
    return (resource, out, at) => {
      const found: string[] = [];
      eachValue(resource, param, (value) => {
        if (typeof value === 'number') found.push(String(value));
      });
      const first = found[0];
      if (first !== undefined) out[at] = scalar ? first : arrayLiteral(found);
    };
  },
};

/** Reads the number of a number or quantity. @throws FhirError 400 */
export function parseNumber(text: string, name: string): readonly [Prefix, string] {
  const [prefix, rest] = splitPrefix(text.trim());
  const number = rest.replace(/[eE][ +]?(?=\d)/, 'e');
  if (!parseDecimal(number)) throw badValue(name, `${shown(rest)} is no number: write 5, 5.40 or 5.4e-3.`);
  return [prefix, number];
}

/** A search value that parsed before. */
export const decimalOf = (text: string): Decimal => parseDecimal(text) ?? { m: 0n, e: 0 };

/** Equality is judged by the digits given, order on the number itself. @see https://hl7.org/fhir/R4/search.html#number */
export function numberCondition(column: Sql, prefix: Prefix, text: string): Sql {
  const number = decimalOf(text);
  const exact = numericText(number);
  const { low, high } = prefix === 'ap' ? approximately(number) : precisionInterval(number);
  switch (prefix) {
    case 'eq':
      return sql`(${column} >= ${numericText(low)} and ${column} < ${numericText(high)})`;
    case 'ap':
      return sql`(${column} >= ${numericText(low)} and ${column} <= ${numericText(high)})`;
    case 'ne':
      return sql`((${column} < ${numericText(low)} or ${column} >= ${numericText(high)}) and ${column} <> 'NaN')`;
    case 'gt':
    case 'sa':
      return sql`(${column} > ${exact} and ${column} <> 'NaN')`;
    case 'ge':
      return sql`(${column} >= ${exact} and ${column} <> 'NaN')`;
    case 'lt':
    case 'eb':
      return sql`${column} < ${exact}`;
    case 'le':
      return sql`${column} <= ${exact}`;
    default:
      return prefix satisfies never;
  }
}

/** The same on a number, or on an interval whose ends may be open. */
export function compareNumbers(
  prefix: Prefix,
  text: string,
  from: Decimal | undefined,
  to: Decimal | undefined,
): boolean {
  const number = decimalOf(text);
  const { low, high } = prefix === 'ap' ? approximately(number) : precisionInterval(number);
  const below = (a: Decimal | undefined, b: Decimal): boolean => a === undefined || compareDecimals(a, b) < 0;
  const above = (a: Decimal | undefined, b: Decimal): boolean => a === undefined || compareDecimals(a, b) > 0;
  const within =
    from !== undefined && to !== undefined && compareDecimals(from, low) >= 0 && compareDecimals(to, high) < 0;
  const least = (d: Decimal | undefined, b: Decimal): boolean => d !== undefined && compareDecimals(d, b) > 0;
  const most = (d: Decimal | undefined, b: Decimal): boolean => d !== undefined && compareDecimals(d, b) < 0;
  switch (prefix) {
    case 'eq':
      return within;
    case 'ne':
      return !within;
    case 'gt':
      return above(to, number);
    case 'ge':
      return above(to, number) || (to !== undefined && compareDecimals(to, number) === 0);
    case 'lt':
      return below(from, number);
    case 'le':
      return below(from, number) || (from !== undefined && compareDecimals(from, number) === 0);
    case 'sa':
      return least(from, number);
    case 'eb':
      return most(to, number);
    case 'ap':
      return (
        (from === undefined || compareDecimals(from, high) <= 0) && (to === undefined || compareDecimals(to, low) >= 0)
      );
    default:
      return prefix satisfies never;
  }
}

export const numberKind: SearchKind = {
  modifiers: () => [],
  comparators: ALL_PREFIXES,
  parse(text, _param, _modifier, _meaning, name) {
    const [prefix, number] = parseNumber(unescape(text), name);
    return { kind: 'number', prefix, text: number };
  },
  condition(columns, _modifier, values) {
    const all = (column: Sql): Sql =>
      or(values.flatMap((v) => (v.kind === 'number' ? [numberCondition(column, v.prefix, v.text)] : [])));
    if (isScalar(columns.param)) return { sql: all(columns.column()), exact: true };
    return { sql: sql`exists (select from unnest(${columns.column()}) v where ${all(raw('v'))})`, exact: true };
  },
  matches: (_param, found, _modifier, values) =>
    found.some(({ value }) => {
      const number = typeof value === 'number' ? parseDecimal(String(value)) : undefined;
      return (
        number !== undefined &&
        values.some((v) => v.kind === 'number' && compareNumbers(v.prefix, v.text, number, number))
      );
    }),
  sortKey: (param, column, descending) => ({
    sql: isScalar(param) ? column : extreme(column, descending),
    cast: 'numeric',
  }),
};
