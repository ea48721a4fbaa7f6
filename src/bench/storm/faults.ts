/**
 * A storm in which things are killed: servers, the worker, sessions of PostgreSQL and PostgreSQL itself. Clients repeat what was not answered, under the same
 * key, until it is. What was acknowledged must be there, once; nobody may be booked twice; holds run out; jobs go on.
 * @see https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header-07
 */
import { readFile } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Appointment } from '@medplum/fhirtypes';
import { openContents, type ContentRow } from '../../compose-contents.ts';
import type { DatabaseRoles } from '../../platform/embedded-postgres.ts';
import type { RootKeys } from '../../platform/root-keys.ts';
import { idIn, nowMs, saidIn } from './client.ts';
import { heldBy, writtenBy } from './doors.ts';
import { History, type Claim, type Span, type Verdict } from './history.ts';
import type { Kept } from './kept.ts';
import type { Person } from './people.ts';
import { onDatabase } from './stage.ts';
import type { Got, Sent, Wire } from './wire.ts';
import type { Time } from './world.ts';

const KEY_SYSTEM = 'https://kairos.example/storm';

export interface FaultOptions {
  readonly wire: Wire;
  readonly ports: readonly number[];
  readonly people: readonly Person[];
  readonly times: readonly Time[];
  /** What is killed, by turns; PostgreSQL besides. */
  readonly kept: readonly Kept[];
  readonly postgres: { readonly dataDir: string; readonly roles: DatabaseRoles; readonly roots: RootKeys };
  readonly kills: number;
  readonly everyMs: number;
  readonly random: () => number;
  readonly say: (line: string) => void;
}

/** A booking that was asked for, and what the client knows of it. */
interface Asked {
  readonly key: string;
  readonly time: Time;
  outcome: 'acknowledged' | 'refused' | 'unknown';
  id: string;
  /** A cancellation was asked for. */
  cancel: 'none' | 'acknowledged' | 'unknown';
}

export interface FaultResult {
  /** Requests that were not answered, or with 500 and more: each was repeated. */
  readonly unknown: number;
  readonly requests: number;
  readonly kills: Readonly<Record<string, number>>;
  readonly acknowledged: number;
  readonly verdict: Verdict;
  /** Acknowledged, and not there; there twice; refused, and there; cancelled, and booked. */
  readonly wrong: readonly string[];
}

/** How long a hold lasts that nobody lets go. */
export const HOLD_MS = 1_500;
const PATIENCE_MS = 45_000;

/** 409 of a request whose first one still runs. */
const underWay = (got: Got): boolean => got.status === 409 && got.text.includes('under way');

function createVictim(
  n: number,
  who: Person,
  options: FaultOptions,
  history: History,
  counts: { unknown: number; requests: number },
) {
  const { wire, ports, random } = options;
  const asked: Asked[] = [];
  const mine: { readonly asked: Asked; readonly claims: readonly Claim[] }[] = [];

  /** Sends until there is an answer. The first moment counts as sent. @returns undefined: it gave up */
  const insist = async (sent: Sent): Promise<{ got: Got; sent: number; answered: number } | undefined> => {
    const began = nowMs();
    while (nowMs() - began < PATIENCE_MS) {
      counts.requests++;
      const port = ports[Math.floor(random() * ports.length)] ?? 0;
      const got = await wire.send(port, sent, who.token);
      if (got && got.status < 500 && !underWay(got)) return { got, sent: began, answered: nowMs() };
      if (!got || got.status >= 500) counts.unknown++;
      await sleep(50 + random() * 150);
    }
    return undefined;
  };
  /** The practitioner's time, and the patient's where nobody may put a patient into two places. */
  const spansOf = (time: Time): Span[] => [
    { actor: time.practitioner, start: time.start, end: time.until, capacity: time.capacity },
    ...(who.channel === 'patient' ? [{ actor: who.patient, start: time.start, end: time.end, capacity: 1 }] : []),
  ];

  const book = async (time: Time): Promise<void> => {
    const one: Asked = { key: randomUUID(), time, outcome: 'unknown', id: '', cancel: 'none' };
    asked.push(one);
    const began = nowMs();
    const done = await insist(writtenBy(one.key, KEY_SYSTEM, time, who, random() < 0.5 ? 'key' : 'if-none-exist'));
    if (!done) {
      for (const span of spansOf(time)) history.won(n, span, began, undefined);
    } else if (done.got.status < 300) {
      one.outcome = 'acknowledged';
      one.id = idIn(done.got);
      mine.push({ asked: one, claims: spansOf(time).map((s) => history.won(n, s, done.sent, done.answered)) });
    } else if (done.got.status === 409) {
      one.outcome = 'refused';
      history.refused({
        client: n,
        spans: spansOf(time),
        from: done.sent,
        to: done.answered,
        said: saidIn(done.got),
      });
    } else throw new Error(`a booking was answered with ${done.got.status}: ${done.got.text.slice(0, 300)}`);
  };

  /** Holds a time for a moment, and forgets it: it runs out. */
  const hold = async (time: Time): Promise<void> => {
    const began = nowMs();
    const expires = began + HOLD_MS;
    const done = await insist(heldBy(randomUUID(), time, who, expires));
    const won = (answered: number | undefined): void => {
      for (const span of spansOf(time)) history.won(n, span, began, answered, expires);
    };
    if (!done) won(undefined);
    else if (done.got.status < 300) won(done.answered < expires ? done.answered : undefined);
  };

  const cancel = async (): Promise<void> => {
    const [one] = mine.splice(Math.floor(random() * mine.length), 1);
    if (!one) return;
    const began = nowMs();
    const done = await insist({
      method: 'POST',
      path: `Appointment/${one.asked.id}/$cancel`,
      body: { resourceType: 'Parameters' },
      headers: { 'Idempotency-Key': randomUUID() },
    });
    one.asked.cancel = done?.got.status === 200 ? 'acknowledged' : 'unknown';
    for (const claim of one.claims) history.let(claim, began, done?.got.status === 200 ? done.answered : undefined);
  };

  return {
    asked,
    async run(until: () => boolean): Promise<void> {
      while (!until()) {
        if (mine.length > 2 || (mine.length > 0 && random() < 0.4)) await cancel();
        else {
          // Never in its own way.
          const free = options.times.filter((t) => mine.every((m) => m.asked.time.start !== t.start));
          const time = free[Math.floor(random() * free.length)];
          if (time) await (random() < 0.15 ? hold(time) : book(time));
        }
      }
    },
  };
}

async function killSession(roles: DatabaseRoles): Promise<boolean> {
  const [[pid] = []] = await onDatabase(
    roles.app,
    `select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and application_name like 'kairos%' order by state = 'active' desc, random() limit 1`,
  );
  if (pid === undefined || pid === null) return false;
  process.kill(Number(pid), 'SIGKILL');
  return true;
}

async function killPostgres(dataDir: string): Promise<boolean> {
  const file = path.join(dataDir, 'postgres', 'data', 'postmaster.pid');
  const pid = Number((await readFile(file, 'utf8').catch(() => '')).split('\n')[0]);
  if (!(pid > 0)) return false;
  process.kill(pid, 'SIGKILL');
  return true;
}

/** What the database holds of the keys, and whether that is what clients were told. */
async function wrongAmong(asked: readonly Asked[], roles: DatabaseRoles, roots: RootKeys): Promise<string[]> {
  const contents = await openContents(roles.app, roots, ['Appointment']);
  const stored = await onDatabase(roles.app, 'select id, version::text, content from appointment');
  const texts = await contents.decode('Appointment', stored as readonly ContentRow[]);
  await contents.close();
  const rows = texts.flatMap((text) => {
    const { id, status, identifier = [] } = JSON.parse(text ?? '{}') as Appointment;
    return identifier.filter((i) => i.system === KEY_SYSTEM).map(({ value }) => [value, id, status] as const);
  });
  const found = Map.groupBy(rows, ([key]) => String(key));
  return asked.flatMap(({ key, outcome, id, cancel }): string[] => {
    const there = found.get(key) ?? [];
    const [[, first, status] = []] = there;
    if (there.length > 1) return [`${key} is there ${there.length} times`];
    if (outcome === 'refused' && there.length > 0) return [`${key} was refused, and is there as ${String(first)}`];
    if (outcome !== 'acknowledged') return [];
    if (there.length === 0) return [`Appointment/${id} was acknowledged, and is lost`];
    if (first !== id) return [`Appointment/${id} was acknowledged, but ${String(first)} is there`];
    const wanted = cancel === 'none' ? ['booked'] : cancel === 'acknowledged' ? ['cancelled'] : ['booked', 'cancelled'];
    return wanted.includes(String(status))
      ? []
      : [`Appointment/${id} is ${String(status)}, not ${wanted.join(' or ')}`];
  });
}

/** Waits until all servers answer: what is killed in its start proves little. */
async function healthy({ wire, ports, people: [who], kept }: FaultOptions): Promise<void> {
  const path = 'Location/storm';
  for (const until = nowMs() + PATIENCE_MS; nowMs() < until; await sleep(100)) {
    const answers = await Promise.all(ports.map((port) => wire.send(port, { method: 'GET', path }, who?.token ?? '')));
    if (answers.every((got) => got?.status === 200) && kept.every((k) => k.runs())) return;
  }
  throw new Error('the servers did not come back');
}

export async function faults(options: FaultOptions): Promise<FaultResult> {
  const { people, kept, postgres, kills, everyMs, say } = options;
  const history = new History();
  const counts = { unknown: 0, requests: 0 };
  const victims = people.map((who, n) => createVictim(n, who, options, history, counts));
  const killed: Record<string, number> = {};
  let over = false;
  const running = victims.map((v) => v.run(() => over));
  const targets: readonly (readonly [string, () => boolean | Promise<boolean>])[] = [
    ...kept.map((k) => [k.name, () => k.kill()] as const),
    ['a session of PostgreSQL', () => killSession(postgres.roles)],
    ['PostgreSQL', () => killPostgres(postgres.dataDir)],
  ];
  try {
    for (let done = 0, turn = 0; done < kills; turn++) {
      await healthy(options);
      await sleep(everyMs * (0.5 + options.random()));
      const [name, kill] = targets[turn % targets.length] ?? ['', (): boolean => false];
      // What is down just now is not killed again.
      const hit = await Promise.resolve(kill()).catch(() => false);
      if (!hit) continue;
      done++;
      killed[name] = (killed[name] ?? 0) + 1;
      say(`killed ${name}; ${counts.unknown} of ${counts.requests} requests without an answer so far`);
    }
    await healthy(options);
    await sleep(everyMs);
  } finally {
    over = true;
    await Promise.all(running);
  }
  const asked = victims.flatMap((v) => v.asked);
  return {
    ...counts,
    kills: killed,
    acknowledged: asked.filter((a) => a.outcome === 'acknowledged').length,
    verdict: history.verdict(),
    wrong: await wrongAmong(asked, postgres.roles, postgres.roots),
  };
}
