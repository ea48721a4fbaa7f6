/**
 * Recomputes search columns from the stored resources, after a search parameter or its extraction has changed; and
 * reports drift, by recomputing a sample. Both go by version: a row that changes meanwhile is fresh already.
 */
import type { Resource } from '@medplum/fhirtypes';
import type pg from 'pg';
import type { Row } from '../../platform/database/named-query.ts';
import { poolNamed } from '../../platform/database/pool.ts';
import { tableOf } from './layout.ts';
import type { StoreParts } from './reader.ts';
import { columnRows, driftStatement, refreshStatement } from './statement.ts';

const BATCH = 500;

export interface ReindexProgress {
  /** Rows whose columns were other than they should be. */
  readonly changed: number;
  readonly seen: number;
  /** The last id of the batch: where to go on after an interruption. */
  readonly after: string;
}

/** Rows `id, version, content` with their columns computed anew. */
const computed = (parts: StoreParts, type: string, rows: readonly Row[]): string =>
  columnRows(
    rows.map(([id, version, content]) => {
      const text = parts.content.decode(type, id ?? '', Number(version), content ?? '');
      return {
        id: id ?? '',
        version: Number(version),
        columns: parts.layout.extract(type, JSON.parse(text) as Resource),
      };
    }),
  );

/** Columns of a relation made by hand are whoever made it's to fill. */
const hasColumns = ({ resources, layout }: StoreParts, type: string): boolean =>
  resources.get(type)?.storage !== 'relation' && layout.columns(type).length > 0;

/**
 * Refreshes the columns of a type in key order, a batch at a time, each in its own short statement.
 * @param after continue behind this id
 */
export async function* reindex(
  parts: StoreParts,
  pool: pg.Pool,
  type: string,
  after = '',
): AsyncGenerator<ReindexProgress> {
  if (!hasColumns(parts, type)) return;
  const page = `select id, version, content from "${tableOf(type)}" where id > $1 order by id limit ${BATCH}`;
  const refresh = refreshStatement(parts.layout, type);
  let [changed, seen] = [0, 0];
  for (let from = after; ;) {
    const { rows } = await poolNamed(pool, page, [from]);
    await parts.content.ready(rows);
    const last = rows.at(-1)?.[0];
    if (last === undefined || last === null) return;
    changed += (await poolNamed(pool, refresh, [computed(parts, type, rows)])).rowCount;
    seen += rows.length;
    from = last;
    yield { changed, seen, after: from };
  }
}

/** Ids, of about `size` rows chosen at random, whose columns are other than the resource says. */
export async function drift(
  parts: StoreParts,
  pool: pg.Pool,
  type: string,
  size = 200,
): Promise<{ readonly sampled: number; readonly drifted: readonly string[] }> {
  if (!hasColumns(parts, type)) return { sampled: 0, drifted: [] };
  const table = `"${tableOf(type)}"`;
  const { rows: estimate } = await poolNamed(
    pool,
    `select greatest(reltuples, 0)::bigint from pg_class where oid = '${table}'::regclass`,
  );
  const total = Number(estimate[0]?.[0] ?? 0);
  const percent = total > size * 2 ? Math.max(0.001, (size * 200) / total) : 100;
  const { rows } = await poolNamed(
    pool,
    `select id, version, content from ${table} tablesample bernoulli ($1) limit $2`,
    [percent, size],
  );
  await parts.content.ready(rows);
  const differing = await poolNamed(pool, driftStatement(parts.layout, type), [computed(parts, type, rows)]);
  return { sampled: rows.length, drifted: differing.rows.map(([id]) => id ?? '') };
}
