/**
 * Quantity parameters: the column holds the number alone; units are compared on the resource itself.
 * @see https://hl7.org/fhir/R4/search.html#quantity
 */
import { or, raw, sql, type Sql } from '../../../platform/database/sql.ts';
import type { QuantityValue, Value } from '../criteria.ts';
import { parseDecimal, type Decimal } from '../decimal.ts';
import { splitEscaped, unescape } from '../escape.ts';
import { ALL_PREFIXES, badValue, extreme, shown, type ColumnKind, type Found, type SearchKind } from '../kind.ts';
import { arrayLiteral } from '../literal.ts';
import { asObject, eachValue, isScalar } from '../values.ts';
import type { SearchParam } from '../../definitions/registry.ts';
import { compareNumbers, decimalText, numberCondition, parseNumber } from './number.ts';

/** Ranges are compared on the resource: their columns only say that there is a value. */
export const holdsRanges = (param: SearchParam): boolean => param.datatypes.has('Range');

export const quantityColumns: ColumnKind = {
  shapes: (param) =>
    isScalar(param) && !holdsRanges(param)
      ? [{ sqlType: 'numeric', index: 'btree' }]
      : [{ sqlType: 'numeric[]', index: 'none' }],
  extractor(param) {
    const scalar = isScalar(param) && !holdsRanges(param);
    return (resource, out, at) => {
      let numbers: string[] | undefined;
      eachValue(resource, param, (value) => {
        numbers ??= [];
        const quantity = asObject(value);
        const number = quantity && decimalText(quantity, 'value');
        if (number !== undefined) numbers.push(number);
      });
      if (!numbers) return;
      // A quantity without a number is present, but no number finds it: NaN compares above all bounds that a search can name.
      out[at] = scalar ? (numbers[0] ?? 'NaN') : arrayLiteral(numbers);
    };
  },
};

const CURRENCIES = 'urn:iso:std:iso:4217';

/** `||code` finds the code or the unit as people read it; with a system, the coded form alone counts. */
function hasUnit(quantity: Readonly<Record<string, unknown>>, wanted: QuantityValue): boolean {
  const currency = quantity['currency'];
  const system = currency === undefined ? quantity['system'] : CURRENCIES;
  const code = currency ?? quantity['code'];
  if (wanted.system !== undefined && wanted.system !== '' && system !== wanted.system) return false;
  if (wanted.code === undefined || wanted.code === '') return true;
  return code === wanted.code || (wanted.system === '' && quantity['unit'] === wanted.code);
}

const numberIn = (quantity: Readonly<Record<string, unknown>> | undefined): Decimal | undefined => {
  const text = quantity && decimalText(quantity, 'value');
  return text === undefined ? undefined : parseDecimal(text);
};

function isMatch({ value, path }: Found, wanted: Value): boolean {
  const object = asObject(value);
  if (wanted.kind !== 'quantity' || !object) return false;
  if (path.type !== 'Range') {
    const number = numberIn(object);
    return (
      number !== undefined && hasUnit(object, wanted) && compareNumbers(wanted.prefix, wanted.text, number, number)
    );
  }
  const low = asObject(object['low']);
  const high = asObject(object['high']);
  if (!low && !high) return false;
  return (
    [low, high].every((end) => !end || hasUnit(end, wanted)) &&
    compareNumbers(wanted.prefix, wanted.text, numberIn(low), numberIn(high))
  );
}

export const quantityKind: SearchKind = {
  modifiers: () => [],
  comparators: ALL_PREFIXES,
  parse(text, _param, _modifier, _meaning, name) {
    const parts = splitEscaped(text, '|').map(unescape);
    const [number = '', system, code] = parts;
    if (parts.length === 2 || parts.length > 3)
      throw badValue(name, `${shown(text)} must be a number alone, number|system|code, or number||unit.`);
    const [prefix, digits] = parseNumber(number, name);
    return { kind: 'quantity', prefix, text: digits, system, code };
  },
  condition(columns, _modifier, values) {
    const { param } = columns;
    if (holdsRanges(param)) return { sql: sql`${columns.column()} is not null`, exact: false };
    const all = (column: Sql): Sql =>
      or(values.flatMap((v) => (v.kind === 'quantity' ? [numberCondition(column, v.prefix, v.text)] : [])));
    const exact = values.every((v) => v.kind === 'quantity' && (v.system ?? '') === '' && (v.code ?? '') === '');
    if (isScalar(param)) return { sql: all(columns.column()), exact };
    return { sql: sql`exists (select from unnest(${columns.column()}) v where ${all(raw('v'))})`, exact };
  },
  matches: (_param, found, _modifier, values) => found.some((f) => values.some((v) => isMatch(f, v))),
  sortKey: (param, column, descending) => ({
    sql: isScalar(param) && !holdsRanges(param) ? column : extreme(column, descending),
    cast: 'numeric',
  }),
};
