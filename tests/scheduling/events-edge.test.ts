/** The manners of `/events`: methods, headers, limits, slow readers, heartbeats, stops, and what is recorded (docs/events.md). */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { buildApp } from '../../src/app.ts';
import { anonymousAccess } from '../../src/auth/access/anonymous.ts';
import { listen, type Listener } from '../../src/compose-http.ts';
import { NOBODY, type Access } from '../../src/fhir/access.ts';
import { invalidToken } from '../../src/fhir/http/challenge.ts';
import type { Exchange } from '../../src/fhir/http/edge.ts';
import { errorIssue, FhirError } from '../../src/fhir/outcome.ts';
import { silentLog } from '../../src/platform/log.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { createHub, type Hub, type HubOptions } from '../../src/scheduling/events/hub.ts';
import type { Listener as StreamListener } from '../../src/scheduling/events/stream.ts';
import { everything } from '../support/everything.ts';
import { createTestServer, type TestServer } from '../support/server.ts';
import { get, listenTo } from './events-world.ts';

let server: TestServer;
let anonymous: Access;
beforeAll(async () => {
  server = await createTestServer();
  anonymous = anonymousAccess(server.engine);
});
afterAll(() => server.close());

interface Opened {
  readonly hub: Hub;
  readonly listener: Listener;
  readonly listens: string;
  readonly seen: Exchange[];
  /** For each time that a token was looked at, whether that was activity. */
  readonly inUse: (boolean | undefined)[];
}
const opened: Opened[] = [];
afterEach(async () => {
  for (const { hub, listener } of opened.splice(0)) {
    await hub.close();
    listener.cut();
    await listener.drain(0);
  }
});

/** A listening server with a hub of its own. `Bearer all` may see everything, `Bearer away` cannot be looked up. */
async function serve(options: Partial<HubOptions> = {}, observe?: (exchange: Exchange) => void): Promise<Opened> {
  const hub = createHub(server.engine, { log: silentLog, key: new Uint8Array(32), maxStreams: 100, ...options });
  const seen: Exchange[] = [];
  const inUse: (boolean | undefined)[] = [];
  const app = buildApp(server.engine, {
    log: silentLog,
    metrics: createMetrics(),
    ready: () => true,
    events: hub,
    accessOf(header, used) {
      inUse.push(used);
      const authorization = header('authorization');
      if (authorization === undefined) return anonymous;
      if (authorization === 'Bearer all') return everything;
      if (authorization === 'Bearer away') throw new FhirError(503, [errorIssue('transient', 'Away')]);
      throw invalidToken();
    },
    observers: [
      (exchange) => {
        seen.push(exchange);
        observe?.(exchange);
      },
    ],
  });
  const listener = await listen('127.0.0.1', 0);
  listener.serve((request, env) => app.fetch(request, env));
  const all = { hub, listener, listens: `http://127.0.0.1:${listener.port}`, seen, inUse };
  opened.push(all);
  return all;
}

/** Of who may see everything, and asks for slots. @param accessNow what is found when it is looked at again */
const listenerOf = (lastEventId?: string, accessNow = (): Access => everything): StreamListener => ({
  filter: { types: new Set(['Slot'] as const), named: false, references: new Map(), key: 'Slot' },
  access: everything,
  accessNow,
  lastEventId,
  destroy: () => undefined,
});

/** What comes next. @throws at the end */
async function next(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string> {
  const { value } = await reader.read();
  if (!value) throw new Error('The stream is over');
  return new TextDecoder().decode(value);
}

/** All that comes until these words have come. */
async function readUntil(reader: ReadableStreamDefaultReader<Uint8Array>, words: string): Promise<string> {
  let text = '';
  while (!text.includes(words)) text += await next(reader);
  return text;
}

const notices = (count: number, name: string): Promise<unknown> =>
  server.kairos.pool.query(
    `insert into outbox (topic, payload, status)
     select 'event', json_build_object('type', 'Schedule', 'id', $2 || i), 'done' from generate_series(1, $1::int) i`,
    [count, `${name}-`],
  );

/** A stream that nobody reads. */
async function rudely({ listener }: Opened): Promise<{ readonly closed: () => Promise<unknown> }> {
  const socket = connect(listener.port, '127.0.0.1');
  socket.on('error', () => undefined);
  /** Reads what is there at last, to see that there is an end. */
  const closed = (): Promise<unknown> =>
    new Promise((resolve) => {
      socket.once('close', resolve);
      socket.resume();
    });
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.write('GET /events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer all\r\n\r\n');
  await new Promise((resolve) => socket.once('readable', resolve));
  return { closed };
}

describe('requests', () => {
  test('a stream: its headers', async () => {
    const { headers } = (
      await listenTo(await serve(), '', { headers: { Origin: 'https://app.example.org', 'X-Request-Id': 'mine' } })
    ).response;
    expect(Object.fromEntries(headers)).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
      'x-content-type-options': 'nosniff',
      'x-request-id': 'mine',
      'access-control-allow-origin': '*',
    });
  });

  test.each(['POST', 'PUT', 'DELETE', 'HEAD', 'PATCH'])('%s is not served', async (method) => {
    const { listens } = await serve();
    const response = await fetch(`${listens}/events`, { method });
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, OPTIONS']);
  });

  test('other origins may ask, with a token and from where they stood', async () => {
    const { listens } = await serve();
    const { status, headers } = await fetch(`${listens}/events`, {
      method: 'OPTIONS',
      headers: { Origin: 'https://app.example.org' },
    });
    expect([status, headers.get('access-control-allow-origin'), headers.get('access-control-allow-methods')]).toEqual([
      204,
      '*',
      'GET, OPTIONS',
    ]);
    expect(headers.get('access-control-allow-headers')).toContain('Authorization');
    expect(headers.get('access-control-allow-headers')).toContain('Last-Event-ID');
  });

  test.each([
    ['text/html', 406],
    ['application/fhir+json', 406],
    ['text/event-stream;q=0', 406],
    ['*/*', 200],
    ['text/html, text/event-stream;q=0.5', 200],
  ])('Accept: %s', async (accept, status) => {
    const abort = new AbortController();
    const response = await get(await serve(), '', { headers: { Accept: accept } }, abort.signal);
    expect(response.status).toBe(status);
    abort.abort();
  });

  test('a Last-Event-ID that is none of ours is refused', async () => {
    const opened = await serve();
    for (const lastEventId of ['1', 'x'.repeat(20_000), '0.00000000.1..aaaaaaaaaaaaaaaaaaaaaaaa']) {
      const response = await get(opened, '', { lastEventId });
      expect([response.status, await response.json()]).toMatchObject([
        400,
        { resourceType: 'OperationOutcome', issue: [{ code: 'value', expression: ['http.Last-Event-ID'] }] },
      ]);
    }
    expect(opened.hub.size()).toBe(0);
    (await listenTo(opened, '', { lastEventId: '' })).close();
  });

  test('a bad token: 401', async () => {
    const response = await get(await serve(), '', { token: 'bad' });
    expect([response.status, response.headers.get('www-authenticate')]).toEqual([
      401,
      'Bearer realm="Kairos", error="invalid_token"',
    ]);
  });

  test('nothing is served below', async () => {
    const { listens } = await serve();
    for (const path of ['/events/1', '/eventsource', '/Events'])
      expect((await fetch(`${listens}${path}`)).status).toBe(404);
  });
});

describe('limits', () => {
  test('the process has so many streams, and no more', async () => {
    const all = await serve({ maxStreams: 4 });
    const readers = await Promise.all([listenTo(all), listenTo(all)]);
    const mine = await listenTo(all, '', { token: 'all' });
    // One viewer has a share of them, and so have those who are not signed in.
    for (const options of [{}, { token: 'all' }]) {
      const { status, headers } = await get(all, '', options);
      expect([status, headers.get('retry-after')]).toEqual([429, '5']);
    }
    for (const reader of [...readers, mine]) reader.close();
    for (let i = 0; i < 100 && all.hub.size() > 0; i++) await sleep(10);
    expect(all.hub.size()).toBe(0);
    (await listenTo(all)).close();

    const one = await serve({ maxStreams: 1 });
    await listenTo(one);
    const { status, headers } = await get(one, '', { token: 'all' });
    expect([status, headers.get('retry-after')]).toEqual([503, '5']);
  });

  test('who reads too slowly is cut, keeps nothing waiting, and goes on from what was read', async () => {
    const { hub } = await serve({ maxWaitingBytes: 20_000 });
    const open = (lastEventId?: string) => hub.open(listenerOf(lastEventId));
    const reader = (await open()).getReader();
    await next(reader);
    await notices(10, 'read');
    const text = await readUntil(reader, 'read-10"');
    await notices(400, 'unread');
    for (let i = 0; i < 200 && hub.size() > 0; i++) await sleep(10);
    expect(hub.size()).toBe(0);
    const rest = (await reader.read()).value;
    // Without a connection to destroy nobody keeps last words for ever.
    expect(rest === undefined || new TextDecoder().decode(rest).includes('"reason":"slow"')).toBe(true);
    const id = [...text.matchAll(/^id: (.*)$/gm)].at(-1)?.[1];
    const again = (await open(id)).getReader();
    const missed = await readUntil(again, '"Schedule/unread-400"');
    for (let i = 1; i <= 400; i++) expect(missed).toContain(`"Schedule/unread-${i}"`);
    expect(missed).not.toContain('"Schedule/read-');
    await again.cancel();
    expect(hub.size()).toBe(0);
  });

  test('a connection that takes nothing is ended', async () => {
    const all = await serve({ maxWaitingMs: 500 });
    const { closed } = await rudely(all);
    expect(all.hub.size()).toBe(1);
    // More than the sockets hold.
    for (let i = 0; i < 20 && all.hub.size() > 0; i++) await notices(10_000, `flood-${i}`);
    const since = performance.now();
    for (let i = 0; i < 500 && all.hub.size() > 0; i++) await sleep(20);
    expect(all.hub.size()).toBe(0);
    expect(performance.now() - since).toBeLessThan(10_000);
    // Nobody asks the database any more; others can come.
    (await listenTo(all, '', { token: 'all' })).close();
    await closed();
  }, 60_000);

  test('who goes away is forgotten at once', async () => {
    const all = await serve();
    const readers = await Promise.all(Array.from({ length: 5 }, () => listenTo(all, '', { token: 'all' })));
    expect(all.hub.size()).toBe(5);
    for (const reader of readers) reader.close();
    for (let i = 0; i < 100 && all.hub.size() > 0; i++) await sleep(10);
    expect(all.hub.size()).toBe(0);
  });
});

describe('heartbeats', () => {
  test('a comment where nothing happened; a position where something did that this viewer may not see', async () => {
    const all = await serve({ heartbeatMs: 100 });
    const reader = await listenTo(all);
    await sleep(500);
    expect(reader.text().match(/^:$/gm)?.length).toBeGreaterThan(1);
    const positions = () => reader.events.filter(({ event }) => event === 'position');
    expect(positions()).toHaveLength(1);
    await notices(1, 'hidden');
    await reader.until(() => positions().length === 2);
    const [first, second] = positions();
    expect(second?.id).not.toBe(first?.id);
    expect(reader.text()).not.toContain('hidden');
    // It is good to go on from.
    const other = await listenTo(all, '', { token: 'all', lastEventId: second?.id ?? '' });
    await notices(1, 'next');
    await other.about('Schedule/next-1');
    expect(other.told('Schedule/hidden-1')).toEqual([]);
  });
});

describe('failures', () => {
  test('the token cannot be looked up: the stream ends, to be opened again', async () => {
    let away = false;
    const { hub } = await serve({ checkMs: 50, pollMs: 50 });
    const stream = await hub.open(
      listenerOf(undefined, () => {
        if (away) throw new FhirError(503, [errorIssue('transient', 'Away')]);
        return everything;
      }),
    );
    setTimeout(() => (away = true), 200);
    let text = '';
    for await (const chunk of stream) text += new TextDecoder().decode(chunk);
    expect(text).toContain('event: end\ndata: {"reason":"unavailable"');
    const response = await get(opened[0] ?? { listens: '' }, '', { token: 'away' });
    expect(response.status).toBe(503);
  });

  test('the database is away for a while: nothing is lost', async () => {
    const { repository } = server.engine;
    let away = false;
    const query: typeof repository.query = (statement) =>
      away ? Promise.reject(new FhirError(503, [errorIssue('transient', 'Away')])) : repository.query(statement);
    const hub = createHub(
      { ...server.engine, repository: { ...repository, query } },
      { log: silentLog, key: new Uint8Array(32), maxStreams: 100, pollMs: 20 },
    );
    const reader = (await hub.open(listenerOf())).getReader();
    await sleep(100);
    away = true;
    await sleep(100);
    await notices(3, 'while-away');
    await sleep(100);
    await expect(hub.open(listenerOf())).rejects.toMatchObject({ status: 503 });
    expect(hub.size()).toBe(1);
    away = false;
    expect(await readUntil(reader, 'while-away-3')).not.toContain('event: reset');
    await hub.close();
  });

  test('another database answers: streams begin again', async () => {
    const { repository } = server.engine;
    let system = '';
    const query: typeof repository.query = async (statement) => {
      const rows = await repository.query(statement);
      // The second column of every statement of the hub's own.
      return system === '' ? rows : rows.map(([first, , ...rest]) => [first, system, ...rest]);
    };
    const hub = createHub(
      { ...server.engine, repository: { ...repository, query } },
      { log: silentLog, key: new Uint8Array(32), maxStreams: 100, pollMs: 20 },
    );
    const reader = (await hub.open(listenerOf())).getReader();
    const first = await readUntil(reader, 'event: position');
    await notices(1, 'old-database');
    await readUntil(reader, 'old-database-1');
    system = '1';
    const [, id] = /^id: (.*)$/m.exec(await readUntil(reader, 'event: reset')) ?? [];
    expect(id?.split('.')[1]).not.toBe(/^id: (.*)$/m.exec(first)?.[1]?.split('.')[1]);
    await notices(1, 'new-database');
    expect(await readUntil(reader, 'new-database-1')).not.toContain('old-database');
    await hub.close();
  });

  test('a resource that cannot be understood is in nobody’s way', async () => {
    const all = await serve();
    const reader = await listenTo(all, '?practitioner=Practitioner/1', { token: 'all' });
    await server.kairos.pool.query(
      `insert into schedule (id, version, last_updated, method, content) values ('broken', 1, now(), 'PUT', '{"resourceType":"Schedule"}')`,
    );
    await server.kairos.pool.query(
      `insert into outbox (topic, payload, status) values ('event', '{"type":"Schedule","id":"broken"}', 'done')`,
    );
    const { id } = await reader.until(({ event }) => event === 'reset');
    const back = await listenTo(all, '', { token: 'all', lastEventId: id ?? '' });
    await notices(1, 'after-broken');
    await back.about('Schedule/after-broken-1');
    expect(back.told('Schedule/broken')).toEqual([]);
  });
});

test('that a stream stays open is no activity of the session', async () => {
  const all = await serve({ checkMs: 40 });
  await listenTo(all, '', { token: 'all' });
  await sleep(400);
  const [first, ...later] = all.inUse;
  expect(first).toBe(true);
  expect(later.length).toBeGreaterThan(2);
  expect(new Set(later)).toEqual(new Set([false]));
});

describe('a stop', () => {
  test('ends all streams at once, with what to go on from, and opens none', async () => {
    const all = await serve();
    const readers = await Promise.all([listenTo(all), listenTo(all, '', { token: 'all' })]);
    const since = performance.now();
    const closing = all.hub.close();
    const drained = all.listener.drain(20_000);
    for (const reader of readers) {
      await reader.ended;
      expect(reader.events.at(-1)).toMatchObject({ event: 'end', data: { reason: 'shutdown' } });
      expect(reader.lastId()).toBeDefined();
    }
    await Promise.all([closing, drained]);
    expect(performance.now() - since).toBeLessThan(1_000);
    await expect(all.hub.open(listenerOf())).rejects.toMatchObject({
      status: 503,
    });
  });

  test('also of who reads nothing', async () => {
    const all = await serve();
    const { closed } = await rudely(all);
    // More than the sockets hold.
    for (let i = 0; i < 12; i++) await notices(10_000, `stop-${i}`);
    await sleep(1_500);
    const since = performance.now();
    await all.hub.close();
    await all.listener.drain(20_000);
    expect(performance.now() - since).toBeLessThan(3_000);
    await closed();
  });

  test('begins with readiness', async () => {
    const { kairos } = server;
    const listener = await listen('127.0.0.1', 0);
    listener.serve((request, env) => kairos.app.fetch(request, env));
    const here = { listens: `http://127.0.0.1:${listener.port}` };
    const reader = await listenTo(here);
    kairos.unready();
    await reader.ended;
    expect(reader.events.at(-1)?.data['reason']).toBe('shutdown');
    expect([(await get(here)).status, (await fetch(`${here.listens}/readyz`)).status]).toEqual([503, 503]);
    listener.cut();
    await listener.drain(0);
  });
});

describe('what is recorded', () => {
  test('an opening is a search of each type; refusals are recorded too', async () => {
    const all = await serve();
    (await listenTo(all, '?schedule=Schedule/1', { token: 'all' })).close();
    await get(all, '?type=Appointment');
    await get(all, '?nonsense=1');
    await get(all, '', { token: 'bad' });
    const told = all.seen.map(({ status, interaction, method, access, events }) => [
      status,
      interaction,
      method,
      access === NOBODY,
      events.map(({ interaction: what, type, query, outcome }) => [what, type, query, outcome]),
    ]);
    expect(told).toEqual([
      [
        200,
        'search-type',
        'GET',
        false,
        [
          ['search-type', 'Appointment', 'schedule=Schedule/1', 'success'],
          ['search-type', 'Slot', 'schedule=Schedule/1', 'success'],
        ],
      ],
      [401, 'search-type', 'GET', false, [['search-type', 'Appointment', 'type=Appointment', 'denied']]],
      [400, 'search-type', 'GET', false, [['search-type', undefined, 'nonsense=1', 'failure']]],
      [401, 'search-type', 'GET', true, [['search-type', undefined, '', 'denied']]],
    ]);
  });

  test('what cannot be recorded is not shown', async () => {
    const all = await serve({}, () => {
      throw new Error('the record could not be written');
    });
    expect((await get(all, '', { token: 'all' })).status).toBe(500);
    expect(all.hub.size()).toBe(0);
  });
});
