/** What the queue holds now, for whoever looks after the server. */
import type { Job } from 'bullmq';
import type { AnyQueue } from './queue-connection.ts';
import { outboxIdOf } from './queue-process.ts';

export interface QueueCounts {
  readonly waiting: number;
  readonly active: number;
  /** Of schedules, and after a failure. */
  readonly delayed: number;
  readonly failed: number;
}

export interface Progress {
  readonly done: number;
  readonly total: number | undefined;
}

/** Of one job, by its name. */
export interface JobLook {
  running: number;
  waiting: number;
  failed: number;
  /** When its schedule comes next, in milliseconds. */
  next: number | undefined;
  /** Of those that run and say so. */
  readonly progress: Progress[];
}

export interface QueueLook {
  readonly counts: QueueCounts;
  /** Somebody has paused the queue. */
  readonly isPaused: boolean;
  readonly jobs: ReadonlyMap<string, JobLook>;
  /** There are more than were looked at: the numbers of the jobs are too low. */
  readonly isCut: boolean;
}

/** Jobs of a state that are looked at one by one. */
const MOST = 1_000;

export async function countJobs(queue: AnyQueue): Promise<QueueCounts> {
  const counts = await queue.getJobCounts('waiting', 'prioritized', 'active', 'delayed', 'failed');
  const { waiting = 0, prioritized = 0, active = 0, delayed = 0, failed = 0 } = counts;
  return { waiting: waiting + prioritized, active, delayed, failed };
}

function progressOf({ progress }: Job): Progress | undefined {
  if (typeof progress !== 'object' || progress === null || !('done' in progress)) return undefined;
  const { done, total }: { done?: unknown; total?: unknown } = progress;
  return typeof done === 'number' ? { done, total: typeof total === 'number' ? total : undefined } : undefined;
}

export async function lookAt(queue: AnyQueue): Promise<QueueLook> {
  const [counts, isPaused, schedulers] = await Promise.all([
    countJobs(queue),
    queue.isPaused(),
    queue.getJobSchedulers(),
  ]);
  const jobs = new Map<string, JobLook>();
  const of = (name: string): JobLook => {
    let look = jobs.get(name);
    if (!look) jobs.set(name, (look = { running: 0, waiting: 0, failed: 0, next: undefined, progress: [] }));
    return look;
  };
  for (const { key, next } of schedulers) of(key).next = next;
  const each = async (states: Parameters<AnyQueue['getJobs']>[0], act: (look: JobLook, job: Job) => void) => {
    for (const job of await queue.getJobs(states, 0, MOST - 1)) if (job) act(of(job.name), job);
  };
  await each(['active'], (look, job) => {
    look.running++;
    const progress = progressOf(job);
    if (progress) look.progress.push(progress);
  });
  await each(['waiting', 'prioritized'], (look) => void look.waiting++);
  // The next run of a schedule waits for its time, not for us.
  await each(['delayed'], (look, job) => void (look.waiting += job.attemptsMade > 0 || !job.repeatJobKey ? 1 : 0));
  await each(['failed'], (look) => void look.failed++);
  return { counts, isPaused, jobs, isCut: Math.max(...Object.values<number>({ ...counts })) > MOST };
}

/**
 * Of a schedule only the newest run is worth another try, and those of outbox rows come again with their rows: what is left is forgotten.
 * @returns how many are tried
 */
export async function retryFailed(queue: AnyQueue): Promise<number> {
  const failed = (await queue.getJobs(['failed'], 0, MOST - 1)).filter((job) => job !== undefined);
  const newest = failed.sort((a, b) => (b.finishedOn ?? 0) - (a.finishedOn ?? 0));
  const seen = new Set<string>();
  let count = 0;
  for (const job of newest) {
    if (outboxIdOf(job) !== undefined) continue;
    if (job.repeatJobKey && seen.has(job.repeatJobKey)) continue;
    if (job.repeatJobKey) seen.add(job.repeatJobKey);
    await job.retry('failed', { resetAttemptsMade: true });
    count++;
  }
  await queue.clean(0, MOST, 'failed');
  return count;
}
