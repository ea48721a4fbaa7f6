/** The embedded database through crashes, other processes and foreign folders. */
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openEmbeddedPostgres } from '../../src/platform/embedded-postgres.ts';

const quick = { durable: false } as const;
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'kairos-embedded-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function ask(connection: pg.ClientConfig, text: string): Promise<unknown> {
  const client = new pg.Client(connection);
  await client.connect();
  try {
    const { rows } = await client.query<unknown[]>({ text, rowMode: 'array' });
    return rows[0]?.[0];
  } finally {
    await client.end();
  }
}

const serverPid = async (): Promise<number> =>
  Number((await readFile(path.join(folder, 'postgres', 'data', 'postmaster.pid'), 'utf8')).split('\n')[0]);

async function gone(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('is created once, with C.UTF-8, two roles, and secrets that only the owner reads', async () => {
  const first = await openEmbeddedPostgres(folder, quick);
  expect(first.how).toBe('initialised');
  expect(await ask(first.app, 'select current_user')).toBe('kairos_app');
  expect(await ask(first.owner, 'select rolsuper from pg_roles where rolname = current_user')).toBe(false);
  expect(
    await ask(
      first.app,
      `select datlocprovider::text || ' ' || datlocale || ' ' || pg_encoding_to_char(encoding) from pg_database where datname = current_database()`,
    ),
  ).toBe('b C.UTF-8 UTF8');
  await expect(ask({ ...first.app, password: 'wrong' }, 'select 1')).rejects.toMatchObject({ code: '28P01' });
  const pid = await serverPid();
  await first.close();
  await gone(pid);
  const second = await openEmbeddedPostgres(folder, quick);
  expect(second.how).toBe('started');
  await second.close();
});

test('the last process to leave stops it; a claim is exclusive', async () => {
  const first = await openEmbeddedPostgres(folder, quick);
  const second = await openEmbeddedPostgres(folder, quick);
  expect(second.how).toBe('joined');
  expect(await first.claim('server')).toBe(true);
  expect(await second.claim('server')).toBe(false);
  await first.close();
  expect(await ask(second.app, 'select 1')).toBe(1);
  expect(await second.claim('server')).toBe(true);
  const pid = await serverPid();
  await second.close();
  await gone(pid);
});

test('processes that start at once agree on one server', async () => {
  const all = await Promise.all([1, 2, 3].map(() => openEmbeddedPostgres(folder, quick)));
  const starts = await Promise.all(all.map((s) => ask(s.app, 'select pg_postmaster_start_time()::text')));
  expect(new Set(starts).size).toBe(1);
  await Promise.all(all.map((s) => s.close()));
});

test('a server that was killed recovers what was committed, and its stale lock file is no obstacle', async () => {
  const first = await openEmbeddedPostgres(folder);
  await ask(first.owner, 'create table kept (n int)');
  await ask(first.owner, 'insert into kept values (42)');
  const pid = await serverPid();
  process.kill(pid, 'SIGKILL');
  await gone(pid);
  const second = await openEmbeddedPostgres(folder);
  expect(await ask(second.owner, 'select n from kept')).toBe(42);
  await first.close();
  await second.close();
  // The number of the dead server may belong to any process: here, to this one.
  await writeFile(path.join(folder, 'postgres', 'data', 'postmaster.pid'), `${process.pid}\n${folder}\n`);
  await chmod(path.join(folder, 'postgres', 'data', 'postmaster.pid'), 0o644);
  const third = await openEmbeddedPostgres(folder);
  expect(await ask(third.owner, 'select n from kept')).toBe(42);
  await third.close();
});

test('a server that dies under a running process is started again, with its claims', async () => {
  const first = await openEmbeddedPostgres(folder, quick);
  await first.claim('server');
  const pid = await serverPid();
  process.kill(pid, 'SIGKILL');
  await gone(pid);
  const second = await openEmbeddedPostgres(folder, quick);
  expect(await ask(first.app, 'select 1')).toBe(1);
  // Whoever asks before the first is back would get it.
  const claimed = `select count(*)::int from pg_locks where locktype = 'advisory' and objid::bigint = (hashtext('server')::bigint & 4294967295)`;
  await expect.poll(() => ask(second.superuser, claimed), { timeout: 10_000 }).toBe(1);
  expect(await second.claim('server')).toBe(false);
  await first.close();
  await second.close();
});

test('a database of another major version is refused with a sentence', async () => {
  const server = await openEmbeddedPostgres(folder, quick);
  await server.close();
  await writeFile(path.join(folder, 'postgres', 'data', 'PG_VERSION'), '17\n');
  await expect(openEmbeddedPostgres(folder, quick)).rejects.toThrow(
    /holds a database of PostgreSQL 17.*runs PostgreSQL 18/,
  );
});

test('a folder that cannot be made is refused with a sentence', async () => {
  const file = path.join(folder, 'file');
  await writeFile(file, '');
  await expect(openEmbeddedPostgres(path.join(file, 'data'), quick)).rejects.toThrow(
    /^The data folder .* cannot be used/,
  );
});

test('a path too long for a socket works all the same', async () => {
  const deep = path.join(folder, 'a'.repeat(60), 'b'.repeat(60));
  const server = await openEmbeddedPostgres(deep, quick);
  expect(await ask(server.app, 'select 1')).toBe(1);
  await server.close();
});
