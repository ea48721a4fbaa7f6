/**
 * What a queue has lost is made again from what does not get lost: schedules from the declarations, other jobs from the outbox. It runs in every
 * worker beside the queue, not in it.
 */
import { isDeepStrictEqual } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JobSchedulerJson, JobsOptions, RepeatOptions } from 'bullmq';
import type pg from 'pg';
import type { JobDeclaration, Schedule } from './job.ts';
import { errorFields, type Log } from './log.ts';
import { buryOutbox, claimSent, finishOutbox, returnSent } from './outbox.ts';
import type { AnyQueue } from './queue-connection.ts';
import { jobIdOf, lastWord } from './queue-process.ts';

const repeatOf = (schedule: Schedule): Omit<RepeatOptions, 'key'> =>
  'cron' in schedule ? { pattern: schedule.cron, tz: schedule.zone } : { every: schedule.everyMs };

type Scheduled = JobDeclaration<never> & { readonly schedule: Schedule };
const isScheduled = (job: JobDeclaration<never>): job is Scheduled => job.schedule !== undefined;

/** What the queue knows of a schedule, in the words that it was told. */
function isAsDeclared(known: JobSchedulerJson, job: Scheduled, options: JobsOptions): boolean {
  const { pattern, tz, every, template } = known;
  const told = { pattern, tz, every };
  const { schedule } = job;
  return (
    isDeepStrictEqual(
      told,
      'cron' in schedule
        ? { pattern: schedule.cron, tz: schedule.zone, every: undefined }
        : { pattern: undefined, tz: undefined, every: schedule.everyMs },
    ) &&
    isDeepStrictEqual(template?.data ?? {}, job.schedule.payload ?? {}) &&
    template?.opts?.attempts === options.attempts
  );
}

/** Whether the next run of a schedule, which brings forth the one after it, is missing. */
async function hasStopped(queue: AnyQueue, { key, next }: JobSchedulerJson): Promise<boolean> {
  if (next === undefined) return true;
  const state = await queue.getJobState(`repeat:${key}:${next}`);
  if (['delayed', 'waiting', 'active', 'prioritized'].includes(state)) return false;
  // It may have been run since we asked.
  return (await queue.getJobScheduler(key))?.next === next;
}

export interface ScheduleParts {
  readonly queue: AnyQueue;
  readonly jobs: readonly JobDeclaration<never>[];
  readonly optionsOf: (job: JobDeclaration<never>) => JobsOptions;
}

/**
 * Registers the schedules that are missing or have stopped.
 * @param isFirst also those that were declared otherwise; and schedules of jobs that are no more are removed. Only at the start: beside an older
 * version each would undo what the other does.
 * @returns how many were missing
 */
export async function restoreSchedules({ queue, jobs, optionsOf }: ScheduleParts, isFirst: boolean): Promise<number> {
  const scheduled = jobs.filter(isScheduled);
  const known = new Map((await queue.getJobSchedulers()).map((s) => [s.key, s]));
  let missing = 0;
  for (const job of scheduled) {
    const found = known.get(job.name);
    known.delete(job.name);
    const options = optionsOf(job);
    // One that is as it should be stays: registering it again would drop a run that is due.
    if (found && !(isFirst && !isAsDeclared(found, job, options)) && !(await hasStopped(queue, found))) continue;
    await queue.upsertJobScheduler(job.name, repeatOf(job.schedule), {
      name: job.name,
      data: job.schedule.payload ?? {},
      opts: options,
    });
    missing++;
  }
  if (isFirst) for (const key of known.keys()) await queue.removeJobScheduler(key);
  return missing;
}

const BATCH = 500;

export interface SettleParts {
  readonly queue: AnyQueue;
  readonly database: pg.Pool;
  readonly checkMs: number;
  /** Whether this process runs the job, whatever its queue knows. */
  readonly isRunning: (jobId: string) => boolean;
}

/** Looks after the rows whose jobs should be in the queue. @returns how many of them had been lost */
export async function settleSent({ queue, database, checkMs, isRunning }: SettleParts): Promise<number> {
  let count = 0;
  for (;;) {
    const rows = await claimSent(database, BATCH, checkMs);
    const lost: string[] = [];
    for (const { id } of rows) {
      if (isRunning(jobIdOf(id))) continue;
      const state = await queue.getJobState(jobIdOf(id));
      if (state === 'unknown') lost.push(id);
      else if (state === 'completed') await finishOutbox(database, id);
      else if (state === 'failed') {
        const job = await queue.getJob(jobIdOf(id));
        await buryOutbox(database, id, job ? lastWord(job, job.failedReason) : 'unknown');
      }
    }
    if (lost.length > 0) await returnSent(database, lost);
    count += lost.length;
    if (rows.length < BATCH) return count;
  }
}

/** Does something again and again, with a pause in between; an error waits for the next time. @returns ends it, and waits for what runs */
export function everySoOften(ms: number, log: Log, act: () => Promise<void>): () => Promise<void> {
  const stopped = new AbortController();
  const { signal } = stopped;
  const pause = (): Promise<boolean> =>
    sleep(ms, true, { signal, ref: false }).then(
      () => !signal.aborted,
      () => false,
    );
  const turning = (async () => {
    while (await pause()) {
      await act().catch((error: unknown) => log.warn('Lost jobs could not be looked for', errorFields(error)));
    }
  })();
  return () => {
    stopped.abort();
    return turning;
  };
}
