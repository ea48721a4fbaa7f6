/** The kinds of search parameters by their type. @see https://hl7.org/fhir/R4/valueset-search-param-type.html */
import type { SearchParam } from '../definitions/registry.ts';
import type { SearchKind } from './kind.ts';
import { compositeKind } from './type/composite.ts';
import { dateKind } from './type/date.ts';
import { numberKind } from './type/number.ts';
import { quantityKind } from './type/quantity.ts';
import { referenceKind } from './type/reference.ts';
import { specialKind } from './type/special.ts';
import { stringKind } from './type/string.ts';
import { tokenKind } from './type/token.ts';
import { uriKind } from './type/uri.ts';

export function kindOf(param: SearchParam): SearchKind {
  switch (param.type) {
    case 'token':
      return tokenKind;
    case 'date':
      return dateKind;
    case 'reference':
      return referenceKind;
    case 'string':
      return stringKind;
    case 'number':
      return numberKind;
    case 'quantity':
      return quantityKind;
    case 'uri':
      return uriKind;
    case 'composite':
      return compositeKind;
    case 'special':
      return specialKind;
    default:
      return param.type satisfies never;
  }
}
