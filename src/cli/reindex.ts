/**
 * `npm run reindex -- [Type …]`: recomputes the search columns of these types, or of all. The job goes the way of every side
 * effect, through the outbox and the queue; when no server runs, this process works until it is done.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { openKairos } from '../compose.ts';
import { startWorker } from '../compose-worker.ts';
import { readArguments, runCommand } from '../platform/command.ts';
import { loadProcessConfig } from '../platform/config.ts';
import { addToOutbox, outboxStatus } from '../platform/outbox.ts';
import { StartError } from '../platform/start-error.ts';

const USAGE = 'npm run reindex [-- <type> …]: recomputes the search columns of these types, or of all.';

await runCommand(async () => {
  const types = readArguments(USAGE, {}, true).positionals;
  const kairos = await openKairos(loadProcessConfig(), { say: console.log });
  try {
    const unknown = types.find((t) => !kairos.engine.resources.has(t));
    if (unknown !== undefined) throw new StartError(`${unknown} is no resource type that is served here.`);
    const what = types.length === 0 ? 'all types' : types.join(', ');
    const row = await addToOutbox(kairos.pool, 'reindex', { types });
    if (!kairos.database.embedded || kairos.database.joined) {
      console.log(
        `Reindex of ${what} is queued: the running server or worker does it, and logs "Reindexed" for each type.`,
      );
      return;
    }
    console.log(`Reindexing ${what} …`);
    const worker = await startWorker(kairos);
    const status = async (): Promise<string> => (await outboxStatus(kairos.pool, row)) ?? 'done';
    let now = await status();
    for (; now === 'pending' || now === 'sent'; now = await status()) await sleep(100);
    await worker.close();
    if (now === 'dead') throw new StartError('The reindex has failed: npm run jobs -- status tells why.');
  } finally {
    await kairos.close();
  }
});
