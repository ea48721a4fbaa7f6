/**
 * History of an instance, a type or the system: the union of current versions, superseded ones and deletions, newest first.
 * @see https://hl7.org/fhir/R4/http.html#history
 */
import { and, id, join, raw, sql, type Sql } from '../../platform/database/sql.ts';
import type { Rows } from '../access.ts';
import { historyTableOf, tableOf } from './layout.ts';
import type { HistoryQuery } from './repository.ts';
import { leastBytesSql } from './sealed-content.ts';
import { versionColumns } from './statement.ts';
import { currentVisible, historyVisible } from './visible.ts';

/** A type whose versions are asked for. */
export interface HistorySource {
  readonly type: string;
  readonly hasHistory: boolean;
}

type Filter = Omit<HistoryQuery, 'count' | 'bytes' | 'after'>;

/** `_at`: versions that were current at some moment of the period, so the next version must not have come before it. */
function duringPeriod(type: string, alias: 'r' | 'h', at: NonNullable<HistoryQuery['at']>): Sql {
  const begun = sql`${raw(alias)}.last_updated < ${at.to}::timestamptz`;
  if (alias === 'r') return begun;
  const next = sql`coalesce(
    (select n.last_updated from ${id(historyTableOf(type))} n where n.id = h.id and n.version = h.version + 1),
    (select n.last_updated from ${id(tableOf(type))} n where n.id = h.id and n.version = h.version + 1))`;
  return sql`${begun} and coalesce(${next} > ${at.from}::timestamptz, true)`;
}

/** Positions after a given one, in descending order of (last_updated, type, id, version). */
function beyond(type: string, alias: string, after: NonNullable<HistoryQuery['after']>): Sql {
  const a = raw(alias);
  if (type < after.type) return sql`${a}.last_updated <= ${after.lastUpdated}::timestamptz`;
  if (type > after.type) return sql`${a}.last_updated < ${after.lastUpdated}::timestamptz`;
  return sql`(${a}.last_updated, ${a}.id, ${a}.version) < (${after.lastUpdated}::timestamptz, ${after.id}, ${after.version}::integer)`;
}

function conditions(type: string, alias: 'r' | 'h', query: Filter & Pick<HistoryQuery, 'after'>, access: Rows): Sql {
  const a = raw(alias);
  const all = [alias === 'r' ? currentVisible(type, access) : historyVisible(type, access)];
  if (query.id !== undefined) all.push(sql`${a}.id = ${query.id}`);
  if (query.since) all.push(sql`${a}.last_updated >= ${query.since}::timestamptz`);
  if (query.at) all.push(duringPeriod(type, alias, query.at));
  if (query.after) all.push(beyond(type, alias, query.after));
  return and(all);
}

const tables = ({ type, hasHistory }: HistorySource): (readonly ['r' | 'h', Sql])[] => [
  ['r', id(tableOf(type))],
  ...(hasHistory ? [['h', id(historyTableOf(type))] as const] : []),
];

/** Rows: type, then the columns of a version. */
export function historyStatement(sources: readonly HistorySource[], query: HistoryQuery, access: Rows): Sql {
  const branches = sources.flatMap((source) =>
    tables(source).map(
      ([alias, table]) =>
        sql`(select ${raw(`'${source.type}'`)} as type, ${raw(versionColumns(alias))} from ${table} ${raw(alias)}
          where ${conditions(source.type, alias, query, access)}
          order by ${raw(alias)}.last_updated desc, ${raw(alias)}.id desc, ${raw(alias)}.version desc limit ${query.count}::integer)`,
    ),
  );
  const page = sql`select * from (${join(branches, ' union all ')}) v
    order by last_updated desc, type collate "C" desc, id desc, version desc limit ${query.count}::integer`;
  if (query.bytes === undefined) return page;
  const size = raw(leastBytesSql('p.content'));
  return sql`select type, id, version, last_updated, method, content from
    (select p.*, sum(${size}) over (rows unbounded preceding) - ${size} as before from (${page}) p) s where before < ${query.bytes}`;
}

export function historyTotalStatement(sources: readonly HistorySource[], query: Filter, access: Rows): Sql {
  const counts = sources.flatMap((source) =>
    tables(source).map(
      ([alias, table]) =>
        sql`(select count(*) from ${table} ${raw(alias)} where ${conditions(source.type, alias, query, access)})`,
    ),
  );
  return sql`select ${join(counts, ' + ')}`;
}
