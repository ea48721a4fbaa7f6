/** Both ends of the queue on both backends: who adds jobs fails at once when the backend is away, who works waits for it. @see https://docs.bullmq.io/guide/connections */
import { setTimeout as sleep } from 'node:timers/promises';
import { createPostgresBackend, Queue, Worker, type Job, type PostgresPoolConfig, type Processor } from 'bullmq';
import pg from 'pg';
import type { JobPayload } from './job.ts';
import { errorFields, type Log } from './log.ts';
import { QUEUE_NAME } from './queue-schema.ts';

export type QueueConnection =
  | { readonly kind: 'redis'; readonly url: string }
  /** As the application role; the tables are made by `migrateQueue`. */
  | { readonly kind: 'postgres'; readonly connection: pg.ClientConfig };

/** How long an answer is waited for, and a connection. */
const ANSWER_MS = 5_000;

/** The queue cannot be reached now. */
export class QueueAway extends Error {
  override readonly name = 'QueueAway';
}

/** The value of a promise that must not take long. @throws QueueAway */
export async function answered<T>(promise: Promise<T>, ms = ANSWER_MS): Promise<T> {
  const waiting = new AbortController();
  promise.catch(() => undefined);
  const late = sleep(ms, undefined, { signal: waiting.signal }).then(
    () => Promise.reject(new QueueAway(`The queue did not answer within ${ms / 1000} s`)),
    () => new Promise<never>(() => undefined),
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    waiting.abort();
  }
}

/** Waits for the end of something that may never come. */
export const ended = (promise: Promise<unknown>, ms = ANSWER_MS): Promise<void> =>
  answered(promise, ms).then(
    () => undefined,
    () => undefined,
  );

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
    connectionTimeoutMillis: ANSWER_MS,
    // A connection that is dead without a word must not hold a worker.
    query_timeout: 15_000,
    Client: GuardedClient,
  };
}

/** Back within two seconds of Redis, however long it was away. */
const retryStrategy = (times: number): number => Math.min(times * 200, 2_000);
const producerOptions = (url: string) => ({
  url,
  retryStrategy,
  // Nothing is kept for later: the outbox does that.
  enableOfflineQueue: false,
  maxRetriesPerRequest: 1,
  commandTimeout: ANSWER_MS,
});
const workerOptions = (url: string) => ({ url, retryStrategy, maxRetriesPerRequest: null });

/** What is used of a Queue, whatever its backend. */
export type AnyQueue = Pick<
  Queue,
  | 'add'
  | 'clean'
  | 'close'
  | 'getJob'
  | 'getJobCounts'
  | 'getJobs'
  | 'getJobScheduler'
  | 'getJobSchedulers'
  | 'getJobState'
  | 'isPaused'
  | 'removeJobScheduler'
  | 'upsertJobScheduler'
  | 'waitUntilReady'
>;
export type AnyWorker = Pick<Worker, 'waitUntilReady' | 'run' | 'close'>;

const QUIET_MS = 60_000;

/** Errors of a backend that is away come every second: of the same one a line a minute is enough. @param closed once aborted, broken connections are no news */
function sparingly(log: Log, message: string, closed: AbortSignal): (error: Error) => void {
  const quietUntil = new Map<string, number>();
  return (error) => {
    const now = performance.now();
    const isNews = !closed.aborted && now >= (quietUntil.get(error.message) ?? 0);
    if (isNews) {
      if (quietUntil.size > 20) quietUntil.clear();
      quietUntil.set(error.message, now + QUIET_MS);
    }
    log[isNews ? 'error' : 'debug'](message, errorFields(error));
  };
}

/** @param closed aborted when it is being closed */
export function makeQueue(connection: QueueConnection, log: Log, closed: AbortSignal): AnyQueue {
  const failed = sparingly(log, 'The queue failed', closed);
  if (connection.kind === 'redis') {
    const queue = new Queue(QUEUE_NAME, { connection: producerOptions(connection.url) });
    queue.on('error', failed);
    return queue;
  }
  const queue = new Queue(QUEUE_NAME, { connection: postgresOptions(connection.connection) }, createPostgresBackend);
  queue.on('error', failed);
  return queue;
}

export interface WorkerTiming {
  /** A worker that has not been heard of for so long has lost its jobs. */
  readonly lockMs: number;
  /** How often jobs of lost workers are looked for; they are run again at the second look. */
  readonly stalledMs: number;
}

export interface WorkerHooks {
  readonly process: Processor<JobPayload>;
  /** After each try that failed. */
  readonly failed: (job: Job<JobPayload> | undefined, error: Error) => void;
  readonly stopping: AbortSignal;
}

/** Starts of one job after which it is given up when its worker died each time. */
const STARTS = 5;

export function makeWorker(
  connection: QueueConnection,
  { process, failed, stopping }: WorkerHooks,
  log: Log,
  { lockMs, stalledMs }: WorkerTiming,
): AnyWorker {
  const error = sparingly(log, 'The worker failed', stopping);
  const options = {
    concurrency: 4,
    // Of a connection that fails at first BullMQ remembers the failure, and asks for jobs again without a pause: it runs once it is ready.
    autorun: false,
    lockDuration: lockMs,
    stalledInterval: stalledMs,
    maxStalledCount: STARTS - 1,
    runRetryDelay: 2_000,
  };
  if (connection.kind === 'redis') {
    const worker = new Worker<JobPayload>(QUEUE_NAME, process, {
      connection: workerOptions(connection.url),
      ...options,
    });
    worker.on('error', error).on('failed', failed);
    return worker;
  }
  const worker = new Worker(
    QUEUE_NAME,
    process,
    { connection: postgresOptions(connection.connection), ...options },
    createPostgresBackend,
  );
  worker.on('error', error).on('failed', failed);
  return worker;
}
