/** `npm run worker`: runs jobs in a process of its own, beside servers with `WORKER=off`. */
import { openKairos } from './compose.ts';
import { keepStarting } from './compose-worker.ts';
import { runCommand } from './platform/command.ts';
import { loadProcessConfig } from './platform/config.ts';
import { jobTable } from './platform/job.ts';

await runCommand(async () => {
  const kairos = await openKairos(loadProcessConfig(), { say: console.log });
  const stopped = new AbortController();
  const starting = keepStarting(kairos, stopped.signal);
  let since = 0;
  const stop = async (): Promise<void> => {
    if (since > 0) {
      // A second Ctrl-C (not the one that npm passes on) does not wait for jobs: what they did not finish is run again.
      if (performance.now() - since > 500) process.exit(130);
      return;
    }
    since = performance.now();
    stopped.abort();
    await (await starting)?.close();
    await kairos.close();
    process.exit(0);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void stop());
  kairos.database.onLost(() => process.exit(1));
  const worker = await starting;
  if (worker) console.log(`${jobTable(worker.jobs)}\n\nThe worker runs; stop it with Ctrl-C.`);
});
