/**
 * Later pages of an order that writes can change: a row that was changed since the first page keeps the place it had then, so
 * that it is neither met twice nor missed. What was changed is told by the snapshot that the first page was read under; the
 * place, by the version in the history that the snapshot shows.
 * @see https://hl7.org/fhir/R4/http.html#paging
 * @see https://www.postgresql.org/docs/18/functions-info.html#FUNCTIONS-PG-SNAPSHOT
 */
import { and, id as identifier, join, raw, sql, type Sql } from '../../platform/database/sql.ts';
import { historyTableOf } from '../store/layout.ts';
import { compareBy } from './blind/sort-value.ts';
import { columnsOf, extract, type Column } from './columns.ts';
import {
  matchesAfter,
  plainRow,
  resourceOf,
  textOfRow,
  type Matches,
  type Row,
  type Run,
  type Sought,
} from './matches.ts';
import { afterPosition, type Moment, type OrderKey, type Position } from './page.ts';
import { meetsAll } from './recheck.ts';
import { selectFrom } from './sql.ts';

/** A write is stamped before it is committed, by a clock that may differ from this one: rows older than this need not be asked. */
const MARGIN_MS = 120_000;
/** With more changed matches than this since the first page, places are taken as they are now. */
const MOST_CHANGED = 1000;

/** Transaction ids of rows are 32 bits; a row as recent as these are is of the snapshot's own epoch. */
const visible = (alias: string, { snapshot }: Moment): Sql =>
  sql`pg_visible_in_snapshot((((pg_snapshot_xmax(${snapshot}::pg_snapshot)::text::bigint >> 32) << 32) + ${raw(alias)}.xmin::text::bigint)::text::xid8, ${snapshot}::pg_snapshot)`;

const recent = (alias: string, { atMs }: Moment): Sql =>
  sql`${raw(alias)}.last_updated > ${new Date(atMs - MARGIN_MS).toISOString()}`;

interface Changed {
  readonly row: Row;
  /** The resource as it stood, whose place counts. */
  readonly was: unknown;
}

/** Matches that were changed since the moment; undefined when they are too many, or too large together. */
export async function changedSince(run: Run, { plan }: Sought, began: Moment): Promise<Changed[] | undefined> {
  const { scope } = plan;
  const history = identifier(historyTableOf(scope.type));
  const was = sql`lateral (select h.version, h.content from (select 1) one left join ${history} h on h.id = r.id and h.content is not null and not ${visible('h', began)} order by h.version limit 1) w`;
  const rows = await run.reader.query(
    selectFrom(
      scope,
      raw(
        `r.id, r.version, case when sum(octet_length(r.content) + coalesce(octet_length(w.content), 0)) over (rows unbounded preceding) < ${run.engine.limits.replyBytes} then r.content end, w.version, w.content`,
      ),
      [...plan.where, recent('r', began), sql`not ${visible('r', began)}`],
      {
        join: was,
        tail: raw(` limit ${MOST_CHANGED + 1}`),
      },
    ),
  );
  if (rows.length > MOST_CHANGED || rows.some((row) => row[2] === null)) return undefined;
  const changed: Changed[] = [];
  for (const [id, version, content, oldVersion, oldContent] of rows) {
    const { type } = scope;
    const text = textOfRow(run, type, String(id), Number(version), content);
    const row = plainRow(type, String(id), Number(version), text);
    const resource = resourceOf(row);
    if (plan.recheck.length > 0 && !meetsAll(run.meaning, plan.recheck, resource)) continue;
    const old: unknown =
      typeof oldContent === 'string'
        ? JSON.parse(run.reader.decode(type, row.id, Number(oldVersion), oldContent))
        : undefined;
    // What was hidden then must not tell its place now.
    changed.push({ row, was: old === undefined || !run.access.admits(type, old) ? resource : old });
  }
  return changed;
}

/** The changed rows with the sort values of their old versions, those after the position, in order. */
async function placed(run: Run, { plan, keys }: Sought, changed: readonly Changed[], after: Position): Promise<Row[]> {
  if (changed.length === 0) return [];
  const { type } = plan.scope;
  const columns: readonly Column[] = columnsOf(run.engine, type);
  const values = changed.map(({ row, was }, at) => {
    const literals = extract(run.engine, type, was, run.engine.baseUrl);
    const lastUpdated = (was as { meta?: { lastUpdated?: string } }).meta?.lastUpdated;
    return Object.fromEntries([
      ['at', at],
      ['id', row.id],
      ['last_updated', lastUpdated],
      ...columns.map((c, i) => [c.name, literals[i]]),
    ]) as unknown;
  });
  // The same names as in the table, so that the same expressions apply.
  const shape = join(
    [
      raw('at integer, id text collate "C", last_updated timestamptz'),
      ...columns.map(
        (c) => sql`${identifier(c.name)} ${raw(c.sqlType.startsWith('text') ? `${c.sqlType} collate "C"` : c.sqlType)}`,
      ),
    ],
    ', ',
  );
  const expressions = keys.map((k) => k.sql);
  const found = await run.reader.query(
    sql`select ${join([raw('r.at'), ...expressions], ', ')} from json_to_recordset(${JSON.stringify(values)}::json) as r(${shape}) where ${and([afterPosition(keys, expressions, raw('r.id'), type, after)])}`,
  );
  return found.flatMap(([at, ...sortValues]) => {
    const row = changed[Number(at)]?.row;
    return row ? [{ ...row, keys: sortValues.map((v) => (v === null ? null : String(v))) }] : [];
  });
}

/** The order that the statements have: keys with missing values last, ids, types. */
export function compareRows(keys: readonly OrderKey[], a: Position, b: Position): number {
  for (const [i, key] of keys.entries()) {
    const left = a.keys[i] ?? null;
    const right = b.keys[i] ?? null;
    if (left === null || right === null) {
      if (left !== right) return left === null ? 1 : -1;
      continue;
    }
    const order = left === right ? 0 : compareBy[key.cast](left, right);
    if (order !== 0) return key.descending ? -order : order;
  }
  return Buffer.compare(Buffer.from(a.id), Buffer.from(b.id)) || (a.type < b.type ? -1 : a.type > b.type ? 1 : 0);
}

/**
 * The matches after the position, each at the place it had when the first page was read; what was made since, at the place
 * where it was made.
 */
export async function steadyMatches(
  run: Run,
  sought: readonly Sought[],
  after: Position,
  began: Moment,
  limit: number,
): Promise<Matches> {
  // Rows of a relation made by hand never change.
  const changing = (s: Sought): boolean => run.engine.resources.get(s.plan.scope.type)?.storage !== 'relation';
  const unchanged = sought.map((s): Sought => {
    const { plan, keys } = s;
    if (!changing(s)) return s;
    const { alias } = plan.scope;
    return {
      plan: {
        ...plan,
        where: [...plan.where, sql`(${recent(alias, began)} and not ${visible(alias, began)}) is not true`],
      },
      keys,
    };
  });
  // In this order: a row that changes between the two statements is found by both, not by neither.
  const { rows, cut } = await matchesAfter(run, unchanged, after, limit);
  const moved: Row[] = [];
  for (const one of sought.filter(changing)) {
    const changed = await changedSince(run, one, began);
    if (!changed) return matchesAfter(run, sought, after, limit);
    if (changed.length === 0) continue;
    moved.push(...(await placed(run, one, changed, after)));
  }
  if (moved.length === 0) return { rows, cut };
  const seen = new Set(rows.map((r) => `${r.type}/${r.id}`));
  const all = [...rows, ...moved.filter((r) => !seen.has(`${r.type}/${r.id}`))];
  const keys = sought[0]?.keys ?? [];
  all.sort((a, b) => compareRows(keys, a, b));
  // Beyond the last of a page cut early stand rows that were not read: what was moved there comes with them.
  const last = cut ? rows.at(-1) : undefined;
  return { rows: all.slice(0, last ? Math.min(limit, all.indexOf(last) + 1) : limit), cut };
}
