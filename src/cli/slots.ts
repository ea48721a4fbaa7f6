/** `npm run slots`: generates the Slots of all Schedules now, compares each of those that are there, and says what it did. A running server may go on. */
import { openKairos } from '../compose.ts';
import { readArguments, runCommand } from '../platform/command.ts';
import { loadProcessConfig } from '../platform/config.ts';
import { generateSlots } from '../scheduling/generate.ts';

readArguments(
  'npm run slots: writes the Slots that the rules of all Schedules offer, now, and compares those that are there.',
  {},
);

await runCommand(async () => {
  const kairos = await openKairos(loadProcessConfig(), { say: console.log });
  try {
    const started = performance.now();
    const { offers, created, rewritten, deleted, unchanged, settled, left } = await generateSlots(
      kairos.scheduling.parts,
      { comparedBefore: Infinity },
    );
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(
      `Slots of ${offers} services in Schedules: ${created} created, ${rewritten + settled} changed, ${deleted} deleted, ${unchanged} unchanged, in ${seconds} s.`,
    );
    if (left.length > 0)
      console.log(`${left.length} Schedules were in use: the worker looks at them again within the hour.`);
  } finally {
    await kairos.close();
  }
});
