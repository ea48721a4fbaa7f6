/** https://hl7.org/fhir/R4/http.html#ccreate, #cond-update, #cdelete */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestServer, type TestServer } from '../../support/server.ts';
import { client, createdId, patient, type Send } from '../client.ts';

let server: TestServer;
let send: Send;
beforeAll(async () => {
  server = await createTestServer();
  send = client(server);
});
afterAll(() => server.close());

const SYSTEM = 'http://example.org/mrn';
const named = (value: string, more: object = {}): object =>
  patient({ identifier: [{ system: SYSTEM, value }], ...more });
const criteria = (value: string): string => `identifier=${encodeURIComponent(`${SYSTEM}|${value}`)}`;
const count = async (value: string): Promise<unknown> =>
  (await send('GET', `Patient?${criteria(value)}`)).body['total'];

describe('conditional create (3.1.0.8.1)', () => {
  test('no match 201, one 200 with that one, several 412', async () => {
    const post = (): ReturnType<Send> => send('POST', 'Patient', named('c1'), { 'If-None-Exist': criteria('c1') });
    const first = await post();
    expect(first.status).toBe(201);
    const second = await post();
    expect([second.status, second.body['id'], second.headers.get('location')]).toEqual([
      200,
      first.body['id'],
      first.headers.get('location'),
    ]);
    await createdId(send, named('c1'));
    expect((await post()).status).toBe(412);
    expect(await count('c1')).toBe(2);
  });

  test.each([
    ['', 412],
    ['?', 412],
    ['_format=json', 412],
    ['nonsense=1', 400],
    ['birthdate=1973-02-30', 400],
    ['identifier=%', 400],
  ])('criteria %j: %i', async (header, status) => {
    expect((await send('POST', 'Patient', patient(), { 'If-None-Exist': header })).status).toBe(status);
  });

  test('twenty alike at once make one', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => send('POST', 'Patient', named('c2'), { 'If-None-Exist': criteria('c2') })),
    );
    expect(answers.filter((a) => a.status === 201)).toHaveLength(1);
    expect(answers.filter((a) => a.status !== 201 && a.status !== 200 && a.status !== 503)).toEqual([]);
    expect(await count('c2')).toBe(1);
  });
});

describe('conditional update (3.1.0.4.3)', () => {
  test('no match 201, one 200, several 412', async () => {
    const put = (more: object = {}): ReturnType<Send> => send('PUT', `Patient?${criteria('u1')}`, named('u1', more));
    const made = await put();
    expect(made.status).toBe(201);
    const updated = await put({ active: true });
    expect([updated.status, updated.body['id'], updated.headers.get('etag')]).toEqual([200, made.body['id'], 'W/"2"']);
    expect((await put({ id: String(made.body['id']) })).status).toBe(200);
    expect((await put({ id: 'other' })).status).toBe(400);
    await createdId(send, named('u1'));
    expect((await put()).status).toBe(412);
  });

  test('no match with an id: created under it; an id that is taken by another: 409', async () => {
    const made = await send('PUT', `Patient?${criteria('u2')}`, named('u2', { id: 'u2' }));
    expect([made.status, made.body['id']]).toEqual([201, 'u2']);
    expect((await send('PUT', `Patient?${criteria('u3')}`, named('u3', { id: 'u2' }))).status).toBe(409);
  });

  test('no criteria: 412', async () => {
    expect((await send('PUT', 'Patient', patient())).status).toBe(412);
  });

  test('twenty alike at once make one', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => send('PUT', `Patient?${criteria('u4')}`, named('u4'))),
    );
    expect(answers.filter((a) => a.status === 201)).toHaveLength(1);
    expect(await count('u4')).toBe(1);
  });
});

describe('conditional patch and delete (3.1.0.6, 3.1.0.7.1)', () => {
  const change = [{ op: 'add', path: '/active', value: true }];

  test('patch: no match 404, one 200, several 412', async () => {
    const patch = (): ReturnType<Send> => send('PATCH', `Patient?${criteria('p1')}`, change);
    expect((await patch()).status).toBe(404);
    await createdId(send, named('p1'));
    expect((await patch()).body['active']).toBe(true);
    await createdId(send, named('p1'));
    expect((await patch()).status).toBe(412);
  });

  test('delete: no match 204, one 204, several 412, no criteria 412', async () => {
    const remove = (): Promise<number> => send('DELETE', `Patient?${criteria('d1')}`).then((a) => a.status);
    expect(await remove()).toBe(204);
    await createdId(send, named('d1'));
    expect(await remove()).toBe(204);
    expect(await count('d1')).toBe(0);
    await createdId(send, named('d1'));
    await createdId(send, named('d1'));
    expect(await remove()).toBe(412);
    expect((await send('DELETE', 'Patient')).status).toBe(412);
    expect(await count('d1')).toBe(2);
  });
});
