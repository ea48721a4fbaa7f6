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

const mostIn = ({ warmUpMs, measureMs }: { readonly warmUpMs: number; readonly measureMs: number }): number =>
  Math.ceil(((warmUpMs + measureMs) * MOST_PER_SECOND) / 1000);

/** Requests that one operation sends, warm-up included, in a whole measurement. */
export const mostSent = ({ rounds, connections, ...each }: Timing): number =>
  mostIn(each) * rounds * connections.length;

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

/** Some of what is there, again and again; or others each time. */
export function taken<T>(from: readonly T[] | ((most: number) => readonly T[]), span: Parameters<typeof mostIn>[0]) {
  return typeof from === 'function' ? { list: from(mostIn(span)), once: true } : { list: from, once: false };
}

export async function underLoad(
  stage: Stage,
  server: RunningServer,
  count: number,
  { shots, times, anonymous }: Pick<Operation, 'shots' | 'times' | 'anonymous'>,
): Promise<Costed> {
  const { warmUpMs } = stage.timing;
  const measureMs = stage.timing.measureMs * times;
  const { list, once } = taken<Shot>(shots, { warmUpMs, measureMs });
  const job = {
    port: server.port,
    connections: count,
    warmUpMs,
    measureMs,
    shots: list,
    once,
    ...(anonymous ? {} : { authorization: await authorizationFor(server.port) }),
  };
  const sampler = setInterval(() => (stage.peakMiB = Math.max(stage.peakMiB, memoryOf(server.pid).nowMiB)), 100);
  const measured = await costed(stage, server.pid, times, () => stage.client.run(job));
  clearInterval(sampler);
  if (measured.failures > 0) {
    stage.say(`  ${measured.failures} failures; the first: ${measured.firstFailure?.slice(0, 400) ?? ''}`);
  }
  return measured;
}

async function onFloor(stage: Stage, { floor, times }: Operation, count: number): Promise<Costed> {
  if (floor.kind === 'server')
    return underLoad(stage, stage.server, count, { shots: floor.shots, times, anonymous: true });
  if (floor.kind === 'read') throw new Error('The floor of single reads is measured once a round');
  const { warmUpMs } = stage.timing;
  const job = { connections: count, warmUpMs, measureMs: stage.timing.measureMs * times };
  const run = (): Promise<Measured> => {
    if (floor.kind === 'http')
      return stage.client.run({ ...job, port: stage.floor.port, shots: floor.shots, once: false });
    const { list, once } = taken(floor.rows, job);
    return stage.floor.script({ ...job, ...floor, rows: list, once });
  };
  const measured = await costed(stage, stage.floor.pid, times, run);
  if (measured.failures > 0)
    stage.say(`  ${measured.failures} failures of the floor; the first: ${measured.firstFailure?.slice(0, 400) ?? ''}`);
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
