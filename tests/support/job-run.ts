/** A run of a job without a queue. */
import type { JobPayload, JobRun } from '../../src/platform/job.ts';
import { silentLog } from '../../src/platform/log.ts';

export const jobRun = (payload: JobPayload = {}): JobRun => ({
  attempt: 1,
  payload,
  log: silentLog,
  signal: new AbortController().signal,
  progress: () => undefined,
});
