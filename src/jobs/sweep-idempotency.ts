/** Forgets replies whose Idempotency-Key has expired. They are found no more by then: this only gives room back. */
import { sweepKeptReplies } from '../fhir/store/kept-reply.ts';
import type { JobContext } from '../job-context.ts';
import type { JobDeclaration } from '../platform/job.ts';

export default {
  name: 'sweep-idempotency',
  description: 'deletes replies kept under an Idempotency-Key for more than a day',
  schedule: { cron: '10 * * * *', zone: 'UTC' },
  retries: 2,
  backoffMs: 60_000,
  async run({ database }, { log, signal }) {
    log.info('Kept replies swept', { count: await sweepKeptReplies(database, signal) });
  },
} satisfies JobDeclaration<JobContext>;
