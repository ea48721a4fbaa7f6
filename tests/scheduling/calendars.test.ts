/** Calendars in memory are what the database would say: `src/scheduling/calendars.ts`. */
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { actorKey } from '../../src/scheduling/actor.ts';
import { createCalendars, forgetChanges, type CalendarsAsked } from '../../src/scheduling/calendars.ts';
import { readState, type State } from '../../src/scheduling/state.ts';
import { openClinic, type Clinic } from './clinic.ts';

const HOUR = 3_600_000;
const WEEK = 168 * HOUR;
const ACTORS = ['a', 'b', 'c', 'd'].map((name) => actorKey(`Practitioner/${name}`));
const SCHEDULES = ['Schedule/a', 'Schedule/b'];
/** The beginning of a week, as they are counted. */
const FIRST = (Math.floor(Date.now() / WEEK) + 1) * WEEK;

let clinic: Clinic;
let writers: pg.Client[];
beforeAll(async () => {
  clinic = await openClinic();
  writers = [0, 1].map(() => new pg.Client(clinic.server.kairos.roles.superuser));
  for (const writer of writers) {
    await writer.connect();
    await writer.query(`set lock_timeout = '200ms'`);
  }
});
afterAll(async () => {
  for (const writer of writers) await writer.end();
  await clinic.close();
});

/** Small and seeded: a failure can be had again. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const pick = <T>(list: readonly T[], any: (below: number) => number): T => {
  const found = list[any(list.length)];
  if (found === undefined) throw new Error('nothing to pick');
  return found;
};

async function change(writer: pg.Client, any: (below: number) => number, n: number): Promise<void> {
  const start = FIRST - HOUR + any(3 * 168 * 4) * (HOUR / 4);
  const during = `[${new Date(start).toISOString()},${new Date(start + (1 + any(6)) * (HOUR / 4)).toISOString()})`;
  switch (any(6)) {
    case 0:
    case 1:
      await writer.query(
        `insert into occupancy select $1, $2, scheduling_lanes($4, 3), $3, false, $4, 3, false, $5 on conflict do nothing`,
        [`v${n}`, pick(ACTORS, any), during, 1 + any(3), any(3) === 0 ? new Date(Date.now() + 60_000) : null],
      );
      return;
    case 2:
      await writer.query(
        `delete from occupancy where (appointment, actor) in (select appointment, actor from occupancy order by md5(appointment || $1) limit 2 for update skip locked)`,
        [String(n)],
      );
      return;
    case 3:
      await writer.query(
        `update occupancy set during = $1, override = true where (appointment, actor) in (select appointment, actor from occupancy order by md5(appointment || $2) limit 1 for update skip locked)`,
        [during, String(n)],
      );
      return;
    case 4:
      await writer.query(`insert into scheduling_time values ($1, $2, $3, $4, $5)`, [
        `t${n}`,
        pick(SCHEDULES, any),
        pick(['block', 'busy', 'opening'], any),
        any(2) === 0 ? null : ['HealthcareService/x', 'HealthcareService/y'],
        during,
      ]);
      return;
    default:
      await writer.query(
        `delete from scheduling_time where slot in (select slot from scheduling_time order by md5(slot || $1) limit 1 for update skip locked)`,
        [String(n)],
      );
  }
}

/** Of the state only what lies in the span, in one order; a calendar may know of more. */
function within(state: State, { start, end, actors, schedules }: CalendarsAsked): object {
  const meets = (a: { readonly start: number; readonly end: number }): boolean => a.start < end && a.end > start;
  const text = (list: readonly object[]): string[] => [...new Set(list.map((each) => JSON.stringify(each)))].sort();
  return {
    revision: state.revision,
    taken: actors.map((a) =>
      text(
        (state.taken.get(a) ?? []).filter(meets).map(({ start: from, end: to, lane, capacity, actor, override }) => ({
          from,
          to,
          lane,
          capacity,
          actor,
          override,
        })),
      ),
    ),
    blocks: schedules.map((s) => text((state.blocks.get(s) ?? []).filter(meets))),
    openings: schedules.map((s) => text((state.openings.get(s) ?? []).filter(meets))),
  };
}

async function compare(calendars: ReturnType<typeof createCalendars>, asked: CalendarsAsked): Promise<object> {
  const known = await calendars.read(asked);
  const read = await readState(clinic.server.engine, asked.actors, asked.schedules, asked);
  expect(within(known, asked)).toEqual(within(read, asked));
  return within(read, asked);
}

const LOCK_NOT_AVAILABLE = '55P03';

// 174629: a writer meets what another has not committed.
test.each([1, 2, 3, 174_629, Date.now() % 1_000_000])(
  'random changes in transactions that end in any order, seed %i',
  async (seed) => {
    const any = random(seed);
    const calendars = [createCalendars(clinic.server.engine), createCalendars(clinic.server.engine)];
    const open = new Set<pg.Client>();
    const seen = new Set<string>();
    for (let n = 0; n < 250; n++) {
      const writer = pick(writers, any);
      if (!open.has(writer) && any(2) === 0) {
        await writer.query('begin');
        open.add(writer);
      }
      try {
        await change(writer, any, seed * 1000 + n);
      } catch (error) {
        // A row that another of these transactions has not committed: it would be waited for until the end, by whoever has to commit it.
        if ((error as { code?: string }).code !== LOCK_NOT_AVAILABLE) throw error;
        if (open.delete(writer)) await writer.query('rollback');
      }
      if (open.has(writer) && any(3) === 0) {
        await writer.query(any(4) === 0 ? 'rollback' : 'commit');
        open.delete(writer);
      }
      const start = FIRST + any(14) * 24 * HOUR - HOUR;
      const asked = {
        actors: ACTORS.filter(() => any(2) === 0),
        schedules: SCHEDULES.filter(() => any(2) === 0),
        start,
        end: start + (1 + any(200)) * HOUR,
      };
      seen.add(JSON.stringify(await compare(pick(calendars, any), asked)));
    }
    for (const writer of open) await writer.query('commit');
    // The world was not empty, and did change.
    expect(seen.size).toBeGreaterThan(100);
  },
);

test('one that was asked long ago does not miss what has been forgotten since', async () => {
  const { kairos, engine } = clinic.server;
  const calendars = createCalendars(engine);
  const asked = { actors: ACTORS, schedules: SCHEDULES, start: FIRST, end: FIRST + WEEK };
  await compare(calendars, asked);
  const [writer] = writers;
  await writer?.query(`insert into scheduling_time values ('late', 'Schedule/a', 'block', null, $1)`, [
    `[${new Date(FIRST).toISOString()},${new Date(FIRST + HOUR).toISOString()})`,
  ]);
  const before = await clinic.sql('select count(*)::int as n from scheduling_change');
  // Younger than the mark: kept.
  await forgetChanges(kairos.pool);
  expect(await clinic.sql('select count(*)::int as n from scheduling_change')).toEqual(before);
  await compare(calendars, asked);
  // Transactions of other databases of the cluster may hold it up for a moment.
  await expect
    .poll(
      async () => {
        await clinic.sql(`update scheduling_change_mark set at = now() - interval '3 minutes'`);
        await forgetChanges(kairos.pool);
        return clinic.sql('select count(*)::int as n from scheduling_change');
      },
      { timeout: 30_000 },
    )
    .toEqual([{ n: 0 }]);
  await compare(calendars, asked);
});

test('questions of one moment share a statement, and each is answered for itself', async () => {
  const calendars = createCalendars(clinic.server.engine);
  const all = ACTORS.map((actor, i) => ({
    actors: [actor],
    schedules: [],
    start: FIRST + i * WEEK,
    end: FIRST + (i + 1) * WEEK,
  }));
  const states = await Promise.all(all.map((asked) => calendars.read(asked)));
  for (const [i, asked] of all.entries()) {
    const read = await readState(clinic.server.engine, asked.actors, asked.schedules, asked);
    const state = states[i];
    expect(state && within(state, asked)).toEqual(within(read, asked));
  }
});
