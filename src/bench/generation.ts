/**
 * The Slots of the clinic's calendars: made for the first time, made again when nothing has changed, and the floor, one statement that inserts as many rows.
 * @see https://hl7.org/fhir/R4/slot.html
 */
import { Client, type ClientConfig } from 'pg';
import { performance } from 'node:perf_hooks';
import { calendarId } from './calendars.ts';
import type { Check } from './report.ts';

const CALENDARS = `schedule like 'Schedule/${calendarId(0).slice(0, -1)}%'`;
const FIRST_S = 60;
const AGAIN_S = 15;

async function within<T>(connection: ClientConfig, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client(connection);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const slotsOfCalendars = (owner: ClientConfig): Promise<number> =>
  within(owner, async (client) => {
    const { rows } = await client.query<{ n: string }>(`select count(*) as n from slot where ${CALENDARS}`);
    return Number(rows[0]?.n ?? 0);
  });

/** A third of the next three weeks: who looks for times finds some that are taken. Nobody reads the appointments, so there are none. */
export const takeSome = (owner: ClientConfig): Promise<void> =>
  within(owner, async (client) => {
    const key = (reference: string): string =>
      `substr(encode(sha256(convert_to(${reference}, 'UTF8')), 'hex'), 1, 32)::uuid`;
    await client.query(`
      with chosen as (
        update slot set status = 'busy', content = replace(content, '"status":"free"', '"status":"busy"')
         where ${CALENDARS} and status = 'free' and start < now() + interval '21 days' and hashtext(id) % 3 = 0
        returning id, start, "end", substr(schedule, length('Schedule/bench-calendar-') + 1) as n)
      insert into occupancy (appointment, actor, lanes, during, override, lane, capacity, tentative)
      select 'bench-' || id, actor, '{[65,128)}', tstzrange(start, "end"), false, 1, 1, false
        from chosen, lateral (values (${key(`'Practitioner/bench-doctor-' || n`)}), (${key(`'Location/bench-room-' || n`)}), (${key(`'Patient/bench-' || id`)})) a (actor)`);
    await client.query('vacuum (analyze) slot');
    await client.query('analyze occupancy');
  });

const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
};

/** As many rows as the calendars have Slots, with the same indexes. @returns seconds */
const insertOnly = (owner: ClientConfig): Promise<number> =>
  within(owner, async (client) => {
    await client.query('create schema if not exists bench; create table bench.slot (like slot including all)');
    try {
      return await timed(() => client.query(`insert into bench.slot select * from slot where ${CALENDARS}`));
    } finally {
      await client.query('drop table bench.slot');
    }
  });

const removeSlots = (owner: ClientConfig): Promise<void> =>
  within(owner, async (client) => {
    await client.query(`delete from slot where ${CALENDARS}`);
    await client.query(`delete from scheduling_generated where ${CALENDARS}`);
    await client.query('vacuum (analyze) slot');
  });

/**
 * @param generate makes the Slots of all calendars for 60 days, where they are missing; `anew`: compares each with the rules, although they are the same
 * @param scale share of the thousand practitioners that the limits are for
 */
export async function measureGeneration(
  owner: ClientConfig,
  generate: (anew: boolean) => Promise<unknown>,
  scale: number,
  say: (text: string) => void,
): Promise<Check[]> {
  await removeSlots(owner);
  const first = await timed(() => generate(false));
  const again = await timed(() => generate(false));
  const anew = await timed(() => generate(true));
  const count = (await slotsOfCalendars(owner)).toLocaleString('en');
  const floor = await insertOnly(owner);
  say(`${count} Slots: ${[first, again, anew, floor].map((s) => s.toFixed(1)).join(' s, ')} s`);
  const check = (name: string, value: number, limit: number): Check => ({
    name,
    value: `${value.toFixed(1)} s (${(value / floor).toFixed(1)} x the insert alone)`,
    target: `≤ ${limit.toFixed(1)} s`,
    met: value <= limit,
  });
  return [
    check(`generating ${count} Slots, 60 days`, first, FIRST_S * scale),
    check('generating them again, nothing changed', again, AGAIN_S * scale),
    check('the same, each Slot compared', anew, AGAIN_S * scale),
  ];
}
