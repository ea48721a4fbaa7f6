/** Forgets outbox rows that were relayed a week ago; dead ones stay for a person to look at. */
import type { JobDeclaration } from '../platform/job.ts';
import { OUTBOX_DAYS, sweepOutbox } from '../platform/outbox.ts';
import type { JobContext } from '../job-context.ts';

export default {
  name: 'sweep-outbox',
  description: 'deletes outbox rows relayed more than a week ago',
  schedule: { cron: '20 3 * * *', zone: 'UTC' },
  retries: 3,
  backoffMs: 60_000,
  async run({ database }, { log }) {
    log.info('Outbox swept', { count: await sweepOutbox(database, OUTBOX_DAYS) });
  },
} satisfies JobDeclaration<JobContext>;
