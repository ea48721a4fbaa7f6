/**
 * The job queue: BullMQ on Redis when there is one, else in PostgreSQL. Import dynamically: BullMQ takes a fifth of a second to load.
 * @see https://docs.bullmq.io
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { JobsOptions } from 'bullmq';
import type pg from 'pg';
import type { Enqueue, JobDeclaration } from './job.ts';
import { keepNotes } from './job-runs.ts';
import { errorFields, type Log } from './log.ts';
import { markSent, type OutboxRow } from './outbox.ts';
import {
  answered,
  ended,
  makeQueue,
  makeWorker,
  type AnyQueue,
  type QueueConnection,
  type WorkerTiming,
} from './queue-connection.ts';
import type { JobBoard } from './queue-board.ts';
import { buryFailed, jobIdOf, processor } from './queue-process.ts';
import { countJobs, lookAt, retryFailed, type QueueCounts, type QueueLook } from './queue-look.ts';
import { everySoOften, restoreSchedules, settleSent } from './queue-sweep.ts';

export interface WorkOptions extends Partial<WorkerTiming> {
  /** How often lost jobs are looked for. */
  readonly sweepMs?: number;
}

export interface JobQueue {
  readonly enqueue: Enqueue;
  /** Makes the jobs of outbox rows, and notes that. */
  relay(rows: readonly OutboxRow[]): Promise<void>;
  /** Registers the schedules of these jobs, removes those of others, and runs what comes. */
  work<Context>(jobs: readonly JobDeclaration<Context>[], context: Context, options?: WorkOptions): Promise<JobWorker>;
  counts(): Promise<QueueCounts>;
  look(): Promise<QueueLook>;
  /** Failed jobs are tried once more. @returns how many */
  retry(): Promise<number>;
  /** For administrators; loaded when it is first asked for. */
  board(): Promise<JobBoard>;
  close(): Promise<void>;
}

export interface JobWorker {
  /** Waits until nothing is due any more. */
  idle(): Promise<void>;
  /** Takes no more jobs, tells those that run to end, and waits for them. */
  close(): Promise<void>;
}

const DAY_S = 86_400;
/** Frequent jobs leave no trace; others are remembered for a day, failures for a week. */
const KEEP: JobsOptions = {
  removeOnComplete: { age: DAY_S, count: 1_000 },
  removeOnFail: { age: 7 * DAY_S, count: 1_000 },
};
const SWEEP_MS = 15_000;
const TIMING: WorkerTiming = { lockMs: 30_000, stalledMs: 10_000 };
/** Jobs that run when the worker stops are waited for so long. */
const DRAIN_MS = 20_000;

const jobOptions = (job: JobDeclaration<never> | undefined): JobsOptions => ({
  ...KEEP,
  ...(job?.schedule && 'everyMs' in job.schedule ? { removeOnComplete: true } : {}),
  attempts: 1 + (job?.retries ?? 3),
  backoff: { type: 'exponential', delay: job?.backoffMs ?? 1_000 },
});

/** Behind those of schedules: however many side effects wait, the relay and its like get their turn. */
const RELAYED: JobsOptions = { ...KEEP, priority: 10 };

/** A job of an earlier try must be forgotten, or the new one would be taken for it. */
async function forgetEnded(queue: AnyQueue, id: string): Promise<void> {
  const job = await queue.getJob(id);
  if (job && ['failed', 'completed'].includes(await job.getState())) await job.remove();
}

async function working(queue: AnyQueue): Promise<boolean> {
  const { waiting = 0, prioritized = 0, active = 0 } = await queue.getJobCounts('waiting', 'prioritized', 'active');
  return waiting + prioritized + active > 0;
}

export interface QueueParts {
  readonly connection: QueueConnection;
  /** Declarations of all jobs, for the retries of those that are enqueued. */
  readonly jobs: readonly JobDeclaration<never>[];
  /** Of the outbox and the notes. */
  readonly database: pg.Pool;
  readonly log: Log;
}

/** @throws QueueAway, or what the connection says, when it cannot be reached */
export async function openQueue({ connection, jobs, database, log }: QueueParts): Promise<JobQueue> {
  const closed = new AbortController();
  const queue = makeQueue(connection, log, closed.signal);
  let board: Promise<JobBoard> | undefined;
  const close = (): Promise<void> => {
    closed.abort();
    return ended(queue.close());
  };
  // A connection that fails at first is not tried again by everything that waits for it.
  await answered(queue.waitUntilReady()).catch(async (error: unknown) => {
    await close();
    throw error;
  });
  const byName = new Map(jobs.map((j) => [j.name, j]));
  const sweepMs = { value: SWEEP_MS };
  return {
    async enqueue(name, payload, id) {
      const options = jobOptions(byName.get(name));
      await answered(queue.add(name, payload, { ...options, ...(id === undefined ? {} : { jobId: id }) }));
    },

    async relay(rows) {
      for (const { id, attempts } of rows) if (attempts > 1) await answered(forgetEnded(queue, jobIdOf(id)));
      // The job takes what it has to do from the row. Not `addBulk`: in PostgreSQL it makes temporary tables each time.
      const added = rows.map(({ id, topic }) =>
        queue.add(topic, {}, { ...jobOptions(byName.get(topic)), ...RELAYED, jobId: jobIdOf(id) }),
      );
      await answered(Promise.all(added));
      await markSent(
        database,
        rows.map((r) => r.id),
        sweepMs.value,
      );
    },

    async work(declared, context, options = {}) {
      for (const job of declared) byName.set(job.name, job);
      const stopping = new AbortController();
      const notes = keepNotes(database, log);
      const running = new Map<string, Promise<void>>();
      const schedules = { queue, jobs: declared, optionsOf: jobOptions };
      sweepMs.value = options.sweepMs ?? SWEEP_MS;
      await answered(restoreSchedules(schedules, true));
      const process = processor({
        jobs: new Map(declared.map((j) => [j.name, j])),
        context,
        database,
        notes,
        log,
        stopping: stopping.signal,
        running,
      });
      const worker = makeWorker(
        connection,
        { process, failed: buryFailed({ database, notes, log }), stopping: stopping.signal },
        log,
        { ...TIMING, ...options },
      );
      await answered(worker.waitUntilReady()).catch(async (error: unknown) => {
        await ended(worker.close());
        throw error;
      });
      worker.run().catch((error: unknown) => log.error('The worker failed', errorFields(error)));
      const endSweeps = everySoOften(sweepMs.value, log, async () => {
        const schedulesLost = await restoreSchedules(schedules, false);
        const isRunning = (id: string): boolean => running.has(id);
        const jobsLost = await settleSent({ queue, database, checkMs: sweepMs.value, isRunning });
        if (schedulesLost + jobsLost > 0)
          log.warn('The queue had lost jobs: they are made again', { count: schedulesLost + jobsLost });
      });
      const end = async (): Promise<void> => {
        stopping.abort();
        const closed = worker.close();
        await ended(endSweeps());
        await ended(Promise.all(running.values()), DRAIN_MS);
        // Waits for ever where a connection is away.
        await ended(closed);
        await notes.flush();
      };
      let closing: Promise<void> | undefined;
      return {
        async idle() {
          while (await working(queue)) await sleep(100);
        },
        close: () => (closing ??= end()),
      };
    },

    counts: () => answered(countJobs(queue)),
    look: () => answered(lookAt(queue)),
    retry: () => retryFailed(queue),
    board: () => (board ??= import('./queue-board.ts').then(({ openBoard }) => openBoard(queue))),
    close,
  };
}
