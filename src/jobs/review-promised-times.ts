/** Lists visits whose time of day is no longer the one promised, since zones or their rules have changed. */
import type { JobDeclaration } from '../platform/job.ts';
import type { JobContext } from '../job-context.ts';
import { reviewPromises } from '../scheduling/promised.ts';

export default {
  name: 'review-promised-times',
  description: 'puts visits on a list whose time of day a change of clocks has moved',
  schedule: { cron: '40 2 * * *', zone: 'UTC' },
  retries: 3,
  backoffMs: 60_000,
  async run({ scheduling }, { log, signal }) {
    log.info('Promised times reviewed', { count: await reviewPromises(scheduling, signal) });
  },
} satisfies JobDeclaration<JobContext>;
