/** The kinds of parameters whose columns hold tags, by their type. @see https://hl7.org/fhir/R4/valueset-search-param-type.html */
import type { SearchParam } from '../../definitions/registry.ts';
import type { ColumnKind, SearchKind } from '../kind.ts';
import { compositeColumns, compositeKind } from '../type/composite.ts';
import type { Tagger } from './blind.ts';
import { hiddenDateColumns, hiddenDateKind } from './date.ts';
import { hiddenNumberColumns, hiddenNumberKind, hiddenQuantityKind } from './number.ts';
import { hiddenReferenceColumns, hiddenReferenceKind } from './reference.ts';
import { hiddenStringColumns, hiddenStringKind } from './string.ts';
import { hiddenTokenColumns, hiddenTokenKind } from './token.ts';
import { hiddenUriColumns, hiddenUriKind } from './uri.ts';

const positions = (param: SearchParam): Error =>
  new Error(`${param.resourceType}.${param.code}: positions cannot be hidden; list the parameter as plain`);

/** @param covered the values stand in another column as well, which has the index */
export function hiddenColumns(param: SearchParam, tag: Tagger, baseUrl: string, covered: boolean): ColumnKind {
  switch (param.type) {
    case 'token':
      return hiddenTokenColumns(tag);
    case 'date':
      return hiddenDateColumns(tag);
    case 'reference':
      return hiddenReferenceColumns(tag, baseUrl);
    case 'string':
      return hiddenStringColumns(tag, covered);
    case 'number':
    case 'quantity':
      return hiddenNumberColumns(tag);
    case 'uri':
      return hiddenUriColumns(tag);
    case 'composite':
      return compositeColumns;
    case 'special':
      throw positions(param);
    default:
      return param.type satisfies never;
  }
}

export function hiddenKindOf(param: SearchParam): SearchKind {
  switch (param.type) {
    case 'token':
      return hiddenTokenKind;
    case 'date':
      return hiddenDateKind;
    case 'reference':
      return hiddenReferenceKind;
    case 'string':
      return hiddenStringKind;
    case 'number':
      return hiddenNumberKind;
    case 'quantity':
      return hiddenQuantityKind;
    case 'uri':
      return hiddenUriKind;
    case 'composite':
      return compositeKind;
    case 'special':
      throw positions(param);
    default:
      return param.type satisfies never;
  }
}
