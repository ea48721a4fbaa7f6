/** Several statements as one. */
import pg from 'pg';
import type { Reply } from './named-query.ts';
import { runNamed } from './pool.ts';

/** Runs one statement of the transaction, prepared under a name. */
export type Run = (text: string, values?: readonly unknown[]) => Promise<Reply>;

/**
 * Commits what `work` did, or nothing of it when it throws. Give statements to the database only: nothing else may be awaited in it.
 */
export async function inTransaction<T>(pool: pg.Pool, work: (run: Run) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken = false;
  try {
    await client.query('begin');
    const result = await work((text, values) => runNamed(client, text, values));
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch(() => (broken = true));
    throw error;
  } finally {
    client.release(broken);
  }
}
