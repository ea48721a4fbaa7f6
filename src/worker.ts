/** `npm run worker`: runs jobs in a process of its own, beside servers with `WORKER=off`. */
import { openKairos } from './compose.ts';
import { startWorker } from './compose-worker.ts';
import { runCommand } from './platform/command.ts';
import { loadProcessConfig } from './platform/config.ts';
import { jobTable } from './platform/job.ts';

await runCommand(async () => {
  const kairos = await openKairos(loadProcessConfig(), { say: console.log });
  const worker = await startWorker(kairos);
  console.log(`${jobTable(worker.jobs)}\n\nThe worker runs; stop it with Ctrl-C.`);
  let stopping = false;
  const stop = async (): Promise<void> => {
    // A second Ctrl-C does not wait for jobs: what they did not finish is run again.
    if (stopping) process.exit(130);
    stopping = true;
    await worker.close();
    await kairos.close();
    process.exit(0);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void stop());
  kairos.database.onLost(() => process.exit(1));
});
