/** Runs the jobs of `src/jobs/`: in the server's process, or in one of their own. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Kairos } from './compose.ts';
import type { JobContext } from './job-context.ts';
import type { JobDeclaration } from './platform/job.ts';
import { errorFields } from './platform/log.ts';
import type { WorkOptions } from './platform/queue.ts';

export interface RunningWorker {
  readonly jobs: readonly JobDeclaration<JobContext>[];
  /** Waits until nothing is due any more. */
  idle(): Promise<void>;
  /** Takes no more jobs and waits for those that run. */
  close(): Promise<void>;
}

export interface StartOptions extends WorkOptions {
  /** Instead of those of the folder. */
  readonly jobs?: readonly JobDeclaration<JobContext>[];
}

/** @throws when the queue cannot be reached now */
export async function startWorker(kairos: Kairos, options: StartOptions = {}): Promise<RunningWorker> {
  const { engine, store, identity, scheduling, pool, jobs: all } = kairos;
  const [queue, declared] = await Promise.all([all.queue(), options.jobs ?? all.declared()]);
  const context: JobContext = {
    engine,
    store,
    identity,
    scheduling: scheduling.parts,
    database: pool,
    enqueue: queue.enqueue,
    relay: queue.relay,
    auditRootsFile: kairos.config.auditRootsFile,
    jobNames: new Set(declared.map((j) => j.name)),
  };
  const recorded = (job: JobDeclaration<JobContext>): JobDeclaration<JobContext> => ({
    ...job,
    async run(...of) {
      try {
        await job.run(...of);
      } catch (error) {
        await kairos.audit.job(job.name, 8);
        throw error;
      }
      await kairos.audit.job(job.name, 0);
    },
  });
  const watched = declared.map((job) => (job.personal ? recorded(job) : job));
  const worker = await queue.work(watched, context, options);
  return { jobs: declared, idle: worker.idle, close: worker.close };
}

const RETRY_MS = 2_000;

/**
 * A worker as soon as its queue can be reached, however long that takes.
 * @returns undefined when told to stop before
 */
export async function keepStarting(kairos: Kairos, signal: AbortSignal): Promise<RunningWorker | undefined> {
  for (let tries = 0; !signal.aborted; tries++) {
    try {
      const worker = await startWorker(kairos);
      if (tries > 0) kairos.log.info('The worker runs', { attempt: tries + 1 });
      return worker;
    } catch (error) {
      // The first time at once, then about once a minute.
      if (tries % 10 === 0)
        kairos.log.error('The worker could not start: it tries again every few seconds', errorFields(error));
      await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  }
  return undefined;
}
