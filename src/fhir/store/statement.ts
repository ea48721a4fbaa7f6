/**
 * The SQL text of reads and writes, made once for each type. Rows go in as one JSON parameter whatever their number, which
 * costs Node less than an array for each column and lets one prepared statement serve batches of every size.
 */
import type { Resource } from '@medplum/fhirtypes';
import type { ContentCodec } from './content.ts';
import { BASE_COLUMNS, historyTableOf, tableOf, type Layout } from './layout.ts';
import type { PreparedWrite, StoredVersion } from './repository.ts';

export interface WriteStatements {
  /** $1: rows. */
  readonly insert: string;
  /** $1: rows, each the successor of a current version. Returns id and content of the versions replaced, which move to the history. */
  readonly update: string;
  /** $1: ids, versions and times of the deletions. Returns id and content of the versions deleted. */
  readonly delete: string;
  /** $1: rows just inserted. Returns an id whose version does not follow the last one in the history. */
  readonly gap: string;
}

const quote = (name: string): string => `"${name}"`;

/** Keys of a row in JSON: short, and in the order of the table's columns. */
const keyOf = (index: number): string => `c${index}`;

interface TableColumn {
  readonly name: string;
  readonly sqlType: string;
}

const tableColumns = (layout: Layout, type: string): TableColumn[] => [
  ...BASE_COLUMNS.map(([name, sqlType]) => ({ name, sqlType })),
  ...layout.columns(type),
];

/** The rows of a parameter, as a relation. */
function recordset(columns: readonly TableColumn[], alias: string): string {
  return `json_to_recordset($1::json) as ${alias}(${columns.map((c, i) => `${keyOf(i)} ${c.sqlType}`).join(', ')})`;
}

export function writeStatements(layout: Layout, type: string): WriteStatements {
  const table = quote(tableOf(type));
  const history = quote(historyTableOf(type));
  const columns = tableColumns(layout, type);
  const names = columns.map((c) => quote(c.name)).join(', ');
  const assigned = columns.map((c, i) => `${quote(c.name)} = u.${keyOf(i)}`).slice(1);
  const base = BASE_COLUMNS.map(([name]) => name);
  const baseRows = recordset(columns.slice(0, base.length), 'u');
  // The replaced row comes from the update itself (`old`), so the history gets exactly the versions that were locked and changed.
  return {
    insert: `insert into ${table} (${names}) select ${columns.map((_, i) => `u.${keyOf(i)}`).join(', ')} from ${recordset(columns, 'u')}`,
    update:
      `with changed as (update ${table} r set ${assigned.join(', ')} from ${recordset(columns, 'u')} ` +
      `where r.id = u.c0 and r.version = u.c1 - 1 returning ${base.map((name) => `old.${name}`).join(', ')}), ` +
      `kept as (insert into ${history} (${base.join(', ')}) select ${base.join(', ')} from changed) select id, version, content from changed`,
    delete:
      `with gone as (delete from ${table} r using ${baseRows} where r.id = u.c0 and r.version = u.c1 - 1 ` +
      `returning ${base.map((name) => `r.${name}`).join(', ')}, u.c1 as next_version, u.c2 as deleted_at), ` +
      `kept as (insert into ${history} (${base.join(', ')}) select ${base.join(', ')} from gone ` +
      `union all select id, next_version, deleted_at, 'DELETE', null from gone) select id, version, content from gone`,
    gap:
      `select u.c0 from ${baseRows} where u.c1 - 1 <> ` +
      `coalesce((select h.version from ${history} h where h.id = u.c0 order by h.version desc limit 1), 0) limit 1`,
  };
}

/** Search columns of rows, as a comparison of the stored ones with those of the parameter. */
function comparison(
  layout: Layout,
  type: string,
): { readonly source: string; readonly differs: string; readonly columns: readonly TableColumn[] } {
  const columns = tableColumns(layout, type);
  const searched = columns.slice(BASE_COLUMNS.length);
  const stored = searched.map((c) => `r.${quote(c.name)}`).join(', ');
  const fresh = searched.map((_, i) => `u.${keyOf(i + BASE_COLUMNS.length)}`).join(', ');
  return {
    columns: searched,
    source: recordset(columns, 'u'),
    differs: `r.id = u.c0 and r.version = u.c1 and (${stored}) is distinct from (${fresh})`,
  };
}

/** $1: rows with columns computed anew; writes those that differ. */
export function refreshStatement(layout: Layout, type: string): string {
  const { source, differs, columns } = comparison(layout, type);
  const assigned = columns.map((c, i) => `${quote(c.name)} = u.${keyOf(i + BASE_COLUMNS.length)}`).join(', ');
  return `update ${quote(tableOf(type))} r set ${assigned} from ${source} where ${differs}`;
}

/** $1: rows with columns computed anew; returns the ids of those that differ. */
export function driftStatement(layout: Layout, type: string): string {
  const { source, differs } = comparison(layout, type);
  return `select r.id from ${quote(tableOf(type))} r join ${source} on ${differs}`;
}

type RowKeys = Record<string, unknown>;

/** Rows for `insert` and `update`, for which the codec was prepared. Absent values are left out. */
export function writeRows(writes: readonly PreparedWrite[], codec: ContentCodec): string {
  return JSON.stringify(
    writes.map((w) => {
      const row: RowKeys = {
        c0: w.id,
        c1: w.version,
        c2: w.lastUpdated,
        c3: w.method,
        c4: codec.encode(w),
      };
      for (let i = 0; i < w.columns.length; i++) {
        const value = w.columns[i];
        if (value !== null && value !== undefined) row[keyOf(i + BASE_COLUMNS.length)] = value;
      }
      return row;
    }),
  );
}

/** Rows for `delete` and `gap`: no content, no columns. */
export const keyRows = (
  entries: readonly { readonly id: string; readonly version: number; readonly lastUpdated: Date }[],
): string => JSON.stringify(entries.map((e) => ({ c0: e.id, c1: e.version, c2: e.lastUpdated })));

/** Rows for a comparison or refresh of search columns alone. */
export const columnRows = (
  rows: readonly { readonly id: string; readonly version: number; readonly columns: readonly unknown[] }[],
): string =>
  JSON.stringify(
    rows.map((r) => ({
      c0: r.id,
      c1: r.version,
      ...Object.fromEntries(r.columns.map((v, i) => [keyOf(i + BASE_COLUMNS.length), v])),
    })),
  );

/** `timestamptz` as printed in a session whose time zone is UTC. */
export function timestamp(text: string | null | undefined): Date {
  if (!text) return new Date(Number.NaN);
  return text.endsWith('+00') ? new Date(`${text.slice(0, 10)}T${text.slice(11, -3)}Z`) : new Date(text);
}

const METHODS: Readonly<Record<string, StoredVersion['method']>> = {
  POST: 'POST',
  PUT: 'PUT',
  PATCH: 'PATCH',
  DELETE: 'DELETE',
};

/** Columns of a version in the order that `storedVersion` reads them. */
export const versionColumns = (alias: string): string =>
  ['id', 'version', 'last_updated', 'method', 'content'].map((c) => `${alias}.${c}`).join(', ');

/** A row of `versionColumns`. */
export function storedVersion(codec: ContentCodec, type: string, row: readonly (string | null)[]): StoredVersion {
  const id = row[0] ?? '';
  const version = Number(row[1]);
  const content = row[4];
  return {
    type,
    id,
    version,
    lastUpdated: timestamp(row[2]),
    content: content === null || content === undefined ? undefined : codec.decode(type, id, version, content),
    method: METHODS[row[3] ?? ''] ?? 'PUT',
  };
}

/** What `update` and `delete` return. */
export function replaced(codec: ContentCodec, type: string, row: readonly (string | null)[]): Resource {
  return JSON.parse(codec.decode(type, row[0] ?? '', Number(row[1]), row[2] ?? '')) as Resource;
}
