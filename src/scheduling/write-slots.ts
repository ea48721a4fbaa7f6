/**
 * Writes generated Slots, many in a statement: they are a projection of the rules, so none of them has a history or an event of its own. Slots that
 * somebody has taken are left as they are, and none that somebody else has just locked is waited for.
 * @see https://hl7.org/fhir/R4/slot.html
 */
import type { Principal } from '../fhir/access.ts';
import type { Engine } from '../fhir/engine.ts';
import { columnsOf } from '../fhir/search/columns.ts';
import type { Transaction } from '../fhir/store/repository.ts';
import { id as name, join, raw, sql, type Sql } from '../platform/database/sql.ts';
import type { Actor } from './actor.ts';
import type { Offer } from './directory.ts';
import type { SlotPattern } from './generated-slot.ts';
import type { Interval } from './model/interval.ts';
import { written } from './proposed.ts';
import { GENERATED, SLOT_ORIGIN } from './urls.ts';

/** A Slot as the rules want it. */
export interface WantedSlot {
  readonly id: string;
  /** ms */
  readonly start: number;
  readonly end: number;
  readonly capacity: number;
}

/** What sets a Slot apart from the others of its offer. */
export interface Peculiar {
  readonly id: string;
  readonly capacity: number | undefined;
  /** Somebody has it, and after them it is not offered any more. */
  readonly withdrawn: boolean;
}

/** A generated Slot that is there. */
export interface StoredSlot extends Peculiar {
  readonly version: number;
  readonly status: string;
  /** Somebody has made it theirs: a block, or an opening. */
  readonly own: boolean;
  /** undefined: was not asked for. */
  readonly content: string | undefined;
}

/** What the statements need of an offer. */
export interface SlotTarget {
  readonly offer: Offer;
  readonly pattern: SlotPattern;
}

const iso = (ms: number): string => (ms === Infinity ? 'infinity' : new Date(ms).toISOString());

/** Taken, or marked as a mistake by somebody. */
const NOT_OURS = raw(`('busy', 'busy-tentative', 'entered-in-error')`);
const TAG = `${SLOT_ORIGIN}|${GENERATED}`;

const ofOffer = (schedule: string, service: string): Sql =>
  sql`s.schedule = ${schedule} and coalesce(s.service[1], '') = ${service} and ${TAG} = any (s._tag)`;

const GENERATOR: Principal = { kind: 'system', name: 'scheduling' };

const count = (rows: readonly (readonly unknown[])[]): number => Number(rows[0]?.[0] ?? 0);

/** Generated Slots that start in a span. @param withContent their text is to be compared, too */
export async function storedSlots(
  tx: Transaction,
  schedule: string,
  service: string,
  span: Interval,
  withContent: boolean,
): Promise<readonly StoredSlot[]> {
  const rows = await tx.execute(
    sql`select s.id, s.version, s.status, x.capacity, x.withdrawn, exists (select from scheduling_time t where t.slot = s.id),
          ${withContent ? raw('s.content') : raw('null')}
        from slot s left join scheduling_slot x on x.slot = s.id
        where ${ofOffer(schedule, service)} and s.start >= ${iso(span.start)}::timestamptz and s.start < ${iso(span.end)}::timestamptz`,
  );
  return rows.map(([id, version, status, capacity, withdrawn, own, content]) => ({
    id: String(id),
    version: Number(version),
    status: String(status),
    capacity: typeof capacity === 'string' ? Number(capacity) : undefined,
    withdrawn: withdrawn === 't',
    own: own === 't',
    content: typeof content === 'string' ? tx.decode('Slot', String(id), Number(version), content) : undefined,
  }));
}

/** The text of a row `u`, as the pattern has it. The table of Slots holds plain text (`sealed: false`). */
function textOf({ pieces: [p0, p1, p2, p3, p4, p5, p6] }: SlotPattern, at: string, version: Sql, status: Sql): Sql {
  return sql`${p0}::text || u.id || ${p1}::text || ${version} || ${p2}::text || ${at}::text || ${p3}::text || ${status} || ${p4}::text || u.f || ${p5}::text || u.t || ${p6}::text`;
}

/** Columns of search and what they hold; those that differ from Slot to Slot come from a row `u`. */
function columnsFor(
  engine: Pick<Engine, 'definitions' | 'blind'>,
  { columns }: SlotPattern,
  status: Sql,
): [Sql, Sql][] {
  return columnsOf(engine, 'Slot').flatMap(({ name: column, sqlType }, i): [Sql, Sql][] => {
    const value = columns[i] ?? null;
    if (column === 'start') return [[name(column), sql`u.f::timestamptz`]];
    if (column === 'end') return [[name(column), sql`u.t::timestamptz`]];
    if (column === 'status') return [[name(column), status]];
    return value === null ? [] : [[name(column), sql`${value}::${raw(sqlType)}`]];
  });
}

/** How many there were, and that for the record: of generated Slots one row a batch. */
async function told(
  tx: Transaction,
  kind: 'create' | 'update' | 'delete',
  rows: readonly (readonly unknown[])[],
): Promise<number> {
  const many = count(rows);
  await tx.recordMany({ kind, type: 'Slot', count: many, by: GENERATOR });
  return many;
}

const listOf = (offer: Offer, wanted: readonly WantedSlot[]): Sql =>
  sql`unnest(${wanted.map((w) => w.id)}::text[], ${wanted.map((w) => written(offer, w.start))}::text[], ${wanted.map((w) => written(offer, w.end))}::text[],
    ${wanted.map((w) => w.capacity)}::int[]) u(id, f, t, capacity)`;

/**
 * Inserts Slots with the status that they have in truth. One whose id has been there before goes on with its versions.
 * @returns how many were not there
 */
export async function insertSlots(
  tx: Transaction,
  engine: Pick<Engine, 'definitions' | 'blind'>,
  target: SlotTarget,
  wanted: readonly WantedSlot[],
  at: string,
): Promise<number> {
  const [first] = wanted;
  if (!first) return 0;
  const { entry, serviceReference, parameters } = target.offer;
  const [actors, pool] = [entry.actors, target.offer.pool].map((list) => list.map((a) => a.key));
  const [before, after] = [parameters.before * 60, parameters.after * 60];
  const starts = wanted.map((w) => w.start);
  // The longest visit is a day long.
  const from = iso(Math.min(...starts) - before * 1000);
  const upto = iso(Math.max(...starts) + 86_400_000 + after * 1000);
  const columns = columnsFor(engine, target.pattern, sql`k.status`);
  const padded = sql`tstzrange(u.f::timestamptz - make_interval(secs => ${before}), u.t::timestamptz + make_interval(secs => ${after}))`;
  const rows = await tx.execute(
    sql`with busy as materialized (select scheduling_busy(${entry.reference}, ${actors}::uuid[], tstzrange(${from}::timestamptz, ${upto}::timestamptz), ${pool}::uuid[]) as d),
        made as (insert into slot (id, version, last_updated, method, content, ${join(
          columns.map(([column]) => column),
          ', ',
        )})
          select u.id, coalesce(h.version, 0) + 1, ${at}::timestamptz, 'PUT',
            ${textOf(target.pattern, at, sql`(coalesce(h.version, 0) + 1)`, sql`k.status`)}, ${join(
              columns.map(([, value]) => value),
              ', ',
            )}
          from ${listOf(target.offer, wanted)}
          left join lateral (select h.version from slot_history h where h.id = u.id order by h.version desc limit 1) h on true
          cross join busy
          cross join lateral (select case when busy.d && ${padded}
            then scheduling_truth(${entry.reference}, ${serviceReference ?? null}, tstzrange(u.f::timestamptz, u.t::timestamptz), ${padded}, ${actors}::uuid[], u.capacity, ${pool}::uuid[])
            else 'free' end as status) k
          on conflict (id) do nothing returning 1)
        select count(*) from made`,
  );
  return told(tx, 'create', rows);
}

/** Writes the text of Slots anew that nobody has taken. @returns how many */
export async function rewriteSlots(
  tx: Transaction,
  engine: Pick<Engine, 'definitions' | 'blind'>,
  target: SlotTarget,
  wanted: readonly WantedSlot[],
  at: string,
): Promise<number> {
  if (wanted.length === 0) return 0;
  const columns = columnsFor(engine, target.pattern, sql`r.status`);
  const set = join(
    columns.map(([column, value]) => sql`${column} = ${value}`),
    ', ',
  );
  return told(
    tx,
    'update',
    await tx.execute(
      sql`with mine as materialized (select s.id from slot s where s.id = any(${wanted.map((w) => w.id)}) and s.status not in ${NOT_OURS} order by s.id for update skip locked),
          done as (update slot r set version = r.version + 1, last_updated = ${at}::timestamptz, method = 'PUT',
            content = ${textOf(target.pattern, at, sql`(r.version + 1)`, sql`r.status`)}, ${set}
            from ${listOf(target.offer, wanted)} join mine on mine.id = u.id where r.id = u.id returning 1)
          select count(*) from done`,
    ),
  );
}

/** Deletes Slots that nobody has taken. Of one that had a history its end is told there. @returns how many */
export async function removeSlots(tx: Transaction, ids: readonly string[], at: string): Promise<number> {
  if (ids.length === 0) return 0;
  return told(
    tx,
    'delete',
    await tx.execute(
      sql`with mine as materialized (select s.id from slot s where s.id = any(${ids}) and s.status not in ${NOT_OURS}
            and not exists (select from scheduling_time t where t.slot = s.id) order by s.id for update skip locked),
          gone as (delete from slot r using mine where r.id = mine.id returning r.id, r.version, r.last_updated, r.method, r.content),
          forgotten as (delete from scheduling_slot x using mine where x.slot = mine.id),
          kept as (insert into slot_history (id, version, last_updated, method, content)
            select id, version, last_updated, method, content from gone where version > 1
            union all select id, version + 1, ${at}::timestamptz, 'DELETE', null from gone where version > 1)
          select count(*) from gone`,
    ),
  );
}

export async function keepPeculiar(tx: Transaction, schedule: string, slots: readonly Peculiar[]): Promise<void> {
  if (slots.length === 0) return;
  const plain = slots.filter((s) => s.capacity === undefined && !s.withdrawn).map((s) => s.id);
  const rest = slots.filter((s) => s.capacity !== undefined || s.withdrawn);
  if (plain.length > 0) await tx.execute(sql`delete from scheduling_slot where slot = any(${plain})`);
  if (rest.length > 0)
    await tx.execute(
      sql`insert into scheduling_slot (slot, schedule, capacity, withdrawn)
          select u.slot, ${schedule}, u.capacity, u.withdrawn
          from unnest(${rest.map((s) => s.id)}::text[], ${rest.map((s) => s.capacity ?? null)}::smallint[], ${rest.map((s) => s.withdrawn)}::boolean[]) u(slot, capacity, withdrawn)
          on conflict (slot) do update set capacity = excluded.capacity, withdrawn = excluded.withdrawn`,
    );
}

/** Whose Slots these are, and when they are free. Lengths in minutes. */
export interface TruthOf {
  readonly schedule: string;
  readonly service: string | undefined;
  /** The Schedule offers nothing else: Slots that name no service are these, too. */
  readonly sole: boolean;
  readonly actors: readonly Actor[];
  readonly before: number;
  readonly after: number;
  readonly capacity: number;
  /** One of these is needed, unless there are none. */
  readonly pool: readonly Actor[];
}

export const truthOfOffer = ({ entry, serviceReference, parameters, pool }: Offer): TruthOf => ({
  schedule: entry.reference,
  service: serviceReference,
  sole: entry.offers.length === 1,
  actors: entry.actors,
  before: parameters.before,
  after: parameters.after,
  capacity: parameters.capacity,
  pool,
});

/** Brings Slots that start in a span to the status that they have in truth. @returns how many had another */
export async function settleSlots(
  tx: Transaction,
  { schedule, service, sole, actors, before, after, capacity, pool }: TruthOf,
  { start, end }: Interval,
): Promise<number> {
  return count(
    await tx.execute(
      sql`select scheduling_settle(${schedule}, ${service ?? null}, ${sole}, ${actors.map((a) => a.key)}::uuid[],
          ${before * 60}::int, ${after * 60}::int, ${capacity}::int, ${pool.map((a) => a.key)}::uuid[], ${iso(start)}::timestamptz, ${iso(end)}::timestamptz)`,
    ),
  );
}
