/** https://hl7.org/fhir/R4/http.html#read, #vread, #cread */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestServer, type TestServer } from '../../support/server.ts';
import { client, createdId, issuesOf, patient, type Send } from '../client.ts';

let server: TestServer;
let send: Send;
let id: string;
beforeAll(async () => {
  server = await createTestServer();
  send = client(server);
  id = await createdId(
    send,
    patient({
      birthDate: '1970-01-02',
      text: { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml">Ada</div>' },
    }),
  );
});
afterAll(() => server.close());

describe('read (3.1.0.2)', () => {
  test('200, with the id asked for, ETag, Last-Modified, and no caching', async () => {
    const { status, headers, body } = await send('GET', `Patient/${id}`);
    expect([status, body['id'], headers.get('etag'), headers.get('cache-control')]).toEqual([
      200,
      id,
      'W/"1"',
      'no-store',
    ]);
    expect(headers.get('last-modified')).toMatch(/ GMT$/);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
  });

  test('HEAD: the headers without the body', async () => {
    const got = await send('GET', `Patient/${id}`);
    const head = await send('HEAD', `Patient/${id}`);
    expect([head.status, head.text, head.headers.get('etag')]).toEqual([200, '', 'W/"1"']);
    expect(Number(head.headers.get('content-length'))).toBe(Buffer.byteLength(got.text));
  });

  test.each([
    'Patient/unknown',
    'Patient/no such',
    `Patient/${'x'.repeat(65)}`,
    'Unicorn/1',
    'Observation/1',
    'Patient/1/2/3',
    'nothing',
  ])('404 with an OperationOutcome: %s', async (path) => {
    const answer = await send('GET', path);
    expect(answer.status).toBe(404);
    expect(answer.body['resourceType']).toBe('OperationOutcome');
  });

  test('410 after deletion', async () => {
    const gone = await createdId(send, patient());
    expect((await send('DELETE', `Patient/${gone}`)).status).toBe(204);
    const answer = await send('GET', `Patient/${gone}`);
    expect([answer.status, issuesOf(answer)]).toEqual([410, ['deleted']]);
  });

  test('a trailing slash is forgiven', async () => {
    expect((await send('GET', `Patient/${id}/`)).status).toBe(200);
  });
});

describe('conditional read (3.1.0.2.2)', () => {
  test('If-None-Match: 304 with the ETag and no body while it is current', async () => {
    const answer = await send('GET', `Patient/${id}`, undefined, { 'If-None-Match': 'W/"1"' });
    expect([answer.status, answer.text, answer.headers.get('etag')]).toEqual([304, '', 'W/"1"']);
    expect((await send('GET', `Patient/${id}`, undefined, { 'If-None-Match': 'W/"2", "1"' })).status).toBe(304);
    expect((await send('GET', `Patient/${id}`, undefined, { 'If-None-Match': 'W/"2"' })).status).toBe(200);
    expect((await send('GET', `Patient/${id}`, undefined, { 'If-None-Match': 'one' })).status).toBe(400);
  });

  test('If-Modified-Since: 304 at or after Last-Modified; If-None-Match goes before it; a bad date is ignored', async () => {
    const modified = (await send('GET', `Patient/${id}`)).headers.get('last-modified') ?? '';
    const status = async (headers: Record<string, string>): Promise<number> =>
      (await send('GET', `Patient/${id}`, undefined, headers)).status;
    expect(await status({ 'If-Modified-Since': modified })).toBe(304);
    expect(await status({ 'If-Modified-Since': 'Mon, 01 Jan 2001 00:00:00 GMT' })).toBe(200);
    expect(await status({ 'If-Modified-Since': modified, 'If-None-Match': 'W/"9"' })).toBe(200);
    expect(await status({ 'If-Modified-Since': 'yesterday' })).toBe(200);
  });
});

describe('vread (3.1.0.3)', () => {
  test('each version as it was; 404 for others; 410 for the deletion', async () => {
    const own = await createdId(send, patient({ active: true }));
    await send('PUT', `Patient/${own}`, patient({ id: own, active: false }));
    await send('DELETE', `Patient/${own}`);
    const first = await send('GET', `Patient/${own}/_history/1`);
    const second = await send('GET', `Patient/${own}/_history/2`);
    expect([first.status, first.body['active'], first.headers.get('etag')]).toEqual([200, true, 'W/"1"']);
    expect([second.status, second.body['active'], second.headers.get('etag')]).toEqual([200, false, 'W/"2"']);
    expect((await send('GET', `Patient/${own}/_history/3`)).status).toBe(410);
    for (const version of ['0', '4', '99999999999', 'x', '1e3']) {
      expect((await send('GET', `Patient/${own}/_history/${version}`)).status, version).toBe(404);
    }
  });
});

describe('_summary and _elements on a read (search.html#summary)', () => {
  test('parts of the resource, marked SUBSETTED', async () => {
    const summary = await send('GET', `Patient/${id}?_summary=true`);
    expect(summary.body['text']).toBeUndefined();
    expect(summary.body['birthDate']).toBe('1970-01-02');
    expect(summary.body['meta']?.['tag']?.[0]?.['code']).toBe('SUBSETTED');
    const elements = await send('GET', `Patient/${id}?_elements=birthDate`);
    expect(Object.keys(elements.body)).toEqual(['resourceType', 'id', 'meta', 'birthDate']);
    const text = await send('GET', `Patient/${id}?_summary=text`);
    expect(Object.keys(text.body)).toEqual(['resourceType', 'id', 'meta', 'text']);
  });

  test('an unknown _summary, or both: 400', async () => {
    expect((await send('GET', `Patient/${id}?_summary=nonsense`)).status).toBe(400);
    expect((await send('GET', `Patient/${id}?_summary=true&_elements=name`)).status).toBe(400);
  });
});
