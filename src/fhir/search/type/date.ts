/**
 * Date parameters: instants are points, all other dates intervals.
 * @see https://hl7.org/fhir/R4/search.html#date
 */
import type { ColumnKind } from '../kind.ts';
import { arrayLiteral } from '../literal.ts';
import { momentOf, parseMoment, rangeText, timestampText } from '../moment.ts';
import { eachValue, isScalar } from '../values.ts';
import type { SearchParam } from '../../definitions/registry.ts';

/** The column holds a point in time. */
export const isInstant = (param: SearchParam): boolean =>
  param.datatypes.size === 1 && param.datatypes.has('instant') && isScalar(param);

export const dateColumns: ColumnKind = {
  shapes(param) {
    if (isInstant(param)) return [{ sqlType: 'timestamptz', index: 'btree' }];
    return isScalar(param) ? [{ sqlType: 'tstzrange', index: 'gist' }] : [{ sqlType: 'tstzrange[]', index: 'none' }];
  },
  extractor(param) {
    if (isInstant(param)) {
      return (resource, out, at) => {
        eachValue(resource, param, (value) => {
          const moment = typeof value === 'string' ? parseMoment(value) : undefined;
          if (moment) out[at] = timestampText(moment.low);
        });
      };
    }
    if (isScalar(param)) {
      return (resource, out, at) => {
        eachValue(resource, param, (value, path) => {
          const moment = momentOf(path.type, value);
          out[at] = moment ? rangeText(moment) : 'empty';
        });
      };
    }
    return (resource, out, at) => {
      let ranges: string[] | undefined;
      eachValue(resource, param, (value, path) => {
        ranges ??= [];
        const moment = momentOf(path.type, value);
        if (moment) ranges.push(rangeText(moment));
      });
      if (ranges) out[at] = arrayLiteral(ranges);
    };
  },
};
