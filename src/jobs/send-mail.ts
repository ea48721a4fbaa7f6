/** Sends letters that were written: each when its outbox row comes, and every half minute those that were left behind. */
import { DeliveryError, deliverMail, waitingMail } from '../auth/mail/deliver.ts';
import type { JobContext } from '../job-context.ts';
import type { JobDeclaration } from '../platform/job.ts';

export default {
  name: 'send-mail',
  description: 'sends letters through SMTP_URL; without it they are kept',
  schedule: { everyMs: 30_000 },
  personal: true,
  retries: 5,
  backoffMs: 5_000,
  async run({ identity }, { payload, log, signal }) {
    const { id } = payload;
    if (typeof id === 'string') {
      try {
        if ((await deliverMail(identity, id)) === 'taken') throw new Error('Another process is sending this letter');
      } catch (error) {
        if (!(error instanceof DeliveryError) || !error.permanent) throw error;
        log.error('A letter was refused for good', { error: error.message });
      }
      return;
    }
    for (const waiting of await waitingMail(identity)) {
      if (signal.aborted) return;
      // One that fails must not keep the others waiting; it is tried again at the next round.
      await deliverMail(identity, waiting).catch((error: unknown) =>
        log.warn('A letter could not be sent', { error: error instanceof Error ? error.message : 'unknown' }),
      );
    }
  },
} satisfies JobDeclaration<JobContext>;
