/** Publishes the next key for id_tokens when the present one is old, and retires what was replaced long ago. */
import { rotateSigningKeys } from '../auth/keys/signing.ts';
import type { JobContext } from '../job-context.ts';
import type { JobDeclaration } from '../platform/job.ts';

export default {
  name: 'rotate-signing-keys',
  description: 'publishes the next key of the authorization server, retires old ones',
  schedule: { cron: '10 2 * * *', zone: 'UTC' },
  retries: 3,
  backoffMs: 60_000,
  async run({ identity }, { log, payload }) {
    const { added, retired } = await rotateSigningKeys(identity, { now: payload['now'] === true });
    if (added + retired > 0) log.info('Signing keys rotated', { count: added, changed: retired });
  },
} satisfies JobDeclaration<JobContext>;
