/** Seals the record of accesses, and makes room for the months ahead. @see https://www.rfc-editor.org/rfc/rfc6962#section-2.1 */
import { seal } from '../audit/seal.ts';
import type { JobContext } from '../job-context.ts';
import type { JobDeclaration } from '../platform/job.ts';

export default {
  name: 'seal-audit',
  description: 'seals new rows of the record of accesses under a signed root; makes the partitions of the months ahead',
  schedule: { everyMs: 5_000 },
  retries: 0,
  backoffMs: 1_000,
  timeoutMs: 60_000,
  async run({ database, identity, auditRootsFile }) {
    const now = (): number => identity.clock.now();
    // Nothing to do for those that are there.
    await database.query(
      `select audit_month(now()), audit_month(now() + interval '1 month'), audit_month(now() + interval '2 months')`,
    );
    await seal({ pool: database, keys: identity.keys, now, rootsFile: auditRootsFile });
  },
} satisfies JobDeclaration<JobContext>;
