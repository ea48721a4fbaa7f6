/** A worker whose one job takes SLOW_MS, in a process that a test may kill. It says when the job begins and when it has ended. */
import { setTimeout as sleep } from 'node:timers/promises';
import { openKairos } from '../../src/compose.ts';
import { startWorker } from '../../src/compose-worker.ts';
import relayOutbox from '../../src/jobs/relay-outbox.ts';
import { loadProcessConfig } from '../../src/platform/config.ts';

const kairos = await openKairos(loadProcessConfig());
await startWorker(kairos, {
  sweepMs: 300,
  lockMs: 1_500,
  stalledMs: 300,
  jobs: [
    { ...relayOutbox, schedule: { everyMs: 200 } },
    {
      name: 'slow',
      description: 'takes its time',
      retries: 1,
      backoffMs: 50,
      async run(_, { attempt }) {
        console.log(`began ${attempt}`);
        await sleep(Number(process.env['SLOW_MS']));
        console.log('ended');
      },
    },
  ],
});
console.log('works');
