/**
 * String parameters: all values, normalised, in one text between separators, so that a trigram index finds their beginnings.
 * @see https://hl7.org/fhir/R4/search.html#string
 */
import type { ColumnKind } from '../kind.ts';
import { normalText, phonetic } from '../normal.ts';
import { asArray, asObject, eachValue } from '../values.ts';
import type { SearchParam } from '../../definitions/registry.ts';

/** Stands before, between and after values. Normal text holds no control characters. */
export const SEPARATOR = '\x1f';

const NAME_PARTS = ['family', 'given', 'text', 'prefix', 'suffix'];
const ADDRESS_PARTS = ['text', 'line', 'city', 'district', 'state', 'postalCode', 'country'];

/** Names and addresses are searched in all their parts. */
export function eachString(type: string, value: unknown, visit: (text: string) => void): void {
  if (typeof value === 'string') return visit(value);
  const object = asObject(value);
  if (!object) return;
  for (const part of type === 'Address' ? ADDRESS_PARTS : NAME_PARTS) {
    const found = object[part];
    if (typeof found === 'string') visit(found);
    else for (const item of asArray(found)) if (typeof item === 'string') visit(item);
  }
}

/** The parameter compares sounds (Patient.phonetic). */
export const isPhonetic = (param: SearchParam): boolean => param.code === 'phonetic';

export const stringColumns: ColumnKind = {
  shapes: () => [{ sqlType: 'text', index: 'trgm' }],
  extractor(param) {
    const sounds = isPhonetic(param);
    return (resource, out, at) => {
      let all: string | undefined;
      eachValue(resource, param, (value, path) => {
        all ??= SEPARATOR;
        eachString(path.type, value, (text) => {
          if (sounds) for (const sound of phonetic(text)) all += sound + SEPARATOR;
          else all += normalText(text) + SEPARATOR;
        });
      });
      if (all !== undefined) out[at] = all === SEPARATOR ? '' : all;
    };
  },
};
