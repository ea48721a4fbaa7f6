/**
 * Creates that share a statement: those that came while the last insert of the type ran are inserted together.
 * One that PostgreSQL refuses fails alone; its neighbours are inserted again one by one.
 */
import type pg from 'pg';
import { createLanes, Failure } from '../../platform/database/lane.ts';
import { poolNamed } from '../../platform/database/pool.ts';
import type { StoreParts } from './reader.ts';
import type { PreparedWrite } from './repository.ts';
import { clientError, isBroken } from './sqlstate.ts';
import { writeRows, type WriteStatements } from './statement.ts';

const BATCH = 100;
/** Characters of content in one batch. */
const BATCH_CONTENT = 4 * 1024 * 1024;

export function createCreateLanes(
  parts: StoreParts,
  pool: pg.Pool,
  statements: (type: string) => WriteStatements,
  refused: (write: PreparedWrite, error: unknown) => unknown,
): (write: PreparedWrite) => Promise<void> {
  const lanes = createLanes<PreparedWrite, undefined>({
    cap: BATCH,
    key: (write) => write.id,
    weight: (write) => write.content.length / BATCH_CONTENT,
  });

  const insert = async (type: string, writes: readonly PreparedWrite[]): Promise<void> => {
    // For all of a batch at once: made one by one before, they would take its size from it.
    const keys = parts.content.prepare(writes);
    if (keys) await keys;
    await poolNamed(pool, statements(type).insert, [writeRows(writes, parts.content)]);
  };

  const alone = async (write: PreparedWrite): Promise<Failure | undefined> => {
    try {
      await insert(write.type, [write]);
      return undefined;
    } catch (error) {
      return new Failure(refused(write, error));
    }
  };

  const batch = async (type: string, writes: readonly PreparedWrite[]): Promise<readonly (Failure | undefined)[]> => {
    try {
      await insert(type, writes);
      return [];
    } catch (error) {
      const [first] = writes;
      // After a lost connection nobody knows whether the batch was committed, so it must not be sent again.
      if (isBroken(error)) throw clientError(error);
      if (first && writes.length === 1) return [new Failure(refused(first, error))];
    }
    const outcomes: (Failure | undefined)[] = [];
    for (const write of writes) outcomes.push(await alone(write));
    return outcomes;
  };

  return async (write) => {
    await lanes(write.type, (writes) => batch(write.type, writes))(write);
  };
}
