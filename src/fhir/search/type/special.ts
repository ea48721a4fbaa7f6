/** `near`: the position of a Location. @see https://hl7.org/fhir/R4/location.html#positional */
import type { ColumnKind } from '../kind.ts';
import { asObject, eachValue } from '../values.ts';

export const specialColumns: ColumnKind = {
  shapes: () => [
    { suffix: 'latitude', sqlType: 'double precision', index: 'btree' },
    { suffix: 'longitude', sqlType: 'double precision', index: 'none' },
  ],
  extractor: (param) => (resource, out, at) =>
    eachValue(resource, param, (value) => {
      const { latitude, longitude } = asObject(value) ?? {};
      if (typeof latitude !== 'number' || typeof longitude !== 'number') return;
      out[at] = String(latitude);
      out[at + 1] = String(longitude);
    }),
};
