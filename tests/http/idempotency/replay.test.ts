/** A request that is repeated under its key has one effect and one answer. https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header-07 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { create } from '../../../src/fhir/interaction/create.ts';
import { sweepKeptReplies } from '../../../src/fhir/store/kept-reply.ts';
import { createdId, issuesOf, patient, type Answer } from '../client.ts';
import { bundle, creating, newKey, openKeyedServer, post, replayed, told, type KeyedServer } from './keyed.ts';

let keyed: KeyedServer;
beforeAll(async () => void (keyed = await openKeyedServer()));
afterAll(() => keyed.close());
beforeEach(() => void (keyed.exchanges.length = 0));

const SYSTEM = 'http://example.org/mrn';
const named = (value: string): object => patient({ identifier: [{ system: SYSTEM, value }] });
const criteria = (value: string): string => `identifier=${encodeURIComponent(`${SYSTEM}|${value}`)}`;
const count = async (value: string): Promise<unknown> =>
  (await keyed.send('GET', `Patient?${criteria(value)}`)).body['total'];
const versions = async (id: string): Promise<unknown> =>
  (await keyed.send('GET', `Patient/${id}/_history`)).body['total'];

/** Sends a request twice under one key: the second answer is the first. */
async function twice(...[method, path, body, headers]: Parameters<KeyedServer['send']>): Promise<Answer> {
  const key = newKey();
  const [first, second] = [
    await keyed.send(method, path, body, { ...headers, ...key }),
    await keyed.send(method, path, body, { ...headers, ...key }),
  ];
  expect(told(second)).toEqual(told(first));
  expect([replayed(first), replayed(second)]).toEqual([false, true]);
  return first;
}

describe('one effect, one answer, byte for byte (section 2.6)', () => {
  test('create', async () => {
    const first = await twice('POST', 'Patient', named('create'));
    expect(first.status).toBe(201);
    expect(first.headers.get('location')).toContain('/_history/1');
    expect(await count('create')).toBe(1);
  });

  test('create with Prefer, and _pretty', async () => {
    const minimal = await twice('POST', 'Patient', named('minimal'), { Prefer: 'return=minimal' });
    expect([minimal.status, minimal.text]).toEqual([201, '']);
    const pretty = await twice('POST', 'Patient?_pretty=true', named('pretty'));
    expect(pretty.text).toContain('\n');
  });

  test('create with If-None-Exist, made or found', async () => {
    const once = { 'If-None-Exist': criteria('cond') };
    expect((await twice('POST', 'Patient', named('cond'), once)).status).toBe(201);
    expect((await twice('POST', 'Patient', named('cond'), once)).status).toBe(200);
    expect(await count('cond')).toBe(1);
  });

  test('update, and where the criteria tell', async () => {
    const id = await createdId(keyed.send, patient());
    const first = await twice('PUT', `Patient/${id}`, patient({ id, active: true }), { 'If-Match': 'W/"1"' });
    expect([first.status, first.headers.get('etag')]).toEqual([200, 'W/"2"']);
    expect(await versions(id)).toBe(2);
    expect((await twice('PUT', `Patient?${criteria('put')}`, named('put'))).status).toBe(201);
    expect((await twice('PUT', `Patient?${criteria('put')}`, named('put'))).headers.get('etag')).toBe('W/"2"');
    expect(await count('put')).toBe(1);
  });

  test('patch, also of what it cannot be applied to twice', async () => {
    const id = await createdId(keyed.send, patient({ active: true }));
    const first = await twice('PATCH', `Patient/${id}`, [{ op: 'remove', path: '/active' }]);
    expect([first.status, await versions(id)]).toEqual([200, 2]);
  });

  test('delete', async () => {
    const id = await createdId(keyed.send, patient());
    const first = await twice('DELETE', `Patient/${id}`);
    expect([first.status, first.headers.get('etag'), first.text]).toEqual([204, 'W/"2"', '']);
    await createdId(keyed.send, named('gone'));
    expect((await twice('DELETE', `Patient?${criteria('gone')}`)).status).toBe(204);
    expect(await count('gone')).toBe(0);
  });

  test('operation', async () => {
    let runs = 0;
    keyed.work(async () => ({ status: 200, body: { resourceType: 'Basic', id: `run-${++runs}`, code: {} } }));
    const first = await twice('POST', '$work', { resourceType: 'Parameters' });
    expect([first.body['id'], runs]).toEqual(['run-1', 1]);
  });

  test('batch: entries that fail and conditional ones included', async () => {
    const first = await twice(
      'POST',
      '',
      bundle(
        'batch',
        post(named('batch')),
        post(patient({ gender: 'x' })),
        post(named('batch-cond'), { ifNoneExist: criteria('batch-cond') }),
        post(named('batch-cond'), { ifNoneExist: criteria('batch-cond') }),
        { request: { method: 'GET', url: `Patient?${criteria('batch')}` } },
        { request: { method: 'GET', url: 'Patient?birthdate=never' } },
        { request: { method: 'DELETE', url: 'Patient/unknown' } },
      ),
    );
    const entries = first.body['entry'] as unknown as { response: { status: string }; resource?: { total: number } }[];
    expect(entries.map((e) => e.response.status.slice(0, 3))).toEqual(
      // Which of the two alike comes first is open.
      [
        expect.stringMatching('201'),
        '422',
        expect.stringMatching(/20[01]/),
        expect.stringMatching(/20[01]/),
        '200',
        '400',
        '204',
      ],
    );
    expect(entries[4]?.resource?.total).toBe(1);
    expect([await count('batch'), await count('batch-cond')]).toEqual([1, 1]);
  });

  test('transaction, with and without conditions', async () => {
    const plain = bundle('transaction', post(named('tx')), post(named('tx')));
    expect((await twice('POST', '', plain)).status).toBe(200);
    expect(await count('tx')).toBe(2);
    const conditional = bundle('transaction', post(named('txc'), { ifNoneExist: criteria('txc') }));
    expect((await twice('POST', '', conditional, { Prefer: 'return=representation' })).status).toBe(200);
    expect(await count('txc')).toBe(1);
  });

  test('raw content', async () => {
    const first = await twice('POST', 'Binary', 'some text', { 'Content-Type': 'text/plain' });
    expect([first.status, first.body['contentType']]).toEqual([201, 'text/plain']);
  });

  test('the quoted form is the same key (RFC 9651 3.3.3)', async () => {
    const first = await keyed.send('POST', 'Patient', named('quoted'), { 'Idempotency-Key': 'a"b\\c' });
    const second = await keyed.send('POST', 'Patient', named('quoted'), { 'Idempotency-Key': '"a\\"b\\\\c"' });
    expect([told(second), replayed(second)]).toEqual([told(first), true]);
  });
});

describe('what a key is, and whose', () => {
  test.each([
    ['empty', ''],
    ['too long', 'k'.repeat(256)],
    ['a space', 'a b'],
    ['not ASCII', 'clé'],
    ['an open quote', '"abc'],
    ['nothing in quotes', '""'],
    ['parameters', '"abc";a=1'],
    ['two of them', '"a", "b"'],
  ])('%s: 400', async (_, key) => {
    const answer = await keyed.send('POST', 'Patient', patient(), { 'Idempotency-Key': key });
    expect([answer.status, issuesOf(answer)]).toEqual([400, ['value http.Idempotency-Key']]);
  });

  test('255 characters are one', async () => {
    const answer = await keyed.send('POST', 'Patient', patient(), { 'Idempotency-Key': 'k'.repeat(255) });
    expect(answer.status).toBe(201);
  });

  test.each<[string, Parameters<KeyedServer['send']>]>([
    ['body', ['POST', 'Patient', patient({ active: true })]],
    ['white space in the body', ['POST', 'Patient', ` ${JSON.stringify(patient())}`]],
    ['query', ['POST', 'Patient?_pretty=true', patient()]],
    ['type', ['POST', 'Basic', patient()]],
    ['method', ['PUT', 'Patient', patient()]],
    ['If-None-Exist', ['POST', 'Patient', patient(), { 'If-None-Exist': 'active=true' }]],
    ['If-Match', ['POST', 'Patient', patient(), { 'If-Match': 'W/"1"' }]],
    ['Prefer', ['POST', 'Patient', patient(), { Prefer: 'return=minimal' }]],
    ['Content-Type', ['POST', 'Patient', patient(), { 'Content-Type': 'application/json' }]],
  ])('the same key with another %s: 422 (section 2.7)', async (_, [method, path, body, headers]) => {
    const key = newKey();
    expect((await keyed.send('POST', 'Patient', patient(), key)).status).toBe(201);
    const answer = await keyed.send(method, path, body, { ...headers, ...key });
    expect([answer.status, issuesOf(answer)]).toEqual([422, ['business-rule http.Idempotency-Key']]);
  });

  test('Accept-Encoding, X-Request-Id and the token make no other request', async () => {
    const key = newKey();
    const first = await keyed.send('POST', 'Patient', patient(), { ...key, 'X-Request-Id': 'one' });
    const second = await keyed.send('POST', 'Patient', patient(), {
      ...key,
      'X-Request-Id': 'two',
      Authorization: 'x',
    });
    expect([told(second), second.headers.get('x-request-id')]).toEqual([told(first), 'two']);
  });

  test("another client's and another user's key is another key (security.md B2.17)", async () => {
    const key = newKey();
    const callers = ['app/ann', 'app/ben', 'other/ann', 'app/an', '/appann'];
    const send = (caller: string): Promise<Answer> =>
      keyed.send('POST', 'Patient', named(caller), { ...key, 'X-Caller': caller });
    const first = await Promise.all(callers.map(send));
    expect(new Set(first.map((a) => a.body['id'])).size).toBe(callers.length);
    const second = await Promise.all(callers.map(send));
    expect(second.map(told)).toEqual(first.map(told));
  });

  test('whose rights have changed gets no body any more', async () => {
    const key = newKey();
    const first = await keyed.send('POST', 'Patient', named('rights'), key);
    const other = await keyed.send('POST', 'Patient', named('rights'), { ...key, 'X-Rights': 'fewer' });
    expect([other.status, other.headers.get('location'), other.text]).toEqual([201, first.headers.get('location'), '']);
    expect(await count('rights')).toBe(1);
  });

  test('nobody has no keys', async () => {
    const key = { ...newKey(), 'X-Caller': 'app/nobody' };
    await keyed.send('POST', 'Patient', named('nobody'), key);
    expect(replayed(await keyed.send('POST', 'Patient', named('nobody'), key))).toBe(false);
  });

  test('searches, reads and operations that change nothing take no notice, of a bad key either', async () => {
    const id = await createdId(keyed.send, patient());
    const before = await keyed.rows('select count(*) from idempotency');
    for (const key of ['k', 'a b']) {
      const header = { 'Idempotency-Key': key };
      const form = { ...header, 'Content-Type': 'application/x-www-form-urlencoded' };
      for (let i = 0; i < 2; i++) {
        const answers = [
          await keyed.send('GET', `Patient/${id}`, undefined, header),
          await keyed.send('POST', 'Patient/_search', `_id=${id}`, form),
          await keyed.send('POST', 'Patient/$validate', patient(), header),
        ];
        expect(answers.map((a) => [a.status, replayed(a)])).toEqual(answers.map(() => [200, false]));
      }
    }
    expect(await keyed.rows('select count(*) from idempotency')).toEqual(before);
  });
});

describe('what is kept', () => {
  test('for 24 hours by the clock of the database; then the key is new again', async () => {
    const key = newKey();
    const first = await keyed.send('POST', 'Patient', named('expiry'), key);
    const left = await keyed.rows(
      `select extract(epoch from expires_at - now()) / 3600 from idempotency order by created_at desc limit 1`,
    );
    expect(Number(left[0]?.[0])).toBeCloseTo(24, 1);
    await keyed.rows(`update idempotency set expires_at = now() + interval '1 minute'`);
    expect(told(await keyed.send('POST', 'Patient', named('expiry'), key))).toEqual(told(first));
    await keyed.rows(`update idempotency set expires_at = now()`);
    const next = await keyed.send('POST', 'Patient', named('expiry'), key);
    expect([next.status, replayed(next), next.body['id'] === first.body['id']]).toEqual([201, false, false]);
    expect(told(await keyed.send('POST', 'Patient', named('expiry'), key))).toEqual(told(next));
  });

  test('rows that have expired are swept, others stay', async () => {
    const key = newKey();
    const first = await keyed.send('POST', 'Patient', patient(), key);
    await keyed.rows(
      `insert into idempotency (name, request, status, head_sealed, expires_at) select 'old-' || i, 'r', 200, 's', now() from generate_series(1, 1200) i`,
    );
    const { pool } = keyed.server.kairos;
    expect(await sweepKeptReplies(pool, AbortSignal.abort())).toBe(0);
    expect(await sweepKeptReplies(pool, new AbortController().signal)).toBeGreaterThanOrEqual(1200);
    expect(told(await keyed.send('POST', 'Patient', patient(), key))).toEqual(told(first));
    expect(await keyed.rows(`select count(*) from idempotency where expires_at <= now()`)).toEqual([['0']]);
  });

  test('unreadable: neither key nor body nor headers stand in the table', async () => {
    const key = { 'Idempotency-Key': 'canary-key' };
    const made = await keyed.send('POST', 'Patient', patient({ name: [{ family: 'CanaryFamily' }] }), key);
    const id = String(made.body['id']);
    const stored = JSON.stringify(await keyed.rows('select * from idempotency'));
    for (const secret of ['canary', 'CanaryFamily', id, 'Location', 'account'])
      for (const form of [secret, ...['base64', 'hex'].map((e) => Buffer.from(secret).toString(e as 'hex'))])
        expect(stored).not.toContain(form);
  });

  test('a reply of one row opens in no other', async () => {
    const [one, two] = [newKey(), newKey()];
    await keyed.send('POST', 'Patient', patient(), one);
    await keyed.send('POST', 'Patient', patient(), two);
    await keyed.rows(
      `with last as (select name, body_sealed, head_sealed, row_number() over (order by created_at desc) as n from idempotency)
       update idempotency i set body_sealed = (select body_sealed from last where n = 2), head_sealed = (select head_sealed from last where n = 2)
       where name = (select name from last where n = 1)`,
    );
    expect((await keyed.send('POST', 'Patient', patient(), two)).status).toBe(500);
  });

  test('a reply too large to be kept is refused, and nothing done', async () => {
    keyed.work(async (engine, ctx) => {
      await create(engine, ctx, creating(named('large')));
      return { status: 200, body: `"${'x'.repeat(engine.limits.bundleBytes)}"` };
    });
    expect((await keyed.send('POST', '$work', undefined, newKey())).status).toBe(413);
    expect(await count('large')).toBe(0);
  });
});

test('observers hear of the effect once, and of each time that it is shown', async () => {
  const key = newKey();
  const made = await keyed.send('POST', 'Patient', patient(), key);
  await keyed.send('POST', 'Patient', patient(), key);
  const resources = [`Patient/${String(made.body['id'])}`];
  expect(keyed.exchanges.map((e) => e.events)).toEqual([
    [{ interaction: 'create', type: 'Patient', resources, outcome: 'success' }],
    [{ interaction: 'create', type: 'Patient', resources, outcome: 'success', replayed: true }],
  ]);
});

test('scripts of other origins may send the key and see that an answer is a repeated one', async () => {
  const preflight = await keyed.send('OPTIONS', 'Patient', undefined, { Origin: 'https://app.example' });
  expect(preflight.headers.get('access-control-allow-headers')).toContain('Idempotency-Key');
  expect(preflight.headers.get('access-control-expose-headers')).toContain('Idempotency-Replayed');
  const metadata = await keyed.send('GET', 'metadata');
  expect(JSON.stringify(metadata.body['rest'])).toContain('Idempotency-Key');
});
