/** Takes side effects from the outbox and enqueues the jobs that their topics name. */
import type { JobDeclaration } from '../platform/job.ts';
import { claimOutbox, postponeOutbox, releaseOutbox } from '../platform/outbox.ts';
import type { JobContext } from '../job-context.ts';

const BATCH = 200;

export default {
  name: 'relay-outbox',
  description: 'enqueues the side effects of committed changes',
  schedule: { everyMs: 2_000 },
  retries: 0,
  backoffMs: 0,
  async run({ database, relay, jobNames }, { log, signal }) {
    for (let more = true; more && !signal.aborted;) {
      const messages = await claimOutbox(database, BATCH);
      more = messages.length === BATCH;
      const known = messages.filter((m) => jobNames.has(m.topic));
      if (known.length > 0)
        await relay(known).catch(async (error: unknown) => {
          await releaseOutbox(
            database,
            known.map((m) => m.id),
          );
          throw error;
        });
      for (const message of messages) {
        if (jobNames.has(message.topic)) continue;
        log.error('No job bears the topic of an outbox row', { topic: message.topic, attempt: message.attempts });
        await postponeOutbox(database, message, `There is no job ${message.topic}`);
      }
    }
  },
} satisfies JobDeclaration<JobContext>;
