/** https://hl7.org/fhir/R4/http.html#delete */
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

describe('delete (3.1.0.7)', () => {
  test('204, again and again; unknown ids too', async () => {
    const id = await createdId(send, patient());
    const first = await send('DELETE', `Patient/${id}`);
    expect([first.status, first.text, first.headers.get('etag')]).toEqual([204, '', 'W/"2"']);
    expect((await send('DELETE', `Patient/${id}`)).status).toBe(204);
    expect((await send('DELETE', 'Patient/nobody')).status).toBe(204);
    const versions = (await send('GET', `Patient/${id}/_history`)).body;
    expect(versions['total']).toBe(2);
  });

  test('a search does not find it any more', async () => {
    const id = await createdId(send, patient({ identifier: [{ system: 'urn:x', value: 'gone' }] }));
    await send('DELETE', `Patient/${id}`);
    expect((await send('GET', 'Patient?identifier=urn:x|gone')).body['total']).toBe(0);
  });

  test('If-Match: a stale version is not deleted', async () => {
    const id = await createdId(send, patient());
    expect((await send('DELETE', `Patient/${id}`, undefined, { 'If-Match': 'W/"2"' })).status).toBe(412);
    expect((await send('GET', `Patient/${id}`)).status).toBe(200);
    expect((await send('DELETE', `Patient/${id}`, undefined, { 'If-Match': 'W/"1"' })).status).toBe(204);
  });

  test('a read-only type: 405', async () => {
    expect((await send('DELETE', 'AuditEvent/1')).status).toBe(405);
  });
});
