/** Commands tell how they are used before they do anything: https://www.gnu.org/prep/standards/html_node/Command_002dLine-Interfaces.html */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { program } from '../support/process.ts';

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(path.join(os.tmpdir(), 'kairos-usage-'))));
afterAll(() => rm(folder, { recursive: true, force: true }));

const COMMANDS: Readonly<Record<string, string>> = {
  slots: '--help',
  jobs: '--help',
  storm: '--attempts, --clients',
  doctor: '--help',
  bench: '--quick, --only',
  drill: '--times, --guesses',
  seed: '--seed, --today',
  import: '--help',
  accounts: '--role, --kind',
  clients: '--name, --scope',
  reindex: '--help',
  migrate: '--help',
};

interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Anything that it begins to do would make the folder of its data, or one beside it. */
const run = (command: string, ...args: string[]): Promise<Said> =>
  new Promise((resolve) => {
    const env = { PATH: process.env['PATH'], DATA_DIR: path.join(folder, 'data'), TMPDIR: path.join(folder, 'none') };
    execFile(
      process.execPath,
      [...program(`src/cli/${command}.ts`), ...args],
      { cwd: folder, env, timeout: 20_000 },
      (error, out, err) => resolve({ code: error ? Number(error.code ?? -1) : 0, out, err }),
    );
  });

test.each(Object.keys(COMMANDS))('npm run %s -- --help says how it is used, and no more', async (command) => {
  for (const flag of ['--help', '-h']) {
    const { code, out, err } = await run(command, flag);
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain(`npm run ${command}`);
  }
  expect(existsSync(path.join(folder, 'data'))).toBe(false);
});

test.each(Object.entries(COMMANDS))('npm run %s names its options to who gives another', async (command, known) => {
  const { code, out, err } = await run(command, '--quickly');
  expect([code, out]).toEqual([1, '']);
  expect(err).toContain("Unknown option '--quickly'. Options: ");
  expect(err).toContain(known);
  expect(err).not.toMatch(/^ {4}at .*:\d+/m);
  expect(existsSync(path.join(folder, 'data'))).toBe(false);
});
