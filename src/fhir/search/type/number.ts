/** Number parameters. @see https://hl7.org/fhir/R4/search.html#number */
import { DIGITS } from '../../json.ts';
import type { ColumnKind } from '../kind.ts';
import { arrayLiteral } from '../literal.ts';
import { eachValue, isScalar } from '../values.ts';

/** The decimal in a property with all the digits that were sent, if it is a number. */
export function decimalText(holder: object, property: string): string | undefined {
  const value = (holder as Record<string, unknown>)[property];
  if (typeof value !== 'number' || !Number.isFinite(value)) return undefined;
  const digits = (holder as Record<symbol, unknown>)[DIGITS];
  const exact = typeof digits === 'object' && digits !== null ? (digits as Record<string, unknown>)[property] : undefined;
  return typeof exact === 'string' ? exact : String(value);
}

export const numberColumns: ColumnKind = {
  shapes: (param) => (isScalar(param) ? [{ sqlType: 'numeric', index: 'btree' }] : [{ sqlType: 'numeric[]', index: 'none' }]),
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
