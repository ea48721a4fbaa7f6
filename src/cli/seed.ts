/** `npm run seed [-- --seed 1] [-- --today 2026-11-22]`: adds the demo clinic to the database that the configuration names. See docs/import.md. */
import { openKairos } from '../compose.ts';
import { seedDemo } from '../demo/seed.ts';
import { readArguments } from '../platform/command.ts';
import { loadProcessConfig } from '../platform/config.ts';
import { generateSlots } from '../scheduling/generate.ts';
import { sentence, StartError } from '../platform/start-error.ts';

const USAGE = `npm run seed [-- <options>]: adds the demo clinic to the database
  --seed <number>      which clinic (otherwise that of DEMO_SEED)
  --today <date>       the day around which its visits lie, as 2026-11-22`;

async function main(): Promise<void> {
  const { values } = readArguments(USAGE, { seed: { type: 'string' }, today: { type: 'string' } });
  const config = loadProcessConfig();
  const seed = Number(values.seed ?? config.demoSeed);
  if (!Number.isSafeInteger(seed) || seed < 0) throw new StartError('--seed must be a whole number, 0 or greater.');
  if (
    values.today !== undefined &&
    (!/^\d{4}-\d{2}-\d{2}$/.test(values.today) || Number.isNaN(Date.parse(values.today)))
  ) {
    throw new StartError('--today must be a date such as 2026-11-22.');
  }
  const started = performance.now();
  const kairos = await openKairos(config, { say: (text) => process.stderr.write(`${text}\n`) });
  try {
    const { created, unchanged } = await seedDemo(kairos.engine, {
      seed,
      ...(values.today === undefined ? {} : { today: values.today }),
    });
    const slots = await generateSlots(kairos.scheduling.parts);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    process.stdout.write(
      `Demo clinic ${seed}: ${created} resources added, ${unchanged} were there already, and ${slots.created} Slots generated, in ${seconds} s.\n`,
    );
  } finally {
    await kairos.close();
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${sentence(error)}\n`);
  process.exitCode = 1;
}
