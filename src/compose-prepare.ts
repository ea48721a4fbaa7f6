/**
 * What a database needs before it is served: migrations, the definitions in use, the demo clinic. It is done in a process of its
 * own, whose memory (the ORM, all definitions at once) goes with it.
 */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { demoState, isSettled } from './compose-demo.ts';
import type { Config } from './platform/config.ts';
import { isMigrated } from './platform/database/migrate.ts';
import type { DatabaseRoles } from './platform/embedded-postgres.ts';
import { StartError } from './platform/start-error.ts';

async function holdsDefinitions(client: pg.Client): Promise<boolean> {
  const built = await readFile(new URL('../.build/conformance.sha256', import.meta.url), 'utf8');
  const { rows } = await client.query<{ value: string }>(`select value from installation where name = 'conformance'`);
  return rows[0]?.value === built;
}

/** Whether the database may be served as it is. */
export async function isPrepared(roles: DatabaseRoles, config: Config): Promise<boolean> {
  if (!(await isMigrated(roles, { queue: config.redisUrl === undefined }))) return false;
  const client = new pg.Client(roles.app);
  await client.connect();
  try {
    const demo = config.demo ? await demoState(client) : 'skipped';
    return (await holdsDefinitions(client)) && isSettled(demo);
  } finally {
    await client.end();
  }
}

/** Runs `src/cli/prepare.ts` on the database that is open; its words go to this process's output. */
export async function prepareApart(config: Config, signal: AbortSignal): Promise<void> {
  const program = fileURLToPath(new URL('cli/prepare.ts', import.meta.url));
  const child = spawn(process.execPath, [program], {
    env: { ...process.env, PORT: String(config.port) },
    stdio: ['ignore', 'inherit', 'inherit'],
    signal,
  });
  const ended = await new Promise<number | string>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, by) => resolve(by ?? code ?? 1));
  });
  if (ended !== 0) throw new StartError('The database could not be prepared: the reason stands above.');
}
