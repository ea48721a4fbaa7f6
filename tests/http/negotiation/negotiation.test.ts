/** https://hl7.org/fhir/R4/http.html#general: formats, headers, unknown paths, other pages */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestServer, type TestServer } from '../../support/server.ts';
import { client, createdId, issuesOf, patient, type Send } from '../client.ts';
import { gunzipSync, brotliDecompressSync } from 'node:zlib';

let server: TestServer;
let send: Send;
beforeAll(async () => {
  server = await createTestServer();
  send = client(server);
});
afterAll(() => server.close());

describe('content negotiation (3.1.0.1.10)', () => {
  test.each([
    ['application/fhir+json', 200],
    ['application/json', 200],
    ['*/*', 200],
    ['application/*', 200],
    ['text/html,application/xhtml+xml,*/*;q=0.8', 200],
    ['application/fhir+json; fhirVersion=4.0', 200],
    ['application/fhir+json; fhirVersion=3.0', 406],
    ['application/fhir+xml', 406],
    ['text/html', 406],
    ['application/json;q=0', 406],
    ['application/fhir+xml, application/json;q=0.1', 200],
  ])('Accept: %s is %i', async (accept, status) => {
    const answer = await send('GET', 'metadata', undefined, { Accept: accept });
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toBe('application/fhir+json; charset=utf-8');
  });

  test.each([
    ['json', 200],
    ['application/json', 200],
    ['application/fhir%2Bjson', 200],
    ['application/fhir+json', 200],
    ['xml', 406],
    ['application/fhir%2Bxml', 406],
    ['nonsense', 406],
  ])('_format=%s is %i, whatever Accept says', async (format, status) => {
    expect(
      (await send('GET', `metadata?_format=${format}`, undefined, { Accept: 'application/fhir+xml' })).status,
    ).toBe(status);
  });

  test('parameters of a form count as those of the address (3.1.0.1.11)', async () => {
    const form = (path: string, body: string, accept = '*/*') =>
      send('POST', path, body, { 'Content-Type': 'application/x-www-form-urlencoded', Accept: accept });
    for (const path of ['Patient/_search', '_search', 'Patient/1/*/_search']) {
      const xml = await form(path, '_id=tw&_format=xml');
      expect([path, xml.status, issuesOf(xml)]).toEqual([path, 406, ['not-supported _format']]);
    }
    expect((await form('Patient/_search', '_id=tw&_format=json', 'application/fhir+xml')).status).toBe(200);
    expect((await form('Patient/_search', '_id=tw', 'application/fhir+xml')).status).toBe(406);
    expect((await form('Patient/_search?_format=xml', '_id=tw')).status).toBe(406);
    expect((await form('Patient/_search', '_id=tw&_pretty=true')).text).toContain('\n  "type": "searchset"');
    expect((await form('Patient/_search?_pretty=true', '_id=tw')).text).toContain('\n  "type": "searchset"');
    expect((await form('Patient/_search', '_id=tw')).text).not.toContain('\n');
    expect(issuesOf(await form('Patient/_search', '_pretty=perhaps'))).toEqual(['value _pretty']);
    expect(issuesOf(await form('Patient/_search', '_summary=little'))).toEqual(['value _summary']);
  });

  test('_pretty writes lines and keeps decimals; a bad one is 400', async () => {
    const made = await send(
      'POST',
      'ChargeItem',
      '{"resourceType":"ChargeItem","status":"billable","code":{"text":"x"},"subject":{"display":"a"},"factorOverride":1.00}',
    );
    const pretty = await send('GET', `ChargeItem/${String(made.body['id'])}?_pretty=true`);
    expect(pretty.text).toContain('\n  "factorOverride": 1.00');
    expect(pretty.body).toEqual(made.body);
    expect((await send('GET', 'ChargeItem/none?_pretty=true')).text).toContain(
      '\n  "resourceType": "OperationOutcome"',
    );
    const bad = await send('GET', 'metadata?_pretty=perhaps');
    expect([bad.status, issuesOf(bad)]).toEqual([400, ['value _pretty']]);
  });

  test.each([
    ['text/plain', 415],
    ['application/fhir+xml', 415],
    ['application/xml', 415],
    ['application/json; charset=latin1', 415],
    ['application/fhir+json; fhirVersion=5.0', 415],
    ['application/json', 201],
    ['application/fhir+json;charset=UTF-8', 201],
    ['application/fhir+json; fhirVersion=4.0', 201],
  ])('Content-Type: %s is %i', async (type, status) => {
    expect((await send('POST', 'Patient', JSON.stringify(patient()), { 'Content-Type': type })).status).toBe(status);
  });

  test('a compressed body: 415', async () => {
    const answer = await send('POST', 'Patient', patient(), { 'Content-Encoding': 'gzip' });
    expect([answer.status, answer.headers.get('accept-encoding')]).toEqual([415, 'identity']);
  });
});

describe('addresses', () => {
  test.each([
    ['POST', 'metadata', 'GET, HEAD'],
    ['DELETE', '', 'GET, HEAD, POST'],
    ['PUT', '_history', 'GET, HEAD'],
    ['POST', 'Patient/1', 'GET, HEAD, PUT, PATCH, DELETE'],
    ['GET', 'Patient/_search', 'POST'],
    ['PUT', 'Patient/1/_history/1', 'GET, HEAD'],
    ['DELETE', 'Patient/$validate', 'GET, HEAD, POST'],
  ])('%s %s: 405 with Allow', async (method, path, allow) => {
    const answer = await send(method, path, method === 'POST' || method === 'PUT' ? patient() : undefined);
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, allow]);
    expect(answer.body['resourceType']).toBe('OperationOutcome');
  });

  test.each([
    '$nonsense',
    'Patient/$nonsense',
    'Patient/1/$nonsense',
    'Patient/1/Observation',
    'Patient/1/Appointment/2',
    'Slot/1/Appointment',
    'a/b/c/d/e',
  ])('GET %s: 404', async (path) => {
    const answer = await send('GET', path);
    expect([answer.status, answer.body['resourceType']]).toEqual([404, 'OperationOutcome']);
  });

  test.each([
    'Patient/%',
    'Patient/%E0%A4%A',
    'Patient?name=%zz',
    'Patient?%=1',
    'Patient?name=%00',
    'Patient/a%00b',
    'Patient?name=%C0%80',
  ])('broken encoding %s: 400', async (path) => {
    const answer = await send('GET', path);
    expect([answer.status, answer.body['resourceType']]).toEqual([400, 'OperationOutcome']);
  });

  test('outside of the base: 404 with an OperationOutcome', async () => {
    for (const path of ['/nothing', '/fhir', '/fhir/R5/Patient', '/fhir/R4x']) {
      const response = await server.request(path);
      expect([response.status, ((await response.json()) as { resourceType: string }).resourceType]).toEqual([
        404,
        'OperationOutcome',
      ]);
    }
  });
});

describe('values of searches (3.1.1.4)', () => {
  const STRICT = { Prefer: 'handling=strict' };

  test('a boolean is true or false; a plus that was not encoded is one; elements are those of the type', async () => {
    const phone = { telecom: [{ system: 'phone', value: '+1 555 0199 7777' }], active: true, deceasedBoolean: false };
    await createdId(send, patient(phone));
    const ask = async (query: string) => {
      const { status, body } = await send('GET', `Patient?${query}`, undefined, STRICT);
      return status === 200 ? body['total'] : status;
    };
    expect([await ask('active=maybe&phone=%2B155501997777'), await ask('active=true&phone=%2B155501997777')]).toEqual([
      400, 1,
    ]);
    expect(await ask('phone=+155501997777')).toBe(1);
    for (const [elements, expected] of [
      ['name,deceased', 1],
      ['Patient.name,deceased[x]', 1],
      ['name,foo', 400],
      ['name.family', 400],
    ] as const)
      expect(await ask(`phone=%2B155501997777&_elements=${elements}`), elements).toBe(expected);
  });

  test('long replies hold every sign, also where they are cut into pieces', async () => {
    // Of two units each, so that in one of two replies, which differ by one unit, a pair lies across the cut.
    const signs = '😀'.repeat(220_000);
    const ids = await Promise.all(
      [signs, signs, `x${signs}`].map((text) => createdId(send, patient({ name: [{ text }] }))),
    );
    for (const other of ids.slice(1)) {
      const { text: reply } = await send('GET', `Patient?_id=${ids[0] ?? ''},${other}`);
      expect([reply.split(signs).length - 1, reply.includes('\ufffd')]).toEqual([2, false]);
    }
  });
});

describe('search routes (3.1.0.12)', () => {
  test('GET, POST with a form, and both together give the same set', async () => {
    const id = await createdId(send, patient({ birthDate: '1980-05-05' }));
    const post = (path: string, form: string): ReturnType<Send> =>
      send('POST', path, form, { 'Content-Type': 'application/x-www-form-urlencoded' });
    const found = async (answer: ReturnType<Send>): Promise<string[]> =>
      (((await answer).body['entry'] ?? []) as unknown as { resource: { id: string } }[]).map((e) => e.resource.id);
    expect(await found(send('GET', 'Patient?birthdate=1980-05-05&name=okafor'))).toEqual([id]);
    expect(await found(post('Patient/_search', 'birthdate=1980-05-05&name=okafor'))).toEqual([id]);
    expect(await found(post('Patient/_search?name=okafor', 'birthdate=1980-05-05'))).toEqual([id]);
    expect(await found(post('_search', `_type=Patient&_id=${id}`))).toEqual([id]);
    expect(await found(send('GET', `?_type=Patient&_id=${id}`))).toEqual([id]);
    expect((await send('POST', 'Patient/_search', '{}', { 'Content-Type': 'application/json' })).status).toBe(415);
    expect((await post('Patient/_search', 'name=%zz')).status).toBe(400);
  });

  test('compartments (compartmentdefinition.html)', async () => {
    const id = await createdId(send, patient());
    await createdId(send, { resourceType: 'Account', status: 'active', subject: [{ reference: `Patient/${id}` }] });
    expect((await send('GET', `Patient/${id}/Account`)).body['total']).toBe(1);
    const all = (await send('GET', `Patient/${id}/*`)).body['entry'] as unknown as unknown[];
    expect(all.length).toBeGreaterThanOrEqual(1);
  });

  test('Prefer: handling=strict', async () => {
    expect((await send('GET', 'Patient?nonsense=1')).status).toBe(200);
    expect((await send('GET', 'Patient?nonsense=1', undefined, { Prefer: 'handling=strict' })).status).toBe(400);
  });
});

describe('around FHIR', () => {
  test('CORS: any origin may ask; preflights are answered', async () => {
    const preflight = await server.request('/fhir/R4/Patient', {
      method: 'OPTIONS',
      headers: { Origin: 'https://app.example', 'Access-Control-Request-Method': 'PUT' },
    });
    expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([204, '*']);
    expect(preflight.headers.get('access-control-allow-methods')).toContain('PATCH');
    const answer = await send('GET', 'metadata', undefined, { Origin: 'https://app.example' });
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
    expect(answer.headers.get('access-control-expose-headers')).toContain('ETag');
  });

  test('br and gzip where asked for and worth it', async () => {
    const plain = (await send('GET', 'metadata')).text;
    const get = async (encoding: string): Promise<[string | null, Buffer]> => {
      const response = await server.request('/fhir/R4/metadata', { headers: { 'Accept-Encoding': encoding } });
      return [response.headers.get('content-encoding'), Buffer.from(await response.arrayBuffer())];
    };
    const [br, brotli] = await get('gzip, deflate, br');
    const [gz, gzipped] = await get('gzip');
    expect([br, gz]).toEqual(['br', 'gzip']);
    expect(brotliDecompressSync(brotli).toString()).toBe(plain);
    expect(gunzipSync(gzipped).toString()).toBe(plain);
    expect((await get('gzip;q=0'))[0]).toBeNull();
    expect(
      (await send('GET', 'Patient/nobody', undefined, { 'Accept-Encoding': 'gzip' })).headers.get('content-encoding'),
    ).toBeNull();
  });

  test("request ids: the client's, when it is one, else ours", async () => {
    expect((await send('GET', 'metadata', undefined, { 'X-Request-Id': 'abc-1' })).headers.get('x-request-id')).toBe(
      'abc-1',
    );
    expect(
      (await send('GET', 'metadata', undefined, { 'X-Request-Id': 'a b<c>' })).headers.get('x-request-id'),
    ).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('GET / says what runs here; /livez, /readyz and /metrics', async () => {
    const home = await server.request('/');
    const html = await home.text();
    expect([home.status, home.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    for (const link of ['/fhir/R4/metadata', '/livez', '/readyz', '/metrics', 'Slot?status=free'])
      expect(html).toContain(link);
    expect((await server.request('/livez')).status).toBe(200);
    expect((await server.request('/readyz')).status).toBe(200);
    const metrics = await (await server.request('/metrics')).text();
    expect(metrics).toMatch(/fhir_request_duration_seconds_count\{interaction="capabilities",status="200"\} \d+/);
    expect((await server.request('/livez', { method: 'POST' })).status).toBe(405);
  });
});
