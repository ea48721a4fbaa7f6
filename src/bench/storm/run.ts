/**
 * A storm: many clients on two servers fight for few times through every door. What they saw must be explained by some order of events, and the database
 * must be well afterwards. @see https://jepsen.io/analyses
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createStormClient, type Arena } from './client.ts';
import { History, type Verdict } from './history.ts';
import type { People } from './people.ts';
import { Tally } from './tally.ts';
import type { Wire } from './wire.ts';
import { demandSlots, hotTimes, type Time } from './world.ts';

export interface StormOptions {
  readonly wire: Wire;
  readonly ports: readonly number[];
  readonly people: People;
  /** A worker makes the Slots. */
  readonly generated: boolean;
  readonly attempts: number;
  /** Times in which all want the same, at once. */
  readonly rounds: number;
  readonly random: () => number;
  readonly say: (line: string) => void;
  /** Days from now on which it begins; each needs some of its own. */
  readonly firstDay?: number;
  /** Processor time so far. */
  readonly cpu?: () => number;
}

export interface StormResult {
  readonly tally: Tally;
  readonly verdict: Verdict;
  /** Times that had another number of winners than they had room for. */
  readonly miscounted: readonly string[];
  readonly seconds: number;
  /** Processor time of the servers and of PostgreSQL; 0 where it cannot be told. */
  readonly cpuMs: number;
}

/** How many times are fought for, and the share of the attempts. */
const PHASES = [
  [1, 0.1],
  [5, 0.2],
  [20, 0.3],
  [50, 0.4],
] as const;
const FIRST_DAY = 3;
const ROUNDS_A_DAY = 100;

const iso = (ms: number): string => new Date(ms).toISOString();

/** Has the times' Slots written, and asks for their proposals. */
async function arenaOf(
  { wire, ports: [port = 0], people, generated }: StormOptions,
  times: readonly Time[],
): Promise<Arena> {
  await demandSlots((sent) => wire.send(port, sent, people.system), times, generated);
  const proposals = new Map<string, string>();
  for (const schedule of new Set(times.map((t) => t.schedule))) {
    const mine = times.filter((t) => t.schedule === schedule);
    const query = new URLSearchParams({
      start: iso(Math.min(...mine.map((t) => t.start))),
      end: iso(Math.max(...mine.map((t) => t.end))),
      schedule,
      _count: '1000',
    });
    const found = await wire.send(port, { method: 'GET', path: `Appointment/$find?${query}` }, people.system);
    const { entry = [] } = JSON.parse(found?.text ?? '{}') as { entry?: { resource: { id: string; start: string } }[] };
    const ids = new Map(entry.map(({ resource }) => [Date.parse(resource.start), resource.id]));
    for (const time of mine) {
      const id = ids.get(time.start);
      if (id === undefined) throw new Error(`$find offers nothing of ${schedule} at ${iso(time.start)}`);
      proposals.set(time.slot, id);
    }
  }
  return { times, proposals };
}

export async function storm(options: StormOptions): Promise<StormResult> {
  const { wire, ports, people, attempts, rounds, random, say, cpu = () => 0, firstDay = FIRST_DAY } = options;
  const history = new History();
  const tally = new Tally();
  const clients = people.all.map((who, n) => createStormClient(n, who, { wire, ports, history, tally, random }));
  const began = performance.now();
  const cpuBefore = cpu();
  let day = firstDay;
  for (const [hot, share] of PHASES) {
    const arena = await arenaOf(options, hotTimes(hot, day++));
    const limit = tally.attempts + Math.round(attempts * share);
    await Promise.all(
      clients.map(async (client) => {
        while (tally.attempts < limit) await client.step(arena);
        client.forget();
      }),
    );
    say(`${hot} hot ${hot === 1 ? 'time' : 'times'}: ${tally.attempts} attempts so far`);
  }
  const miscounted: string[] = [];
  for (let done = 0; done < rounds; day++) {
    // Every other time: what comes after one visit shall not reach into the next round.
    const all = hotTimes(ROUNDS_A_DAY * 2, day).filter((t) => Math.floor(t.start / 1_800_000) % 2 === 0);
    const alone = all.filter((t) => !t.schedule.endsWith('-b')).slice(0, rounds - done);
    const arena = await arenaOf(options, alone);
    for (const time of alone) {
      const outcomes = await Promise.all(clients.map((client) => client.dash(time, arena)));
      const winners = outcomes.filter((o) => o === 'won').length;
      const losers = outcomes.filter((o) => o === 'lost').length;
      if (winners !== time.capacity || losers !== clients.length - winners)
        miscounted.push(
          `${time.practitioner} at ${iso(time.start)}: ${winners} won, ${losers} lost, of ${clients.length}`,
        );
    }
    done += alone.length;
  }
  const seconds = (performance.now() - began) / 1000;
  const cpuMs = cpu() - cpuBefore;
  // What was abandoned runs out.
  await sleep(2_500);
  await Promise.all(clients.map((client) => client.sweep()));
  return { tally, verdict: history.verdict(), miscounted, seconds, cpuMs };
}
