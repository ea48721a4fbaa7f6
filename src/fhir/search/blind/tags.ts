/** Tags in columns and statements. */
import { and, sql, type Sql } from '../../../platform/database/sql.ts';
import type { ColumnAccess } from '../kind.ts';
import type { Tagger } from './blind.ts';

/** An array literal of the forms' tags, each once. */
export const tagsLiteral = (tag: Tagger, forms: readonly string[]): string =>
  `{${[...new Set(forms.map(tag))].join(',')}}`;

/** One of the forms stands in the column, an array. */
export const holdsAny = (column: Sql, tag: Tagger, forms: readonly string[]): Sql =>
  sql`${column} && ${[...new Set(forms.map(tag))]}::uuid[]`;

/** The column is one of the forms. */
export const isAny = (column: Sql, tag: Tagger, forms: readonly string[]): Sql =>
  sql`${column} = any(${[...new Set(forms.map(tag))]}::uuid[])`;

/** The own column's tagger. @throws Error when the column is plain: a kind was taken for the wrong column */
export function taggerOf({ param, tag }: ColumnAccess): Tagger {
  if (!tag) throw new Error(`${param.resourceType}.${param.code} holds values, not tags`);
  return tag;
}

/** The condition on the own column; where a cover has the index, on that as well. Each is under its own key. */
export function indexedTags(columns: ColumnAccess, condition: (column: Sql, tag: Tagger) => Sql): Sql {
  const own = condition(columns.column(), taggerOf(columns));
  return columns.cover && columns.coverTag ? and([condition(columns.cover, columns.coverTag), own]) : own;
}
