/** A Redis of one's own on a free port, keeping nothing on disk; where the machine has none, tests of it are left out. CI installs one. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { connect, createServer } from 'node:net';
import os from 'node:os';

export const hasRedis = ((): boolean => {
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}

export interface TestRedis {
  readonly url: string;
  /** One command without quotes, `FLUSHALL`. @returns the first line of the reply */
  ask(command: string): Promise<string>;
  /** Ends it at once, as a crash does. */
  kill(): Promise<void>;
  /** Starts it again, empty. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/** @param running whether it runs already */
export async function openRedis({ running = true } = {}): Promise<TestRedis> {
  const port = await freePort();
  let process: ChildProcess | undefined;
  let ended: Promise<unknown> = Promise.resolve();

  const ask = (command: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => socket.write(`${command}\r\n`));
      socket.on('error', reject);
      socket.once('data', (data) => {
        socket.destroy();
        resolve(data.toString().split('\r\n', 1)[0] ?? '');
      });
    });
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    process?.kill(signal);
    await ended;
    process = undefined;
  };
  const start = async (): Promise<void> => {
    const child = spawn(
      'redis-server',
      ['--port', String(port), '--save', '', '--appendonly', 'no', '--maxmemory-policy', 'noeviction'],
      { stdio: 'ignore', cwd: os.tmpdir() },
    );
    process = child;
    ended = new Promise((resolve) => child.once('exit', resolve));
    for (let tries = 0; tries < 100; tries++) {
      if ((await ask('PING').catch(() => '')) === '+PONG') return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error('Redis did not start');
  };
  if (running) await start();
  return { url: `redis://127.0.0.1:${port}`, ask, kill: () => end('SIGKILL'), start, close: () => end('SIGTERM') };
}
