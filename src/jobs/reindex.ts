/** Recomputes the search columns of stored resources; every night, only reports whether a sample differs. */
import { drift, reindex } from '../fhir/store/reindex.ts';
import type { JobContext } from '../job-context.ts';
import type { JobDeclaration, JobRun } from '../platform/job.ts';

const SAMPLE = 200;

async function reportDrift({ store, database }: JobContext, type: string, { log, signal }: JobRun): Promise<void> {
  if (signal.aborted) return;
  const { sampled, drifted } = await drift(store, database, type, SAMPLE);
  if (drifted.length > 0)
    log.error('Search columns differ from the resources: run npm run reindex', { type, count: drifted.length });
  else log.debug('Search columns agree with the resources', { type, count: sampled });
}

async function refresh(
  { store, database }: JobContext,
  type: string,
  { log, signal, progress: tell }: JobRun,
): Promise<void> {
  let total = { changed: 0, seen: 0 };
  for await (const progress of reindex(store, database, type)) {
    total = progress;
    tell(progress.seen);
    // It is run again from the start, where rows that are right already cost little.
    if (signal.aborted) throw new Error('The worker stops before the reindex has ended');
  }
  log.info('Reindexed', { type, count: total.seen, changed: total.changed });
}

export default {
  name: 'reindex',
  description: 'recomputes search columns on demand; nightly, reports whether a sample differs',
  schedule: { cron: '40 3 * * *', zone: 'UTC', payload: { sample: true } },
  personal: true,
  retries: 3,
  backoffMs: 10_000,
  // Millions of rows.
  timeoutMs: 6 * 3_600_000,
  async run(context, run) {
    const { types, sample } = run.payload;
    const wanted = Array.isArray(types) && types.length > 0 ? types : undefined;
    for (const { type } of context.store.resources.values()) {
      if (wanted && !wanted.includes(type)) continue;
      await (sample === true ? reportDrift : refresh)(context, type, run);
    }
  },
} satisfies JobDeclaration<JobContext>;
