/** https://hl7.org/fhir/R4/binary.html#rest */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestServer, type TestServer } from '../../support/server.ts';
import { client, type Send } from '../client.ts';

let server: TestServer;
let send: Send;
beforeAll(async () => {
  server = await createTestServer();
  send = client(server);
});
afterAll(() => server.close());

const bytes = Buffer.from([0, 1, 2, 250, 255]);

describe('raw content (2.37.4)', () => {
  test('taken and given as it is; FHIR JSON for those who ask for it', async () => {
    const made = await server.request('/fhir/R4/Binary', {
      method: 'POST',
      headers: { 'Content-Type': 'image/png' },
      body: bytes,
    });
    expect(made.status).toBe(201);
    const id = /Binary\/([^/]+)/.exec(made.headers.get('location') ?? '')?.[1] ?? '';
    const raw = await server.request(`/fhir/R4/Binary/${id}`, { headers: { Accept: 'image/*' } });
    expect(Buffer.from(await raw.arrayBuffer())).toEqual(bytes);
    expect([
      raw.headers.get('content-type'),
      raw.headers.get('x-content-type-options'),
      raw.headers.get('content-disposition'),
    ]).toEqual(['image/png', 'nosniff', 'attachment']);
    expect(raw.headers.get('content-security-policy')).toContain('sandbox');
    expect(raw.headers.get('etag')).toBe('W/"1"');
    expect((await server.request(`/fhir/R4/Binary/${id}`)).headers.get('content-type')).toBe('image/png');
    const fhir = await send('GET', `Binary/${id}`, undefined, { Accept: 'application/fhir+json' });
    expect(fhir.body).toMatchObject({
      resourceType: 'Binary',
      contentType: 'image/png',
      data: bytes.toString('base64'),
    });
    expect((await send('GET', `Binary/${id}?_format=json`)).body['contentType']).toBe('image/png');
    expect((await send('GET', `Binary/${id}`, undefined, { Accept: 'text/plain' })).status).toBe(406);
    const put = await server.request(`/fhir/R4/Binary/${id}`, {
      method: 'PUT',
      headers: { 'Content-Type': 'text/plain' },
      body: 'hello',
    });
    expect(put.status).toBe(200);
    expect(await (await server.request(`/fhir/R4/Binary/${id}`)).text()).toBe('hello');
    expect((await server.request(`/fhir/R4/Binary/${id}/_history/1`)).headers.get('content-type')).toBe('image/png');
  });

  test('FHIR JSON in, whose media type could not be a header: served as octets', async () => {
    const made = await send('POST', 'Binary', { resourceType: 'Binary', contentType: 'text/html\tx', data: 'PGI+' });
    const id = String(made.body['id']);
    if (made.status === 201)
      expect((await server.request(`/fhir/R4/Binary/${id}`)).headers.get('content-type')).toBe(
        'application/octet-stream',
      );
    else expect(made.status).toBe(422);
  });

  test('within a Bundle it is FHIR JSON', async () => {
    const made = await send('POST', 'Binary', { resourceType: 'Binary', contentType: 'text/plain', data: 'aGk=' });
    const entry = [{ request: { method: 'GET', url: `Binary/${String(made.body['id'])}` } }];
    const answer = await send('POST', '', { resourceType: 'Bundle', type: 'batch', entry });
    expect(answer.body['entry']?.[0]?.['resource']).toMatchObject({ resourceType: 'Binary', data: 'aGk=' });
  });

  test('larger than a resource may be: 413', async () => {
    const body = Buffer.alloc(1_000_000);
    expect(
      (await server.request('/fhir/R4/Binary', { method: 'POST', headers: { 'Content-Type': 'image/png' }, body }))
        .status,
    ).toBe(413);
  });
});
