/** No event is skipped: not by the order of commits (security.md B2.18), not by coming back elsewhere, not by the length of what was missed. */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sealBookmark } from '../../src/scheduling/events/position.ts';
import { readChanges, readPresent } from '../../src/scheduling/events/read.ts';
import {
  listenTo,
  openEventsWorld,
  settle,
  slot,
  type EventsWorld,
  type Person,
  type StreamReader,
} from './events-world.ts';

let world: EventsWorld;
let staff: Person;
const clients: pg.Client[] = [];

const connect = async (): Promise<pg.Client> => {
  const client = new pg.Client(world.first.database.app);
  await client.connect();
  clients.push(client);
  return client;
};
/** Of Schedules that are not there: to who sees all they are told as deleted. */
const insert = (client: pg.Client, ...ids: readonly string[]): Promise<unknown> =>
  client.query(
    `insert into outbox (topic, payload, status) select 'event', json_build_object('type', 'Schedule', 'id', id), 'done' from unnest($1::text[]) id`,
    [ids],
  );
const idsOf = (readers: readonly StreamReader[]): Set<string> =>
  new Set(
    readers.flatMap(({ events }) =>
      events.flatMap(({ data }) =>
        typeof data['reference'] === 'string' ? [data['reference'].slice('Schedule/'.length)] : [],
      ),
    ),
  );
const listen = (server: 'first' | 'second', lastEventId?: string): Promise<StreamReader> =>
  listenTo(world[server], '', { token: staff.token, ...(lastEventId === undefined ? {} : { lastEventId }) });

beforeAll(async () => {
  world = await openEventsWorld();
  staff = await world.person(['staff'], undefined, 'user/*.rs');
});
afterAll(async () => {
  for (const client of clients) await client.end();
  await world?.close();
});

describe('the order of commits', () => {
  test('a transaction that began first and is committed last, a thousand times', async () => {
    const { repository } = world.first.kairos.engine;
    const [slow, quick] = await Promise.all([connect(), connect()]);
    let { position } = await readPresent(repository);
    const read = async (): Promise<string[]> => {
      const page = await readChanges(repository, position);
      position = page.to;
      return page.changes.map(({ id }) => id);
    };
    let rounds = 0;
    let skipped = 0;
    let repeated = 0;
    for (const began = performance.now(); rounds < 1_000 && performance.now() - began < 20_000; rounds++) {
      await slow.query('begin');
      await insert(slow, `slow-${rounds}`);
      await insert(quick, `quick-${rounds}`);
      const before = await read();
      await slow.query('commit');
      const after = await read();
      if (!before.includes(`quick-${rounds}`) || !after.includes(`slow-${rounds}`)) skipped++;
      if (before.length !== 1 || after.length !== 1) repeated++;
    }
    expect({ skipped, repeated }).toEqual({ skipped: 0, repeated: 0 });
    expect(rounds).toBe(1_000);
  });

  test('what is rolled back is never told', async () => {
    const client = await connect();
    const reader = await listen('first');
    await client.query('begin');
    await insert(client, 'rolled-back');
    await client.query('rollback');
    await insert(client, 'after-rollback');
    await reader.about('Schedule/after-rollback');
    expect(idsOf([reader])).not.toContain('rolled-back');
    reader.close();
  });

  test('many writers, short and long; readers who stay, and one who is cut off again and again and comes back to either process', async () => {
    const expected = new Set<string>();
    const stay = await Promise.all([listen('first'), listen('second')]);
    const written = new AbortController();
    const writers = Promise.all(
      Array.from({ length: 8 }, async (_, w) => {
        const client = await connect();
        for (let i = 0; i < 60; i++) {
          await client.query('begin');
          await insert(client, `race-${w}-${i}-a`, `race-${w}-${i}-b`);
          await sleep(Math.random() * (i % 10 === 0 ? 700 : 60));
          const keep = i % 7 !== 0;
          await client.query(keep ? 'commit' : 'rollback');
          if (keep) expected.add(`race-${w}-${i}-a`).add(`race-${w}-${i}-b`);
        }
      }),
    ).then(() => written.abort());
    const pieces: StreamReader[] = [await listen('first')];
    for (let turn = 0; !written.signal.aborted; turn++) {
      await sleep(Math.random() * 400);
      const last = pieces.at(-1);
      last?.close();
      await last?.ended;
      pieces.push(await listen(turn % 2 === 0 ? 'second' : 'first', last?.lastId()));
    }
    await writers;
    await settle();
    expect(pieces.length).toBeGreaterThan(5);
    for (const readers of [[stay[0]], [stay[1]], pieces]) {
      const told = idsOf(readers.filter((r) => r !== undefined));
      expect([...expected].filter((id) => !told.has(id))).toEqual([]);
      expect([...told].filter((id) => id.startsWith('race-') && !expected.has(id))).toEqual([]);
    }
    for (const reader of [...stay, ...pieces]) reader.close();
  }, 60_000);
});

describe('resuming', () => {
  test('events of the time away come, from another process, however many; also those whose transaction had begun before', async () => {
    const [client, slow] = await Promise.all([connect(), connect()]);
    const reader = await listen('first');
    await slow.query('begin');
    await insert(slow, 'began-before');
    await insert(client, 'last-seen');
    await reader.about('Schedule/last-seen');
    reader.close();
    await reader.ended;
    const away = Array.from({ length: 1_700 }, (_, i) => `away-${i}`);
    for (const id of away) await insert(client, id);
    await insert(client, ...Array.from({ length: 900 }, (_, i) => `at-once-${i}`));
    await slow.query('commit');

    const back = await listen('second', reader.lastId());
    expect(back.events[0]).toMatchObject({ event: 'position', id: reader.lastId() });
    await back.about('Schedule/began-before');
    await back.about('Schedule/at-once-899');
    await insert(client, 'lives-on');
    await back.about('Schedule/lives-on');
    const told = idsOf([back]);
    expect(away.filter((id) => !told.has(id))).toEqual([]);
    expect(told).not.toContain('last-seen');
    // A long way back has places to go on from.
    const marks = back.events.filter(({ id }) => id !== undefined);
    expect(marks.length).toBeGreaterThan(3);
    // On the way they are as old as the first: what is not told yet may be.
    const given = (id: string | undefined): string | undefined => id?.split('.')[0];
    expect(given(marks[1]?.id)).toBe(given(reader.lastId()));
    const [, half] = marks;
    const again = await listen('first', half?.id);
    await again.about('Schedule/lives-on');
    const rest = idsOf([again]);
    expect(away.filter((id) => !rest.has(id)).length).toBeGreaterThan(0);
    const at = back.events.findIndex(({ id }) => id === half?.id);
    const before = idsOf([{ ...back, events: back.events.slice(0, at + 1) }]);
    expect([...away, 'began-before', 'at-once-0'].filter((id) => !before.has(id) && !rest.has(id))).toEqual([]);
    for (const r of [back, again]) r.close();
  });

  test('a position that is older than what is kept: reset, and a fresh one', async () => {
    const reader = await listen('first');
    reader.close();
    const { repository, clock } = world.first.kairos.engine;
    const { position, era } = await readPresent(repository);
    const key = world.first.kairos.keys.derive('event positions');
    const now = Math.floor(clock.now() / 1000);
    const sealed = (changed: object): string => sealBookmark(key, { position, era, at: now, ...changed });
    for (const stale of [
      sealed({ at: now - 6 * 86_400 - 60 }),
      // Of a database that was recovered since, or is another.
      sealed({ era: '00000000' }),
      sealed({ position: { next: position.next + 1_000_000n, running: [] } }),
    ]) {
      const back = await listen('second', stale);
      expect(back.events[0]?.event).toBe('reset');
      expect(back.events[0]?.id).not.toBe(stale);
      await world.write(slot('after-reset'));
      await back.about('Slot/after-reset');
      back.close();
    }
    const old = sealed({ at: now - 5 * 86_400 });
    const back = await listen('second', old);
    // It grows no younger by being used.
    expect(back.events[0]).toMatchObject({ event: 'position', id: old });
    back.close();
  });
});
