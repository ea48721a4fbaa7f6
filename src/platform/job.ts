/** The declaration of a job: one file in `src/jobs/`. */
import type { Log } from './log.ts';

export type Schedule =
  /** Every so many milliseconds. */
  | { readonly everyMs: number }
  /** Five fields of cron, on the wall clock of an IANA zone. */
  | { readonly cron: string; readonly zone: string };

export type JobPayload = Readonly<Record<string, unknown>>;

/** One run of a job. */
export interface JobRun {
  /** 1 at the first try. */
  readonly attempt: number;
  readonly payload: JobPayload;
  /** The row that asks for this run, the same at every try: a key for whoever is called. undefined: a schedule or a person asks. */
  readonly outboxId?: string | undefined;
  readonly log: Log;
  /** Aborted when the worker stops, or the time of the job is up: long jobs end at their next step by throwing, and are run again. */
  readonly signal: AbortSignal;
  /** Tells whoever looks how far it is. Costs nothing when it is called often. */
  progress(done: number, total?: number): void;
}

export interface JobDeclaration<Context> {
  readonly name: string;
  /** A sentence for the table that the worker prints. */
  readonly description: string;
  /** undefined: runs only when it is enqueued. */
  readonly schedule?: Schedule & { readonly payload?: JobPayload };
  /** Further tries after a failure. */
  readonly retries: number;
  /** Pause before the first retry, doubled at each further one. */
  readonly backoffMs: number;
  /** When a run counts as failed, whether it ends or not; a quarter of an hour unless told. */
  readonly timeoutMs?: number;
  /** It goes through people's data: each run is recorded. */
  readonly personal?: true;
  run(context: Context, run: JobRun): Promise<void>;
}

/** Hands jobs to whoever works. */
export interface Enqueue {
  /** @param id jobs with the same id are run once as long as the first is remembered (a day) */
  (name: string, payload: JobPayload, id?: string): Promise<void>;
}

export const describeSchedule = (schedule: Schedule | undefined): string => {
  if (!schedule) return 'on demand';
  return 'cron' in schedule ? `${schedule.cron} ${schedule.zone}` : `every ${schedule.everyMs / 1000} s`;
};

/** Rows of equally many cells as plain text, one below the other. */
export function textTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((r) => r[i]?.length ?? 0)));
  return rows
    .map((r) =>
      r
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** The jobs as a table in plain text. */
export const jobTable = (jobs: readonly JobDeclaration<never>[]): string =>
  textTable([
    ['job', 'when', 'retries', 'what'],
    ...jobs.map((j) => [j.name, describeSchedule(j.schedule), String(j.retries), j.description]),
  ]);
