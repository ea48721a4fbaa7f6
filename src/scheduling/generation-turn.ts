/** Whoever changes the Slots of a Schedule does so alone, by the rules that hold. @see https://www.postgresql.org/docs/18/explicit-locking.html#ADVISORY-LOCKS */
import type { Transaction } from '../fhir/store/repository.ts';
import { sql } from '../platform/database/sql.ts';

/** The rules are not those any more that the directory was read from. */
export class RulesChanged extends Error {}

/**
 * At the begin of a transaction. What it writes can be made again, so nobody waits for the disk.
 * @param revision of the directory that it goes by
 * @throws RulesChanged
 */
export async function takeTurn(tx: Transaction, schedule: string, revision: string): Promise<void> {
  await tx.execute(
    sql`select pg_advisory_xact_lock(hashtextextended(${`slots ${schedule}`}, 0)), set_config('synchronous_commit', 'off', true)`,
  );
  // A statement of its own: what was committed while it waited is seen.
  const [[n] = []] = await tx.execute(sql`select n from scheduling_revision`);
  if (String(n) !== revision) throw new RulesChanged();
}
