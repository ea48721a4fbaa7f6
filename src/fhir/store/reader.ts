/** Reads, each as a statement of its own: over the pool, or inside a transaction, whose own rows are then seen too. */
import { compile, id, join, raw, sql, type Sql } from '../../platform/database/sql.ts';
import type { Row } from '../../platform/database/named-query.ts';
import type { Rows } from '../access.ts';
import type { ResourceDeclaration } from '../resource.ts';
import { UnreadableContent, type ContentCodec } from './content.ts';
import { historyStatement, historyTotalStatement, type HistorySource } from './history.ts';
import { historyTableOf, tableOf, type Layout } from './layout.ts';
import type { HistoryQuery, Reader, Recorder, StoredVersion } from './repository.ts';
import { storedVersion, versionColumns } from './statement.ts';
import { currentVisible, historyVisible, versionVisible } from './visible.ts';
import { shown } from './withheld.ts';
import { countVisible, visiblePage, type FetchVersions } from './visible-history.ts';

/** What every part of the store works with. */
export interface StoreParts {
  readonly resources: ReadonlyMap<string, ResourceDeclaration>;
  readonly layout: Layout;
  readonly content: ContentCodec;
  /** Keeps the record of changes; none: nobody asks for one. */
  readonly recorder?: Recorder;
}

/** The largest `integer`. */
const MAX_VERSION = 2_147_483_647;

/** Runs a statement; a failure is what a client gets. */
export type Run = (text: string, values: readonly unknown[]) => Promise<readonly Row[]>;

/** A relation made by hand keeps no versions: its rows never change. */
const hasHistory = (parts: StoreParts, type: string): boolean => parts.resources.get(type)?.storage !== 'relation';

/** Current versions of some ids. */
const currentStatement = (type: string, ids: readonly string[], access: Rows): Sql =>
  sql`select ${raw(versionColumns('r'))} from ${id(tableOf(type))} r where r.id = any(${ids}) and ${currentVisible(type, access)}`;

/** Last versions in the history of some ids; a deletion if the resource is deleted. */
const lastStatement = (type: string, ids: readonly string[], access: Rows): Sql =>
  sql`select distinct on (h.id) ${raw(versionColumns('h'))} from ${id(historyTableOf(type))} h
    where h.id = any(${ids}) and ${historyVisible(type, access)} order by h.id, h.version desc`;

/** Which of some ids have a current version. */
export const idsStatement = (type: string, ids: readonly string[], access: Rows): Sql =>
  sql`select r.id from ${id(tableOf(type))} r where r.id = any(${ids}) and ${currentVisible(type, access)}`;

function vreadStatement(type: string, resourceId: string, version: number, access: Rows, both: boolean): Sql {
  const current = sql`select ${raw(versionColumns('r'))} from ${id(tableOf(type))} r
    where r.id = ${resourceId} and r.version = ${version}::integer and ${currentVisible(type, access)}`;
  if (!both) return current;
  return sql`${current} union all select ${raw(versionColumns('h'))} from ${id(historyTableOf(type))} h
    where h.id = ${resourceId} and h.version = ${version}::integer and ${historyVisible(type, access)}`;
}

/** Current versions of ids, deletions included. @param unreadable told of contents that cannot be read; unset: they are thrown */
export async function readIds(
  parts: StoreParts,
  run: Run,
  type: string,
  ids: readonly string[],
  access: Rows,
  unreadable?: (id: string, error: UnreadableContent) => void,
): Promise<Map<string, StoredVersion>> {
  const found = new Map<string, StoredVersion>();
  const failed = new Set<string>();
  const send = async (statement: Sql): Promise<readonly Row[]> => {
    const { text, values } = compile(statement);
    return run(text, values);
  };
  for (const row of await send(currentStatement(type, ids, access))) {
    try {
      const version = storedVersion(parts.content, type, row);
      found.set(version.id, version);
    } catch (error) {
      if (!unreadable || !(error instanceof UnreadableContent)) throw error;
      failed.add(row[0] ?? '');
      unreadable(row[0] ?? '', error);
    }
  }
  const missing = found.size < ids.length ? ids.filter((i) => !found.has(i) && !failed.has(i)) : [];
  // Deletions are shown only where nothing limits the rows.
  if (missing.length === 0 || access.reach(type) !== 'all' || !hasHistory(parts, type)) return found;
  for (const row of await send(lastStatement(type, missing, access))) {
    const version = storedVersion(parts.content, type, row);
    if (version.method === 'DELETE') found.set(version.id, version);
  }
  return found;
}

/** `Type/id` references by type; what is no such reference, or of a type not served, is left out. */
export function byType(parts: StoreParts, references: readonly string[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const reference of references) {
    const slash = reference.indexOf('/');
    const type = reference.slice(0, slash);
    if (slash < 1 || !parts.resources.has(type)) continue;
    const group = groups.get(type);
    if (group) group.push(reference.slice(slash + 1));
    else groups.set(type, [reference.slice(slash + 1)]);
  }
  return groups;
}

export function createReader(parts: StoreParts, run: Run): Reader {
  const send = (statement: Sql): Promise<readonly Row[]> => {
    const { text, values } = compile(statement);
    return run(text, values);
  };
  const sources = (type: string | undefined, access: Rows): HistorySource[] =>
    [...parts.resources.keys()]
      .filter((t) => (type === undefined || t === type) && access.reach(t) !== 'none')
      .sort()
      .map((t) => ({ type: t, hasHistory: hasHistory(parts, t) }));

  const versionsOf =
    (from: readonly HistorySource[], access: Rows): FetchVersions =>
    async (query) => {
      const rows = await send(historyStatement(from, query, access));
      return rows.map(([type, ...row]) =>
        shown(parts.resources, storedVersion(parts.content, type ?? '', row), access),
      );
    };

  return {
    read: async (type, resourceId, access) =>
      shown(parts.resources, (await readIds(parts, run, type, [resourceId], access)).get(resourceId), access),

    async vread(type, resourceId, version, access) {
      if (!(version >= 1 && version <= MAX_VERSION)) return undefined;
      const rows = await send(vreadStatement(type, resourceId, version, access, hasHistory(parts, type)));
      const found = rows[0] && storedVersion(parts.content, type, rows[0]);
      return found && versionVisible(found, access) ? shown(parts.resources, found, access) : undefined;
    },

    async history(query: HistoryQuery, access) {
      const from = sources(query.type, access);
      if (from.length === 0) return [];
      const fetch = versionsOf(from, access);
      return from.every(({ type }) => access.reach(type) === 'all') ? fetch(query) : visiblePage(fetch, query, access);
    },

    async historyTotal(query, access) {
      const from = sources(query.type, access);
      if (from.length === 0) return 0;
      if (from.some(({ type }) => access.reach(type) !== 'all'))
        return countVisible(versionsOf(from, access), query, access);
      return Number((await send(historyTotalStatement(from, query, access)))[0]?.[0] ?? 0);
    },

    async existing(references, access) {
      const groups = [...byType(parts, references)].sort(([a], [b]) => (a < b ? -1 : 1));
      if (groups.length === 0) return new Set();
      const each = groups.map(
        ([type, ids]) => sql`select ${raw(`'${type}/'`)} || x.id from (${idsStatement(type, ids, access)}) x`,
      );
      return new Set((await send(join(each, ' union all '))).map(([reference]) => reference ?? ''));
    },

    query: send,

    decode: parts.content.decode,
  };
}
