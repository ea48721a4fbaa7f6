/**
 * `npm run bench [-- --quick] [-- --only read,create] [-- --rounds 5] [-- --connections 1,10,50] [-- --profile <folder>] [-- --data <folder to keep the population in>]`: measures a server of its own,
 * in a folder of its own, against floors of the same run. See docs/bench.md.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type { Definitions } from '../fhir/definitions/registry.ts';
import { loadDefinitions } from '../fhir/definitions/registry.ts';
import { migrate } from '../platform/database/migrate.ts';
import { openEmbeddedPostgres, type EmbeddedPostgres } from '../platform/embedded-postgres.ts';
import { projectFolder } from '../platform/paths.ts';
import type { Measured } from '../bench/client.ts';
import { loadPopulation } from '../bench/load.ts';
import { measureAuthorize, preparePerson } from '../bench/authorize.ts';
import {
  identityOperations,
  readOperation,
  searches,
  slotSearch,
  writes,
  type Operation,
} from '../bench/operations.ts';
import { authorizationFor } from '../bench/token.ts';
import { patient, population, type Size } from '../bench/population.ts';
import {
  cpuOf,
  memoryOf,
  postgresCpu,
  startClient,
  startFloor,
  startServer,
  type Floor,
  type LoadGenerator,
  type RunningServer,
} from '../bench/processes.ts';
import { checksOf, median, renderReport, type Check, type Costed, type Round, type Series } from '../bench/report.ts';

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    connections: { type: 'string', default: '1,10,50' },
    profile: { type: 'string' },
    data: { type: 'string' },
  },
});

const FULL: Size = {
  patients: 100_000,
  schedules: 1000,
  slotsPerSchedule: 1000,
  practitioners: 200,
  appointmentsPerPractitioner: 400,
};
const QUICK: Size = {
  patients: 10_000,
  schedules: 100,
  slotsPerSchedule: 1000,
  practitioners: 50,
  appointmentsPerPractitioner: 200,
};
const SMALL: Size = {
  patients: 100,
  schedules: 10,
  slotsPerSchedule: 1000,
  practitioners: 5,
  appointmentsPerPractitioner: 1,
};
const IMPORTED = options.quick ? 10_000 : 50_000;
const RSS_MIB = 250;
const FIRST_START_MS = 10_000;
const LATER_START_MS = 2_000;
const SLOWDOWN = 1.3;
const IMPORT_PER_SECOND = 5_000;

const size = options.quick ? QUICK : FULL;
const rounds = Number(options.rounds ?? (options.quick ? 3 : 5));
const measureMs = Number(options.seconds ?? (options.quick ? 0.7 : 1.5)) * 1000;
const warmUpMs = options.quick ? 200 : 400;
const connections = options.connections.split(',').map(Number);
const wanted = options.only?.split(',');
const chosen = (name: string): boolean =>
  wanted === undefined || wanted.some((w) => name.toLowerCase().includes(w.toLowerCase()));

const say = (text: string): void => void process.stderr.write(`${text}\n`);
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

interface Stage {
  readonly dataDir: string;
  readonly server: RunningServer;
  readonly floor: Floor;
  readonly client: LoadGenerator;
  /** Highest memory seen while the server was under load. */
  peakMiB: number;
}

/** Runs a measurement, and adds what it cost the process and PostgreSQL, warm-up included. */
async function costed(stage: Stage, pid: number, times: number, run: () => Promise<Measured>): Promise<Costed> {
  const before = [cpuOf(pid), postgresCpu(stage.dataDir)] as const;
  const measured = await run();
  const requests = (measured.perSecond * (measureMs * times + warmUpMs)) / 1000;
  const each = (ms: number): number => (ms * 1000) / requests;
  const [node, postgres] = [cpuOf(pid) - before[0], postgresCpu(stage.dataDir) - before[1]];
  return { ...measured, nodeUs: each(node), postgresUs: each(postgres) };
}

async function underLoad(
  stage: Stage,
  server: RunningServer,
  count: number,
  { shots, times, anonymous }: Pick<Operation, 'shots' | 'times' | 'anonymous'>,
): Promise<Costed> {
  const sampler = setInterval(() => (stage.peakMiB = Math.max(stage.peakMiB, memoryOf(server.pid).nowMiB)), 100);
  const job = {
    port: server.port,
    connections: count,
    warmUpMs,
    measureMs: measureMs * times,
    shots,
    ...(anonymous ? {} : { authorization: await authorizationFor(server.port) }),
  };
  const measured = await costed(stage, server.pid, times, () => stage.client.run(job));
  clearInterval(sampler);
  if (measured.failures > 0) {
    say(`  ${measured.failures} failures; the first: ${measured.firstFailure?.slice(0, 400) ?? ''}`);
  }
  return measured;
}

function onFloor(stage: Stage, { floor, times }: Operation, count: number): Promise<Costed> {
  if (floor.kind === 'server')
    return underLoad(stage, stage.server, count, { shots: floor.shots, times, anonymous: true });
  if (floor.kind === 'read') throw new Error('The floor of single reads is measured once a round');
  const job = { connections: count, warmUpMs, measureMs: measureMs * times };
  return costed(stage, stage.floor.pid, times, () =>
    floor.kind === 'http'
      ? stage.client.run({ ...job, port: stage.floor.port, shots: floor.shots })
      : stage.floor.script({ ...floor, ...job }),
  );
}

/** Rounds over all operations in turn, the server and its floor side by side, who goes first changing. */
async function measure(stage: Stage, operations: readonly Operation[], read: Operation): Promise<Series[]> {
  const series = operations.flatMap((operation) =>
    connections.map((count) => ({ operation, connections: count, rounds: [] as Round[] })),
  );
  for (let round = 0; round < rounds; round++) {
    for (const count of connections) {
      const readFloor = await onFloor(stage, read, count);
      for (const one of series.filter((s) => s.connections === count)) {
        const floorFirst = round % 2 === 0;
        const before = floorFirst ? await floorOf(stage, one.operation, count, read, readFloor) : undefined;
        const subject = await underLoad(stage, stage.server, count, one.operation);
        const floor = before ?? (await floorOf(stage, one.operation, count, read, readFloor));
        one.rounds.push({ subject, floor, readFloor: readFloor.perSecond });
        say(
          `round ${round + 1}, ${count} connections, ${one.operation.name}: ${Math.round(subject.perSecond)}/s, floor ${Math.round(floor.perSecond)}/s`,
        );
      }
    }
  }
  return series;
}

const floorOf = (
  stage: Stage,
  operation: Operation,
  count: number,
  read: Operation,
  readFloor: Costed,
): Promise<Costed> =>
  operation === read || operation.floor.kind === 'read' ? Promise.resolve(readFloor) : onFloor(stage, operation, count);

/** The same search on 10,000 slots and on all of them, in turn. */
async function slowdown(stage: Stage, small: RunningServer): Promise<Check> {
  const ratios: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const few = await underLoad(stage, small, 50, slotSearch(SMALL));
    const many = await underLoad(stage, stage.server, 50, slotSearch(size));
    ratios.push(few.perSecond / many.perSecond);
    say(
      `round ${round + 1}, Slot search on 10,000 slots ${Math.round(few.perSecond)}/s, on all ${Math.round(many.perSecond)}/s`,
    );
  }
  const ratio = median(ratios);
  return {
    name: `Slot search, 10,000 → ${(size.schedules * size.slotsPerSchedule).toLocaleString('en')} slots`,
    value: `${ratio.toFixed(2)}x slower`,
    target: `≤ ${SLOWDOWN}x`,
    met: ratio <= SLOWDOWN,
  };
}

async function startTimes(folder: string): Promise<Check[]> {
  const dataDir = path.join(folder, 'start');
  const first = await startServer(dataDir, { DEMO: 'on' });
  const memory = memoryOf(first.pid).nowMiB;
  await first.stop();
  const later: number[] = [];
  for (let i = 0; i < 3; i++) {
    const server = await startServer(dataDir, { DEMO: 'on' });
    later.push(server.readyAfterMs);
    await server.stop();
  }
  const check = (name: string, ms: number, limit: number): Check => ({
    name,
    value: seconds(ms),
    target: `≤ ${seconds(limit)}`,
    met: ms <= limit,
  });
  return [
    check(`first start, with the demo clinic (then ${Math.round(memory)} MiB)`, first.readyAfterMs, FIRST_START_MS),
    check('later start', median(later), LATER_START_MS),
  ];
}

async function importRate(folder: string, dataDir: string): Promise<Check> {
  const file = path.join(folder, 'import.ndjson');
  const slots = population({ ...SMALL, patients: 0, schedules: 20, slotsPerSchedule: IMPORTED / 40, practitioners: 5 });
  let text = '';
  for (let n = 0; n < IMPORTED / 2; n++)
    text += `${JSON.stringify({ ...patient(n, `Imported${n}`), id: `import-${n}` })}\n`;
  for (const resource of slots)
    if (resource.resourceType !== 'Appointment')
      text += `${JSON.stringify({ ...resource, id: `i-${resource.id}` }).replaceAll('/bench-', '/i-bench-')}\n`;
  await writeFile(file, text);
  const count = text.split('\n').length - 1;
  const started = performance.now();
  const child = spawn(
    process.execPath,
    ['--import=./src/compile-cache.mjs', path.join(projectFolder, 'src', 'cli', 'import.ts'), file],
    {
      cwd: projectFolder,
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], DATA_DIR: dataDir, LOG_LEVEL: 'warn' },
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  const [code] = (await once(child, 'exit')) as [number | null];
  const rate = (count * 1000) / (performance.now() - started);
  return {
    name: `import of ${count.toLocaleString('en')} resources${code === 0 ? '' : ` (ended with ${code})`}`,
    value: `${Math.round(rate).toLocaleString('en')}/s`,
    target: `≥ ${IMPORT_PER_SECOND.toLocaleString('en')}/s`,
    met: code === 0 && rate >= IMPORT_PER_SECOND,
  };
}

async function prepare(dataDir: string, definitions: Definitions, of: Size): Promise<EmbeddedPostgres> {
  const postgres = await openEmbeddedPostgres(dataDir);
  await migrate(postgres, { queue: true });
  const loaded = path.join(
    dataDir,
    `population-${createHash('sha256').update(JSON.stringify(of)).digest('hex').slice(0, 8)}`,
  );
  if (existsSync(loaded)) return postgres;
  const started = performance.now();
  await loadPopulation(postgres.owner, definitions, of, (line) =>
    say(`loaded ${line} in ${seconds(performance.now() - started)}`),
  );
  await writeFile(loaded, '');
  return postgres;
}

async function main(): Promise<number> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'kairos-bench-'));
  const cleanUp: (() => unknown)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    const definitions = loadDefinitions();
    const largeDir = options.data === undefined ? path.join(folder, 'large') : path.resolve(options.data);
    const large = await prepare(largeDir, definitions, size);
    cleanUp.push(() => large.close());
    const profiling =
      options.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${path.resolve(options.profile)}`];
    // The first start on a database loads the definitions into it: what is measured is a start like any other.
    await (await startServer(largeDir)).stop();
    const server = await startServer(largeDir, {}, profiling);
    cleanUp.push(() => server.stop());
    const floor = await startFloor(large.app);
    cleanUp.push(() => floor.stop());
    const client = startClient();
    cleanUp.push(() => client.stop());
    const stage: Stage = { dataDir: largeDir, server, floor, client, peakMiB: 0 };
    const idle = memoryOf(server.pid).nowMiB;

    const read = readOperation(size);
    const series = await measure(
      stage,
      [read, ...searches(size), ...identityOperations(size)].filter((o) => chosen(o.name)),
      read,
    );
    const checks: Check[] = [];
    const authorizations: string[] = [];
    if (chosen('authorize')) {
      const session = await preparePerson(large.app, largeDir);
      for (const people of [1, 10]) {
        const { perSecond, p50Ms } = await measureAuthorize(server.port, session, people, measureMs * rounds);
        const line = `Whole authorizations with ${people} at a time: ${perSecond.toFixed(1)} a second, median ${p50Ms.toFixed(1)} ms.`;
        say(line);
        authorizations.push(line);
      }
    }
    if (chosen('slowdown')) {
      const smallDir = path.join(folder, 'small');
      const small = await prepare(smallDir, definitions, SMALL);
      cleanUp.push(() => small.close());
      const smallServer = await startServer(smallDir);
      checks.push(await slowdown(stage, smallServer));
      await smallServer.stop();
    }
    series.push(
      ...(await measure(
        stage,
        writes(definitions).filter((o) => chosen(o.name)),
        read,
      )),
    );
    checks.push({
      name: 'memory (RSS) of the server under load',
      value: `${Math.round(stage.peakMiB)} MiB (idle ${Math.round(idle)})`,
      target: `≤ ${RSS_MIB} MiB`,
      met: stage.peakMiB <= RSS_MIB,
    });
    if (chosen('import')) checks.push(await importRate(folder, largeDir));
    await server.stop();
    if (chosen('start')) checks.push(...(await startTimes(folder)));

    const all = [...series.flatMap(checksOf), ...checks];
    const notes = [
      `${os.cpus().length} cores (${os.cpus()[0]?.model ?? 'unknown'}), Node ${process.version}, embedded PostgreSQL 18 with fsync on, on the same machine as the load generator.`,
      `${size.patients.toLocaleString('en')} patients, ${(size.schedules * size.slotsPerSchedule).toLocaleString('en')} slots, ${(size.practitioners * size.appointmentsPerPractitioner).toLocaleString('en')} appointments; ${rounds} rounds of ${seconds(measureMs)} after ${seconds(warmUpMs)} of warm-up.`,
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
