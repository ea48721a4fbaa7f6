/** Where a storm takes place: two servers, as `npm start` runs them, on one database; and those who take part. @see https://hl7.org/fhir/R4/http.html */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { DatabaseRoles } from '../../platform/embedded-postgres.ts';
import { freePort, startServer, urlOf, type RunningServer } from '../processes.ts';
import { writePeople, type People } from './people.ts';
import { createWire, type Wire } from './wire.ts';
import { resourcesOf, writing } from './world.ts';

export interface Stage {
  readonly servers: readonly RunningServer[];
  readonly people: People;
  readonly wire: Wire;
  /** For another process on the same database. */
  readonly env: Readonly<Record<string, string>> & { readonly ROOT_KEY: string };
  close(): Promise<void>;
}

/** @param roles a database that is migrated, or that the first server may migrate */
export async function openStage(
  roles: DatabaseRoles,
  clients: number,
  settings: Readonly<Record<string, string>> = {},
): Promise<Stage> {
  const ports = [await freePort(), await freePort()];
  const publicUrl = `http://localhost:${ports[0]}`;
  const env = {
    DATABASE_URL: urlOf(roles.app),
    DATABASE_OWNER_URL: urlOf(roles.owner),
    ROOT_KEY: randomBytes(32).toString('base64'),
    PUBLIC_URL: publicUrl,
    LOG_LEVEL: 'error',
    ...settings,
  };
  const wire = createWire();
  const servers: RunningServer[] = [];
  const close = async (): Promise<void> => {
    wire.close();
    await Promise.all(servers.map((s) => s.stop()));
  };
  try {
    // One after the other: the first one prepares the database.
    for (const port of ports) servers.push(await startServer('/nowhere', { ...env, PORT: String(port) }));
    const people = await writePeople(roles.app, `${publicUrl}/fhir/R4`, clients);
    const written = await wire.send(ports[0] ?? 0, writing(resourcesOf(clients)), people.system);
    if (written?.status !== 200) throw new Error(`the clinic: ${written?.status} ${written?.text.slice(0, 500)}`);
    return { servers, people, wire, env, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Runs a statement once, as whom the connection says. */
export async function onDatabase(connection: pg.ClientConfig, text: string): Promise<readonly (readonly unknown[])[]> {
  const client = new pg.Client(connection);
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<unknown[]>({ text, rowMode: 'array' })).rows;
  } finally {
    await client.end();
  }
}

/** Deadlocks that PostgreSQL has broken up in this database so far. Sessions report them when they are idle for a second, or end. */
export async function deadlocksIn(connection: pg.ClientConfig): Promise<number> {
  const [[count] = []] = await onDatabase(
    connection,
    'select deadlocks from pg_stat_database where datname = current_database()',
  );
  return Number(count);
}
