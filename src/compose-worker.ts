/** Runs the jobs of `src/jobs/`: in the server's process, or in one of their own. */
import { fileURLToPath } from 'node:url';
import type { Kairos } from './compose.ts';
import type { JobContext } from './job-context.ts';
import { loadFolder } from './platform/folder.ts';
import type { JobDeclaration } from './platform/job.ts';

export interface RunningWorker {
  readonly jobs: readonly JobDeclaration<JobContext>[];
  /** Waits until nothing is due any more. */
  idle(): Promise<void>;
  /** Takes no more jobs and waits for those that run. */
  close(): Promise<void>;
}

const loadJobs = (): Promise<JobDeclaration<JobContext>[]> =>
  loadFolder<JobDeclaration<JobContext>>(fileURLToPath(new URL('jobs', import.meta.url)));

export async function startWorker({
  config,
  engine,
  store,
  identity,
  scheduling,
  database,
  pool,
  log,
}: Kairos): Promise<RunningWorker> {
  const [jobs, { openQueue }] = await Promise.all([loadJobs(), import('./platform/queue.ts')]);
  const connection =
    config.redisUrl === undefined
      ? ({ kind: 'postgres', connection: database.roles.app } as const)
      : ({ kind: 'redis', url: config.redisUrl } as const);
  const queue = openQueue(connection, jobs, log);
  const context: JobContext = {
    engine,
    store,
    identity,
    scheduling: scheduling.parts,
    database: pool,
    enqueue: queue.enqueue,
    jobNames: new Set(jobs.map((j) => j.name)),
  };
  const worker = await queue.work(jobs, context).catch(async (error: unknown) => {
    await queue.close().catch(() => undefined);
    throw error;
  });
  return {
    jobs,
    idle: worker.idle,
    async close() {
      await worker.close();
      await queue.close();
    },
  };
}
