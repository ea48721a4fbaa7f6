/** The stage of a storm in which things are killed, and what must be true when it is over. @see https://www.postgresql.org/docs/18/wal-reliability.html */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CheckResult } from '../../platform/database/checks.ts';
import { migrate } from '../../platform/database/migrate.ts';
import { givenRootKeys } from '../../platform/root-keys.ts';
import { openEmbeddedPostgres, type EmbeddedPostgres } from '../../platform/embedded-postgres.ts';
import { freePort, urlOf } from '../processes.ts';
import { faults, HOLD_MS, type FaultResult } from './faults.ts';
import { keepServer, keepWorker, type Kept } from './kept.ts';
import { writePeople, type People } from './people.ts';
import { onDatabase } from './stage.ts';
import { createWire, type Wire } from './wire.ts';
import { demandSlots, hotTimes, resourcesOf, writing, type Time } from './world.ts';

export interface KillStage {
  readonly postgres: EmbeddedPostgres;
  readonly dataDir: string;
  readonly kept: readonly Kept[];
  readonly ports: readonly number[];
  readonly people: People;
  readonly wire: Wire;
  readonly env: Readonly<Record<string, string>> & { readonly ROOT_KEY: string };
  close(): Promise<void>;
}

/** @param settings of the servers and the worker */
export async function openKillStage(
  dataDir: string,
  clients: number,
  settings: Readonly<Record<string, string>> = {},
): Promise<KillStage> {
  // This process starts the database again when it dies.
  const postgres = await openEmbeddedPostgres(dataDir);
  const wire = createWire();
  const kept: Kept[] = [];
  const close = async (): Promise<void> => {
    wire.close();
    await Promise.all(kept.map((k) => k.stop()));
    await postgres.close();
  };
  try {
    await migrate(postgres, { queue: settings['REDIS_URL'] === undefined });
    const ports = [await freePort(), await freePort()];
    const publicUrl = `http://localhost:${ports[0]}`;
    const env = {
      DATABASE_URL: urlOf(postgres.app),
      DATABASE_OWNER_URL: urlOf(postgres.owner),
      ROOT_KEY: randomBytes(32).toString('base64'),
      PUBLIC_URL: publicUrl,
      LOG_LEVEL: 'silent',
      WORKER: 'off',
      ...settings,
    };
    for (const port of ports) kept.push(await keepServer(port, env));
    kept.push(await keepWorker(env));
    const people = await writePeople(postgres.app, `${publicUrl}/fhir/R4`, clients);
    const written = await wire.send(ports[0] ?? 0, writing(resourcesOf(clients)), people.system);
    if (written?.status !== 200) throw new Error(`the clinic: ${written?.status} ${written?.text.slice(0, 500)}`);
    return { postgres, dataDir, kept, ports, people, wire, env, close };
  } catch (error) {
    await close();
    throw error;
  }
}

export interface KillOptions {
  readonly stage: KillStage;
  readonly kills: number;
  readonly everyMs: number;
  readonly hot: number;
  readonly day: number;
  readonly random: () => number;
  readonly say: (line: string) => void;
}

export interface KillResult extends FaultResult {
  /** Times that cannot be booked although nobody has them, or the other way round. */
  readonly stuck: readonly string[];
  /** Jobs that were asked for and are not done, and holds that no job has released. */
  readonly undone: number;
}

const JOBS_MS = 90_000;

const retried = async <T>(work: () => Promise<T>): Promise<T> => {
  for (let tries = 0; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (tries === 50) throw error;
      await sleep(200);
    }
  }
};

/** Asks for a job by the outbox, as changes of rules do. */
const askForJob = (stage: KillStage): Promise<unknown> =>
  retried(() =>
    onDatabase(stage.postgres.app, `insert into outbox (topic, payload) values ('reindex', '{"types":["Location"]}')`),
  );

/** What was asked for and is not done, and holds that nobody has let go. */
async function jobsLeft(stage: KillStage): Promise<number> {
  const [[left] = []] = await retried(() =>
    onDatabase(
      stage.postgres.app,
      `select (select count(*) from outbox where topic = 'reindex' and status <> 'done') + (select count(*) from scheduling_hold)`,
    ),
  );
  return Number(left);
}

const occupied = `select exists (select from appointment a where a.status = 'booked' and a.practitioner @> array[$1] and a.date = $2)`;

/** Books every time once more, in the end: what is free must be won, what is taken must not. */
async function stuckAmong(
  { wire, ports: [port = 0], people, postgres }: KillStage,
  times: readonly Time[],
): Promise<string[]> {
  const stuck: string[] = [];
  for (const time of times.filter((t) => t.capacity === 1 && t.until === t.end)) {
    const iso = new Date(time.start).toISOString();
    const [[taken] = []] = await onDatabase(
      postgres.app,
      occupied.replace('$1', `'${time.practitioner}'`).replace('$2', `'${iso}'`),
    );
    const got = await wire.send(
      port,
      {
        method: 'POST',
        path: 'Appointment',
        body: {
          resourceType: 'Appointment',
          status: 'booked',
          start: iso,
          end: new Date(time.end).toISOString(),
          participant: [{ actor: { reference: time.practitioner }, required: 'required', status: 'accepted' }],
        },
      },
      people.system,
    );
    if (got?.status !== (taken === true ? 409 : 201))
      stuck.push(
        `${time.practitioner} at ${iso} is ${taken === true ? 'taken' : 'free'}, but booking is answered with ${got?.status}`,
      );
  }
  return stuck;
}

export async function kill(options: KillOptions): Promise<KillResult> {
  const { stage, hot, day, ...rest } = options;
  const { wire, ports, people, kept, postgres, dataDir } = stage;
  const times = hotTimes(hot, day);
  await demandSlots((sent) => wire.send(ports[0] ?? 0, sent, people.system), times, true);
  const over = new AbortController();
  const asking = (async (): Promise<void> => {
    while (!over.signal.aborted) {
      await askForJob(stage);
      await sleep(rest.everyMs / 2);
    }
  })();
  try {
    const result = await faults({
      ...rest,
      wire,
      ports,
      people: people.all,
      times,
      kept,
      postgres: { dataDir, roles: postgres, roots: givenRootKeys(stage.env.ROOT_KEY) },
    });
    over.abort();
    await asking;
    // The last holds run out.
    await sleep(HOLD_MS);
    const until = performance.now() + JOBS_MS;
    let undone = await jobsLeft(stage);
    while (undone > 0 && performance.now() < until) {
      await sleep(500);
      undone = await jobsLeft(stage);
    }
    return { ...result, undone, stuck: await stuckAmong(stage, times) };
  } finally {
    over.abort();
    await asking.catch(() => undefined);
  }
}

/** What speaks against it, and a line for each figure. */
export function killReport(
  result: KillResult,
  checks: readonly CheckResult[],
): { lines: string[]; problems: string[] } {
  const { requests, unknown, acknowledged, kills, verdict, wrong, stuck, undone } = result;
  const some = (title: string, list: readonly string[]): string[] =>
    list.length === 0 ? [] : [`${title}: ${list.length}`, ...list.slice(0, 5).map((line) => `  ${line}`)];
  return {
    lines: [
      `killed: ${Object.entries(kills)
        .map(([name, n]) => `${name} ${n}`)
        .join(', ')}`,
      `${requests} requests, ${unknown} without an answer and repeated, ${acknowledged} bookings acknowledged`,
    ],
    problems: [
      ...(unknown === 0 ? ['void: every request was answered'] : []),
      ...some('not as acknowledged', wrong),
      ...some('two had the same time', verdict.doubles),
      ...some('refused a time that nobody had', verdict.baseless),
      ...some('stuck', stuck),
      ...(undone > 0 ? [`jobs not done, and holds not released: ${undone}`] : []),
      ...checks.flatMap((c) => some(`${c.name}, ${c.title}`, c.found)),
    ],
  };
}
