/** Slots that appointments name. @see https://hl7.org/fhir/R4/slot.html */
import type { Appointment } from '@medplum/fhirtypes';
import { localReference } from '../fhir/search/type/reference.ts';
import { sql, type Sql } from '../platform/database/sql.ts';
import type { NamedSlot } from './visit.ts';

type Query = (statement: Sql) => Promise<readonly (readonly unknown[])[]>;

const NONE: ReadonlyMap<string, NamedSlot> = new Map();

/** `Slot/1` */
export const slotsOf = (appointment: Appointment | undefined, baseUrl: string): readonly string[] =>
  (appointment?.slot ?? []).map((s) => localReference(s.reference ?? '', baseUrl)).filter((s) => s.startsWith('Slot/'));

/** @param references `Slot/1`; those that there are not are left out */
export async function readSlots(query: Query, references: readonly string[]): Promise<ReadonlyMap<string, NamedSlot>> {
  if (references.length === 0) return NONE;
  const ids = [...new Set(references)].map((r) => r.slice('Slot/'.length));
  const rows = await query(
    sql`select r.id, r.schedule, r.service[1], (extract(epoch from r.start) * 1000)::int8, (extract(epoch from r."end") * 1000)::int8, r.status
        from slot r where r.id = any(${ids})`,
  );
  return new Map(
    rows.map(([id, schedule, service, start, end, status]) => [
      `Slot/${String(id)}`,
      {
        schedule: String(schedule),
        service: typeof service === 'string' ? service : undefined,
        start: Number(start),
        end: Number(end),
        status: String(status),
      },
    ]),
  );
}
