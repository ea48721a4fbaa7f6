/**
 * Creates that share a statement: those that came while the last insert of the type ran are inserted together.
 * One that PostgreSQL refuses fails alone; its neighbours are inserted again one by one.
 */
import type pg from 'pg';
import { createLanes, Failure } from '../../platform/database/lane.ts';
import { poolNamed } from '../../platform/database/pool.ts';
import type { StoreParts } from './reader.ts';
import type { Principal } from '../access.ts';
import type { PreparedWrite } from './repository.ts';
import { recordedCreate } from './transaction.ts';
import { clientError, isBroken } from './sqlstate.ts';
import { writeRows, type WriteStatements } from './statement.ts';

interface Create {
  readonly write: PreparedWrite;
  readonly by: Principal;
}

const BATCH = 100;
/** Characters of content in one batch. */
const BATCH_CONTENT = 4 * 1024 * 1024;

export function createCreateLanes(
  parts: StoreParts,
  pool: pg.Pool,
  statements: (type: string) => WriteStatements,
  refused: (write: PreparedWrite, error: unknown) => unknown,
): (create: Create) => Promise<void> {
  const lanes = createLanes<Create, undefined>({
    cap: BATCH,
    key: ({ write }) => write.id,
    weight: ({ write }) => write.content.length / BATCH_CONTENT,
  });

  const { recorder } = parts;
  const insert = async (type: string, creates: readonly Create[]): Promise<void> => {
    const writes = creates.map((c) => c.write);
    // For all of a batch at once: made one by one before, they would take its size from it.
    const keys = parts.content.prepare(writes);
    if (keys) await keys;
    const rows = writeRows(writes, parts.content);
    const { insert: text } = statements(type);
    if (!recorder) return void (await poolNamed(pool, text, [rows]));
    const changes = creates.map(({ write, by }) => recordedCreate(write, by));
    await poolNamed(pool, recorder.prefix('$2') + text, [rows, recorder.rows(changes)]);
  };

  const alone = async (create: Create): Promise<Failure | undefined> => {
    const { write } = create;
    try {
      await insert(write.type, [create]);
      return undefined;
    } catch (error) {
      return new Failure(refused(write, error));
    }
  };

  const batch = async (type: string, creates: readonly Create[]): Promise<readonly (Failure | undefined)[]> => {
    try {
      await insert(type, creates);
      return [];
    } catch (error) {
      const [first] = creates;
      // After a lost connection nobody knows whether the batch was committed, so it must not be sent again.
      if (isBroken(error)) throw clientError(error);
      if (first && creates.length === 1) return [new Failure(refused(first.write, error))];
    }
    const outcomes: (Failure | undefined)[] = [];
    for (const create of creates) outcomes.push(await alone(create));
    return outcomes;
  };

  return async (create) => {
    const { type } = create.write;
    await lanes(type, (creates) => batch(type, creates))(create);
  };
}
