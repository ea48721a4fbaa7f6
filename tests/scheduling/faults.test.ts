/**
 * kill -9 of servers, worker, sessions of PostgreSQL and PostgreSQL itself in the middle of bookings, and a Redis that is emptied and dies. security.md B2.2 to
 * B2.5. `npm run storm -- --kill` is the long one.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { kill, killReport, openKillStage, type KillResult } from '../../src/bench/storm/kill.ts';
import { reportOf } from '../../src/bench/storm/report.ts';
import { storm, type StormResult } from '../../src/bench/storm/run.ts';
import { onDatabase, openStage } from '../../src/bench/storm/stage.ts';
import { seeded } from '../../src/demo/random.ts';
import { checkInvariants } from '../../src/compose-doctor.ts';
import { givenRootKeys } from '../../src/platform/root-keys.ts';
import { createTestDatabase } from '../support/database.ts';
import { hasRedis, openRedis } from '../support/redis.ts';
import { TEST_ROOT_KEY } from '../support/root-key.ts';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

test(
  'what was acknowledged is there once, nobody is booked twice, holds run out, jobs go on: whatever was killed',
  { timeout: 240_000 },
  async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'kairos-faults-'));
    closing.push(() => rm(folder, { recursive: true, force: true }));
    const stage = await openKillStage(folder, 16);
    closing.push(stage.close);
    const { next: random } = seeded('faults');
    let result: KillResult | undefined;
    // A run in which every request was answered proves nothing: then there are more at the same time.
    for (const [turn, everyMs] of [800, 500, 300].entries()) {
      // Each kind of thing once.
      result = await kill({ stage, kills: 5, everyMs, hot: 20, day: 3 + turn, random, say: () => undefined });
      if (result.unknown > 0) break;
      console.log('A run was void: every request was answered.');
    }
    if (!result) throw new Error('nothing ran');
    expect(Object.keys(result.kills)).toHaveLength(5);
    const { lines, problems } = killReport(
      result,
      await checkInvariants(stage.postgres.app, givenRootKeys(stage.env.ROOT_KEY)),
    );
    expect(problems, lines.join('\n')).toEqual([]);
    expect(result.acknowledged).toBeGreaterThan(10);
  },
);

// Without a redis-server on the machine this is left out, and says so.
test.skipIf(!hasRedis)(
  'Redis is emptied, then dies: booking goes on, and what the queue lost is made again',
  { timeout: 240_000 },
  async () => {
    const redis = await openRedis();
    closing.push(redis.close);
    const database = await createTestDatabase();
    closing.push(database.drop);
    const stage = await openStage(database, 16, { ROOT_KEY: TEST_ROOT_KEY, REDIS_URL: redis.url, LOG_LEVEL: 'silent' });
    closing.push(stage.close);
    const run = (firstDay: number): Promise<StormResult> =>
      storm({
        wire: stage.wire,
        people: stage.people,
        ports: stage.servers.map((s) => s.port),
        generated: firstDay === 3,
        attempts: 100,
        rounds: 0,
        firstDay,
        random: seeded('redis', firstDay).next,
        say: () => undefined,
      });
    const pass = async (result: StormResult): Promise<void> => {
      const { lines, problems } = reportOf(result, [], 0);
      expect(problems, lines.join('\n')).toEqual([]);
    };
    await pass(await run(3));
    expect(await redis.ask('FLUSHALL')).toBe('+OK');
    await pass(await run(8));
    await redis.kill();
    await pass(await run(13));
    await onDatabase(database.app, `insert into outbox (topic, payload) values ('reindex', '{"types":["Location"]}')`);
    await redis.start();
    const left = (): Promise<unknown> =>
      onDatabase(
        database.app,
        `select (select count(*) from outbox where topic = 'reindex' and status <> 'done') + (select count(*) from scheduling_hold where expires < now())`,
      ).then((rows) => Number(rows[0]?.[0]));
    await expect.poll(left, { timeout: 90_000, interval: 500 }).toBe(0);
    const found = (await checkInvariants(database.app, givenRootKeys(TEST_ROOT_KEY))).filter((c) => c.found.length > 0);
    expect(found).toEqual([]);
  },
);
