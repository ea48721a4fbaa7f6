/**
 * Hidden numbers and quantities: R4 takes a number for all that is rounded to it, so there is a tag for the value rounded to each place. Equality is exact;
 * all other comparators are for the resource to tell.
 * @see https://hl7.org/fhir/R4/search.html#number
 */
import { sql } from '../../../platform/database/sql.ts';
import type { Value } from '../criteria.ts';
import { parseDecimal, type Decimal } from '../decimal.ts';
import type { ColumnAccess, ColumnKind, SearchKind, SqlCondition } from '../kind.ts';
import { decimalOf, decimalText, numberKind } from '../type/number.ts';
import { holdsRanges, quantityKind } from '../type/quantity.ts';
import { asObject, eachValue } from '../values.ts';
import type { Tagger } from './blind.ts';
import { holdsAny, tagsLiteral, taggerOf } from './tags.ts';

/** Powers of ten that values are rounded to: from millionths to ten thousands. */
const [FINEST, COARSEST] = [-6, 4];

const floorDivide = (a: bigint, b: bigint): bigint => (a < 0n && a % b !== 0n ? a / b - 1n : a / b);

/** The number of units of `10^e` that the value is nearest to; halves go up, as the upper bound of a precision is not part of it. */
function rounded({ m, e }: Decimal, to: number): bigint {
  if (e >= to) return m * 10n ** BigInt(e - to);
  const unit = 10n ** BigInt(to - e);
  return floorDivide(2n * m + unit, 2n * unit);
}

function addForms(forms: string[], text: string | undefined): void {
  const value = text === undefined ? undefined : parseDecimal(text);
  if (!value) return;
  for (let e = FINEST; e <= COARSEST; e++) forms.push(`${rounded(value, e)}e${e}`);
}

export const hiddenNumberColumns = (tag: Tagger): ColumnKind => ({
  shapes: () => [{ sqlType: 'uuid[]', index: 'gin' }],
  extractor: (param) => (resource, out, at) => {
    let forms: string[] | undefined;
    eachValue(resource, param, (value, path) => {
      if (param.type === 'quantity') {
        forms ??= [];
        const quantity = asObject(value);
        if (quantity && path.type !== 'Range') addForms(forms, decimalText(quantity, 'value'));
      } else if (typeof value === 'number') addForms((forms ??= []), String(value));
    });
    if (forms) out[at] = tagsLiteral(tag, forms);
  },
});

/** A value that tags can tell: a number to be equal to. */
function formOf(value: Value): string | undefined {
  if ((value.kind !== 'number' && value.kind !== 'quantity') || value.prefix !== 'eq') return undefined;
  const { m, e } = decimalOf(value.text);
  return e < FINEST || e > COARSEST ? undefined : `${m}e${e}`;
}

const hasNoUnit = (value: Value): boolean =>
  value.kind !== 'quantity' || ((value.system ?? '') === '' && (value.code ?? '') === '');

function condition(columns: ColumnAccess, values: readonly Value[]): SqlCondition {
  const column = columns.column();
  const forms = values.map(formOf);
  const known = forms.filter((form) => form !== undefined);
  if (holdsRanges(columns.param) || known.length < forms.length)
    return { sql: sql`${column} is not null`, exact: false };
  return { sql: holdsAny(column, taggerOf(columns), known), exact: values.every(hasNoUnit), fenced: true };
}

export const hiddenNumberKind: SearchKind = {
  ...numberKind,
  condition: (columns, _modifier, values) => condition(columns, values),
};

export const hiddenQuantityKind: SearchKind = {
  ...quantityKind,
  condition: (columns, _modifier, values) => condition(columns, values),
};
