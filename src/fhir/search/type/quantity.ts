/**
 * Quantity parameters: the column holds the number alone; units are compared on the resource itself.
 * @see https://hl7.org/fhir/R4/search.html#quantity
 */
import type { ColumnKind } from '../kind.ts';
import { arrayLiteral } from '../literal.ts';
import { asObject, eachValue, isScalar } from '../values.ts';
import type { SearchParam } from '../../definitions/registry.ts';
import { decimalText } from './number.ts';

/** Ranges are compared on the resource: their columns only say that there is a value. */
export const holdsRanges = (param: SearchParam): boolean => param.datatypes.has('Range');

export const quantityColumns: ColumnKind = {
  shapes: (param) =>
    isScalar(param) && !holdsRanges(param) ? [{ sqlType: 'numeric', index: 'btree' }] : [{ sqlType: 'numeric[]', index: 'none' }],
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
