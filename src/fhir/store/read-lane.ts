/**
 * Reads by id that share statements: whatever is asked for while the last batch runs goes into the next one.
 * Only reads of one type under equal access share, and they use connections that no search can occupy.
 */
import type pg from 'pg';
import { createLanes } from '../../platform/database/lane.ts';
import { laneConnection } from '../../platform/database/lane-connection.ts';
import type { Access } from '../access.ts';
import { compile } from '../../platform/database/sql.ts';
import { byType, idsStatement, readIds, type Run, type StoreParts } from './reader.ts';
import type { Reader, StoredVersion } from './repository.ts';
import { clientError } from './sqlstate.ts';

/** Ids in one statement. */
const BATCH = 200;

export interface ReadLanes extends Pick<Reader, 'read' | 'existing'> {
  close(): Promise<void>;
}

export function createReadLanes(parts: StoreParts, open: () => Promise<pg.Client>): ReadLanes {
  // Reads by id, and checks that references exist: neither waits for the other.
  const [reads, checks] = [laneConnection(open), laneConnection(open)];
  const over =
    (connection: typeof reads): Run =>
    async (text, values) => {
      try {
        return (await connection.read(text, values)).rows;
      } catch (error) {
        throw clientError(error);
      }
    };
  const [runRead, runCheck] = [over(reads), over(checks)];
  const versions = createLanes<string, StoredVersion | undefined>({ cap: BATCH });
  const existence = createLanes<string, boolean>({ cap: BATCH });

  const laneKey = (type: string, access: Access): string => `${type} ${access.key}`;

  return {
    read(type, id, access) {
      const lane = versions(laneKey(type, access), async (ids) => {
        const found = await readIds(parts, runRead, type, ids, access);
        return ids.map((i) => found.get(i));
      });
      return lane(id);
    },

    async existing(references, access) {
      const there = new Set<string>();
      const ask = async (type: string, id: string): Promise<void> => {
        const lane = existence(laneKey(type, access), async (ids) => {
          const { text, values } = compile(idsStatement(type, ids, access));
          const found = new Set((await runCheck(text, values)).map(([found]) => found));
          return ids.map((i) => found.has(i));
        });
        if (await lane(id)) there.add(`${type}/${id}`);
      };
      await Promise.all([...byType(parts, references)].flatMap(([type, ids]) => [...new Set(ids)].map((id) => ask(type, id))));
      return there;
    },

    async close() {
      await Promise.all([reads.close(), checks.close()]);
    },
  };
}
