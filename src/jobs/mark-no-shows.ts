/** Marks visits whose patients did not come, where the service says so. @see https://hl7.org/fhir/R4/valueset-appointmentstatus.html */
import type { JobContext } from '../job-context.ts';
import type { JobDeclaration } from '../platform/job.ts';
import { markNoShows } from '../scheduling/use/mark-no-shows.ts';

export default {
  name: 'mark-no-shows',
  description: 'marks booked visits that are over as no-shows, where the service says after how long',
  schedule: { everyMs: 60_000 },
  retries: 2,
  backoffMs: 5_000,
  async run({ scheduling }, { log, signal }) {
    const count = await markNoShows(scheduling, signal);
    if (count > 0) log.info('No-shows marked', { count });
  },
} satisfies JobDeclaration<JobContext>;
