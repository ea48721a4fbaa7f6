/** Measurements that have no floor: how a search slows down, how long a start and an import take. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { projectFolder } from '../platform/paths.ts';
import { slotSearch } from './operations.ts';
import { patient, population, type Size } from './population.ts';
import { memoryOf, startServer, type RunningServer } from './processes.ts';
import { median, type Check } from './report.ts';
import { SMALL } from './sizes.ts';
import { underLoad, type Stage } from './stage.ts';

const FIRST_START_MS = 10_000;
const LATER_START_MS = 2_000;
const SLOWDOWN = 1.3;
const IMPORT_PER_SECOND = 5_000;

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** The same search on 10,000 slots and on all of them, in turn. */
export async function slowdown(stage: Stage, small: RunningServer, size: Size): Promise<Check> {
  const ratios: number[] = [];
  for (let round = 0; round < stage.timing.rounds; round++) {
    const few = await underLoad(stage, small, 50, slotSearch(SMALL));
    const many = await underLoad(stage, stage.server, 50, slotSearch(size));
    ratios.push(few.perSecond / many.perSecond);
    stage.say(
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

export async function startTimes(folder: string): Promise<Check[]> {
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

export async function importRate(
  folder: string,
  dataDir: string,
  imported: number,
  settings: Readonly<Record<string, string>>,
): Promise<Check> {
  const file = path.join(folder, 'import.ndjson');
  const slots = population({ ...SMALL, patients: 0, schedules: 20, slotsPerSchedule: imported / 40, practitioners: 5 });
  let text = '';
  for (let n = 0; n < imported / 2; n++)
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
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], DATA_DIR: dataDir, LOG_LEVEL: 'warn', ...settings },
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
