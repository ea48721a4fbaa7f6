/** Forgets generated Slots that are over and were never taken, and looks after those that were taken and are not offered any more. @see https://hl7.org/fhir/R4/slot.html */
import { sql } from '../platform/database/sql.ts';
import { freshDirectory } from './fresh-directory.ts';
import { DAY } from './model/dates.ts';
import type { SchedulingParts } from './parts.ts';
import { removeSlots, settleSlots } from './write-slots.ts';

/** A week in which somebody may ask what was free. Those that were taken stay for good: appointments name them. */
const DAYS = 7;
const BATCH = 1_000;

const iso = (ms: number): string => new Date(ms).toISOString();

/** Schedules that have free Slots, found by leaps through the index. */
async function schedulesWithFree({ engine }: SchedulingParts): Promise<readonly string[]> {
  const rows = await engine.repository.query(
    sql`with recursive found as (
          (select s.schedule from slot s where s.status = 'free' order by s.schedule limit 1)
          union all
          select (select s.schedule from slot s where s.status = 'free' and s.schedule > f.schedule order by s.schedule limit 1)
          from found f where f.schedule is not null)
        select f.schedule from found f where f.schedule is not null`,
  );
  return rows.map(([schedule]) => String(schedule));
}

/** @returns how many Slots are forgotten */
async function forgetPast(parts: SchedulingParts, schedule: string): Promise<number> {
  const { engine } = parts;
  const now = engine.clock.now();
  let forgotten = 0;
  for (let more = true; more;) {
    const removed = await engine.repository.transaction('read committed', async (tx) => {
      const rows = await tx.execute(
        sql`select s.id from slot s where s.schedule = ${schedule} and s.status = 'free' and s.start < ${iso(now - DAYS * DAY)}::timestamptz
            and not exists (select from scheduling_time t where t.slot = s.id) limit ${BATCH}`,
      );
      const ids = rows.map(([id]) => String(id));
      return { asked: ids.length, done: await removeSlots(tx, ids, iso(now)) };
    });
    forgotten += removed.done;
    more = removed.asked === BATCH && removed.done > 0;
  }
  return forgotten;
}

/** Of a service that its Schedule offers no more, nobody keeps the Slots true that are still held. */
async function settleWithdrawn(parts: SchedulingParts): Promise<void> {
  const { engine } = parts;
  const directory = await freshDirectory(parts);
  const rows = await engine.repository.query(
    sql`select distinct s.schedule, s.service[1] from scheduling_slot x join slot s on s.id = x.slot where x.withdrawn and s.start > now()`,
  );
  for (const [schedule, service] of rows) {
    const entry = directory.entry(String(schedule));
    if (!entry || entry.offers.some((o) => (o.serviceReference ?? null) === (service ?? null))) continue;
    const truth = {
      schedule: entry.reference,
      service: typeof service === 'string' ? service : undefined,
      sole: false,
      actors: entry.actors,
      before: 0,
      after: 0,
      capacity: 1,
      pool: [],
    };
    await engine.repository.transaction('read committed', (tx) =>
      settleSlots(tx, truth, { start: engine.clock.now(), end: Infinity }),
    );
  }
}

/** Every night. @returns how many Slots are forgotten @throws when it is told to stop */
export async function sweepSlots(parts: SchedulingParts, signal: AbortSignal | undefined): Promise<number> {
  let forgotten = 0;
  for (const schedule of await schedulesWithFree(parts)) {
    if (signal?.aborted) throw new Error('The worker stops before all past Slots are forgotten');
    forgotten += await forgetPast(parts, schedule);
  }
  await settleWithdrawn(parts);
  await parts.engine.repository.transaction('read committed', (tx) =>
    tx.execute(
      sql`delete from scheduling_slot x where not exists (select from slot s where s.id = x.slot and s.start > now())`,
    ),
  );
  return forgotten;
}
