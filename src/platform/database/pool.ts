/** Connections to PostgreSQL, and statements that are prepared once per connection. */
import pg from 'pg';
import { NamedQuery, type Reply } from './named-query.ts';

/** Values come back as PostgreSQL prints them: text, or null. */
const TEXT_VALUES: pg.CustomTypesConfig = { getTypeParser: () => (value: string) => value };

export interface PoolOptions {
  readonly max: number;
  /** Shown in pg_stat_activity. */
  readonly name: string;
  readonly statementTimeoutMs: number;
  /** How long a request waits for a free connection. */
  readonly connectTimeoutMs?: number;
}

/** Settings that every session of the server has. */
function sessionConfig(connection: pg.ClientConfig, name: string, statementTimeoutMs: number): pg.ClientConfig {
  return {
    ...connection,
    application_name: name,
    statement_timeout: statementTimeoutMs,
    idle_in_transaction_session_timeout: 30_000,
    keepAlive: true,
    types: TEXT_VALUES,
    options: '-c timezone=UTC -c datestyle=ISO,YMD',
  };
}

/** A pool whose idle connections may break without ending the process. */
export function openPool(connection: pg.ClientConfig, options: PoolOptions): pg.Pool {
  const pool = new pg.Pool({
    ...sessionConfig(connection, options.name, options.statementTimeoutMs),
    max: options.max,
    // Statements follow one another without waiting for replies.
    pipeline: true,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 5_000,
    idleTimeoutMillis: 60_000,
    maxLifetimeSeconds: 3_600,
  });
  // A broken idle connection is replaced at the next use.
  pool.on('error', () => undefined);
  // One that breaks while it is lent out fails the statement that runs; without a listener it would end the process as well.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

/** A connection of one's own, outside every pool, for a lane that sends all its statements over it. */
export async function openClient(
  connection: pg.ClientConfig,
  name: string,
  statementTimeoutMs: number,
): Promise<pg.Client> {
  const client = new pg.Client({
    ...sessionConfig(connection, name, statementTimeoutMs),
    connectionTimeoutMillis: 5_000,
    // Statements follow one another without waiting for replies.
    pipeline: true,
  });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** Statements kept prepared on one connection. Searches have endless shapes, so the oldest makes room. */
const PREPARED_PER_CONNECTION = 200;

interface Prepared {
  readonly names: Map<string, string>;
  next: number;
}

const preparedOn = new WeakMap<pg.ClientBase, Prepared>();

/** pg remembers the text of every name; a name that is dropped on the server must be forgotten there too. */
function forget(client: pg.ClientBase, name: string): void {
  const statements = client.connection?.parsedStatements;
  if (statements) delete statements[name];
  client.query(`deallocate ${name}`).catch(() => undefined);
}

/** The name under which a text is prepared on a connection. */
function statementName(client: pg.ClientBase, text: string): string {
  let prepared = preparedOn.get(client);
  if (!prepared) preparedOn.set(client, (prepared = { names: new Map(), next: 0 }));
  const { names } = prepared;
  let name = names.get(text);
  if (name !== undefined) {
    // The newest stands last.
    if (names.size > PREPARED_PER_CONNECTION / 2) {
      names.delete(text);
      names.set(text, name);
    }
    return name;
  }
  name = `k${prepared.next++}`;
  names.set(text, name);
  if (names.size > PREPARED_PER_CONNECTION) {
    const oldest = names.entries().next().value;
    if (oldest) {
      names.delete(oldest[0]);
      forget(client, oldest[1]);
    }
  }
  return name;
}

/** Runs a statement on a connection, prepared under a name there. */
export function runNamed(client: pg.ClientBase, text: string, values: readonly unknown[] = []): Promise<Reply> {
  const query = new NamedQuery(statementName(client, text), text, values);
  client.query(query);
  return query.reply;
}

/** Runs a statement on any connection of a pool, prepared under a name there. */
export async function poolNamed(pool: pg.Pool, text: string, values: readonly unknown[] = []): Promise<Reply> {
  const client = await pool.connect();
  try {
    const reply = await runNamed(client, text, values);
    client.release();
    return reply;
  } catch (error) {
    // A statement that failed leaves the session sound; one that broke (no SQLSTATE) must not be used again.
    client.release(error instanceof pg.DatabaseError ? undefined : true);
    throw error;
  }
}
