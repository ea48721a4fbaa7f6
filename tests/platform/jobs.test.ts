/**
 * Jobs, the same on both backends of the queue: what they tell, how they fail, and that nothing the queue loses is lost.
 * security.md B2.3, B2.4, B2.5, B2.11, C10
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startWorker, type RunningWorker, type StartOptions } from '../../src/compose-worker.ts';
import type { JobContext } from '../../src/job-context.ts';
import relayOutbox from '../../src/jobs/relay-outbox.ts';
import { openClient, poolNamed } from '../../src/platform/database/pool.ts';
import type { JobDeclaration, JobRun } from '../../src/platform/job.ts';
import { runsOfJobs, type RunsOfJob } from '../../src/platform/job-runs.ts';
import { statusText } from '../../src/platform/job-status.ts';
import { addToOutbox, countOutbox, deadOutbox, outboxStatus, reviveOutbox } from '../../src/platform/outbox.ts';
import type { JobQueue } from '../../src/platform/queue.ts';
import { openTestKairos, type TestKairos } from '../support/kairos.ts';
import { hasRedis, openRedis, type TestRedis } from '../support/redis.ts';

type Job = JobDeclaration<JobContext>;

/** As in `src/jobs/`, in less time. */
const relay: Job = { ...relayOutbox, schedule: { everyMs: 200 } };
const FAST: StartOptions = { sweepMs: 300, lockMs: 1_000, stalledMs: 300 };

const job = (name: string, run: (run: JobRun) => Promise<void> | void, more: Partial<Job> = {}): Job => ({
  name,
  description: name,
  retries: 2,
  backoffMs: 50,
  ...more,
  run: async (_, r) => run(r),
});

describe.each(hasRedis ? ['PostgreSQL', 'Redis'] : ['PostgreSQL'])('jobs with a queue in %s', (backend) => {
  let redis: TestRedis | undefined;
  let kairos: TestKairos;
  let queue: JobQueue;
  const workers: RunningWorker[] = [];

  beforeAll(async () => {
    redis = backend === 'Redis' ? await openRedis() : undefined;
    kairos = await openTestKairos({ env: { LOG_LEVEL: 'silent', ...(redis ? { REDIS_URL: redis.url } : {}) } });
    queue = await kairos.jobs.queue();
  });
  beforeEach(async () => {
    await loseEverything();
    await poolNamed(kairos.pool, 'delete from outbox');
    await poolNamed(kairos.pool, 'delete from job_run');
  });
  afterEach(async () => {
    for (const worker of workers.splice(0)) await worker.close();
  });
  afterAll(async () => {
    await kairos.close();
    await redis?.close();
  });

  async function start(jobs: readonly Job[], options: StartOptions = {}): Promise<RunningWorker> {
    const worker = await startWorker(kairos, { ...FAST, ...options, jobs: [relay, ...jobs] });
    workers.push(worker);
    return worker;
  }

  async function loseEverything(): Promise<void> {
    if (redis) {
      expect(await redis.ask('FLUSHALL')).toBe('+OK');
      return;
    }
    const client = await openClient(kairos.roles.owner, 'test', 5_000);
    const { rows } = await client.query<{ all: string }>(
      `select string_agg(format('bullmq.%I', relname), ', ') as all from pg_class
       where relnamespace = 'bullmq'::regnamespace and relkind = 'r' and relname <> 'migration'`,
    );
    await client.query(`truncate ${rows[0]?.all ?? ''}`);
    await client.end();
  }

  const ask = (topic: string, payload: object = {}): Promise<string> =>
    addToOutbox(kairos.pool, topic, payload as Record<string, unknown>);
  const settled = (row: string, status: string): Promise<void> =>
    expect.poll(() => outboxStatus(kairos.pool, row), { timeout: 20_000, interval: 50 }).toBe(status);
  const runsOf = async (name: string): Promise<RunsOfJob | undefined> =>
    (await runsOfJobs(kairos.pool)).find((r) => r.name === name);
  const status = async (jobs: readonly Job[]): Promise<string> =>
    statusText({
      jobs,
      runs: await runsOfJobs(kairos.pool),
      outbox: await countOutbox(kairos.pool),
      dead: await deadOutbox(kairos.pool),
      place: backend,
      queue: await queue.look().catch(() => undefined),
      now: Date.now(),
    });

  test('a row is sent until its job has ended, which takes what it does from the row alone', async () => {
    const gate = Promise.withResolvers<void>();
    const seen: JobRun[] = [];
    const slow = job('slow', (run) => {
      seen.push(run);
      return gate.promise;
    });
    await start([slow]);
    const row = await ask('slow', { id: 'letter-1' });
    await settled(row, 'sent');
    await expect.poll(() => seen.length).toBe(1);
    expect([seen[0]?.payload, seen[0]?.outboxId, seen[0]?.attempt]).toEqual([{ id: 'letter-1' }, row, 1]);
    expect(await countOutbox(kairos.pool)).toMatchObject({ pending: 0, sent: 1, dead: 0 });
    gate.resolve();
    await settled(row, 'done');
    await expect.poll(() => runsOf('slow')).toMatchObject({ runs: 1, failures: 0, lastFailed: undefined });
  });

  test('C10: a job that comes again after its row is done does nothing', async () => {
    let runs = 0;
    const worker = await start([job('plain', () => void runs++)]);
    const row = await ask('plain');
    await settled(row, 'done');
    // As a relay that was too late would; the queue has forgotten the first.
    await loseEverything();
    await queue.relay([{ id: row, topic: 'plain', payload: {}, attempts: 2 }]);
    await worker.idle();
    expect([runs, await outboxStatus(kairos.pool, row)]).toEqual([1, 'done']);
  });

  test('what runs says how far it is, and the table tells', async () => {
    const gate = Promise.withResolvers<void>();
    const counting = job('counting', async ({ progress }) => {
      progress(250, 1_000);
      await gate.promise;
    });
    const worker = await start([counting]);
    await ask('counting');
    await expect.poll(() => status([relay, counting]), { timeout: 10_000 }).toContain('counting  250 of 1,000');
    const text = await status([relay, counting]);
    expect(text).toMatch(new RegExp(`^Queue   ${backend}: [12] running, \\d waiting, 0 failed$`, 'm'));
    expect(text).toMatch(/^counting +on demand +- +- +- +0 +0 +1 +0 +0$/m);
    expect(text).toMatch(/^relay-outbox +every 0.2 s +(?:now|in 0 s) +\d s ago +- +\d+ +0 +\d +\d +0$/m);
    gate.resolve();
    await worker.idle();
    await expect.poll(() => status([counting])).toMatch(/^counting +on demand +- +\d s ago +- +1 +0 +0 +0 +0$/m);
  });

  test('B2.11: a job that always fails is dead after its tries, tells why without personal data, and is tried once more when asked', async () => {
    let mended = false;
    const tries: number[] = [];
    const poison = job('poison', ({ attempt }) => {
      tries.push(attempt);
      if (!mended) throw new Error('550 <maria@example.org> is not known here');
    });
    await start([poison]);
    const row = await ask('poison', { id: 'x' });
    await settled(row, 'dead');
    expect(tries).toEqual([1, 2, 3]);
    const reason = '550 <…> is not known here';
    await expect.poll(() => runsOf('poison')).toMatchObject({ runs: 3, failures: 3, lastError: reason });
    const text = await status([poison]);
    expect(text).toContain(`poison  1  ${reason}`);
    expect(text).toMatch(/^poison +on demand +- +- +\d s ago +3 +3 +0 +0 +1$/m);
    expect(text).toMatch(/^Outbox {2}0 pending, 0 sent, 1 dead$/m);
    mended = true;
    expect(await reviveOutbox(kairos.pool)).toBe(1);
    await settled(row, 'done');
    await expect.poll(() => runsOf('poison')).toMatchObject({ runs: 4, failures: 3 });
    expect((await queue.look()).counts.failed).toBe(0);
  });

  test('B2.11: jobs that fail, and jobs that hang, do not hold up others', async () => {
    const waits: number[] = [];
    const jobs = [
      job('throws', () => Promise.reject(new Error('no'))),
      job('hangs', () => new Promise(() => undefined), { retries: 0, timeoutMs: 400 }),
      job('good', ({ payload }) => void waits.push(Date.now() - Number(payload['at']))),
    ];
    await start(jobs);
    const bad = await Promise.all([...Array(6)].flatMap(() => [ask('throws'), ask('hangs')]));
    for (let i = 0; i < 5; i++) {
      await ask('good', { at: Date.now() });
      await sleep(200);
    }
    for (const row of bad) await settled(row, 'dead');
    await expect.poll(() => waits.length).toBe(5);
    // Two turns of four that hang, and the relay's round.
    expect(Math.max(...waits)).toBeLessThan(2_000);
    expect((await runsOf('hangs'))?.lastError).toBe('It has not ended within 0.4 s');
  });

  test('B2.4: a queue that lost everything is made again: schedules, and jobs from their rows', async () => {
    let attempts = 0;
    let ticks = 0;
    // After its first failure it waits in the queue for an hour.
    const later = job('later', () => (++attempts === 1 ? Promise.reject(new Error('not yet')) : Promise.resolve()), {
      backoffMs: 3_600_000,
    });
    const ticking = job('ticking', () => void ticks++, { schedule: { everyMs: 300 } });
    await start([later, ticking]);
    const [row, other] = [await ask('later'), await ask('ticking')];
    await settled(other, 'done');
    await expect.poll(() => attempts, { timeout: 10_000 }).toBe(1);
    await sleep(700);
    // It is in the queue: nobody runs it before its time.
    expect([attempts, await outboxStatus(kairos.pool, row)]).toEqual([1, 'sent']);

    const ran = ticks;
    await loseEverything();
    await settled(row, 'done');
    expect(attempts).toBe(2);
    await expect.poll(() => ticks, { timeout: 10_000 }).toBeGreaterThan(ran + 2);
    // What was done is not done again.
    expect(await outboxStatus(kairos.pool, other)).toBe('done');
    expect((await queue.look()).jobs.get('later')).toBeUndefined();
  });

  test('a schedule without its next run is started again', async () => {
    let ticks = 0;
    const ticking = job('ticking', () => void ticks++, { schedule: { everyMs: 400 } });
    await start([ticking]);
    await expect.poll(() => ticks, { timeout: 10_000 }).toBeGreaterThan(0);
    if (redis) await redis.ask('DEL bull:kairos:delayed bull:kairos:wait');
    else {
      const client = await openClient(kairos.roles.owner, 'test', 5_000);
      await client.query(`delete from bullmq.job where name = 'ticking'`);
      await client.end();
    }
    if (redis) {
      // The jobs themselves are gone too, as after a restart from an older copy.
      const { next } = (await queue.look()).jobs.get('ticking') ?? {};
      await redis.ask(`DEL bull:kairos:repeat:ticking:${next}`);
    }
    const ran = ticks;
    await expect.poll(() => ticks, { timeout: 10_000 }).toBeGreaterThan(ran + 1);
  });

  test('a restart keeps the times of schedules, changes those that are declared otherwise, removes what is no more', async () => {
    const nothing = (): void => undefined;
    const [a, b] = [
      job('yearly', nothing, { schedule: { cron: '0 0 1 1 *', zone: 'Europe/Madrid' } }),
      job('hourly', nothing, { schedule: { everyMs: 3_600_000, payload: { sample: true } } }),
    ];
    const next = async (name: string): Promise<number | undefined> => (await queue.look()).jobs.get(name)?.next;
    await (await start([a, b])).close();
    const before = await next('hourly');
    await (await start([a, b])).close();
    expect(await next('hourly')).toBe(before);
    await (await start([job('yearly', nothing, { schedule: { cron: '0 0 2 1 *', zone: 'Europe/Madrid' } })])).close();
    expect(await next('hourly')).toBeUndefined();
    expect(new Date((await next('yearly')) ?? 0).toISOString()).toMatch(/-01-01T23:00:00.000Z$/);
  });

  test('B2.13: a job that is told to end has not failed; the next worker runs it', async () => {
    const attempts: number[] = [];
    const long = job('long', ({ attempt, signal }) => {
      attempts.push(attempt);
      if (attempts.length > 1) return;
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('told to end'))));
    });
    const first = await start([long]);
    const row = await ask('long');
    await expect.poll(() => attempts.length, { timeout: 10_000 }).toBe(1);
    await first.close();
    expect(await outboxStatus(kairos.pool, row)).toBe('sent');
    expect((await runsOf('long'))?.failures).toBe(0);
    await start([long]);
    await settled(row, 'done');
    expect(attempts).toEqual([1, 1]);
  });

  test('two workers share what there is, and each job is run once', async () => {
    const done = new Map<string, number>();
    const by = [0, 0];
    const counted = (worker: number): Job =>
      job('counted', async ({ outboxId = '' }) => {
        done.set(outboxId, (done.get(outboxId) ?? 0) + 1);
        by[worker] = (by[worker] ?? 0) + 1;
        await sleep(5);
      });
    const rows = await Promise.all([...Array(200)].map(() => ask('counted')));
    await Promise.all([start([counted(0)]), start([counted(1)])]);
    for (const row of rows) await settled(row, 'done');
    expect([done.size, Math.max(...done.values())]).toEqual([200, 1]);
    expect(Math.min(...by)).toBeGreaterThan(0);
    await expect.poll(async () => (await runsOf('counted'))?.runs).toBe(200);
  });

  test('B2.5: PostgreSQL drops all connections, again and again, and jobs go on', async () => {
    let runs = 0;
    await start([job('plain', () => void runs++, { retries: 5 })]);
    const rows: string[] = [];
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 5; i++) rows.push(await ask('plain'));
      const client = await openClient({ ...kairos.roles.superuser }, 'test', 5_000);
      await client.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
      );
      await client.end();
      await sleep(300);
    }
    for (const row of rows) await settled(row, 'done');
    expect(runs).toBeGreaterThanOrEqual(15);
  });

  test.runIf(backend === 'Redis')(
    'B2.4: Redis dies: what would enqueue fails at once; back and empty, everything is made again',
    async () => {
      let runs = 0;
      await start([job('plain', () => void runs++)]);
      await settled(await ask('plain'), 'done');
      await redis?.kill();
      const row = await ask('plain');
      const began = performance.now();
      await expect(queue.enqueue('plain', {})).rejects.toThrow(/writeable|closed|did not answer/);
      await expect(queue.counts()).rejects.toThrow(/writeable|closed|did not answer/);
      expect(performance.now() - began).toBeLessThan(1_500);
      expect(await status([])).toContain('Queue   Redis does not answer');
      await sleep(1_500);
      expect(await outboxStatus(kairos.pool, row)).toBe('pending');
      await redis?.start();
      await settled(row, 'done');
      expect(runs).toBe(2);
    },
  );

  test.runIf(backend === 'Redis')('a worker stops in time while Redis is away', async () => {
    const worker = await start([]);
    await redis?.kill();
    await sleep(300);
    const began = performance.now();
    await worker.close();
    expect(performance.now() - began).toBeLessThan(12_000);
    await redis?.start();
    // The queue of this process comes back by itself.
    await expect.poll(() => queue.counts().catch(() => undefined), { timeout: 10_000 }).toBeDefined();
  });

  test('retry: of a schedule only the newest failure is tried again', async () => {
    let fails = true;
    let ran = 0;
    const ticking = job(
      'ticking',
      () => {
        ran++;
        if (fails) throw new Error('no');
      },
      { schedule: { everyMs: 250 }, retries: 0 },
    );
    const first = await start([ticking]);
    await expect.poll(() => ran, { timeout: 10_000 }).toBeGreaterThan(2);
    await first.close();
    expect((await queue.look()).jobs.get('ticking')?.failed).toBe(ran);
    fails = false;
    expect(await queue.retry()).toBe(1);
    expect((await queue.look()).jobs.get('ticking')).toMatchObject({ failed: 0 });
    await start([ticking]);
    await expect.poll(async () => (await runsOf('ticking'))?.lastSucceeded, { timeout: 10_000 }).toBeDefined();
  });

  test('/metrics tells of jobs, queue and outbox, and asks no more often than every few seconds', async () => {
    const metrics = async (): Promise<string> => (await kairos.app.request('/metrics')).text();
    await start([job('plain', () => undefined), job('poison', () => Promise.reject(new Error('no')), { retries: 0 })]);
    await settled(await ask('plain'), 'done');
    await settled(await ask('poison'), 'dead');
    await expect.poll(metrics, { timeout: 15_000, interval: 500 }).toMatch(/^job_failures_total\{job="poison"\} 1$/m);
    const page = await metrics();
    expect(page).toContain('# TYPE job_runs_total counter');
    expect(page).toMatch(/^job_runs_total\{job="plain"\} 1$/m);
    expect(page).toMatch(/^job_duration_seconds\{job="plain"\} \d/m);
    expect(page).toMatch(/^job_seconds_since_success\{job="plain"\} \d/m);
    expect(page).not.toContain('job_seconds_since_success{job="poison"}');
    expect(page).toMatch(/^queue_up 1$/m);
    expect(page).toMatch(/^queue_jobs\{state="failed"\} 1$/m);
    expect(page).toMatch(/^outbox_rows\{status="dead"\} 1$/m);
    expect(page).toMatch(/^outbox_oldest_seconds 0$/m);
    // Seen a moment ago: the next page tells the same.
    await poolNamed(kairos.pool, `update job_run set failures = 99 where name = 'poison'`);
    expect(await metrics()).toMatch(/^job_failures_total\{job="poison"\} 1$/m);
  });
});

test.runIf(hasRedis)('B2.4: a worker stops soon though Redis is gone in the middle of a job', async () => {
  const redis = await openRedis();
  const kairos = await openTestKairos({ env: { LOG_LEVEL: 'silent', REDIS_URL: redis.url } });
  try {
    const begun = Promise.withResolvers<void>();
    const waits = job('waits', async ({ signal }) => {
      begun.resolve();
      await sleep(60_000, undefined, { signal });
    });
    const worker = await startWorker(kairos, { ...FAST, jobs: [relay, waits] });
    const row = await addToOutbox(kairos.pool, 'waits', {});
    await begun.promise;
    await redis.kill();
    const began = performance.now();
    await worker.close();
    // It has ended by itself; what cannot be said to Redis is waited for as any answer is, not as long as a job.
    expect(performance.now() - began).toBeLessThan(15_000);
    expect(await outboxStatus(kairos.pool, row)).toBe('sent');
  } finally {
    await kairos.close();
    await redis.close();
  }
});
