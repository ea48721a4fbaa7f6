/** The server as its operator runs it: a process with a socket and a data folder. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { projectFolder } from '../../src/platform/paths.ts';
import { ROBOT } from './robot.ts';

/** Arguments of Node.js for a program of the project, started as npm's scripts start it. @param file from the project's folder on */
export const program = (file: string): readonly string[] => [
  `--import=${pathToFileURL(path.join(projectFolder, 'src/compile-cache.mjs')).href}`,
  path.join(projectFolder, file),
];

export interface ServerProcess {
  readonly pid: number;
  /** Everything it has said so far, on both streams. */
  said(): string;
  /** The FHIR base, once the server is ready. @throws when it ends before */
  readonly base: Promise<string>;
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
  signal(name: NodeJS.Signals): void;
}

/**
 * Starts `src/main.ts` without a demo, on a free port, unless the environment says otherwise.
 * @param cwd where a `.env` may stand; by default away from a developer's
 */
export function startServer(env: Readonly<Record<string, string>>, cwd = '/'): ServerProcess {
  const child = spawn(process.execPath, program('src/main.ts'), {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', PORT: '0', DEMO: 'off', LOG_LEVEL: 'warn', ...ROBOT, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  const listeners = new Set<() => void>();
  const hear = (chunk: string): void => {
    text += chunk;
    for (const listener of listeners) listener();
  };
  child.stdout.setEncoding('utf8').on('data', hear);
  child.stderr.setEncoding('utf8').on('data', hear);
  const ended = new Promise<number | string>((resolve) => child.on('close', (code, by) => resolve(by ?? code ?? 1)));
  const base = new Promise<string>((resolve, reject) => {
    const look = (): void => {
      const url = /FHIR {2}(\S+)/.exec(text)?.[1];
      if (url !== undefined) resolve(url.replace('localhost', '127.0.0.1'));
    };
    listeners.add(look);
    void ended.then(() => reject(new Error(`The server ended before it was ready: ${text}`)));
  });
  base.catch(() => undefined);
  return { pid: child.pid ?? 0, said: () => text, base, ended, signal: (name) => child.kill(name) };
}
