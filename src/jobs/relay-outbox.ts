/** Takes side effects from the outbox and enqueues the jobs that their topics name. */
import type { JobDeclaration } from '../platform/job.ts';
import { claimOutbox, finishOutbox, postponeOutbox } from '../platform/outbox.ts';
import type { JobContext } from '../job-context.ts';

const BATCH = 100;

export default {
  name: 'relay-outbox',
  description: 'enqueues the side effects of committed changes',
  schedule: { everyMs: 2_000 },
  retries: 0,
  backoffMs: 0,
  async run({ database, enqueue, jobNames }, { log, signal }) {
    for (let more = true; more && !signal.aborted;) {
      const messages = await claimOutbox(database, BATCH);
      more = messages.length === BATCH;
      for (const message of messages) {
        if (jobNames.has(message.topic)) {
          // The id makes a second relay of the same row harmless.
          await enqueue(message.topic, message.payload, `outbox-${message.id}`);
          await finishOutbox(database, message.id);
        } else {
          log.error('No job bears the topic of an outbox row', { topic: message.topic, attempt: message.attempts });
          await postponeOutbox(database, message);
        }
      }
    }
  },
} satisfies JobDeclaration<JobContext>;
