/** The way of a side effect: outbox row, relay, queue, job; on both backends of the queue. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startWorker } from '../../src/compose-worker.ts';
import { openClient, poolNamed } from '../../src/platform/database/pool.ts';
import {
  addToOutbox,
  claimOutbox,
  finishOutbox,
  outboxStatus,
  postponeOutbox,
  sweepOutbox,
} from '../../src/platform/outbox.ts';
import { openTestKairos, type TestKairos } from '../support/kairos.ts';
import { hasRedis, openRedis } from '../support/redis.ts';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function open(env: Record<string, string> = {}): Promise<TestKairos> {
  const kairos = await openTestKairos({ env });
  closing.push(kairos.close);
  return kairos;
}

/** A column that has drifted from its resource, and the way back. */
async function expectReindexed(kairos: TestKairos): Promise<void> {
  const { pool } = kairos;
  await poolNamed(
    pool,
    `insert into slot (id, version, last_updated, method, content, status)
     values ('drifted', 1, now(), 'POST', $1, 'busy')`,
    [
      '{"resourceType":"Slot","id":"drifted","schedule":{"reference":"Schedule/1"},"status":"free","start":"2026-01-01T10:00:00Z","end":"2026-01-01T10:30:00Z"}',
    ],
  );
  const row = await addToOutbox(pool, 'reindex', { types: ['Slot'] });
  const worker = await startWorker(kairos);
  closing.push(worker.close);
  await expect.poll(() => outboxStatus(pool, row), { timeout: 20_000 }).toBe('done');
  const status = async (): Promise<unknown> =>
    (await poolNamed(pool, `select status, schedule from slot where id = 'drifted'`)).rows[0];
  await expect.poll(status, { timeout: 20_000 }).toEqual(['free', 'Schedule/1']);
  await worker.idle();
}

test('a queue in PostgreSQL: an outbox row makes the reindex job run, as the application role', async () => {
  const kairos = await open();
  await expectReindexed(kairos);
  const client = await openClient(kairos.roles.owner, 'test', 5_000);
  const { rows } = await client.query<string[]>({
    text: `select distinct tableowner from pg_tables where schemaname in ('public', 'bullmq')`,
    rowMode: 'array',
  });
  expect(rows).toEqual([['kairos_owner']]);
  await client.end();
});

// Registered only where there is a Redis to run; CI installs one.
if (hasRedis) {
  test('a queue in Redis does the same', async () => {
    const redis = await openRedis();
    closing.push(redis.close);
    await expectReindexed(await open({ REDIS_URL: redis.url }));
  });
}

describe('outbox', () => {
  let kairos: TestKairos;
  beforeAll(async () => {
    kairos = await openTestKairos();
  });
  beforeEach(() => poolNamed(kairos.pool, 'delete from outbox'));
  afterAll(() => kairos.close());

  test('rows are claimed by one relay at a time, and again when its lease has run out', async () => {
    const { pool } = kairos;
    for (let i = 0; i < 20; i++) await addToOutbox(pool, 'topic', { i });
    const [a, b] = await Promise.all([claimOutbox(pool, 10), claimOutbox(pool, 10)]);
    expect(new Set([...a, ...b].map((r) => r.id)).size).toBe(20);
    expect(await claimOutbox(pool, 10)).toEqual([]);
    await poolNamed(pool, `update outbox set available_at = now()`);
    const again = await claimOutbox(pool, 30);
    expect(again.map((r) => r.attempts)).toEqual(Array.from({ length: 20 }, () => 2));
  });

  test('a row committed late, with a smaller id, is not skipped', async () => {
    const { pool } = kairos;
    const late = await pool.connect();
    await late.query('begin');
    await late.query(`insert into outbox (topic, payload) values ('late', '{}')`);
    await addToOutbox(pool, 'early', {});
    expect((await claimOutbox(pool, 10)).map((r) => r.topic)).toEqual(['early']);
    await late.query('commit');
    late.release();
    expect((await claimOutbox(pool, 10)).map((r) => r.topic)).toEqual(['late']);
  });

  test('a row that nobody can handle is put off, and is dead after ten tries; done rows are forgotten after a week', async () => {
    const { pool } = kairos;
    const row = { id: await addToOutbox(pool, 'nobody', {}), topic: 'nobody', payload: {} };
    await postponeOutbox(pool, { ...row, attempts: 9 }, 'nobody');
    expect(await outboxStatus(pool, row.id)).toBe('pending');
    expect(await claimOutbox(pool, 10)).toEqual([]);
    await postponeOutbox(pool, { ...row, attempts: 10 }, 'nobody');
    expect(await outboxStatus(pool, row.id)).toBe('dead');
    const done = await addToOutbox(pool, 'done', {});
    await finishOutbox(pool, done);
    expect(await sweepOutbox(pool, 7)).toBe(0);
    await poolNamed(pool, `update outbox set created_at = now() - interval '8 days'`);
    expect(await sweepOutbox(pool, 7)).toBe(1);
    expect(await outboxStatus(pool, row.id)).toBe('dead');
  });
});
