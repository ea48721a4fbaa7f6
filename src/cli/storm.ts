/**
 * `npm run storm [-- --attempts 100000]`: 64 clients on two servers fight for a few times through every door of the calendar. Nobody may be booked twice, no
 * time may be refused that nobody has, nothing may break. With `--without-constraint` the database does not keep visits apart, and the storm must say so.
 * @see https://www.postgresql.org/docs/18/ddl-constraints.html#DDL-CONSTRAINTS-EXCLUSION
 */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cpuOf, postgresCpu } from '../bench/processes.ts';
import { reportOf } from '../bench/storm/report.ts';
import { storm } from '../bench/storm/run.ts';
import { deadlocksIn, onDatabase, openStage } from '../bench/storm/stage.ts';
import { seeded } from '../demo/random.ts';
import { runCommand } from '../platform/command.ts';
import { runChecks } from '../platform/database/checks.ts';
import { migrate } from '../platform/database/migrate.ts';
import { openEmbeddedPostgres } from '../platform/embedded-postgres.ts';
import { StartError } from '../platform/start-error.ts';

const INVARIANTS = fileURLToPath(new URL('invariants.sql', import.meta.url));

const { values: options } = parseArgs({
  options: {
    attempts: { type: 'string', default: '100000' },
    clients: { type: 'string', default: '64' },
    rounds: { type: 'string', default: '100' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    'without-constraint': { type: 'boolean', default: false },
  },
});

/** @throws StartError */
function count(name: 'attempts' | 'clients' | 'rounds' | 'seed'): number {
  const value = Number(options[name]);
  if (!Number.isInteger(value) || value < 0) throw new StartError(`--${name} must be a whole number.`);
  return value;
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

await runCommand(async () => {
  const [attempts, clients, rounds, seed] = [count('attempts'), count('clients'), count('rounds'), count('seed')];
  const folder = await mkdtemp(path.join(os.tmpdir(), 'kairos-storm-'));
  const postgres = await openEmbeddedPostgres(folder);
  try {
    await migrate(postgres, { queue: true });
    const stage = await openStage(postgres, clients);
    const before = await deadlocksIn(postgres.app);
    say(`${clients} clients, two servers, ${attempts} attempts, seed ${seed}`);
    if (options['without-constraint'])
      await onDatabase(postgres.owner, 'alter table occupancy drop constraint occupancy_exclude');
    const { next: random } = seeded('storm', seed);
    const { wire, people, servers } = stage;
    const cpu = (): number => postgresCpu(folder) + servers.reduce((sum, s) => sum + cpuOf(s.pid), 0);
    const result = await storm({
      cpu,
      wire,
      people,
      ports: servers.map((s) => s.port),
      attempts,
      rounds,
      random,
      say,
    }).finally(() => stage.close());
    const checks = await runChecks(postgres.app, INVARIANTS);
    const { lines, problems } = reportOf(result, checks, (await deadlocksIn(postgres.app)) - before);
    for (const line of [...lines, ...problems]) say(line);
    if (problems.length > 0) throw new StartError('The storm found something.');
    say('Nobody was booked twice, and every time had as many winners as it has room.');
  } finally {
    await postgres.close();
    await rm(folder, { recursive: true, force: true });
  }
});
