/** Migrates the database, loads the definitions in use and the demo clinic; the server runs it before it serves (compose-prepare.ts). */
import { openKairos } from '../compose.ts';
import { loadDemo } from '../compose-demo.ts';
import { runCommand } from '../platform/command.ts';
import { loadProcessConfig } from '../platform/config.ts';

await runCommand(async () => {
  const kairos = await openKairos(loadProcessConfig(), { say: console.log });
  try {
    const demo = await loadDemo(kairos);
    if (demo !== undefined) console.log(`Loaded the demo clinic: ${demo} resources.`);
  } finally {
    await kairos.close();
  }
});
