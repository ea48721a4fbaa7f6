/**
 * Where those who book and those who take time off meet: locks of the actors, which bookings share and whoever blocks has alone. Either the booking is there
 * when the block looks whom it hits, or the block is there when the booking looks whether the time is free.
 * @see https://www.postgresql.org/docs/18/explicit-locking.html#ADVISORY-LOCKS
 */
import type { Transaction } from '../fhir/store/repository.ts';
import { sql } from '../platform/database/sql.ts';
import { actorKey } from './actor.ts';
import type { ScheduleEntry } from './directory.ts';

/** One of 1024: by the first digits of the actor's key, which is a hash. */
const lockOf = (key: string): number => Number.parseInt(key.slice(0, 4), 16) & 1023;

/** Ascending, as all take them. @param keys of actors */
export const locksOf = (keys: Iterable<string>): readonly number[] =>
  [...new Set([...keys].map(lockOf))].sort((a, b) => a - b);

/** Whose locks the time of a Schedule has; one that is nobody's has its own. */
export const keysOf = ({ actors, reference }: ScheduleEntry): readonly string[] =>
  actors.length > 0 ? actors.map((a) => a.key) : [actorKey(reference)];

/** Waits for bookings of these Schedules that are under way; those that come later wait until the transaction is over. */
export async function lockTime(tx: Pick<Transaction, 'execute'>, entries: readonly ScheduleEntry[]): Promise<void> {
  const locks = locksOf(entries.flatMap(keysOf));
  if (locks.length > 0) await tx.execute(sql`select scheduling_lock_time(${locks}::int[])`);
}

/** Waits for all who change the time of somebody, once and in order: what follows in the transaction waits no more. @param keys of actors */
export async function lockActors(tx: Pick<Transaction, 'execute'>, keys: Iterable<string>): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(19266, k) from unnest(${locksOf(keys)}::int[]) k`);
}
