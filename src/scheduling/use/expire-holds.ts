/**
 * Cancels holds that have run out, by the clock of the database: their Slots are free again. Whoever held a time may still book it, if it is free.
 * @see https://profiles.ihe.net/ITI/Scheduling/ITI-116.html
 */
import type { Appointment } from '@medplum/fhirtypes';
import { grantAll } from '../../fhir/access.ts';
import { settle } from '../../fhir/interaction/write.ts';
import type { Transaction } from '../../fhir/store/repository.ts';
import { sql } from '../../platform/database/sql.ts';
import { extensionOf } from '../extension.ts';
import type { SchedulingParts } from '../parts.ts';
import { HOLD_EXPIRED, HOLD_EXPIRES } from '../urls.ts';

const SYSTEM = grantAll({ kind: 'system', name: 'scheduling' });
const BATCH = 20;

interface Expired {
  readonly id: string;
  readonly version: number;
  readonly appointment: Appointment;
}

/** The next holds that have run out. What somebody is just booking, renewing or releasing is theirs: it is passed over. */
async function expired(tx: Transaction, most: number, but: readonly string[]): Promise<readonly Expired[]> {
  const rows = await tx.execute(
    sql`select a.id, a.version, a.content, (extract(epoch from now()) * 1000)::int8
        from scheduling_hold h join appointment a on a.id = h.appointment
        where h.expires <= now() and a.status = 'pending' and h.appointment <> all(${but}::text[])
        order by h.expires limit ${most} for update of a skip locked`,
  );
  return rows.flatMap(([id, version, content, now]) => {
    const appointment = JSON.parse(
      tx.decode('Appointment', String(id), Number(version), String(content)),
    ) as Appointment;
    // One that was renewed between looking and locking says so itself.
    const until = extensionOf(appointment, HOLD_EXPIRES)?.valueInstant;
    if (until !== undefined && Date.parse(until) > Number(now)) return [];
    return [{ id: String(id), version: Number(version), appointment }];
  });
}

/** @param taken is told whom it is about, before anything is done */
async function cancelBatch(
  { engine }: SchedulingParts,
  most: number,
  but: readonly string[],
  taken: (ids: readonly string[]) => void,
): Promise<number> {
  return engine.repository.transaction('read committed', async (tx) => {
    const found = await expired(tx, most, but);
    taken(found.map((f) => f.id));
    if (found.length === 0) return 0;
    const lastUpdated = new Date(engine.clock.now());
    const writes = found.map(({ id, version, appointment }) =>
      settle(
        engine,
        {
          ...appointment,
          status: 'cancelled',
          extension: [...(appointment.extension ?? []), { url: HOLD_EXPIRED, valueBoolean: true }],
        },
        { id, version: version + 1, lastUpdated, method: 'PUT' },
      ),
    );
    const before = new Map(found.map((f) => [`Appointment/${f.id}`, f.appointment]));
    await tx.update(writes, before, SYSTEM.to('update'));
    return found.length;
  });
}

/** Any number of processes may do so at once. @returns how many @throws what kept one of them from being cancelled, once the others are */
export async function expireHolds(parts: SchedulingParts, signal?: AbortSignal): Promise<number> {
  const failed: string[] = [];
  let failure: unknown;
  let count = 0;
  const isOver = (): boolean => signal?.aborted === true;
  for (let most = BATCH; !isOver();) {
    let ids: readonly string[] = [];
    try {
      const done = await cancelBatch(parts, most, failed, (taken) => (ids = taken));
      count += done;
      if (done === 0) break;
    } catch (error) {
      if (ids.length === 0) throw error;
      // Alone, each shows whether it is the one.
      if (most === 1) failed.push(...ids);
      failure = error;
      most = 1;
    }
  }
  if (failed.length > 0) throw failure;
  return count;
}
