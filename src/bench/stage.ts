/** Measures operations against their floors, in rounds: the server and its floor side by side, under the load generator. */
import type { Shot, Measured } from './client.ts';
import type { Operation } from './operations.ts';
import { cpuOf, memoryOf, postgresCpu, type Floor, type LoadGenerator, type RunningServer } from './processes.ts';
import type { Costed, Round, Series } from './report.ts';
import { authorizationFor } from './token.ts';

export interface Stage {
  readonly dataDir: string;
  readonly server: RunningServer;
  readonly floor: Floor;
  readonly client: LoadGenerator;
  readonly timing: Timing;
  readonly say: (text: string) => void;
  /** Highest memory seen while the server was under load. */
  peakMiB: number;
}

export interface Timing {
  readonly rounds: number;
  readonly measureMs: number;
  readonly warmUpMs: number;
  readonly connections: readonly number[];
}

/** More than any server here answers: what can be sent once only must not run short. */
const MOST_PER_SECOND = 6_000;

type Span = Pick<Timing, 'warmUpMs' | 'measureMs'>;

const mostIn = ({ warmUpMs, measureMs }: Span, perSecond: number): number =>
  Math.ceil(((warmUpMs + measureMs) * perSecond) / 1000);

/** Requests that one operation sends at most, warm-up included, in a whole measurement. */
export const mostSent = ({ rounds, connections, ...each }: Timing): number =>
  mostIn(each, MOST_PER_SECOND) * rounds * connections.length;

/** What was sent once only, and how often in a second: the next time no more than three times as much is made ready. */
const known = new WeakMap<object, number>();

/** Some of what is there, again and again; or others each time. */
async function withSome<T>(
  from: readonly T[] | ((most: number) => readonly T[]),
  span: Span,
  run: (list: readonly T[], once: boolean) => Promise<Costed>,
): Promise<Costed> {
  if (typeof from !== 'function') return run(from, false);
  const rate = known.get(from);
  const measured = await run(from(mostIn(span, rate === undefined ? MOST_PER_SECOND : 3 * rate)), true);
  known.set(from, Math.max(rate ?? 0, measured.perSecond));
  return measured;
}

/** Runs a measurement, and adds what it cost the process and PostgreSQL, warm-up included. */
async function costed(stage: Stage, pid: number, times: number, run: () => Promise<Measured>): Promise<Costed> {
  const { measureMs, warmUpMs } = stage.timing;
  const before = [cpuOf(pid), postgresCpu(stage.dataDir)] as const;
  const measured = await run();
  const requests = (measured.perSecond * (measureMs * times + warmUpMs)) / 1000;
  const each = (ms: number): number => (ms * 1000) / requests;
  const [node, postgres] = [cpuOf(pid) - before[0], postgresCpu(stage.dataDir) - before[1]];
  return { ...measured, nodeUs: each(node), postgresUs: each(postgres) };
}

export async function underLoad(
  stage: Stage,
  server: RunningServer,
  count: number,
  { shots, times, anonymous }: Pick<Operation, 'shots' | 'times' | 'anonymous'>,
): Promise<Costed> {
  const span = { warmUpMs: stage.timing.warmUpMs, measureMs: stage.timing.measureMs * times };
  const authorization = anonymous ? {} : { authorization: await authorizationFor(server.port) };
  const sampler = setInterval(() => (stage.peakMiB = Math.max(stage.peakMiB, memoryOf(server.pid).nowMiB)), 100);
  const measured = await withSome<Shot>(shots, span, (list, once) =>
    costed(stage, server.pid, times, () =>
      stage.client.run({ ...span, ...authorization, port: server.port, connections: count, shots: list, once }),
    ),
  );
  clearInterval(sampler);
  tellFailures(stage, measured);
  return measured;
}

function tellFailures({ say }: Stage, { failures, firstFailure }: Measured): void {
  if (failures > 0) say(`  ${failures} failures; the first: ${firstFailure?.slice(0, 400) ?? ''}`);
}

async function onFloor(stage: Stage, { floor, times }: Operation, count: number): Promise<Costed> {
  if (floor.kind === 'server')
    return underLoad(stage, stage.server, count, { shots: floor.shots, times, anonymous: true });
  if (floor.kind === 'read') throw new Error('The floor of single reads is measured once a round');
  const job = {
    connections: count,
    warmUpMs: stage.timing.warmUpMs,
    measureMs: stage.timing.measureMs * times,
  };
  const run = (work: () => Promise<Measured>): Promise<Costed> => costed(stage, stage.floor.pid, times, work);
  const measured =
    floor.kind === 'http'
      ? await run(() => stage.client.run({ ...job, port: stage.floor.port, shots: floor.shots, once: false }))
      : await withSome(floor.rows, job, (rows, once) =>
          run(() => stage.floor.script({ ...job, ...floor, rows, once })),
        );
  tellFailures(stage, measured);
  return measured;
}

const floorOf = (
  stage: Stage,
  operation: Operation,
  count: number,
  read: Operation,
  readFloor: Costed,
): Promise<Costed> =>
  operation === read || operation.floor.kind === 'read' ? Promise.resolve(readFloor) : onFloor(stage, operation, count);

/** What a floor answers where the server computes: one of the server's own replies. */
async function lendReplies(stage: Stage, operations: readonly Operation[]): Promise<void> {
  for (const { floor } of operations) {
    if (floor.kind !== 'http' || floor.answer === undefined) continue;
    const { key, path } = floor.answer;
    const authorization = await authorizationFor(stage.server.port);
    const reply = await fetch(`http://localhost:${stage.server.port}${path}`, { headers: { authorization } });
    if (!reply.ok) throw new Error(`${path}: ${reply.status} ${await reply.text()}`);
    stage.floor.lend({ kind: 'answer', key, body: await reply.text() });
  }
}

/** Rounds over all operations in turn, who goes first changing. */
export async function measure(stage: Stage, operations: readonly Operation[], read: Operation): Promise<Series[]> {
  const { rounds, connections } = stage.timing;
  await lendReplies(stage, operations);
  const series = operations.flatMap((operation) =>
    connections
      .filter((count) => operation.connections?.includes(count) ?? true)
      .map((count) => ({ operation, connections: count, rounds: [] as Round[] })),
  );
  for (let round = 0; round < rounds; round++) {
    for (const count of connections) {
      const due = series.filter((s) => s.connections === count);
      if (due.length === 0) continue;
      const readFloor = await onFloor(stage, read, count);
      for (const one of due) {
        const floorFirst = round % 2 === 0;
        const before = floorFirst ? await floorOf(stage, one.operation, count, read, readFloor) : undefined;
        const subject = await underLoad(stage, stage.server, count, one.operation);
        const floor = before ?? (await floorOf(stage, one.operation, count, read, readFloor));
        one.rounds.push({ subject, floor, readFloor: readFloor.perSecond });
        stage.say(
          `round ${round + 1}, ${count} connections, ${one.operation.name}: ${Math.round(subject.perSecond)}/s, floor ${Math.round(floor.perSecond)}/s`,
        );
      }
    }
  }
  return series;
}
