import { afterAll, beforeAll, expect, test } from 'vitest';
import { openClient, openPool, poolNamed, runNamed } from '../../src/platform/database/pool.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

test('values come back as text, in UTC', async () => {
  const pool = openPool(database.app, { max: 1, name: 'test', statementTimeoutMs: 5_000 });
  const { rows } = await poolNamed(pool, `select 1, true, null, $1::timestamptz, array['a']`, [
    '2026-01-01T00:00:00+02:00',
  ]);
  expect(rows).toEqual([['1', 't', null, '2025-12-31 22:00:00+00', '{a}']]);
  await pool.end();
});

test('a statement over its time is ended, and the pool goes on', async () => {
  const pool = openPool(database.app, { max: 1, name: 'test', statementTimeoutMs: 100 });
  await expect(poolNamed(pool, 'select pg_sleep(5)')).rejects.toMatchObject({ code: '57014' });
  expect((await poolNamed(pool, 'select 2')).rows).toEqual([['2']]);
  await pool.end();
});

test('endless shapes of statements leave a bounded number prepared', async () => {
  const client = await openClient(database.app, 'test', 5_000);
  const hot = 'select $1::int + 1';
  for (let i = 0; i < 300; i++) {
    await runNamed(client, `select ${i}`);
    expect((await runNamed(client, hot, [i])).rows).toEqual([[String(i + 1)]]);
  }
  const prepared = await client.query<string[]>({
    text: `select count(*), count(*) filter (where statement = '${hot}') from pg_prepared_statements`,
    rowMode: 'array',
  });
  expect(Number(prepared.rows[0]?.[0])).toBeLessThanOrEqual(201);
  expect(prepared.rows[0]?.[1]).toBe('1');
  await client.end();
});

test('the application role may not change the schema', async () => {
  const client = await openClient(database.app, 'test', 5_000);
  await expect(client.query('create table mine (id int)')).rejects.toMatchObject({ code: '42501' });
  await client.end();
});
