/** The processes of a benchmark: the server as `npm start` runs it, its floor, and the load generator. */
import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import path from 'node:path';
import type pg from 'pg';
import { projectFolder } from '../platform/paths.ts';
import type { Job, Measured } from './client.ts';
import type { FloorAnswer, FloorStart } from './floor.ts';
import type { ScriptJob } from './script.ts';
import { BENCH_CLIENT } from './token.ts';

export interface RunningServer {
  readonly port: number;
  readonly pid: number;
  /** From the start of the process to the first `GET /readyz` that is answered with 200. */
  readonly readyAfterMs: number;
  /** Resolves when it has ended, however it was. */
  readonly ended: Promise<unknown>;
  stop(): Promise<void>;
}

/** Options of Node that `npm start` gives. */
function nodeOptionsOfStart(): string[] {
  const { scripts } = JSON.parse(readFileSync(path.join(projectFolder, 'package.json'), 'utf8')) as {
    scripts: { start: string };
  };
  return scripts.start.split(' ').filter((word) => word.startsWith('--'));
}

/** A connection as a URL; the host may be a folder of sockets. */
export const urlOf = ({ user, password, host, port, database }: pg.ClientConfig): string =>
  `postgres://${encodeURIComponent(user ?? '')}:${encodeURIComponent(typeof password === 'string' ? password : '')}@localhost/${database ?? ''}?host=${encodeURIComponent(host ?? '')}&port=${port ?? 5432}`;

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/**
 * Starts the server on a data folder and waits until it is ready.
 * @throws with what it printed when it ends instead
 */
export async function startServer(
  dataDir: string,
  env: Readonly<Record<string, string>> = {},
  nodeOptions: readonly string[] = [],
): Promise<RunningServer> {
  const port = env['PORT'] === undefined ? await freePort() : Number(env['PORT']);
  const started = performance.now();
  const child = spawn(
    process.execPath,
    [...nodeOptionsOfStart(), ...nodeOptions, path.join(projectFolder, 'src', 'main.ts')],
    {
      cwd: projectFolder,
      env: {
        PATH: process.env['PATH'],
        HOME: process.env['HOME'],
        DATA_DIR: dataDir,
        PORT: String(port),
        HOST: '127.0.0.1',
        LOG_LEVEL: 'warn',
        DEMO: 'off',
        // People come from addresses of their own, which the load generator tells.
        TRUSTED_PROXIES: '127.0.0.1',
        RATE_LIMIT: 'off',
        ...BENCH_CLIENT,
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const ended = once(child, 'exit');
  let printed = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (printed = (printed + text).slice(-4000)));
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`the server ended at its start:\n${printed}`);
    const ready = await fetch(`http://127.0.0.1:${port}/readyz`).then(
      (r) => r.ok,
      () => false,
    );
    if (ready) break;
    if (performance.now() - started > 120_000) {
      child.kill('SIGKILL');
      throw new Error(`the server was not ready within two minutes:\n${printed}`);
    }
    await sleep(20);
  }
  return {
    port,
    pid: child.pid ?? 0,
    readyAfterMs: performance.now() - started,
    ended,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** Memory of a process in MiB, now and at its highest. Linux only; NaN elsewhere. */
export function memoryOf(pid: number): { readonly nowMiB: number; readonly peakMiB: number } {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const read = (name: string): number =>
      Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? Number.NaN) / 1024;
    return { nowMiB: read('VmRSS'), peakMiB: read('VmHWM') };
  } catch {
    return { nowMiB: Number.NaN, peakMiB: Number.NaN };
  }
}

const TICK_MS = 10;

/** Fields of `/proc/<pid>/stat` after the name; none when the process is gone or the system has no such thing. */
function statOf(pid: number | string): readonly string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}

const ticks = (stat: readonly string[], from: number, to: number): number =>
  stat.slice(from, to).reduce((sum, n) => sum + Number(n), 0);

/** Processor time that a process has used, in ms. Linux only; 0 elsewhere. */
export const cpuOf = (pid: number): number => ticks(statOf(pid), 11, 13) * TICK_MS;

/** Processor time of the embedded PostgreSQL with all its sessions, those that have ended included, in ms. */
export function postgresCpu(dataDir: string): number {
  let postmaster: number;
  try {
    postmaster = Number(readFileSync(path.join(dataDir, 'postgres', 'data', 'postmaster.pid'), 'utf8').split('\n')[0]);
    const sessions = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(statOf)
      .filter((stat) => Number(stat[1]) === postmaster);
    return (ticks(statOf(postmaster), 11, 15) + sessions.reduce((sum, s) => sum + ticks(s, 11, 13), 0)) * TICK_MS;
  } catch {
    return 0;
  }
}

async function ask<T>(child: ChildProcess, message: object): Promise<T> {
  const answer = once(child, 'message') as Promise<[T]>;
  child.send(message);
  return (await answer)[0];
}

const started = (file: URL): ChildProcess => fork(file, [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });

export interface LoadGenerator {
  run(job: Job): Promise<Measured>;
  stop(): void;
}

export function startClient(): LoadGenerator {
  const child = started(new URL('./client.ts', import.meta.url));
  return { run: (job) => ask<Measured>(child, job), stop: () => child.disconnect() };
}

export interface Floor {
  readonly port: number;
  readonly pid: number;
  script(job: ScriptJob): Promise<Measured>;
  /** What a route answers with. */
  lend(answer: FloorAnswer): void;
  stop(): void;
}

export async function startFloor(connection: pg.ClientConfig): Promise<Floor> {
  const child = started(new URL('./floor.ts', import.meta.url));
  const { port } = await ask<{ port: number }>(child, { kind: 'start', connection } satisfies FloorStart);
  return {
    port,
    pid: child.pid ?? 0,
    script: (job) => ask<Measured>(child, job),
    lend: (answer) => void child.send(answer),
    stop: () => child.disconnect(),
  };
}
