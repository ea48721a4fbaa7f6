/** Processes that are killed, and started again at once, as a supervisor would. @see https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html#Restart= */
import { spawn, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { projectFolder } from '../../platform/paths.ts';
import { startServer } from '../processes.ts';

export interface Kept {
  readonly name: string;
  runs(): boolean;
  /** SIGKILL, if it runs just now. @returns whether it did */
  kill(): boolean;
  /** Ends it for good, in order. */
  stop(): Promise<void>;
}

const PAUSE_MS = 100;

interface Started {
  readonly pid: number;
  /** Resolves when it has ended, however it was. */
  readonly ended: Promise<unknown>;
  stop(): Promise<void>;
}

/** @param start resolves once the process works; what it throws is tried again */
function keep(name: string, start: () => Promise<Started>): Kept & { readonly first: Promise<void> } {
  let running: Started | undefined;
  const stopping = new AbortController();
  const first = Promise.withResolvers<void>();
  const loop = (async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        const started = await start();
        running = started;
        first.resolve();
        await started.ended;
      } catch {
        // The database may be down just now.
      }
      running = undefined;
      await sleep(PAUSE_MS);
    }
  })();
  return {
    name,
    first: first.promise,
    runs: () => running !== undefined,
    kill() {
      if (!running) return false;
      process.kill(running.pid, 'SIGKILL');
      running = undefined;
      return true;
    },
    async stop() {
      stopping.abort();
      await running?.stop();
      await loop;
      // One that had just been coming up.
      await running?.stop();
    },
  };
}

const endOf = (child: ChildProcess): Promise<unknown> => new Promise((resolve) => child.once('close', resolve));

/** A server on a port of its own, as `npm start` runs it. */
export async function keepServer(port: number, env: Readonly<Record<string, string>>): Promise<Kept> {
  const kept = keep(`server ${port}`, () => startServer('/nowhere', { ...env, PORT: String(port) }));
  await kept.first;
  return kept;
}

/** A worker, as `npm run worker` runs it. */
export async function keepWorker(env: Readonly<Record<string, string>>): Promise<Kept> {
  const kept = keep('worker', async () => {
    const file = path.join(projectFolder, 'src', 'worker.ts');
    const child = spawn(process.execPath, ['--import=./src/compile-cache.mjs', file], {
      cwd: projectFolder,
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], DEMO: 'off', ...env },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const ended = endOf(child);
    await new Promise<void>((resolve, reject) => {
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        if (text.includes('The worker runs')) resolve();
      });
      void ended.then(() => reject(new Error('the worker ended at its start')));
    });
    return {
      pid: child.pid ?? 0,
      ended,
      stop: async () => {
        child.kill('SIGTERM');
        await ended;
      },
    };
  });
  await kept.first;
  return kept;
}
