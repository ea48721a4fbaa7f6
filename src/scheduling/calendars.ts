/**
 * What holds time, kept in memory by actor and week: for many who look for times at once, the database is asked only what has changed since it was asked
 * last. What is found is as of a moment after the question, as if all of it had been read.
 * @see https://www.postgresql.org/docs/18/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
 */
import type pg from 'pg';
import { createLanes } from '../platform/database/lane.ts';
import { poolNamed } from '../platform/database/pool.ts';
import { sql } from '../platform/database/sql.ts';
import { DAY } from './model/dates.ts';
import type { Interval } from './model/interval.ts';
import type { Taken } from './model/starts.ts';
import { readState, type Block, type Source, type State } from './state.ts';

/** As `scheduling_weeks` counts them. */
const WEEK = 7 * DAY;
/** Cells and rows that are kept at most; the oldest make room. */
const MOST_CELLS = 50_000;
const MOST_ROWS = 250_000;
/** Whoever has not asked for so long begins anew: older changes are forgotten, see `forgetChanges`. */
const STALE_MS = 2 * 60_000;
/** Questions that share a statement. */
const BATCH = 64;

export interface CalendarsAsked extends Interval {
  /** Keys of actors. */
  readonly actors: readonly string[];
  /** `Schedule/1` */
  readonly schedules: readonly string[];
  /** An appointment that is not in its own way. */
  readonly ignoring?: string | undefined;
}

export interface Calendars {
  read(asked: CalendarsAsked): Promise<State>;
}

interface Row extends Taken {
  /** When a hold runs out; 0: it is none. */
  readonly expires: number;
}

/** An actor's week. */
interface Cell {
  readonly rows: readonly Row[];
  readonly hasHolds: boolean;
}

/** Blocks and openings of a Schedule. */
interface Times {
  readonly blocks: readonly Block[];
  readonly openings: readonly Block[];
}

interface Seen {
  readonly snapshot: string;
  readonly xmin: string;
  /** When this run of the database began: what it calls a transaction is another one in the next. */
  readonly era: string;
  readonly revision: string;
  readonly now: number;
}

const EMPTY: Cell = { rows: [], hasHolds: false };
const iso = (ms: number): string => new Date(ms).toISOString();

const weeksOf = ({ start, end }: Interval): number[] => {
  const first = Math.floor(start / WEEK);
  return Array.from({ length: Math.max(Math.ceil(end / WEEK), first + 1) - first }, (_, i) => first + i);
};

interface Wanted {
  readonly cells: readonly { readonly key: string; readonly actor: string; readonly week: number }[];
  readonly schedules: readonly string[];
}

/** The cells of one process, and how they are brought up to date. */
class Kept {
  readonly #cells = new Map<string, Cell>();
  readonly #times = new Map<string, Times>();
  #rows = 0;
  #seen: Seen | undefined;
  #seenAt = 0;

  clear(): void {
    this.#cells.clear();
    this.#times.clear();
    this.#rows = 0;
    this.#seen = undefined;
  }

  #drop(key: string): void {
    this.#rows -= this.#cells.get(key)?.rows.length ?? 0;
    this.#cells.delete(key);
    this.#times.delete(key);
  }

  #keep(key: string, cell: Cell): void {
    this.#drop(key);
    this.#cells.set(key, cell);
    this.#rows += cell.rows.length;
    for (const oldest of this.#cells.keys()) {
      if ((this.#cells.size <= MOST_CELLS && this.#rows <= MOST_ROWS) || oldest === key) return;
      this.#drop(oldest);
    }
  }

  missing(wanted: Wanted): Wanted {
    return {
      cells: wanted.cells.filter(({ key }) => !this.#cells.has(key)),
      schedules: wanted.schedules.filter((s) => !this.#times.has(s)),
    };
  }

  /** Forgets what has changed and reads what is not there. @returns false: what changed meanwhile must be read, too */
  async refresh({ repository }: Source, wanted: Wanted): Promise<boolean> {
    if (performance.now() - this.#seenAt > STALE_MS) this.clear();
    const before = this.#seen;
    const missing = this.missing(wanted);
    const rows = await repository.query(sql`
      with s as materialized (select pg_current_snapshot() as now)
      select 's', s.now::text, pg_snapshot_xmin(s.now)::text, pg_postmaster_start_time()::text, r.n::text, floor(date_part('epoch', now()) * 1000)::int8::text
      from s, scheduling_revision r
      union all
      select 'c', c, null, null, null, null from scheduling_change x, unnest(x.cells) c
      where x.xid >= ${before?.xmin ?? null}::xid8 and not pg_visible_in_snapshot(x.xid, ${before?.snapshot ?? null}::pg_snapshot)
      union all
      select 'o', m.n::text, (date_part('epoch', lower(o.during)) * 1000)::int8::text, (date_part('epoch', upper(o.during)) * 1000)::int8::text,
        (case when o.override then 4096 else 0 end + o.lane * 64 + o.capacity)::text, (date_part('epoch', o.expires) * 1000)::int8::text
      from unnest(${missing.cells.map((c) => c.actor)}::uuid[], ${missing.cells.map((c) => iso(c.week * WEEK))}::timestamptz[]) with ordinality m(actor, week, n)
        cross join lateral scheduling_rows(array[m.actor], tstzrange(m.week, m.week + interval '168 hours')) o
      union all
      select t.kind, t.schedule, (date_part('epoch', lower(t.during)) * 1000)::int8::text, (date_part('epoch', upper(t.during)) * 1000)::int8::text,
        array_to_string(t.services, ' '), t.slot
      from scheduling_time t where t.schedule = any(${missing.schedules}::text[]) and upper(t.during) > now() - interval '1 day'`);
    const read = new Map<string, Row[]>(missing.cells.map(({ key }) => [key, []]));
    const times = new Map<string, { blocks: Block[]; openings: Block[] }>(
      missing.schedules.map((s) => [s, { blocks: [], openings: [] }]),
    );
    const changed: string[] = [];
    let seen: Seen | undefined;
    for (const [kind, a, b, c, d, e] of rows as readonly (readonly (string | null)[])[]) {
      if (kind === 's')
        seen = { snapshot: a ?? '', xmin: b ?? '', era: c ?? '', revision: d ?? '', now: Number(e ?? 0) };
      else if (kind === 'c') changed.push(a ?? '');
      else if (kind === 'o') {
        const of = missing.cells[Number(a) - 1];
        const lanes = Number(d);
        if (of)
          read.get(of.key)?.push({
            actor: of.actor,
            start: Number(b),
            end: Number(c),
            lane: (lanes >> 6) & 63,
            capacity: lanes & 63,
            override: lanes >= 4096,
            expires: Number(e ?? 0),
            isHold: e !== null && e !== undefined,
          });
      } else {
        const services = d === null || d === undefined ? undefined : d.split(' ');
        const list = times.get(a ?? '')?.[kind === 'opening' ? 'openings' : 'blocks'];
        list?.push({ start: Number(b), end: Number(c), services, slot: e ?? '' });
      }
    }
    if (before && seen?.era !== before.era) {
      this.clear();
      return false;
    }
    for (const key of changed) this.#drop(key);
    for (const [key, list] of read) {
      list.sort((x, y) => x.start - y.start);
      this.#keep(key, list.length === 0 ? EMPTY : { rows: list, hasHolds: list.some((r) => r.expires > 0) });
    }
    for (const [key, found] of times) this.#times.set(key, found);
    this.#seen = seen;
    this.#seenAt = performance.now();
    return changed.length === 0 || this.#has(wanted);
  }

  #has({ cells, schedules }: Wanted): boolean {
    return cells.every(({ key }) => this.#cells.has(key)) && schedules.every((s) => this.#times.has(s));
  }

  /** What was asked for, of what is kept; undefined: not all of it is. */
  stateOf(asked: CalendarsAsked): State | undefined {
    const seen = this.#seen;
    if (!seen) return undefined;
    const weeks = weeksOf(asked);
    const taken = new Map<string, readonly Taken[]>();
    for (const actor of asked.actors) {
      let all: readonly Row[] = EMPTY.rows;
      for (const week of weeks) {
        const cell = this.#cells.get(`${actor}/${week}`);
        if (!cell) return undefined;
        const live = cell.hasHolds ? cell.rows.filter((r) => r.expires === 0 || r.expires > seen.now) : cell.rows;
        all = all.length === 0 ? live : live.length === 0 ? all : [...all, ...live];
      }
      if (all.length > 0) taken.set(actor, all);
    }
    const blocks = new Map<string, readonly Block[]>();
    const openings = new Map<string, readonly Block[]>();
    for (const schedule of asked.schedules) {
      const times = this.#times.get(schedule);
      if (!times) return undefined;
      if (times.blocks.length > 0) blocks.set(schedule, times.blocks);
      if (times.openings.length > 0) openings.set(schedule, times.openings);
    }
    return { revision: seen.revision, taken, blocks, openings };
  }
}

function wantedBy(all: readonly CalendarsAsked[]): Wanted {
  const cells = new Map<string, Wanted['cells'][number]>();
  const schedules = new Set<string>();
  for (const asked of all) {
    const weeks = weeksOf(asked);
    for (const actor of asked.actors)
      for (const week of weeks) {
        const key = `${actor}/${week}`;
        if (!cells.has(key)) cells.set(key, { key, actor, week });
      }
    for (const schedule of asked.schedules) schedules.add(schedule);
  }
  return { cells: [...cells.values()], schedules: [...schedules] };
}

const readAll = (engine: Source, { actors, schedules, start, end, ignoring }: CalendarsAsked): Promise<State> =>
  readState(engine, actors, schedules, { start, end }, ignoring === undefined ? [] : [ignoring]);

/** @param engine that of the process: within a transaction all is read anew */
export function createCalendars(engine: Source): Calendars {
  const kept = new Kept();
  const lane = createLanes<CalendarsAsked, State | undefined>({ cap: BATCH })('all', async (all) => {
    const wanted = wantedBy(all);
    try {
      // Where much changes all the time, whoever asks reads for themselves.
      for (let tries = 0; tries < 3; tries++) if (await kept.refresh(engine, wanted)) break;
      return all.map((asked) => kept.stateOf(asked));
    } catch (error) {
      kept.clear();
      throw error;
    }
  });
  return {
    async read(asked) {
      // Few ask so.
      if (asked.ignoring !== undefined) return readAll(engine, asked);
      return (await lane(asked)) ?? readAll(engine, asked);
    },
  };
}

/** The same within a transaction, which sees what is not committed. */
export const calendarsWithin = (engine: Source): Calendars => ({ read: (asked) => readAll(engine, asked) });

/** Changes are remembered for longer than a process may go without asking. @returns how many were forgotten */
export async function forgetChanges(database: pg.Pool): Promise<number> {
  const { rowCount } = await poolNamed(
    database,
    `with mark as (
       update scheduling_change_mark set upto = pg_snapshot_xmin(pg_current_snapshot()), at = now()
       where at < now() - interval '${STALE_MS / 1000 + 30} s' returning old.upto)
     delete from scheduling_change x using mark where x.xid < mark.upto`,
  );
  return rowCount;
}
