/** Forgets expired tokens, codes, launches, tickets, attempts, sessions and old mail. */
import { sweepIdentity } from '../auth/sweep.ts';
import type { JobContext } from '../job-context.ts';
import type { JobDeclaration } from '../platform/job.ts';

export default {
  name: 'sweep-identity',
  description: 'deletes expired tokens, launches, sessions and old mail',
  schedule: { cron: '*/5 * * * *', zone: 'UTC' },
  personal: true,
  retries: 2,
  backoffMs: 60_000,
  async run({ identity }, { log, signal }) {
    log.info('Identity swept', { count: await sweepIdentity(identity, signal) });
  },
} satisfies JobDeclaration<JobContext>;
