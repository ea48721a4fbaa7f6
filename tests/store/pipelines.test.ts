/** Reading statements that share connections: nobody waits for a slow one, and errors stay with their own. */
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPipelines, type Pipelines } from '../../src/platform/database/pipelines.ts';
import { openClient } from '../../src/platform/database/pool.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let pipelines: Pipelines;
let opened = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  pipelines = createPipelines(
    () => {
      opened++;
      return openClient(database.app, 'test pipeline', 5000);
    },
    2,
    4,
  );
});
afterAll(async () => {
  await pipelines.close();
  await database.drop();
});

const value = async (n: number): Promise<string | null | undefined> =>
  (await pipelines.read('select $1::integer * 2', [n])).rows[0]?.[0];

describe('pipelines', () => {
  it('many statements at once use few connections, and each gets its own reply', async () => {
    const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => value(n)));
    expect(answers).toEqual(Array.from({ length: 200 }, (_, n) => String(n * 2)));
    expect(opened).toBeLessThanOrEqual(4);
  });

  it('an error stays with the statement that caused it', async () => {
    const settled = await Promise.allSettled([value(1), pipelines.read('select 1 / $1::integer', [0]), value(2)]);
    expect(settled.map((s) => s.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  it('a slow statement holds up nothing that comes after it', async () => {
    const order: string[] = [];
    const slow = [0, 1].map(() => pipelines.read('select pg_sleep(0.5)', []).then(() => order.push('slow')));
    await new Promise((resolve) => setTimeout(resolve, 50));
    await Promise.all(Array.from({ length: 20 }, (_, n) => value(n).then(() => order.push('quick'))));
    await Promise.all(slow);
    expect(order.slice(0, 20)).toEqual(Array.from({ length: 20 }, () => 'quick'));
  });

  it('statements whose connection breaks are sent again', async () => {
    const admin = new Client(database.superuser);
    await admin.connect();
    const running = Promise.all(Array.from({ length: 50 }, (_, n) => value(n)));
    await admin.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'test pipeline'`,
    );
    await admin.end();
    expect(await running).toHaveLength(50);
    expect(await value(21)).toBe('42');
  });
});
