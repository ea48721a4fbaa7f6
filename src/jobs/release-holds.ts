/** Lets go of times that were held and not booked. @see https://profiles.ihe.net/ITI/Scheduling/ITI-116.html */
import type { JobContext } from '../job-context.ts';
import type { JobDeclaration } from '../platform/job.ts';
import { expireHolds } from '../scheduling/use/expire-holds.ts';

export default {
  name: 'release-holds',
  description: 'cancels holds that have run out',
  schedule: { everyMs: 2_000 },
  retries: 0,
  backoffMs: 0,
  async run({ scheduling }, { log, signal }) {
    const count = await expireHolds(scheduling, signal);
    if (count > 0) log.debug('Holds have run out', { count });
  },
} satisfies JobDeclaration<JobContext>;
