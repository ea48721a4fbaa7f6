/**
 * What a kind of search parameter must be able to do; one file of `type/` implements it for each type of R4.
 * @see https://hl7.org/fhir/R4/search.html#ptypes
 */
import { and, raw, sql, type Sql } from '../../platform/database/sql.ts';
import type { Definitions, SearchParam } from '../definitions/registry.ts';
import type { SearchPath } from '../definitions/search-path.ts';
import type { Terminology } from '../engine.ts';
import { badRequest, type FhirError } from '../outcome.ts';
import type { Blind, Tagger } from './blind/blind.ts';
import type { Condition, Prefix, Value } from './criteria.ts';

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

/** A criterion that was read before, and how many values it held. Most searches differ in a few values only. */
export interface KnownCondition {
  readonly condition: Condition;
  readonly cost: number;
}

/** What the meaning of values depends on. */
export interface Meaning {
  readonly definitions: Definitions;
  /** Which columns hold tags, and of what. */
  readonly blind: Blind;
  readonly terminology: Terminology;
  /** The server's own base, without trailing slash. */
  readonly baseUrl: string;
  /** Milliseconds since the epoch, for `ap`. */
  readonly nowMs: number;
  /** Criteria read under the same definitions, terminology and base URL, by type, name and value. */
  readonly known?: Map<string, KnownCondition>;
  /** The kind of a parameter, by its type and by what its columns hold. */
  kindOf(param: SearchParam): SearchKind;
}

/** A condition in SQL. Not exact: it also lets rows through that do not match, which are then tested in memory. */
export interface SqlCondition {
  readonly sql: Sql;
  readonly exact: boolean;
  /** An index that is best read in full before sorting (GIN, trigram) serves it. */
  readonly fenced?: boolean;
}

export const NONE: SqlCondition = { sql: raw('false'), exact: true };

/** The columns that conditions on a parameter may use. */
export interface ColumnAccess {
  readonly param: SearchParam;
  /** The parameter's own column. */
  column(suffix?: string): Sql;
  /** An indexed column that holds all that the own one holds, and more. */
  readonly cover: Sql | undefined;
  /** Column of another parameter of the same row. */
  of(param: SearchParam): ColumnAccess;
  /** Column of identifiers of logical references. */
  readonly referenceIdentifier: Sql;
  /** Of a column that holds tags: makes them. */
  readonly tag: Tagger | undefined;
  readonly coverTag: Tagger | undefined;
  readonly identifierTag: Tagger | undefined;
}

/** A value of the parameter found in a resource. */
export interface Found {
  readonly value: unknown;
  readonly path: SearchPath;
}

/** The search half of a kind. Modifiers `missing`, `not` and `not-in` (as `in`) are dealt with by the plan. */
export interface SearchKind {
  /** Modifiers that the parameter has, besides `missing`. */
  modifiers(param: SearchParam): readonly string[];
  readonly comparators: readonly Prefix[];
  /**
   * Reads one value, still escaped.
   * @param name as the client wrote it, for messages
   * @throws FhirError 400
   */
  parse(text: string, param: SearchParam, modifier: string | undefined, meaning: Meaning, name: string): Value;
  /** How many values one value stands for in a statement, where that is more than one. */
  weight?(value: Value, modifier: string | undefined): number;
  condition(
    columns: ColumnAccess,
    modifier: string | undefined,
    values: readonly Value[],
    meaning: Meaning,
  ): SqlCondition;
  /** One of the values found in a resource matches one of the search values. */
  matches(
    param: SearchParam,
    found: readonly Found[],
    modifier: string | undefined,
    values: readonly Value[],
    meaning: Meaning,
  ): boolean;
  /** What is sorted by; undefined when the parameter gives no order. */
  sortKey(param: SearchParam, column: Sql, descending: boolean): SortExpression | undefined;
}

export interface SortExpression {
  readonly sql: Sql;
  /** Type of the values, to cast those of a page link to. */
  readonly cast: 'text' | 'timestamptz' | 'numeric';
}

export const badValue = (name: string, diagnostics: string): FhirError =>
  badRequest('value', `${name}: ${diagnostics}`, name);

const PREFIXES = new Set(['eq', 'ne', 'gt', 'lt', 'ge', 'le', 'sa', 'eb', 'ap']);
export const ALL_PREFIXES: readonly Prefix[] = ['eq', 'ne', 'gt', 'lt', 'ge', 'le', 'sa', 'eb', 'ap'];

/** Takes the prefix off a date, number or quantity. */
export function splitPrefix(text: string): readonly [Prefix, string] {
  const prefix = text.slice(0, 2);
  return PREFIXES.has(prefix) ? [prefix as Prefix, text.slice(2)] : ['eq', text];
}

/** The condition on the own column; where a cover has the index, on that as well. */
export const indexed = (columns: ColumnAccess, condition: (column: Sql) => Sql): Sql =>
  columns.cover ? and([condition(columns.cover), condition(columns.column())]) : condition(columns.column());

/** `column && array[…]`, the lookup that GIN serves. */
export const overlaps = (column: Sql, forms: readonly string[]): Sql => sql`${column} && ${forms}::text[]`;

/** Equal to one of the texts. */
export const oneOf = (column: Sql, texts: readonly string[]): Sql =>
  texts.length === 1 ? sql`${column} = ${texts[0]}` : sql`${column} = any(${texts}::text[])`;

/** Least or greatest element of an array, by direction. */
export const extreme = (column: Sql, descending: boolean): Sql =>
  sql`(select ${raw(descending ? 'max' : 'min')}(v) from unnest(${column}) v)`;

/** A search value, shortened for a message. */
export const shown = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
