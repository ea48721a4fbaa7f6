/** Forgets whose time has changed, once every server that keeps calendars in memory has heard of it. */
import type { JobContext } from '../job-context.ts';
import type { JobDeclaration } from '../platform/job.ts';
import { forgetChanges } from '../scheduling/calendars.ts';

export default {
  name: 'forget-calendar-changes',
  description: 'deletes notes of changed calendars that every server has seen',
  schedule: { everyMs: 60_000 },
  retries: 0,
  backoffMs: 60_000,
  async run({ database }, { log }) {
    log.debug('Calendar changes forgotten', { count: await forgetChanges(database) });
  },
} satisfies JobDeclaration<JobContext>;
