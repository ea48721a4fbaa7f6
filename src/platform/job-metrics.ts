/**
 * Jobs as `/metrics` tells of them, whichever process runs them: from the notes of the database, and from the queue.
 * @see https://prometheus.io/docs/practices/naming/
 */
import type pg from 'pg';
import { runsOfJobs, type RunsOfJob } from './job-runs.ts';
import type { Metrics } from './metrics.ts';
import { countOutbox, type OutboxCounts } from './outbox.ts';
import type { QueueCounts } from './queue-look.ts';

export interface JobMetricsParts {
  readonly database: pg.Pool;
  readonly counts: () => Promise<QueueCounts>;
  /** Of what is told again without a look. */
  readonly freshMs?: number;
  /** A page waits no longer. */
  readonly waitMs?: number;
}

interface Seen {
  readonly runs: readonly RunsOfJob[];
  readonly outbox: OutboxCounts | undefined;
  /** undefined: the queue does not answer. */
  readonly queue: QueueCounts | undefined;
}

const orUndefined = <T>(promise: Promise<T>): Promise<T | undefined> => promise.catch(() => undefined);

export function observeJobs(metrics: Metrics, parts: JobMetricsParts): void {
  const { database, counts, freshMs = 5_000, waitMs = 1_000 } = parts;
  let seen: Seen = { runs: [], outbox: undefined, queue: undefined };
  let lookedAt = -Infinity;
  let looking: Promise<void> | undefined;

  const look = async (): Promise<void> => {
    const [runs, outbox, queue] = await Promise.all([
      orUndefined(runsOfJobs(database)),
      orUndefined(countOutbox(database)),
      orUndefined(counts()),
    ]);
    seen = { runs: runs ?? seen.runs, outbox, queue };
    lookedAt = performance.now();
  };
  // However many ask, one looks; who has waited long enough tells what was seen before.
  metrics.before(async () => {
    if (performance.now() - lookedAt < freshMs) return;
    looking ??= look().finally(() => (looking = undefined));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, waitMs)));
    await Promise.race([looking, late]);
    clearTimeout(timer);
  });

  const ofJobs = (read: (runs: RunsOfJob) => number | undefined) => () =>
    seen.runs.flatMap((runs) => {
      const value = read(runs);
      return value === undefined ? [] : [[{ job: runs.name }, value] as const];
    });
  metrics.gauge(
    'job_runs_total',
    'Runs that have ended, by job.',
    ofJobs((r) => r.runs),
    'counter',
  );
  metrics.gauge(
    'job_failures_total',
    'Runs that have failed, by job.',
    ofJobs((r) => r.failures),
    'counter',
  );
  metrics.gauge(
    'job_duration_seconds',
    'Time that the last run took, by job.',
    ofJobs((r) => (r.durationMs === undefined ? undefined : r.durationMs / 1_000)),
  );
  metrics.gauge(
    'job_seconds_since_success',
    'Time since a run last succeeded, by job.',
    ofJobs((r) => (r.lastSucceeded === undefined ? undefined : Math.max(0, Date.now() - r.lastSucceeded) / 1_000)),
  );
  metrics.gauge('queue_up', 'Whether the job queue answers.', () => [[{}, seen.queue ? 1 : 0]]);
  metrics.gauge('queue_jobs', 'Jobs in the queue, by state.', () =>
    Object.entries({ ...seen.queue }).map(([state, value]) => [{ state }, value] as const),
  );
  metrics.gauge('outbox_rows', 'Rows of the outbox that are not done, by status.', () => {
    const { pending, sent, dead } = seen.outbox ?? {};
    return Object.entries({ pending, sent, dead }).flatMap(([status, value]) =>
      value === undefined ? [] : [[{ status }, value] as const],
    );
  });
  metrics.gauge('outbox_oldest_seconds', 'Age of the oldest row of the outbox that is due and not done.', () =>
    seen.outbox ? [[{}, seen.outbox.oldestSeconds]] : [],
  );
}
