/** URI parameters: exact, not normalised. @see https://hl7.org/fhir/R4/search.html#uri */
import type { ColumnKind } from '../kind.ts';
import { arrayLiteral, bounded } from '../literal.ts';
import { eachValue, isScalar } from '../values.ts';
import { addCanonical } from './reference.ts';

export const uriColumns: ColumnKind = {
  shapes: (param) => (isScalar(param) ? [{ sqlType: 'text', index: 'btree' }] : [{ sqlType: 'text[]', index: 'gin' }]),
  extractor(param) {
    if (isScalar(param)) return (resource, out, at) => eachValue(resource, param, (value) => (out[at] = bounded(String(value))));
    return (resource, out, at) => {
      let forms: string[] | undefined;
      eachValue(resource, param, (value, path) => {
        forms ??= [];
        if (path.type === 'canonical') addCanonical(forms, String(value));
        else forms.push(bounded(String(value)));
      });
      if (forms) out[at] = arrayLiteral(forms);
    };
  },
};
