/**
 * Which indexes a type's table has. Most search parameters are absent from most resources, so an index of one column
 * leaves nulls out: a condition on the column implies that it is not null, and rows without it cost nothing on a write.
 */
import { createHash } from 'node:crypto';
import type { ResourceDeclaration } from '../resource.ts';
import { tableOf, type StoreColumn } from './layout.ts';

export interface TableIndex {
  readonly name: string;
  /** The whole `create index` statement. */
  readonly statement: string;
}

/** PostgreSQL cuts identifiers at 63 bytes. */
function indexName(...parts: readonly string[]): string {
  const name = parts.join('_');
  if (name.length <= 63) return name;
  return `${name.slice(0, 54)}_${createHash('sha256').update(name).digest('hex').slice(0, 8)}`;
}

const quote = (name: string): string => `"${name}"`;

/**
 * Bounds the unsorted part of a GIN index (in kB), which every search reads in full: small enough for searches right after
 * a load, large enough that writes are merged in bulk.
 */
const PENDING_LIMIT_KB = 1024;

function columnIndex(table: string, column: StoreColumn, sorted: boolean): TableIndex | undefined {
  const name = quote(column.name);
  const make = (kind: string, definition: string): TableIndex => {
    const index = indexName(table, column.name, kind);
    return { name: index, statement: `create index ${quote(index)} on ${quote(table)} ${definition}` };
  };
  const pending = `with (gin_pending_list_limit = ${PENDING_LIMIT_KB}) where ${name} is not null`;
  switch (column.index) {
    case 'btree':
      return sorted ? make('sort', `(${name}, "id")`) : make('btree', `(${name}) where ${name} is not null`);
    case 'gin':
      return make('gin', `using gin (${name}) ${pending}`);
    case 'trgm':
      return make('trgm', `using gin (${name} gin_trgm_ops) ${pending}`);
    case 'gist':
      return make('gist', `using gist (${name}) where ${name} is not null`);
    case 'none':
      return undefined;
    default:
      return column.index satisfies never;
  }
}

/** The indexes of the current versions of a type, the primary key aside. */
export function indexesOf(declaration: ResourceDeclaration, columns: readonly StoreColumn[]): TableIndex[] {
  const table = tableOf(declaration.type);
  const sortCodes = new Set(declaration.defaultSort.map((code) => code.replace(/^-/, '').replaceAll('-', '_')));
  const recent = indexName(table, 'last_updated');
  const indexes: TableIndex[] = [
    { name: recent, statement: `create index ${quote(recent)} on ${quote(table)} ("last_updated", "id")` },
  ];
  // A composite index that begins with a column serves conditions on that column alone.
  const covered = new Set(declaration.indexes.filter((i) => i.where === undefined).map((i) => i.columns[0]));
  for (const column of columns) {
    if (column.index === 'btree' && covered.has(column.name)) continue;
    const index = columnIndex(table, column, sortCodes.has(column.name));
    if (index) indexes.push(index);
  }
  for (const { columns: keys, where } of declaration.indexes) {
    const condition = where === undefined ? '' : ` where ${where}`;
    const suffix = where === undefined ? 'key' : createHash('sha256').update(where).digest('hex').slice(0, 8);
    const name = indexName(table, ...keys, suffix);
    indexes.push({
      name,
      statement: `create index ${quote(name)} on ${quote(table)} (${keys.map(quote).join(', ')})${condition}`,
    });
  }
  return indexes;
}
