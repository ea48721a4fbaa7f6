/**
 * `npm run storm [-- --attempts 100000]`: 64 clients on two servers fight for a few times through every door of the calendar. Nobody may be booked twice, no
 * time may be refused that nobody has, nothing may break. With `--without-constraint` the database does not keep visits apart, and the storm must say so; with
 * `--kill` servers, worker and database are killed meanwhile. See docs/bench.md.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { cpuOf, postgresCpu } from '../bench/processes.ts';
import { kill, killReport, openKillStage } from '../bench/storm/kill.ts';
import { reportOf, type Report } from '../bench/storm/report.ts';
import { storm } from '../bench/storm/run.ts';
import { deadlocksIn, onDatabase, openStage } from '../bench/storm/stage.ts';
import { checkInvariants } from '../compose-doctor.ts';
import { seeded } from '../demo/random.ts';
import { readArguments, runCommand } from '../platform/command.ts';
import { migrate } from '../platform/database/migrate.ts';
import { openEmbeddedPostgres } from '../platform/embedded-postgres.ts';
import { givenRootKeys } from '../platform/root-keys.ts';
import { StartError } from '../platform/start-error.ts';

const USAGE = `npm run storm [-- <options>]: clients fight for a few times on two servers of their own
  --attempts <number>      requests (100000)
  --clients <number>       at the same time (64)
  --rounds <number>        times of which each has all clients after it at once (100)
  --seed <number>          of what is tried (another one each time)
  --without-constraint     the database does not keep visits apart: the storm must find it
  --kill                   servers, worker and database are killed meanwhile
  --kills <number>         how often (50)`;

const { values: options } = readArguments(USAGE, {
  attempts: { type: 'string', default: '100000' },
  clients: { type: 'string', default: '64' },
  rounds: { type: 'string', default: '100' },
  seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  'without-constraint': { type: 'boolean', default: false },
  kill: { type: 'boolean', default: false },
  kills: { type: 'string', default: '50' },
});

/** @throws StartError */
function count(name: 'attempts' | 'clients' | 'rounds' | 'seed' | 'kills'): number {
  const value = Number(options[name]);
  if (!Number.isInteger(value) || value < 0) throw new StartError(`--${name} must be a whole number.`);
  return value;
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function fight(folder: string, clients: number, random: () => number): Promise<Report> {
  const postgres = await openEmbeddedPostgres(folder);
  try {
    await migrate(postgres, { queue: true });
    const { wire, people, servers, env, close } = await openStage(postgres, clients);
    const before = await deadlocksIn(postgres.app);
    if (options['without-constraint'])
      await onDatabase(postgres.owner, 'alter table occupancy drop constraint occupancy_exclude');
    const cpu = (): number => postgresCpu(folder) + servers.reduce((sum, s) => sum + cpuOf(s.pid), 0);
    const [attempts, rounds, ports] = [count('attempts'), count('rounds'), servers.map((s) => s.port)];
    const result = await storm({ cpu, generated: true, wire, people, ports, attempts, rounds, random, say }).finally(
      close,
    );
    return reportOf(
      result,
      await checkInvariants(postgres.app, givenRootKeys(env.ROOT_KEY)),
      (await deadlocksIn(postgres.app)) - before,
    );
  } finally {
    await postgres.close();
  }
}

/** A run in which every request was answered proves nothing: it is repeated with more at the same time. */
async function killThings(folder: string, clients: number, random: () => number): Promise<Report> {
  const stage = await openKillStage(folder, clients);
  try {
    for (const [turn, everyMs] of [2_000, 1_200, 700].entries()) {
      const result = await kill({ stage, kills: count('kills'), everyMs, hot: 40, day: 3 + turn, random, say });
      if (result.unknown > 0)
        return killReport(result, await checkInvariants(stage.postgres.app, givenRootKeys(stage.env.ROOT_KEY)));
      say('void: every request was answered');
    }
    throw new StartError('Nothing was killed in the middle of anything, three times: the run proves nothing.');
  } finally {
    await stage.close();
  }
}

await runCommand(async () => {
  const [clients, seed] = [count('clients'), count('seed')];
  const { next: random } = seeded('storm', seed);
  say(`${clients} clients, two servers, seed ${seed}`);
  const folder = await mkdtemp(path.join(os.tmpdir(), 'kairos-storm-'));
  try {
    const { lines, problems } = await (options.kill ? killThings : fight)(folder, clients, random);
    for (const line of [...lines, ...problems]) say(line);
    if (problems.length > 0) throw new StartError('The storm found something.');
    say('Nobody was booked twice, and nothing that was acknowledged is lost.');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
