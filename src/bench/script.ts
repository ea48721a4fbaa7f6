/** Writes rows as fast as a script can, without HTTP: the floor of operations that write. */
import { performance } from 'node:perf_hooks';
import { Pool, type ClientConfig, type PoolClient } from 'pg';
import type { Measured } from './client.ts';

/** Each caller commits `perTransaction` rows at a time. */
export interface ScriptJob {
  readonly kind: 'script';
  readonly connections: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
  readonly insert: string;
  /** Rows without their id, which stands first. */
  readonly rows: readonly (readonly (string | null)[])[];
  /** Each row is written once; else they are written in turn, as often as there is time. */
  readonly once: boolean;
  readonly perTransaction: number;
  /** Connections that the callers share; a connection each unless told. */
  readonly pool?: number;
}

/** All connections are open before the clock starts. */
async function openPool(connection: ClientConfig, max: number): Promise<Pool> {
  const pool = new Pool({ ...connection, max });
  const clients = await Promise.all(Array.from({ length: max }, () => pool.connect()));
  for (const client of clients) client.release();
  return pool;
}

export async function runScript(connection: ClientConfig, job: ScriptJob): Promise<Measured> {
  const pool = await openPool(connection, Math.min(job.pool ?? job.connections, job.connections));
  const run = `${process.pid}-${Date.now().toString(36)}`;
  const measureFrom = performance.now() + job.warmUpMs;
  const end = measureFrom + job.measureMs;
  const times: number[] = [];
  let failures = 0;
  let firstFailure: string | undefined;
  let next = 0;

  const one = async (client: PoolClient): Promise<void> => {
    const n = next++;
    const row = job.rows[n % job.rows.length] ?? [];
    await client.query({ name: 'insert', text: job.insert, values: [`script-${run}-${n}`, ...row] });
  };
  const transaction = async (): Promise<void> => {
    const client = await pool.connect();
    try {
      if (job.perTransaction > 1) {
        await client.query('begin');
        for (let i = 0; i < job.perTransaction; i++) await one(client);
        await client.query('commit');
      } else await one(client);
    } finally {
      client.release();
    }
  };
  const caller = async (): Promise<void> => {
    for (;;) {
      const started = performance.now();
      if (started >= end) return;
      if (job.once && next >= job.rows.length) throw new Error('there were too few rows for the time');
      const failure = await transaction().then(
        () => undefined,
        (error: unknown) => String(error),
      );
      const done = performance.now();
      if (done < measureFrom || done > end) continue;
      if (failure === undefined) times.push(done - started);
      else {
        failures++;
        firstFailure ??= failure;
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: job.connections }, caller));
  } finally {
    await pool.end();
  }
  times.sort((a, b) => a - b);
  const quantile = (q: number): number => times[Math.min(times.length - 1, Math.floor(q * times.length))] ?? Number.NaN;
  return {
    perSecond: (times.length * 1000) / job.measureMs,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    failures,
    ...(firstFailure === undefined ? {} : { firstFailure }),
  };
}
