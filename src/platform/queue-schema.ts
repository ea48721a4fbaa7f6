/** Tables of the queue when it lives in PostgreSQL: made by the owner, used by the application role. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type pg from 'pg';

/** Of the one queue that all jobs share. */
export const QUEUE_NAME = 'kairos';
/** Moves when more is made here than the library asks for. */
const EDITION = 2;

/** Names what `migrateQueue` makes. */
async function version(): Promise<string> {
  const file = createRequire(import.meta.url).resolve('bullmq/package.json');
  const { version } = JSON.parse(await readFile(file, 'utf8')) as { version: string };
  return `${version} ${EDITION}`;
}

/** Whether the tables were made by the version of BullMQ that is installed; told without loading it. */
export async function queueSchemaCurrent(client: pg.ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ made: string | null }>(
    `select obj_description(to_regnamespace('bullmq'), 'pg_namespace') as made`,
  );
  return rows[0]?.made === (await version());
}

/** Makes or upgrades the tables. @param app the application role */
export async function migrateQueue(client: pg.Client, app: string): Promise<void> {
  const { runMigrations } = await import('bullmq');
  await runMigrations(client, 'bullmq');
  const role = client.escapeIdentifier(app);
  const made = client.escapeLiteral(await version());
  // Numbers for jobs without an id of ours: the library would make the sequence at the first of them, which the application may not.
  await client.query(`select bullmq.next_job_id($1)`, [QUEUE_NAME]);
  await client.query(`
    grant usage on schema bullmq to ${role};
    grant select, insert, update, delete on all tables in schema bullmq to ${role};
    grant usage, select on all sequences in schema bullmq to ${role};
    grant execute on all functions in schema bullmq to ${role};
    comment on schema bullmq is ${made};`);
}
