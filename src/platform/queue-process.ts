/** One run of a job, from the queue's hand to its note: payload, time limit, progress, what becomes of the outbox row. */
import { setTimeout as sleep } from 'node:timers/promises';
import { WaitingError, type Job, type Processor } from 'bullmq';
import type pg from 'pg';
import type { JobDeclaration, JobPayload, JobRun } from './job.ts';
import { reasonOf, type JobNotes } from './job-runs.ts';
import { errorFields, type Log } from './log.ts';
import { buryOutbox, finishOutbox, openPayload } from './outbox.ts';
import { ended } from './queue-connection.ts';

const TIMEOUT_MS = 15 * 60_000;
const PROGRESS_MS = 500;
const OUTBOX_ID = /^outbox-(\d+)$/;

/** The id in the queue of the job that an outbox row asks for. */
export const jobIdOf = (outboxId: string): string => `outbox-${outboxId}`;
export const outboxIdOf = (job: Pick<Job, 'id'>): string | undefined => OUTBOX_ID.exec(job.id ?? '')?.[1];

export interface ProcessParts<Context> {
  readonly jobs: ReadonlyMap<string, JobDeclaration<Context>>;
  readonly context: Context;
  readonly database: pg.Pool;
  readonly notes: JobNotes;
  readonly log: Log;
  /** Aborted when the worker stops. */
  readonly stopping: AbortSignal;
  /** What runs now, by the id of the job in the queue. */
  readonly running: Map<string, Promise<void>>;
}

function progressOf(job: Job<JobPayload>): JobRun['progress'] {
  let told = -Infinity;
  return (done, total) => {
    const now = performance.now();
    if (now - told < PROGRESS_MS && done !== total) return;
    told = now;
    // A line that nobody reads must not fail the job.
    job.updateProgress(total === undefined ? { done } : { done, total }).catch(() => undefined);
  };
}

/** Runs the job until it ends, or its time is up: what hangs must not hold its place among the few that run at once. */
async function runLimited<Context>(
  declaration: JobDeclaration<Context>,
  context: Context,
  run: Omit<JobRun, 'signal'>,
  stopping: AbortSignal,
): Promise<void> {
  const ms = declaration.timeoutMs ?? TIMEOUT_MS;
  const timeout = new AbortController();
  const over = new AbortController();
  const tooLate = sleep(ms, undefined, { signal: over.signal, ref: false }).then(
    () => {
      const error = new Error(`It has not ended within ${ms / 1000} s`);
      timeout.abort(error);
      throw error;
    },
    () => undefined,
  );
  const signal = AbortSignal.any([stopping, timeout.signal]);
  try {
    const running = declaration.run(context, { ...run, signal });
    running.catch(() => undefined);
    await Promise.race([running, tooLate]);
  } finally {
    over.abort();
    tooLate.catch(() => undefined);
  }
}

/** What the queue keeps of an error, and shows: no more than the log would. */
function shownError(error: unknown): Error {
  const shown = new Error(reasonOf(error));
  const { stack = '' } = errorFields(error);
  shown.stack = [shown.message, ...stack.split(' | ').map((frame) => `    ${frame}`)].join('\n');
  return shown;
}

export function processor<Context>(parts: ProcessParts<Context>): Processor<JobPayload> {
  const { jobs, context, database, notes, log, stopping, running } = parts;
  const giveBack = async (job: Job<JobPayload>, token: string | undefined): Promise<never> => {
    // Without its queue it stays locked until the lock has run out, and is given to another one then.
    await ended(job.moveToWait(token));
    throw new WaitingError();
  };
  const work = async (job: Job<JobPayload>, token: string | undefined): Promise<void> => {
    // A worker that was about to take one takes it although it stops.
    if (stopping.aborted) return giveBack(job, token);
    const declaration = jobs.get(job.name);
    // Of a newer version that runs beside this one: it is tried again, perhaps there.
    if (!declaration) throw new Error(`There is no job ${job.name}`);
    const started = performance.now();
    const took = (): number => performance.now() - started;
    notes.started(job.name);
    try {
      const outboxId = outboxIdOf(job);
      const payload = outboxId === undefined ? job.data : await openPayload(database, outboxId);
      // An earlier run was the last word on this row.
      if (payload === undefined) return;
      const run = { attempt: job.attemptsMade + 1, payload, outboxId, log, progress: progressOf(job) };
      await runLimited(declaration, context, run, stopping);
      if (outboxId !== undefined) await finishOutbox(database, outboxId);
      notes.succeeded(job.name, took());
      log.debug('Job done', { job: job.name, durationMs: Math.round(took()) });
    } catch (error) {
      // It was told to end, and has not failed: another worker, or the next start, runs it.
      if (stopping.aborted) return giveBack(job, token);
      notes.failed(job.name, took(), reasonOf(error));
      log.error('Job failed', { job: job.name, attempt: job.attemptsMade + 1, ...errorFields(error) });
      throw shownError(error);
    }
  };
  return (job, token) => {
    const run = work(job, token);
    const settled = run.then(
      () => undefined,
      () => undefined,
    );
    const id = job.id ?? '';
    running.set(id, settled);
    void settled.then(() => running.get(id) === settled && running.delete(id));
    return run;
  };
}

/** As BullMQ puts it: at once, or by the word that the job keeps until somebody takes it up again. */
const hasStalled = ({ deferredFailure, failedReason }: Pick<Job, 'deferredFailure' | 'failedReason'>): boolean =>
  (deferredFailure ?? failedReason ?? '').startsWith('job stalled more than');

/** What is said of a job that is given up. @param failed what its last run said, where that ended */
export const lastWord = (job: Pick<Job, 'deferredFailure' | 'failedReason'>, failed: string): string =>
  hasStalled(job) ? 'Its worker died each time' : failed;

/** When no try is left, the outbox row waits for a person. The sweep does the same for what this process did not live to see. */
export const buryFailed =
  ({ database, notes, log }: Pick<ProcessParts<never>, 'database' | 'notes' | 'log'>) =>
  (job: Job<JobPayload> | undefined, error: Error): void => {
    if (!job?.finishedOn) return;
    const reason = lastWord(job, reasonOf(error));
    if (hasStalled(job)) {
      // Nobody has noted it yet.
      notes.failed(job.name, 0, reason);
      log.error('Job given up: its worker died each time', { job: job.name, attempt: job.attemptsMade });
    }
    const outboxId = outboxIdOf(job);
    if (outboxId === undefined) return;
    buryOutbox(database, outboxId, reason).catch((failure: unknown) =>
      log.warn('An outbox row could not be given up: the sweep does it', errorFields(failure)),
    );
  };
