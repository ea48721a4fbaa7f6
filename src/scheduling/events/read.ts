/**
 * Reads events from the outbox: those of transactions that a position had not seen and a snapshot sees. Rows and snapshot come from one statement,
 * so that they agree; nobody who writes waits for those who read. @see https://www.postgresql.org/docs/18/transaction-iso.html#XACT-READ-COMMITTED
 */
import { createHash } from 'node:crypto';
import { asObject, asString } from '../../fhir/search/values.ts';
import type { Repository } from '../../fhir/store/repository.ts';
import { join, raw, sql } from '../../platform/database/sql.ts';
import { parseSnapshot, snapshotText, upTo, type Position } from './position.ts';

/** What a writer left in the outbox: ids and times, no names. */
export type Change =
  | { readonly type: 'Appointment'; readonly id: string; readonly version: number }
  | ({ readonly type: 'Slot'; readonly id: string } & SlotTime)
  /** Free times of the Schedule changed, so many that they are not told one by one. */
  | { readonly type: 'Schedule'; readonly id: string };

export interface SlotTime {
  /** `Schedule/1` */
  readonly schedule: string;
  /** `HealthcareService/1`; undefined: for any of the Schedule. */
  readonly service: string | undefined;
  readonly start: string;
  readonly end: string;
  readonly status: string;
}

export interface Page {
  readonly changes: readonly Change[];
  /** Where the reader stands after them. */
  readonly to: Position;
  /** There may be more of what the snapshot sees. */
  readonly more: boolean;
  /** Of the database that answered. */
  readonly era: string;
}

type Store = Pick<Repository, 'query'>;

/** Events in a page, and as many more as the last of its transactions wrote: those of one transaction stay together. */
const PAGE = 500;

/** The largest `integer`. */
const MAX_VERSION = 2_147_483_647;

/** @returns undefined for what this version of the program knows nothing of */
function parseChange(payload: unknown): Change | undefined {
  const told = asObject(payload) ?? {};
  const id = asString(told['id']);
  if (id === undefined) return undefined;
  switch (told['type']) {
    case 'Appointment':
      return { type: 'Appointment', id, version: Math.min(Math.max(Number(told['version']) || 1, 1), MAX_VERSION) };
    case 'Slot': {
      const text = (name: string): string => asString(told[name]) ?? '';
      const time = { schedule: text('schedule'), start: text('start'), end: text('end'), status: text('status') };
      return { type: 'Slot', id, service: asString(told['service']), ...time };
    }
    case 'Schedule':
      return { type: 'Schedule', id };
    default:
      return undefined;
  }
}

/** Which sequence of transactions ids belong to: another cluster, or a timeline after a recovery, gives them out again. */
const ERA = raw(`(select system_identifier from pg_control_system()), left(pg_walfile_name(pg_current_wal_lsn()), 8)`);
const eraOf = (system: unknown, timeline: unknown): string =>
  createHash('sha256')
    .update(`${String(system)} ${String(timeline)}`)
    .digest('hex')
    .slice(0, 8);

/** @param until where to stop; undefined: at what is committed now */
export async function readChanges(store: Store, from: Position, until?: Position): Promise<Page> {
  // `not visible in from`, said so that the index finds it however long the oldest transaction runs.
  const unseen = [sql`o.xid = any(${`{${from.running.join(',')}}`}::xid8[])`, sql`o.xid >= ${String(from.next)}::xid8`];
  const events = unseen.map(
    (condition) => sql`
    (select o.xid, o.id, o.payload from outbox o
     where o.topic = 'event' and ${condition} and pg_visible_in_snapshot(o.xid, s.until)
     order by o.xid fetch first ${raw(String(PAGE))} rows with ties)`,
  );
  const rows = await store.query(sql`
    with s as materialized (select coalesce(${until ? snapshotText(until) : null}::pg_snapshot, pg_current_snapshot()) as until)
    select s.until, ${ERA}, e.xid, e.payload from s left join lateral (
      select * from (${join(events, ' union all ')}) b
      order by b.xid fetch first ${raw(String(PAGE))} rows with ties) e on true
    order by e.xid, e.id`);
  const [snapshot, system, timeline] = rows[0] ?? [];
  const seen = parseSnapshot(String(snapshot));
  const found = rows.filter(([, , , xid]) => xid !== null);
  const changes = found.flatMap(([, , , , payload]) => parseChange(JSON.parse(String(payload))) ?? []);
  const more = found.length >= PAGE;
  const to = more ? upTo(from, seen, BigInt(String(found.at(-1)?.[3]))) : seen;
  return { changes, more, to, era: eraOf(system, timeline) };
}

export interface Present {
  readonly position: Position;
  readonly era: string;
}

export async function readPresent(store: Store): Promise<Present> {
  const rows = await store.query(sql`select pg_current_snapshot(), ${ERA}`);
  const [snapshot, system, timeline] = rows[0] ?? [];
  return { position: parseSnapshot(String(snapshot)), era: eraOf(system, timeline) };
}
