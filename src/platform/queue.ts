/**
 * The job queue: BullMQ on Redis when there is one, else in PostgreSQL. Import dynamically: BullMQ takes a fifth of a second to load.
 * @see https://docs.bullmq.io
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  createPostgresBackend,
  Queue,
  Worker,
  type JobsOptions,
  type PostgresPoolConfig,
  type Processor,
  type RepeatOptions,
} from 'bullmq';
import pg from 'pg';
import type { Enqueue, JobDeclaration, JobPayload, Schedule } from './job.ts';
import { errorFields, type Log } from './log.ts';

export type QueueConnection =
  | { readonly kind: 'redis'; readonly url: string }
  /** As the application role; the tables are made by `migrateQueue`. */
  | { readonly kind: 'postgres'; readonly connection: pg.ClientConfig };

export interface JobQueue {
  readonly enqueue: Enqueue;
  /** Registers the schedules of these jobs, removes those of others, and runs what comes. */
  work<Context>(jobs: readonly JobDeclaration<Context>[], context: Context): Promise<JobWorker>;
  close(): Promise<void>;
}

interface JobWorker {
  /** Waits until nothing is due any more. */
  idle(): Promise<void>;
  /** Takes no more jobs, tells those that run to end, and waits for them. */
  close(): Promise<void>;
}

const NAME = 'kairos';
const DAY_S = 86_400;
/** Frequent jobs leave no trace; others are remembered for a day, failures for a week. */
const KEEP: JobsOptions = {
  removeOnComplete: { age: DAY_S, count: 1_000 },
  removeOnFail: { age: 7 * DAY_S, count: 1_000 },
};

const repeat = (schedule: Schedule): Omit<RepeatOptions, 'key'> =>
  'cron' in schedule ? { pattern: schedule.cron, tz: schedule.zone } : { every: schedule.everyMs };

const jobOptions = <C>(job: JobDeclaration<C> | undefined): JobsOptions => ({
  ...KEEP,
  ...(job?.schedule && 'everyMs' in job.schedule ? { removeOnComplete: true } : {}),
  attempts: 1 + (job?.retries ?? 3),
  backoff: { type: 'exponential', delay: job?.backoffMs ?? 1_000 },
});

/** BullMQ lends connections out without listening: one that breaks then would end the process. What ran on it fails by itself. */
class GuardedClient extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    super(config);
    this.on('error', () => undefined);
  }
}

function postgresOptions(connection: pg.ClientConfig): PostgresPoolConfig {
  // pg's options and BullMQ's own idea of them differ in `undefined` only.
  const given = Object.fromEntries(
    Object.entries(connection).filter(([, value]) => value !== undefined),
  ) as PostgresPoolConfig;
  return {
    ...given,
    schema: 'bullmq',
    max: 3,
    application_name: 'kairos queue',
    connectionTimeoutMillis: 10_000,
    Client: GuardedClient,
  };
}

const redisOptions = (url: string) => ({ url, maxRetriesPerRequest: null });

/** What is used of a Queue, whatever its backend. */
type AnyQueue = Pick<
  Queue,
  'add' | 'getJobCounts' | 'getJobSchedulers' | 'removeJobScheduler' | 'upsertJobScheduler' | 'close'
>;
type AnyWorker = Pick<Worker, 'waitUntilReady' | 'run' | 'close'>;

/** @param closed once aborted, broken connections are no news */
function makeQueue(connection: QueueConnection, log: Log, closed: AbortSignal): AnyQueue {
  const failed = (error: Error): void =>
    log[closed.aborted ? 'debug' : 'error']('The queue failed', errorFields(error));
  if (connection.kind === 'redis') {
    const queue = new Queue(NAME, { connection: redisOptions(connection.url) });
    queue.on('error', failed);
    return queue;
  }
  const queue = new Queue(NAME, { connection: postgresOptions(connection.connection) }, createPostgresBackend);
  queue.on('error', failed);
  return queue;
}

/** @param stopping as `closed` above */
function makeWorker(
  connection: QueueConnection,
  process: Processor<JobPayload>,
  log: Log,
  stopping: AbortSignal,
): AnyWorker {
  const error = (error: Error): void =>
    log[stopping.aborted ? 'debug' : 'error']('The worker failed', errorFields(error));
  const failed = (job: { name: string; attemptsMade: number } | undefined, error: Error): void =>
    log.error('Job failed', { ...(job ? { job: job.name, attempt: job.attemptsMade } : {}), ...errorFields(error) });
  // Of a connection that fails at first BullMQ remembers the failure, and asks for jobs again without a pause: it runs once it is ready.
  const options = { concurrency: 4, autorun: false };
  if (connection.kind === 'redis') {
    const worker = new Worker<JobPayload>(NAME, process, { connection: redisOptions(connection.url), ...options });
    worker.on('error', error).on('failed', failed);
    return worker;
  }
  const worker = new Worker(
    NAME,
    process,
    { connection: postgresOptions(connection.connection), ...options },
    createPostgresBackend,
  );
  worker.on('error', error).on('failed', failed);
  return worker;
}

/** @param jobs declarations of all jobs, for the retries of those that are enqueued */
export function openQueue(connection: QueueConnection, jobs: readonly JobDeclaration<never>[], log: Log): JobQueue {
  const closed = new AbortController();
  const queue = makeQueue(connection, log, closed.signal);
  const byName = new Map(jobs.map((j) => [j.name, j]));
  return {
    async enqueue(name, payload, id) {
      await queue.add(name, payload, { ...jobOptions(byName.get(name)), ...(id === undefined ? {} : { jobId: id }) });
    },

    async work(jobs, context) {
      const byName = new Map(jobs.map((j) => [j.name, j]));
      const wanted = new Set(jobs.filter((j) => j.schedule).map((j) => j.name));
      for (const { key } of await queue.getJobSchedulers()) if (!wanted.has(key)) await queue.removeJobScheduler(key);
      for (const job of jobs) {
        if (!job.schedule) continue;
        await queue.upsertJobScheduler(job.name, repeat(job.schedule), {
          name: job.name,
          data: job.schedule.payload ?? {},
          opts: jobOptions(job),
        });
      }
      const stopping = new AbortController();
      const process: Processor<JobPayload> = async (job) => {
        const declaration = byName.get(job.name);
        if (!declaration) throw new Error(`There is no job ${job.name}`);
        const started = performance.now();
        await declaration.run(context, {
          attempt: job.attemptsMade + 1,
          payload: job.data,
          log,
          signal: stopping.signal,
        });
        log.debug('Job done', { job: job.name, durationMs: Math.round(performance.now() - started) });
      };
      const worker = makeWorker(connection, process, log, stopping.signal);
      try {
        await worker.waitUntilReady();
      } catch (error) {
        await worker.close().catch(() => undefined);
        throw error;
      }
      worker.run().catch((error: unknown) => log.error('The worker failed', errorFields(error)));
      return {
        async idle() {
          for (;;) {
            const { waiting = 0, active = 0 } = await queue.getJobCounts('waiting', 'active');
            if (waiting + active === 0) return;
            await sleep(100);
          }
        },
        async close() {
          stopping.abort();
          await worker.close();
        },
      };
    },

    close() {
      closed.abort();
      return queue.close();
    },
  };
}
