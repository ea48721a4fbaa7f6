/**
 * What a kind of search parameter must be able to do; one file of `type/` implements it for each type of R4.
 * @see https://hl7.org/fhir/R4/search.html#ptypes
 */
import type { SearchParam } from '../definitions/registry.ts';

export type IndexKind = 'btree' | 'gin' | 'trgm' | 'gist' | 'none';

/** A column that a parameter asks for; `suffix` tells several columns of one parameter apart. */
export interface ColumnShape {
  readonly suffix?: string;
  readonly sqlType: string;
  readonly index: IndexKind;
}

/** Writes the values of one parameter as PostgreSQL text literals: one for each of its columns, null when missing. */
export type Extractor = (resource: unknown, out: (string | null)[], at: number) => void;

/** The column half of a kind. */
export interface ColumnKind {
  shapes(param: SearchParam): readonly ColumnShape[];
  extractor(param: SearchParam): Extractor;
}
