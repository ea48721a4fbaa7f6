/** What is known of each job for good: a row each in `job_run`, which no queue can lose. */
import pg from 'pg';
import { poolNamed } from './database/pool.ts';
import { errorFields, type Log } from './log.ts';

interface Change {
  name: string;
  started: string | null;
  succeeded: string | null;
  failed: string | null;
  error: string | null;
  duration: number | null;
  runs: number;
  failures: number;
}

/** Notes of runs that go on in this process. */
export interface JobNotes {
  started(name: string): void;
  succeeded(name: string, durationMs: number): void;
  /** @param reason without personal data */
  failed(name: string, durationMs: number, reason: string): void;
  /** Waits until all of them are written, or cannot be. */
  flush(): Promise<void>;
}

const WRITE = `
  insert into job_run as j (name, last_started, last_succeeded, last_failed, last_error, duration_ms, runs, failures)
  select name, started, succeeded, failed, error, duration, runs, failures
    from json_to_recordset($1::json) as c (name text, started timestamptz, succeeded timestamptz, failed timestamptz, error text,
                                          duration bigint, runs bigint, failures bigint)
   order by name
  on conflict (name) do update set
    last_started = greatest(j.last_started, excluded.last_started),
    last_succeeded = greatest(j.last_succeeded, excluded.last_succeeded),
    last_error = case when excluded.last_failed >= coalesce(j.last_failed, '-infinity') then excluded.last_error else j.last_error end,
    last_failed = greatest(j.last_failed, excluded.last_failed),
    duration_ms = coalesce(excluded.duration_ms, j.duration_ms),
    runs = j.runs + excluded.runs,
    failures = j.failures + excluded.failures`;

/**
 * What is noted while a write is under way goes into the next one together: a thousand runs a second cost as many writes as the database
 * can do one after the other. Notes that cannot be written wait for the next one.
 */
export function keepNotes(database: pg.Pool, log: Log): JobNotes {
  let waiting = new Map<string, Change>();
  let writing: Promise<void> | undefined;

  const write = async (): Promise<void> => {
    while (waiting.size > 0) {
      const changes = waiting;
      waiting = new Map();
      try {
        await poolNamed(database, WRITE, [JSON.stringify([...changes.values()])]);
      } catch (error) {
        log.warn('Runs of jobs could not be noted', errorFields(error));
        for (const change of changes.values()) merge(change, true);
        return;
      }
    }
  };
  const merge = (change: Change, isOlder = false): void => {
    const known = waiting.get(change.name);
    const [older, newer] = isOlder ? [change, known] : [known, change];
    waiting.set(change.name, {
      name: change.name,
      started: newer?.started ?? older?.started ?? null,
      succeeded: newer?.succeeded ?? older?.succeeded ?? null,
      failed: newer?.failed ?? older?.failed ?? null,
      error: newer?.error ?? older?.error ?? null,
      duration: newer?.duration ?? older?.duration ?? null,
      runs: (newer?.runs ?? 0) + (older?.runs ?? 0),
      failures: (newer?.failures ?? 0) + (older?.failures ?? 0),
    });
  };
  const note = (name: string, change: Partial<Change>): void => {
    const none = { started: null, succeeded: null, failed: null, error: null, duration: null, runs: 0, failures: 0 };
    merge({ ...none, ...change, name });
    writing ??= write().finally(() => (writing = undefined));
  };
  const now = (): string => new Date().toISOString();
  return {
    started: (name) => note(name, { started: now() }),
    succeeded: (name, durationMs) => note(name, { succeeded: now(), duration: Math.round(durationMs), runs: 1 }),
    failed: (name, durationMs, reason) =>
      note(name, { failed: now(), error: reason, duration: Math.round(durationMs), runs: 1, failures: 1 }),
    flush: async () => {
      await writing;
    },
  };
}

/** All that is known of a job's runs in all processes. Times in milliseconds. */
export interface RunsOfJob {
  readonly name: string;
  readonly lastStarted: number | undefined;
  readonly lastSucceeded: number | undefined;
  readonly lastFailed: number | undefined;
  readonly lastError: string | undefined;
  /** Of the newest run that has ended. */
  readonly durationMs: number | undefined;
  readonly runs: number;
  readonly failures: number;
}

const numberOf = (value: string | null | undefined): number | undefined =>
  value === null || value === undefined ? undefined : Number(value);

export async function runsOfJobs(database: pg.Pool): Promise<RunsOfJob[]> {
  const { rows } = await poolNamed(
    database,
    `select name, extract(epoch from last_started) * 1000, extract(epoch from last_succeeded) * 1000,
            extract(epoch from last_failed) * 1000, last_error, duration_ms, runs, failures
       from job_run order by name`,
  );
  return rows.map(([name, started, succeeded, failed, error, duration, runs, failures]) => ({
    name: name ?? '',
    lastStarted: numberOf(started),
    lastSucceeded: numberOf(succeeded),
    lastFailed: numberOf(failed),
    lastError: error ?? undefined,
    durationMs: numberOf(duration),
    runs: Number(runs),
    failures: Number(failures),
  }));
}

const MAX_REASON = 300;

/**
 * Why a job failed, as anybody may read it who looks after the server: by the rules of the log, and without addresses of people.
 * @see ./log.ts
 */
export function reasonOf(error: unknown): string {
  const { error: said = 'unknown', code } = errorFields(error);
  const where = error instanceof pg.DatabaseError ? (error.constraint ?? error.table) : undefined;
  const text = [
    error instanceof pg.DatabaseError ? 'PostgreSQL refused' : said.replace(/^Error: /, ''),
    code === undefined || said.includes(code) ? '' : ` (${code})`,
    where === undefined ? '' : ` at ${where}`,
  ].join('');
  return text.replace(/[^\s<>"'(]+@[^\s<>"')]+/g, '…').slice(0, MAX_REASON);
}
