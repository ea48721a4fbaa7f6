/**
 * Processes that run jobs: killed in the middle, alone, beside a queue that is away, and what the command line tells of them.
 * security.md B2.3, B2.4, B2.5, B2.13
 */
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { urlOf } from '../../src/bench/processes.ts';
import { openPool } from '../../src/platform/database/pool.ts';
import { addToOutbox, outboxStatus } from '../../src/platform/outbox.ts';
import { createTestDatabase } from '../support/database.ts';
import { program, startServer, type ServerProcess } from '../support/process.ts';
import { freePort, hasRedis, openRedis, type TestRedis } from '../support/redis.ts';
import { asRobot } from '../support/robot.ts';
import { TEST_ROOT_KEY } from '../support/root-key.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

type Environment = Readonly<Record<string, string>>;

interface Program {
  said(): string;
  signal(name: NodeJS.Signals): void;
  readonly ended: Promise<number | string>;
}

/** @param file of the project */
function run(file: string, env: Environment): Program {
  const child = spawn(process.execPath, program(file), {
    cwd: '/',
    env: { PATH: process.env['PATH'] ?? '', DEMO: 'off', LOG_LEVEL: 'error', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (c: string) => (text += c));
  const ended = new Promise<number | string>((resolve) => child.on('close', (code, by) => resolve(by ?? code ?? 1)));
  closing.push(() => {
    child.kill('SIGKILL');
    return ended;
  });
  return { said: () => text, signal: (name) => child.kill(name), ended };
}

function serve(env: Environment): ServerProcess {
  const server = startServer(env);
  closing.push(() => {
    server.signal('SIGTERM');
    return server.ended;
  });
  return server;
}

async function folder(): Promise<string> {
  const made = await mkdtemp(path.join(os.tmpdir(), 'kairos-jobs-'));
  closing.push(() => rm(made, { recursive: true, force: true }));
  return made;
}

async function redisOf(backend: string): Promise<TestRedis | undefined> {
  const redis = backend === 'Redis' ? await openRedis() : undefined;
  if (redis) closing.push(redis.close);
  return redis;
}

/** A database of one's own for processes, and a look at its outbox. */
async function openDatabase(redis: TestRedis | undefined) {
  const roles = await createTestDatabase();
  closing.push(roles.drop);
  const pool = openPool(roles.app, { max: 2, name: 'test', statementTimeoutMs: 5_000 });
  closing.push(() => pool.end());
  const env = {
    DATABASE_URL: urlOf(roles.app),
    DATABASE_OWNER_URL: urlOf(roles.owner),
    ROOT_KEY: TEST_ROOT_KEY,
    ...(redis ? { REDIS_URL: redis.url } : {}),
  };
  const settled = (row: string, status = 'done'): Promise<void> =>
    expect.poll(() => outboxStatus(pool, row), { timeout: 30_000, interval: 100 }).toBe(status);
  return { pool, env, settled };
}

/** `npm run jobs -- …`. */
async function jobs(env: Environment, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const options = { cwd: '/', env: { PATH: process.env['PATH'] ?? '', DEMO: 'off', LOG_LEVEL: 'error', ...env } };
  try {
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      [...program('src/cli/jobs.ts'), ...args],
      options,
    );
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, out: stdout, err: stderr };
  }
}

describe.each(hasRedis ? ['PostgreSQL', 'Redis'] : ['PostgreSQL'])('with a queue in %s', (backend) => {
  test('npm run worker runs jobs alone, says which, and stops when told', async () => {
    const { pool, env, settled } = await openDatabase(await redisOf(backend));
    const row = await addToOutbox(pool, 'reindex', { types: ['Slot'] });
    const worker = run('src/worker.ts', env);
    await settled(row);
    await expect.poll(() => worker.said()).toContain('The worker runs; stop it with Ctrl-C.');
    expect(worker.said()).toMatch(/^relay-outbox +every 2 s/m);
    const { code, out } = await jobs(env, 'status');
    expect(code).toBe(0);
    expect(out).toMatch(/^reindex +40 3 \* \* \* UTC +in \d+ \w+ +\d+ s ago +- +1 +0 +0 +0 +0$/m);
    worker.signal('SIGTERM');
    expect(await worker.ended).toBe(0);
  });

  test('B2.3: kill -9 in the middle of a job: another worker runs it again, as the same try', async () => {
    const { pool, env, settled } = await openDatabase(await redisOf(backend));
    const first = run('tests/support/slow-worker.ts', { ...env, SLOW_MS: '60000' });
    const row = await addToOutbox(pool, 'slow', {});
    await expect.poll(() => first.said(), { timeout: 20_000 }).toContain('began 1');
    first.signal('SIGKILL');
    expect(await first.ended).toBe('SIGKILL');
    expect(await outboxStatus(pool, row)).toBe('sent');
    const second = run('tests/support/slow-worker.ts', { ...env, SLOW_MS: '10' });
    await settled(row);
    expect(second.said()).toContain('began 1');
    expect(second.said()).toContain('ended');
  });

  test('B2.11: a job whose worker dies each time is given up, and dead', async () => {
    const { pool, env, settled } = await openDatabase(await redisOf(backend));
    const row = await addToOutbox(pool, 'slow', {});
    for (let i = 0; i < 5; i++) {
      const worker = run('tests/support/slow-worker.ts', { ...env, SLOW_MS: '60000' });
      await expect.poll(() => worker.said(), { timeout: 20_000 }).toContain('began');
      worker.signal('SIGKILL');
      await worker.ended;
    }
    run('tests/support/slow-worker.ts', { ...env, SLOW_MS: '10' });
    await settled(row, 'dead');
    expect((await jobs(env, 'status')).out).toContain('slow  1  Its worker died each time');
  });
});

test('the command line: beside a server that owns the database, and without one', async () => {
  const env = { DATA_DIR: await folder() };
  expect(await jobs(env, 'nothing')).toMatchObject({
    code: 1,
    err: expect.stringContaining('npm run jobs -- <command>') as string,
  });
  expect(await jobs(env, 'run', 'nothing')).toMatchObject({
    code: 1,
    err: expect.stringMatching(/There is no job nothing: .*\n$/) as string,
  });
  // Nobody else works: it does it itself.
  expect(await jobs(env, 'run', 'sweep-outbox')).toMatchObject({ code: 0, out: 'sweep-outbox is done.\n' });
  const server = serve(env);
  await server.base;
  const before = Date.now();
  expect((await jobs(env, 'run', 'rotate-signing-keys')).out).toContain('rotate-signing-keys is queued');
  await expect
    .poll(async () => (await jobs(env, 'status')).out, { timeout: 20_000, interval: 500 })
    .toMatch(/^rotate-signing-keys +10 2 \* \* \* UTC +in \d+ \w+ +\d+ s ago +- +1 +0 /m);
  expect(Date.now() - before).toBeLessThan(15_000);
  expect(await jobs(env, 'retry')).toMatchObject({
    code: 0,
    out: 'Tried once more: 0 dead rows of the outbox, 0 failed jobs of the queue.\n',
  });
  const page = await (await fetch(new URL('/metrics', await server.base))).text();
  expect(page).toMatch(/^job_runs_total\{job="rotate-signing-keys"\} 1$/m);
});

test('B2.5: PostgreSQL is killed and started again under the server, and jobs go on', async () => {
  const DATA_DIR = await folder();
  const server = serve({ DATA_DIR, LOG_LEVEL: 'silent' });
  const base = await server.base;
  const runs = async (): Promise<number> => {
    const page = await (await fetch(new URL('/metrics', base))).text();
    return Number(/^job_runs_total\{job="relay-outbox"\} (\d+)$/m.exec(page)?.[1] ?? 0);
  };
  await expect.poll(runs, { timeout: 20_000, interval: 500 }).toBeGreaterThan(0);
  process.kill(
    Number((await readFile(path.join(DATA_DIR, 'postgres/data/postmaster.pid'), 'utf8')).split('\n')[0]),
    'SIGKILL',
  );
  const then = await runs();
  await expect.poll(runs, { timeout: 30_000, interval: 500 }).toBeGreaterThan(then + 2);
});

test.runIf(hasRedis)('B2.4: the server starts, serves and stops without its Redis; jobs wait for it', async () => {
  const { pool, env, settled } = await openDatabase(undefined);
  const redis = await openRedis({ running: false });
  closing.push(redis.close);
  const server = serve({ ...env, REDIS_URL: redis.url, LOG_LEVEL: 'silent' });
  const base = await server.base;
  const robot = await asRobot(base);
  const create = async (): Promise<readonly [number, number]> => {
    const began = performance.now();
    const { status } = await fetch(`${base}/Organization`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/fhir+json', ...robot },
      body: JSON.stringify({ resourceType: 'Organization', name: 'Kept' }),
    });
    return [status, performance.now() - began];
  };
  const expectServing = async (): Promise<void> => {
    const [status, ms] = await create();
    expect(status).toBe(201);
    expect(ms).toBeLessThan(1_000);
    expect((await fetch(new URL('/readyz', base))).status).toBe(200);
  };
  const row = await addToOutbox(pool, 'reindex', { types: ['Slot'] });
  await expectServing();
  expect(await (await fetch(new URL('/metrics', base))).text()).toMatch(/^queue_up 0$/m);
  const told = await jobs({ ...env, REDIS_URL: redis.url }, 'status');
  expect([told.code, told.out]).toEqual([0, expect.stringMatching(/^Queue {3}Redis at 127.0.0.1:\d+ does not answer/)]);

  await redis.start();
  await settled(row);
  await expect
    .poll(async () => (await fetch(new URL('/metrics', base))).text(), { timeout: 10_000, interval: 500 })
    .toMatch(/^queue_up 1$/m);

  await redis.kill();
  const again = await addToOutbox(pool, 'reindex', { types: ['Slot'] });
  await expectServing();
  await redis.start();
  await settled(again);

  await redis.kill();
  const began = performance.now();
  server.signal('SIGTERM');
  expect(await server.ended).toBe(0);
  expect(performance.now() - began).toBeLessThan(20_000);
});

test.runIf(hasRedis)('a server that never had its Redis stops when told', async () => {
  const { env } = await openDatabase(undefined);
  const server = serve({ ...env, REDIS_URL: `redis://127.0.0.1:${await freePort()}`, LOG_LEVEL: 'silent' });
  await server.base;
  const began = performance.now();
  server.signal('SIGTERM');
  expect(await server.ended).toBe(0);
  expect(performance.now() - began).toBeLessThan(12_000);
});
