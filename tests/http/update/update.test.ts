/** https://hl7.org/fhir/R4/http.html#update */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildApp } from '../../../src/app.ts';
import { grantAll } from '../../../src/fhir/access.ts';
import { silentLog } from '../../../src/platform/log.ts';
import { createMetrics } from '../../../src/platform/metrics.ts';
import { createTestServer, type TestServer } from '../../support/server.ts';
import { client, createdId, issuesOf, patient, type Send } from '../client.ts';

let server: TestServer;
let send: Send;
beforeAll(async () => {
  server = await createTestServer();
  send = client(server);
});
afterAll(() => server.close());

describe('update (3.1.0.4)', () => {
  test('200 with the next version; the former one stays in the history', async () => {
    const id = await createdId(send, patient({ active: true }));
    const updated = await send('PUT', `Patient/${id}`, patient({ id, meta: { versionId: '99' }, active: false }));
    expect(updated.status).toBe(200);
    expect(updated.headers.get('etag')).toBe('W/"2"');
    expect(updated.headers.get('location')).toBe(`http://localhost:8080/fhir/R4/Patient/${id}/_history/2`);
    expect(updated.body['meta']?.['versionId']).toBe('2');
    expect((await send('GET', `Patient/${id}`)).text).toBe(updated.text);
    expect((await send('GET', `Patient/${id}/_history/1`)).body['active']).toBe(true);
  });

  test('an id that differs from the address, or none: 400 that names it', async () => {
    const id = await createdId(send, patient());
    for (const body of [patient(), patient({ id: 'other' })]) {
      const answer = await send('PUT', `Patient/${id}`, body);
      expect(answer.status).toBe(400);
      expect(issuesOf(answer)[0]).toContain('Patient.id');
    }
    expect((await send('PUT', 'Patient/not%20an%20id', patient({ id: 'x' }))).status).toBe(400);
  });

  test('update as create: 201 for a system principal (3.1.0.4.1)', async () => {
    const made = await send('PUT', 'Patient/chosen', patient({ id: 'chosen' }));
    expect([made.status, made.headers.get('etag'), made.body['id']]).toEqual([201, 'W/"1"', 'chosen']);
    expect((await send('PUT', 'Patient/chosen', patient({ id: 'chosen' }))).status).toBe(200);
  });

  test('update as create: 405 for others, with the rule', async () => {
    const app = buildApp(server.engine, {
      log: silentLog,
      metrics: createMetrics(),
      ready: () => true,
      accessOf: () => grantAll({ kind: 'user', name: 'someone' }),
    });
    const other = client({ request: async (path, init) => app.request(path, init) });
    const answer = await other('PUT', 'Patient/preferred', patient({ id: 'preferred' }));
    expect(answer.status).toBe(405);
    expect(answer.text).toContain('POST Patient');
    expect((await other('GET', 'Patient/preferred')).status).toBe(404);
  });

  test('after a deletion the next version brings it back (201)', async () => {
    const id = await createdId(send, patient());
    await send('DELETE', `Patient/${id}`);
    const back = await send('PUT', `Patient/${id}`, patient({ id }));
    expect([back.status, back.headers.get('etag')]).toEqual([201, 'W/"3"']);
  });
});

describe('concurrency (3.1.0.5)', () => {
  test('If-Match: current 200, stale 412, malformed 400, nothing there 412', async () => {
    const id = await createdId(send, patient());
    const put = (ifMatch: string, target = id): Promise<number> =>
      send('PUT', `Patient/${target}`, patient({ id: target }), { 'If-Match': ifMatch }).then((a) => a.status);
    expect(await put('W/"1"')).toBe(200);
    expect(await put('W/"1"')).toBe(412);
    expect(await put('2')).toBe(400);
    expect(await put('W/2')).toBe(400);
    expect(await put('"2"')).toBe(200);
    expect(await put('*')).toBe(200);
    expect(await put('W/"1"', 'nobody')).toBe(412);
  });

  test('If-None-Match: * writes only where nothing is', async () => {
    const put = (): Promise<number> =>
      send('PUT', 'Patient/first', patient({ id: 'first' }), { 'If-None-Match': '*' }).then((a) => a.status);
    expect([await put(), await put()]).toEqual([201, 412]);
  });

  test('twenty writers with the same If-Match: one wins', async () => {
    const id = await createdId(send, patient());
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        send('PUT', `Patient/${id}`, patient({ id, multipleBirthInteger: i + 1 }), { 'If-Match': 'W/"1"' }),
      ),
    );
    expect(answers.filter((a) => a.status === 200)).toHaveLength(1);
    expect(answers.filter((a) => a.status === 412)).toHaveLength(19);
    expect((await send('GET', `Patient/${id}`)).headers.get('etag')).toBe('W/"2"');
  });

  test('four writers without: every one succeeds, no version is lost', async () => {
    const id = await createdId(send, patient());
    const answers = await Promise.all(Array.from({ length: 4 }, () => send('PUT', `Patient/${id}`, patient({ id }))));
    expect(answers.map((a) => a.status)).toEqual([200, 200, 200, 200]);
    expect(new Set(answers.map((a) => a.headers.get('etag')))).toEqual(new Set(['W/"2"', 'W/"3"', 'W/"4"', 'W/"5"']));
  });
});
