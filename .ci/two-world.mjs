// `npm run two-world -- --pairs 50000 --seed 7`: the two-world test of access (security.md A1.2) with as many random requests as one likes.
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    pairs: { type: 'string', default: '50000' },
    seed: { type: 'string', default: String(Date.now() % 100_000) },
  },
});
for (const [name, value] of Object.entries(values)) {
  if (!/^\d{1,9}$/.test(value)) {
    process.stderr.write(`--${name} must be a whole number.\n`);
    process.exit(1);
  }
}
const { status } = spawnSync(
  process.execPath,
  ['node_modules/vitest/vitest.mjs', 'run', 'tests/auth/two-world.test.ts'],
  {
    stdio: 'inherit',
    env: { ...process.env, TWO_WORLD_PAIRS: values.pairs, TWO_WORLD_SEED: values.seed },
  },
);
process.exitCode = status ?? 1;
