/** One key in many hands: equal requests at once, over two processes, with connections that break. security.md I4, B2.2, B2.17 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { create } from '../../../src/fhir/interaction/create.ts';
import { errorIssue, FhirError } from '../../../src/fhir/outcome.ts';
import type { Repository } from '../../../src/fhir/store/repository.ts';
import { createdId, issuesOf, patient, type Answer, type Send } from '../client.ts';
import { bundle, creating, newKey, openKeyedServer, post, replayed, told, type KeyedServer } from './keyed.ts';

let one: KeyedServer;
let two: KeyedServer;
beforeAll(async () => {
  one = await openKeyedServer();
  two = await openKeyedServer(one);
});
afterAll(async () => {
  await two.close();
  await one.close();
});

const SYSTEM = 'http://example.org/mrn';
const named = (value: string): object => patient({ identifier: [{ system: SYSTEM, value }] });
const criteria = (value: string): string => `identifier=${encodeURIComponent(`${SYSTEM}|${value}`)}`;
const count = async (value: string): Promise<unknown> =>
  (await one.send('GET', `Patient?${criteria(value)}`)).body['total'];
const many = <T>(times: number, send: (i: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: times }, (_, i) => send(i)));
const either = (i: number): Send => (i % 2 === 0 ? one : two).send;

/** A door that whoever comes to it waits at. */
function gate(): { readonly reached: Promise<void>; readonly open: () => void; pass(): Promise<void> } {
  const [arrival, opening] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  return {
    reached: arrival.promise,
    open: opening.resolve,
    async pass() {
      arrival.resolve();
      await opening.promise;
    },
  };
}

describe('fifty at once under one key', () => {
  test.each<[string, (value: string, key: Readonly<Record<string, string>>) => Parameters<Send>, number]>([
    ['create', (value, key) => ['POST', 'Patient', named(value), key], 201],
    [
      'conditional create',
      (value, key) => ['POST', 'Patient', named(value), { ...key, 'If-None-Exist': criteria(value) }],
      201,
    ],
    ['conditional update', (value, key) => ['PUT', `Patient?${criteria(value)}`, named(value), key], 201],
    ['batch', (value, key) => ['POST', '', bundle('batch', post(named(value))), key], 200],
    ['transaction', (value, key) => ['POST', '', bundle('transaction', post(named(value))), key], 200],
    [
      'conditional transaction',
      (value, key) => ['POST', '', bundle('transaction', post(named(value), { ifNoneExist: criteria(value) })), key],
      200,
    ],
  ])('%s: one effect; who is not answered alike is told to wait', async (name, request, status) => {
    const sent = request(`fifty ${name}`, newKey());
    const answers = await many(50, (i) => either(i)(...sent));
    const [waiting, done] = [answers.filter((a) => a.status === 409), answers.filter((a) => a.status !== 409)];
    expect(done.length).toBeGreaterThan(0);
    for (const a of done) expect([a.status, told(a)]).toEqual([status, told(done[0] as Answer)]);
    for (const a of waiting)
      expect([a.headers.get('retry-after'), issuesOf(a)]).toEqual(['1', ['conflict http.Idempotency-Key']]);
    expect(await count(`fifty ${name}`)).toBe(1);
    const later = await many(2, (i) => either(i)(...sent));
    expect(later.map((a) => [told(a), replayed(a)])).toEqual(later.map(() => [told(done[0] as Answer), true]));
  });
});

test('while the first runs, in whichever process: 409, at once', async () => {
  const { reached, open, pass } = gate();
  one.work(async () => {
    await pass();
    return { status: 200, body: { resourceType: 'Basic', code: {} } };
  });
  const [key, body] = [newKey(), { resourceType: 'Parameters' }];
  const first = one.send('POST', '$work', body, key);
  await reached;
  const others = await many(6, (i) => either(i)('POST', '$work', body, key));
  expect(others.map((a) => [a.status, a.headers.get('retry-after')])).toEqual(others.map(() => [409, '1']));
  // Another key does not wait.
  expect((await one.send('POST', 'Patient', patient(), newKey())).status).toBe(201);
  open();
  const done = await first;
  expect(done.status).toBe(200);
  expect(told(await two.send('POST', '$work', body, key))).toEqual(told(done));
});

/** Ends the connections of the application that have a transaction open. @returns how many */
const killOpen = async (): Promise<number> =>
  Number(
    (
      await one.rows(
        `select count(pg_terminate_backend(pid)) from pg_stat_activity
         where usename = 'kairos_app' and state = 'idle in transaction' and datname = current_database()`,
      )
    )[0]?.[0],
  );

/** For a while ends, every few milliseconds, all connections that run transactions. */
const keepKilling = (): Promise<unknown> =>
  one.rows(
    `do $$ begin
       for i in 1 .. 40 loop
         perform pg_stat_clear_snapshot();
         perform pg_terminate_backend(pid) from pg_stat_activity where usename = 'kairos_app' and application_name = 'kairos'
           and state <> 'idle' and datname = current_database();
         perform pg_sleep(0.01);
       end loop;
     end $$`,
  );

/** A backend that ends tells so before it lets go of the key. */
async function untilFree(send: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    const answer = await send();
    if (answer.status !== 409) return answer;
    expect(answer.headers.get('retry-after')).toBe('1');
  }
}

describe('a connection that breaks', () => {
  test('between the effect and the reply: nothing stays, and the repeated request has its effect once', async () => {
    const { reached, open, pass } = gate();
    let runs = 0;
    one.work(async (engine, ctx) => {
      const made = await create(engine, ctx, creating(named('killed')));
      if (++runs === 1) await pass();
      return { status: 200, body: String(made.body) };
    });
    const [key, body] = [newKey(), { resourceType: 'Parameters' }];
    const first = one.send('POST', '$work', body, key);
    await reached;
    expect(await killOpen()).toBe(1);
    open();
    expect((await first).status).toBe(503);
    expect(await count('killed')).toBe(0);
    const second = await untilFree(() => one.send('POST', '$work', body, key));
    expect([second.status, replayed(second), await count('killed')]).toEqual([200, false, 1]);
    expect(told(await one.send('POST', '$work', body, key))).toEqual(told(second));
  });

  test('again and again, at any moment: every request has its effect once in the end', async () => {
    const keys = Array.from({ length: 40 }, newKey);
    const killing = keepKilling();
    const outcomes = new Set<number>();
    const untilDone = async (i: number): Promise<Answer> => {
      for (;;) {
        const sent =
          i % 2 === 0 ? post(named(`often-${i}`)) : post(named(`often-${i}`), { ifNoneExist: criteria(`often-${i}`) });
        const answer = await either(i)('POST', '', bundle('transaction', sent), keys[i]);
        outcomes.add(answer.status);
        if (answer.status === 200) return answer;
        expect([409, 503]).toContain(answer.status);
      }
    };
    const answers = await many(keys.length, untilDone);
    await killing;
    expect(outcomes).toContain(503);
    for (const [i, answer] of answers.entries()) {
      expect(await count(`often-${i}`)).toBe(1);
      const location = String(answer.body['entry']?.[0]?.['response']?.['location']);
      expect((await one.send('GET', location.split('/R4/')[1]?.split('/_history')[0] ?? '')).status).toBe(200);
    }
  });

  test('at the commit, which nobody heard of: the reply is the one that was kept', async () => {
    let lost = 0;
    const lossy = await openKeyedServer(one, {
      repository: (own: Repository) => ({
        ...own,
        async transaction(isolation, work) {
          await own.transaction(isolation, work);
          lost++;
          throw new FhirError(503, [errorIssue('transient', 'The connection broke.')]);
        },
      }),
    });
    const key = newKey();
    const answer = await lossy.send('POST', 'Patient', named('unheard'), key);
    expect([answer.status, replayed(answer), lost, await count('unheard')]).toEqual([201, true, 1, 1]);
    expect(told(await one.send('POST', 'Patient', named('unheard'), key))).toEqual(told(answer));
    await lossy.close();
  });
});

describe('different keys get along', () => {
  test('conditional creates alike, by themselves and in Bundles, with and without keys, over both processes: one creates', async () => {
    const ifNoneExist = criteria('alike');
    const forms: readonly (() => Parameters<Send>)[] = [
      () => ['POST', 'Patient', named('alike'), { 'If-None-Exist': ifNoneExist }],
      () => ['POST', '', bundle('batch', post(named('alike'), { ifNoneExist }))],
      () => ['POST', '', bundle('transaction', post(named('alike'), { ifNoneExist }))],
    ];
    const answers = await many(36, (i) => {
      const [method, path, body, headers] = (forms[i % 3] ?? (() => ['GET', '']))();
      return either(i)(method, path, body, { ...headers, ...(i % 4 < 3 ? newKey() : {}) });
    });
    expect(answers.filter((a) => ![200, 201, 503].includes(a.status))).toEqual([]);
    expect(answers.filter((a) => a.status === 503).length).toBeLessThan(6);
    expect(await count('alike')).toBe(1);
  });

  test('thirty updates of one resource: as many versions', async () => {
    const id = await createdId(one.send, patient());
    const put = (i: number): Promise<Answer> =>
      either(i)('PUT', `Patient/${id}`, patient({ id, multipleBirthInteger: i }), newKey());
    const answers = await many(30, async (i) => {
      for (;;) {
        const answer = await put(i);
        if (answer.status === 200) return answer;
        // Another request was faster ten times; it is not kept.
        expect([answer.status, answer.headers.get('retry-after')]).toEqual([409, '1']);
      }
    });
    expect(new Set(answers.map((a) => a.headers.get('etag'))).size).toBe(30);
    expect((await one.send('GET', `Patient/${id}/_history`)).body['total']).toBe(31);
  });

  test('batches that change the same resources in opposite order', async () => {
    const ids = await many(10, () => createdId(one.send, patient()));
    const put = (id: string): object => ({
      resource: patient({ id }),
      request: { method: 'PUT', url: `Patient/${id}` },
    });
    const answers = await many(8, (i) =>
      either(i)('POST', '', bundle('batch', ...(i % 4 < 2 ? ids : ids.toReversed()).map(put)), newKey()),
    );
    const entries = answers.flatMap((a) => (a.body['entry'] ?? []) as unknown as { response: { status: string } }[]);
    expect([answers.map((a) => a.status), entries.map((e) => e.response.status)]).toEqual([
      answers.map(() => 200),
      Array.from({ length: 80 }, () => '200 OK'),
    ]);
  });

  test('Bundles with keys and others that wait for the same turns do not wait for one another', async () => {
    const { reached, open, pass } = gate();
    const conditional = (i: number, headers = {}): Promise<Answer> =>
      one.send(
        'POST',
        '',
        bundle('transaction', post(named('turns'), { ifNoneExist: criteria(`turns-${i}`) })),
        headers,
      );
    const occupied = one.server.engine.repository.transaction('serializable', pass);
    await reached;
    // The first are next in the line of serializable transactions; the others have all turns of Bundles.
    const withKeys = many(4, (i) => conditional(i, newKey()));
    await sleep(200);
    const others = many(20, (i) => conditional(100 + i));
    await sleep(200);
    const started = performance.now();
    open();
    await occupied;
    const answers = [...(await withKeys), ...(await others)];
    expect(answers.map((a) => a.status)).toEqual(answers.map(() => 200));
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});

test('without the header nothing new is asked of the database', async () => {
  const asked: string[] = [];
  const counted = await openKeyedServer(one, {
    repository: (own) =>
      new Proxy(own, {
        get(target, name, receiver) {
          if (typeof name === 'string' && name !== 'decode') asked.push(name);
          return Reflect.get(target, name, receiver) as unknown;
        },
      }),
  });
  asked.length = 0;
  await counted.send('POST', 'Patient', patient());
  expect(asked).toEqual(['create']);
  asked.length = 0;
  await counted.send('POST', 'Patient', patient(), newKey());
  expect(asked).toEqual(['query', 'transaction']);
  await counted.close();
});
