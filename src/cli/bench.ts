/**
 * `npm run bench [-- --quick] [-- --only read,create] [-- --rounds 5] [-- --connections 1,10,50] [-- --profile <folder>] [-- --without encryption,audit] [-- --data <folder to keep the population in>]`: measures a server of its own,
 * in a folder of its own, against floors of the same run. See docs/bench.md.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { measureAuthorize, preparePerson } from '../bench/authorize.ts';
import { createBookFunction } from '../bench/bookings.ts';
import { loadResources } from '../bench/load.ts';
import { makePlainCopy } from '../bench/plain-copy.ts';
import { openBenchKeys, type BenchKeys } from '../bench/sealed.ts';
import { identityOperations, readOperation, searches, writes, type Operation } from '../bench/operations.ts';
import { population, type Size } from '../bench/population.ts';
import { memoryOf, startClient, startFloor, startServer } from '../bench/processes.ts';
import { checksOf, renderReport, type Check } from '../bench/report.ts';
import { bookOperation, findOperations } from '../bench/scheduling.ts';
import { FULL, QUICK, SMALL } from '../bench/sizes.ts';
import { measure, mostSent, type Stage, type Timing } from '../bench/stage.ts';
import { importRate, slowdown, startTimes } from '../bench/whole.ts';
import { readArguments } from '../platform/command.ts';
import { migrate } from '../platform/database/migrate.ts';
import { openEmbeddedPostgres, type EmbeddedPostgres } from '../platform/embedded-postgres.ts';
import { prepareClinic } from './bench-clinic.ts';

const USAGE = `npm run bench [-- <options>]: measures a server of its own against floors of the same run
  --quick                  a tenth of the data, shorter rounds
  --only <names>           operations whose names have one of these in them, as read,"search Slot"
  --rounds <number>        of each operation (5, quick 3)
  --seconds <number>       of each round (1.5, quick 0.7)
  --connections <numbers>  (1,10,50)
  --profile <folder>       for a CPU profile of the server
  --without <words>        encryption: on a database whose contents are plain; audit: no access is recorded; to see what they cost
  --data <folder>          keeps the loaded database for the next run`;

const { values: options } = readArguments(USAGE, {
  quick: { type: 'boolean', default: false },
  only: { type: 'string' },
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  connections: { type: 'string', default: '1,10,50' },
  profile: { type: 'string' },
  data: { type: 'string' },
  without: { type: 'string' },
});

const RSS_MIB = 250;

const WITHOUT: Readonly<Record<string, string>> = { encryption: 'ENCRYPTION', audit: 'AUDIT' };
const without = options.without?.split(',') ?? [];
const unknown = without.find((word) => WITHOUT[word] === undefined);
if (unknown !== undefined) {
  process.stderr.write(`--without can be: ${Object.keys(WITHOUT).join(', ')}.\n${USAGE}\n`);
  process.exit(1);
}
/** Of every server of the measurement. */
const settings: Readonly<Record<string, string>> = Object.fromEntries(
  without.map((word) => [WITHOUT[word] ?? '', 'off']),
);

const { size, calendars, imported } = options.quick ? QUICK : FULL;
const timing: Timing = {
  rounds: Number(options.rounds ?? (options.quick ? 3 : 5)),
  measureMs: Number(options.seconds ?? (options.quick ? 0.7 : 1.5)) * 1000,
  warmUpMs: options.quick ? 200 : 400,
  connections: options.connections.split(',').map(Number),
};
const wanted = options.only?.split(',');
const chosen = (name: string): boolean =>
  wanted === undefined || wanted.some((w) => name.toLowerCase().includes(w.toLowerCase()));

const say = (text: string): void => void process.stderr.write(`${text}\n`);
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

interface Prepared extends BenchKeys {
  readonly postgres: EmbeddedPostgres;
}

async function prepare(dataDir: string, of: Size): Promise<Prepared> {
  const postgres = await openEmbeddedPostgres(dataDir);
  await migrate(postgres, { queue: true });
  const keys = await openBenchKeys(postgres.app, dataDir, settings);
  const prepared: Prepared = {
    ...keys,
    postgres,
    async close() {
      await keys.close();
      await postgres.close();
    },
  };
  const loaded = path.join(
    dataDir,
    `population-${createHash('sha256')
      .update(JSON.stringify([of, settings]))
      .digest('hex')
      .slice(0, 8)}`,
  );
  if (existsSync(loaded)) return prepared;
  const started = performance.now();
  await loadResources(
    postgres.owner,
    keys.source,
    population(of),
    (line) => say(`loaded ${line} in ${seconds(performance.now() - started)}`),
    keys.content,
  );
  await makePlainCopy(postgres, keys.content);
  await writeFile(loaded, '');
  return prepared;
}

async function main(): Promise<number> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'kairos-bench-'));
  const cleanUp: (() => unknown)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    const largeDir = options.data === undefined ? path.join(folder, 'large') : path.resolve(options.data);
    const { postgres: large, source, content, close } = await prepare(largeDir, size);
    cleanUp.push(close);
    const finds = findOperations(calendars);
    const prepared = [...finds.map((o) => o.name), '$book', 'generation'].some(chosen)
      ? await prepareClinic({
          dataDir: largeDir,
          postgres: large,
          source,
          codec: content,
          size: calendars,
          patients: size.patients,
          // The server's, the floor's, and one by which the floor knows what a booking looks like.
          bookings: chosen('$book') ? 2 * mostSent(timing) + 1 : 0,
          measuresGeneration: chosen('generation'),
          settings,
          say,
        })
      : undefined;
    const profiling =
      options.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${path.resolve(options.profile)}`];
    // The first start on a database loads the definitions into it: what is measured is a start like any other.
    await (await startServer(largeDir, settings)).stop();
    const server = await startServer(largeDir, settings, profiling);
    cleanUp.push(() => server.stop());
    const floor = await startFloor(large.app);
    cleanUp.push(() => floor.stop());
    const client = startClient();
    cleanUp.push(() => client.stop());
    const idle = memoryOf(server.pid).nowMiB;
    const stage: Stage = { dataDir: largeDir, server, floor, client, timing, say, peakMiB: idle };

    const read = readOperation(size);
    const measured = (operations: readonly Operation[]): ReturnType<typeof measure> =>
      measure(
        stage,
        operations.filter((o) => chosen(o.name)),
        read,
      );
    const series = await measured([read, ...searches(size, source), ...identityOperations(size)]);
    const checks: Check[] = [...(prepared?.checks ?? [])];
    if (prepared) {
      const { clinic } = prepared;
      series.push(...(await measured(finds)));
      if (chosen('$book')) {
        await createBookFunction(large.owner, large.app, source);
        series.push(...(await measured([await bookOperation(clinic, server.port, source)])));
      }
    }
    const authorizations: string[] = [];
    if (chosen('authorize')) {
      const session = await preparePerson(large.app, largeDir);
      for (const people of [1, 10]) {
        const { perSecond, p50Ms } = await measureAuthorize(
          server.port,
          session,
          people,
          timing.measureMs * timing.rounds,
        );
        const line = `Whole authorizations with ${people} at a time: ${perSecond.toFixed(1)} a second, median ${p50Ms.toFixed(1)} ms.`;
        say(line);
        authorizations.push(line);
      }
    }
    if (chosen('slowdown')) {
      const smallDir = path.join(folder, 'small');
      const small = await prepare(smallDir, SMALL);
      cleanUp.push(small.close);
      const smallServer = await startServer(smallDir, settings);
      checks.push(await slowdown(stage, smallServer, size));
      await smallServer.stop();
    }
    series.push(...(await measured(writes(source))));
    checks.push({
      name: 'memory (RSS) of the server under load',
      value: `${Math.round(stage.peakMiB)} MiB (idle ${Math.round(idle)})`,
      target: `≤ ${RSS_MIB} MiB`,
      met: stage.peakMiB <= RSS_MIB,
    });
    if (chosen('import')) checks.push(await importRate(folder, largeDir, imported, settings));
    await server.stop();
    if (chosen('start')) checks.push(...(await startTimes(folder)));

    const all = [...series.flatMap(checksOf), ...checks];
    const notes = [
      ...(without.length === 0 ? [] : [`Measured without ${without.join(' and ')}.`]),
      `${os.cpus().length} cores (${os.cpus()[0]?.model ?? 'unknown'}), Node ${process.version}, embedded PostgreSQL 18 with fsync on, on the same machine as the load generator.`,
      `${size.patients.toLocaleString('en')} patients, ${(size.schedules * size.slotsPerSchedule).toLocaleString('en')} slots, ${(size.practitioners * size.appointmentsPerPractitioner).toLocaleString('en')} appointments; ${timing.rounds} rounds of ${seconds(timing.measureMs)} after ${seconds(timing.warmUpMs)} of warm-up.`,
      ...authorizations,
      'Floor: a bare Hono route with one prepared statement for the same rows (pool of 10); for writes the same inserts as an SQL script without HTTP.',
    ];
    process.stdout.write(`${renderReport(series, all, notes)}\n`);
    return all.every((c) => c.met) ? 0 : 1;
  } finally {
    for (const step of cleanUp.toReversed()) await step();
  }
}

process.exitCode = await main();
