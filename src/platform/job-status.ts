/** What `npm run jobs -- status` prints: the notes of the database, and what the queue holds. */
import { describeSchedule, textTable, type JobDeclaration } from './job.ts';
import type { RunsOfJob } from './job-runs.ts';
import type { DeadRow, OutboxCounts } from './outbox.ts';
import type { JobLook, Progress, QueueLook } from './queue-look.ts';

export interface JobStatus {
  readonly jobs: readonly JobDeclaration<never>[];
  readonly runs: readonly RunsOfJob[];
  readonly outbox: OutboxCounts;
  readonly dead: readonly DeadRow[];
  /** Where the queue is. */
  readonly place: string;
  /** undefined: it does not answer. */
  readonly queue: QueueLook | undefined;
  /** In milliseconds, as all times. */
  readonly now: number;
}

const UNITS = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1_000, 's'],
] as const;

/** The largest unit that fits, `3 min`. */
function span(ms: number): string {
  const [size, name] = UNITS.find(([size]) => ms >= size) ?? [1_000, 's'];
  return `${Math.max(0, Math.floor(ms / size))} ${name}`;
}

const ago = (then: number | undefined, now: number): string => (then === undefined ? '-' : `${span(now - then)} ago`);
const ahead = (then: number | undefined, now: number): string =>
  then === undefined ? '-' : then <= now ? 'now' : `in ${span(then - now)}`;
const number = (value: number): string => value.toLocaleString('en');

function jobRow(
  job: JobDeclaration<never>,
  runs: RunsOfJob | undefined,
  look: JobLook | undefined,
  now: number,
): readonly string[] {
  const { running = '?', waiting = '?', failed = '?' } = look ?? {};
  return [
    job.name,
    describeSchedule(job.schedule),
    ahead(look?.next, now),
    ago(runs?.lastSucceeded, now),
    ago(runs?.lastFailed, now),
    number(runs?.runs ?? 0),
    number(runs?.failures ?? 0),
    String(running),
    String(waiting),
    String(failed),
  ];
}

const HEAD = [
  'job',
  'when',
  'next',
  'last success',
  'last failure',
  'runs',
  'failures',
  'running',
  'waiting',
  'failed',
];
const NONE: JobLook = { running: 0, waiting: 0, failed: 0, next: undefined, progress: [] };

const progressText = ({ done, total }: Progress): string =>
  total === undefined ? number(done) : `${number(done)} of ${number(total)}`;

function queueLine({ place, queue }: JobStatus): string {
  if (!queue) return `Queue   ${place} does not answer: what it holds is not known.`;
  const { waiting, active, failed } = queue.counts;
  const notes = [...(queue.isPaused ? ['paused'] : []), ...(queue.isCut ? ['too many to look at all of them'] : [])];
  return `Queue   ${place}: ${[`${number(active)} running`, `${number(waiting)} waiting`, `${number(failed)} failed`, ...notes].join(', ')}`;
}

function outboxLine({ outbox: { pending, sent, dead, oldestSeconds } }: JobStatus): string {
  const oldest = pending + sent > 0 ? `, the oldest ${span(oldestSeconds * 1_000)} old` : '';
  return `Outbox  ${number(pending)} pending, ${number(sent)} sent, ${number(dead)} dead${oldest}`;
}

const section = (title: string, lines: readonly string[]): readonly string[] =>
  lines.length === 0 ? [] : ['', title, ...lines.map((line) => `  ${line}`)];

export function statusText(status: JobStatus): string {
  const { jobs, runs, dead, queue, now } = status;
  const runsOf = new Map(runs.map((r) => [r.name, r]));
  const names = new Set(jobs.map((j) => j.name));
  const underWay = [...(queue?.jobs ?? [])].flatMap(([name, { progress }]) =>
    progress.map((p) => `${name}  ${progressText(p)}`),
  );
  const failures = runs
    .filter((r) => names.has(r.name) && r.lastFailed !== undefined)
    .map((r) => `${r.name}  ${new Date(r.lastFailed ?? 0).toISOString().slice(0, 19)}Z  ${r.lastError ?? ''}`);
  return [
    queueLine(status),
    outboxLine(status),
    '',
    textTable([
      HEAD,
      ...jobs.map((job) => jobRow(job, runsOf.get(job.name), queue && (queue.jobs.get(job.name) ?? NONE), now)),
    ]),
    ...section('Under way', underWay),
    ...section('Last failures', failures),
    ...section(
      'Dead in the outbox; npm run jobs -- retry tries them once more',
      dead.map(({ topic, count, error }) => `${topic}  ${number(count)}  ${error}`),
    ),
  ].join('\n');
}
