/**
 * Reads by id that share statements: whatever is asked for while the last batch runs goes into the next one.
 * Only reads of one type under equal predicates share, and they use connections that no search can occupy.
 */
import type pg from 'pg';
import { createLanes, Failure } from '../../platform/database/lane.ts';
import { laneConnections } from '../../platform/database/lane-connection.ts';
import type { Row } from '../../platform/database/named-query.ts';
import type { Rows } from '../access.ts';
import { compile } from '../../platform/database/sql.ts';
import { byType, idsStatement, readIds, type Run, type StoreParts } from './reader.ts';
import type { Reader, StoredVersion } from './repository.ts';
import { hidesFrom, shown } from './withheld.ts';
import { clientError } from './sqlstate.ts';

/** Ids in one statement. */
const BATCH = 200;
/** A type read alone needs one; more only let types that are read at the same time not wait for one another. */
const CONNECTIONS = 3;

export interface ReadLanes extends Pick<Reader, 'read' | 'existing'> {
  close(): Promise<void>;
}

export function createReadLanes(parts: StoreParts, open: () => Promise<pg.Client>): ReadLanes {
  const connections = laneConnections(open, CONNECTIONS);
  const run: Run = async (text, values) => {
    let rows: readonly Row[];
    try {
      ({ rows } = await connections.read(text, values));
    } catch (error) {
      throw clientError(error);
    }
    const keys = parts.content.ready(rows);
    if (keys) await keys;
    return rows;
  };
  const versions = createLanes<string, StoredVersion | undefined>({ cap: BATCH });
  const existence = createLanes<string, boolean>({ cap: BATCH });

  const laneKey = (type: string, access: Rows): string => `${type} ${access.key(type)}`;

  return {
    read(type, id, access) {
      const lane = versions(laneKey(type, access), async (ids) => {
        // What cannot be read fails whoever asked for it, not those who share the statement.
        const unreadable = new Map<string, Failure>();
        const found = await readIds(parts, run, type, ids, access, (i, error) => unreadable.set(i, new Failure(error)));
        return ids.map((i) => unreadable.get(i) ?? found.get(i));
      });
      const found = lane(id);
      // A read of what is shown to all takes no further turn.
      if (!hidesFrom(parts.resources, type, access)) return found;
      return found.then((version) => shown(parts.resources, version, access));
    },

    async existing(references, access) {
      const there = new Set<string>();
      const idsThere = async (type: string, ids: readonly string[]): Promise<ReadonlySet<unknown>> => {
        const { text, values } = compile(idsStatement(type, ids, access));
        return new Set((await run(text, values)).map(([found]) => found));
      };
      const ask = async (type: string, id: string): Promise<void> => {
        const lane = existence(laneKey(type, access), async (ids) => {
          const found = await idsThere(type, ids);
          return ids.map((i) => found.has(i));
        });
        if (await lane(id)) there.add(`${type}/${id}`);
      };
      /** As many as fill batches of their own need not wait in a line, one by one. */
      const askMany = async (type: string, ids: readonly string[]): Promise<void> => {
        for (let from = 0; from < ids.length; from += BATCH)
          for (const id of await idsThere(type, ids.slice(from, from + BATCH))) there.add(`${type}/${String(id)}`);
      };
      await Promise.all(
        [...byType(parts, references)].flatMap(([type, all]) => {
          const ids = [...new Set(all)];
          return ids.length > BATCH ? [askMany(type, ids)] : ids.map((id) => ask(type, id));
        }),
      );
      return there;
    },

    close: () => connections.close(),
  };
}
