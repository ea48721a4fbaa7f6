/**
 * The second look at Slots that were written. A booking that began before a Slot was committed does not see it, so when all transactions that had begun by
 * then are over, the status of the Slots is compared with the truth once more; a booking that began later sees the Slot, and keeps it true itself. Only
 * then what was generated counts as done.
 * @see https://www.postgresql.org/docs/18/transaction-iso.html
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from '../platform/database/sql.ts';
import { RulesChanged, takeTurn } from './generation-turn.ts';
import type { Interval } from './model/interval.ts';
import type { SchedulingParts } from './parts.ts';
import { settleSlots, type TruthOf } from './write-slots.ts';

/** What is on record of an offer once it is done. */
export interface Record {
  /** What must be on record now: somebody else's mark means that they have begun since. undefined: nothing. */
  readonly claimed: string | undefined;
  readonly rules: string;
  readonly upto: number;
  readonly compared: number;
}

export interface Look {
  /** Of the directory that all of this comes from. */
  readonly revision: string;
  readonly truth: TruthOf;
  readonly span: Interval;
  /** Something was written. */
  readonly waits: boolean;
  /** undefined: it is not done. */
  readonly record: Record | undefined;
}

export interface SecondLooks {
  add(look: Look): void;
  /** Looks at those for which nothing has to be waited for any more. */
  some(): Promise<void>;
  /** Waits for the others. @returns Schedules that are not done: a long transaction kept them waiting, or the rules have changed */
  all(signal: AbortSignal | undefined): Promise<readonly string[]>;
}

/** Transactions of requests last less. */
const PATIENCE_MS = 15_000;
const PAUSE_MS = 20;

const iso = (ms: number): string => new Date(ms).toISOString();

/** @param settled is told how many Slots had another status than the true one */
export function createSecondLooks({ engine }: SchedulingParts, settled: (count: number) => void): SecondLooks {
  const fresh: Look[] = [];
  const undone: string[] = [];
  /** Written before the instant, in microseconds of the database's clock. */
  let waiting: { readonly look: Look; readonly since: number }[] = [];

  const settle = ({ revision, truth, span, record }: Look): Promise<number> =>
    engine.repository.transaction('read committed', async (tx) => {
      const { schedule, service = '' } = truth;
      await takeTurn(tx, schedule, revision);
      const count = await settleSlots(tx, truth, span);
      if (!record) return count;
      const { claimed, rules, upto, compared } = record;
      await tx.execute(
        claimed === undefined
          ? sql`insert into scheduling_generated (schedule, service, rules, upto, compared)
                values (${schedule}, ${service}, ${rules}, ${iso(upto)}, ${iso(compared)}) on conflict do nothing`
          : sql`update scheduling_generated set rules = ${rules}, upto = ${iso(upto)}, compared = ${iso(compared)}
                where schedule = ${schedule} and service = ${service} and rules = ${claimed}`,
      );
      return count;
    });

  const look = async (each: Look): Promise<void> => {
    try {
      settled(await settle(each));
    } catch (error) {
      if (!(error instanceof RulesChanged)) throw error;
      undone.push(each.truth.schedule);
    }
  };

  const some = async (): Promise<void> => {
    const written = fresh.splice(0);
    for (const each of written.filter((l) => !l.waits)) await look(each);
    // The role sees the transactions of its own sessions: all that book are.
    const [[now, oldest] = []] = await engine.repository.query(
      sql`select (extract(epoch from clock_timestamp()) * 1e6)::int8, (extract(epoch from min(a.xact_start)) * 1e6)::int8
          from pg_stat_activity a where a.datname = current_database() and a.pid <> pg_backend_pid() and a.backend_type = 'client backend'`,
    );
    waiting.push(...written.filter((l) => l.waits).map((l) => ({ look: l, since: Number(now) })));
    const isOver = ({ since }: { since: number }): boolean => typeof oldest !== 'string' || Number(oldest) > since;
    const over = waiting.filter(isOver);
    waiting = waiting.filter((w) => !isOver(w));
    for (const each of over) await look(each.look);
  };

  return {
    add: (each) => void fresh.push(each),
    some,
    async all(signal) {
      const until = performance.now() + PATIENCE_MS;
      const isOver = (): boolean => signal?.aborted === true || performance.now() >= until;
      await some();
      while (waiting.length > 0 && !isOver()) {
        await sleep(PAUSE_MS);
        await some();
      }
      return [...undone.splice(0), ...waiting.splice(0).map((w) => w.look.truth.schedule)];
    },
  };
}
