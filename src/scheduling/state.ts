/** What holds time just now: visits, live holds, hand-made blocks and openings, in one statement with the revision of the rules. */
import type { Reader } from '../fhir/store/repository.ts';
import { sql } from '../platform/database/sql.ts';
import type { Interval } from './model/interval.ts';
import type { Taken } from './model/starts.ts';

/** Whatever reads: the store, or an open transaction. */
export interface Source {
  readonly repository: Pick<Reader, 'query'>;
}

export interface Block extends Interval {
  /** undefined: for all of them. */
  readonly services: readonly string[] | undefined;
  readonly slot: string;
}

export interface State {
  readonly revision: string;
  /** By the key of the actor. */
  readonly taken: ReadonlyMap<string, readonly Taken[]>;
  /** By Schedule. */
  readonly blocks: ReadonlyMap<string, readonly Block[]>;
  readonly openings: ReadonlyMap<string, readonly Block[]>;
}

const NONE: readonly never[] = [];
const iso = (ms: number): string => new Date(ms).toISOString();

function add<T>(to: Map<string, T[]>, key: string, value: T): void {
  const list = to.get(key);
  if (list) list.push(value);
  else to.set(key, [value]);
}

/**
 * @param actors keys of actors
 * @param schedules `Schedule/1`
 * @param ignoring ids of appointments that are in nobody's way
 */
export async function readState(
  { repository }: Source,
  actors: readonly string[],
  schedules: readonly string[],
  span: Interval,
  ignoring: readonly string[] = [],
): Promise<State> {
  const [from, to] = [iso(span.start), iso(span.end)];
  const rows = await repository.query(sql`
    select 'r', n::text, null, null, null, null, null from scheduling_revision
    union all
    select 'o', o.actor::text, (extract(epoch from lower(o.during)) * 1000)::int8::text, (extract(epoch from upper(o.during)) * 1000)::int8::text,
      o.lane::text, o.capacity::text, case when o.override then 'override' when o.expires is not null then 'hold' end
    from scheduling_rows(${actors}::uuid[], tstzrange(${from}::timestamptz, ${to}::timestamptz)) o
    where (o.expires is null or o.expires > now()) and o.appointment <> all(${ignoring}::text[])
    union all
    select t.kind, t.schedule, (extract(epoch from lower(t.during)) * 1000)::int8::text, (extract(epoch from upper(t.during)) * 1000)::int8::text,
      array_to_string(t.services, ' '), null, t.slot
    from unnest(${schedules}::text[]) s(schedule) join scheduling_time t on t.schedule = s.schedule
    where t.during && tstzrange(${from}::timestamptz, ${to}::timestamptz)`);
  const taken = new Map<string, Taken[]>();
  const blocks = new Map<string, Block[]>();
  const openings = new Map<string, Block[]>();
  let revision = '';
  for (const [kind, key, start, end, a, b, slot] of rows as readonly (readonly (string | null)[])[]) {
    if (key === null || key === undefined) continue;
    const during = { start: Number(start), end: Number(end) };
    if (kind === 'r') revision = key;
    else if (kind === 'o')
      add(taken, key, {
        ...during,
        actor: key,
        lane: Number(a),
        capacity: Number(b),
        isHold: slot === 'hold',
        override: slot === 'override',
      });
    else {
      const services = a === null || a === undefined ? undefined : a.split(' ');
      // What somebody else holds is no more to be had than what is blocked.
      add(kind === 'opening' ? openings : blocks, key, { ...during, services, slot: slot ?? '' });
    }
  }
  return { revision, taken, blocks, openings };
}

/** Those of a list that concern a service. */
export const ofService = (list: readonly Block[] | undefined, service: string | undefined): readonly Block[] =>
  list?.filter((b) => b.services === undefined || service === undefined || b.services.includes(service)) ?? NONE;
