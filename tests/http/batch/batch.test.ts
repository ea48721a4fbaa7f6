/** https://hl7.org/fhir/R4/http.html#transaction (batch) */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestServer, type TestServer } from '../../support/server.ts';
import { client, createdId, issuesOf, patient, type Answer, type Send } from '../client.ts';

let server: TestServer;
let send: Send;
beforeAll(async () => {
  server = await createTestServer();
  send = client(server);
});
afterAll(() => server.close());

interface Entry {
  readonly resource?: { readonly resourceType: string; readonly total?: number };
  readonly response: {
    readonly status: string;
    readonly location?: string;
    readonly etag?: string;
    readonly lastModified?: string;
    readonly outcome?: { readonly issue: { code: string; expression?: string[] }[] };
  };
}
const batch = (...entry: unknown[]): Promise<Answer> =>
  send('POST', '', { resourceType: 'Bundle', type: 'batch', entry });
const entries = (answer: Answer): Entry[] => answer.body['entry'] as unknown as Entry[];
const get = (url: string, more: object = {}): object => ({ request: { method: 'GET', url, ...more } });

describe('batch (3.1.0.11)', () => {
  test('every entry has its own status, in the order sent; one failure stops no other', async () => {
    const id = await createdId(send, patient());
    const gone = await createdId(send, patient());
    const answer = await batch(
      get(`Patient/${id}`),
      { resource: patient(), request: { method: 'POST', url: 'Patient' } },
      get('Patient/nobody'),
      { resource: { resourceType: 'Patient', gender: 'x' }, request: { method: 'POST', url: 'Patient' } },
      { request: { method: 'DELETE', url: `Patient/${gone}` } },
      get(`Patient?_id=${id}`),
      { resource: patient({ id }), request: { method: 'PUT', url: `Patient/${id}`, ifMatch: 'W/"9"' } },
      get('Unicorn/1'),
      { request: { method: 'TRACE', url: 'Patient/1' } },
      'nothing',
      get(`Patient/${id}`, { ifNoneMatch: 'W/"1"' }),
      get('metadata'),
      { request: { method: 'HEAD', url: `Patient/${id}` } },
    );
    expect([answer.status, answer.body['type']]).toEqual([200, 'batch-response']);
    expect(entries(answer).map((e) => Number.parseInt(e.response.status, 10))).toEqual([
      200, 201, 404, 422, 204, 200, 412, 404, 400, 400, 304, 200, 200,
    ]);
    const [read, made, missing, invalid, , found, , , , , , , head] = entries(answer);
    expect([read?.resource?.resourceType, read?.response.etag]).toEqual(['Patient', 'W/"1"']);
    expect(made?.response.location).toMatch(/^http:\/\/localhost:8080\/fhir\/R4\/Patient\/.+\/_history\/1$/);
    expect(made?.response.lastModified).toMatch(/^\d{4}-.*Z$/);
    expect(made?.resource).toBeUndefined();
    expect(missing?.response.outcome?.issue[0]?.code).toBe('not-found');
    expect(invalid?.response.outcome?.issue[0]?.expression).toEqual(['Bundle.entry[3].resource.gender']);
    expect(found?.resource?.total).toBe(1);
    expect(head?.resource).toBeUndefined();
  });

  test('a search takes its parameters from the url: a resource beside it is refused, not overlooked', async () => {
    const family = { resourceType: 'Parameters', parameter: [{ name: 'family', valueString: 'nobody' }] };
    const answer = await batch(
      { request: { method: 'POST', url: 'Patient/_search' }, resource: family },
      { request: { method: 'POST', url: 'Patient/_search?family=nobody' } },
    );
    const [refused, searched] = entries(answer);
    expect(refused?.response.status).toMatch(/^400/);
    expect(refused?.response.outcome?.issue[0]).toMatchObject({
      code: 'not-supported',
      expression: ['Bundle.entry[0].request'],
    });
    expect(searched?.resource?.total).toBe(0);
  });

  test.each([
    ['signs that are none', '!!'],
    ['a megabyte of blanks before one', `${' '.repeat(1_000_000)}!`],
  ])('a patch that is no base64 is named as such: %s', async (_title, data) => {
    const resource = { resourceType: 'Binary', contentType: 'application/json-patch+json', data };
    const [refused] = entries(await batch({ request: { method: 'PATCH', url: 'Patient/x' }, resource }));
    expect(refused?.response.outcome?.issue[0]).toMatchObject({ expression: ['Bundle.entry[0].resource.data'] });
  });

  test('Prefer: return=representation shows what was written', async () => {
    const answer = await send(
      'POST',
      '',
      {
        resourceType: 'Bundle',
        type: 'batch',
        entry: [{ resource: patient(), request: { method: 'POST', url: 'Patient' } }],
      },
      { Prefer: 'return=representation' },
    );
    expect(entries(answer)[0]?.resource?.resourceType).toBe('Patient');
  });

  test('a patch as a Binary, a conditional create, an operation', async () => {
    const id = await createdId(send, patient());
    const data = Buffer.from('[{"op":"add","path":"/active","value":true}]').toString('base64');
    const answer = await batch(
      {
        resource: { resourceType: 'Binary', contentType: 'application/json-patch+json', data },
        request: { method: 'PATCH', url: `Patient/${id}` },
      },
      { resource: patient(), request: { method: 'POST', url: 'Patient', ifNoneExist: `_id=${id}` } },
      { resource: patient(), request: { method: 'POST', url: 'Patient/$validate' } },
    );
    expect(entries(answer).map((e) => e.response.status)).toEqual(['200 OK', '200 OK', '200 OK']);
    expect((await send('GET', `Patient/${id}`)).body['active']).toBe(true);
    expect(entries(answer)[2]?.resource?.resourceType).toBe('OperationOutcome');
  });

  test('an empty batch', async () => {
    expect((await batch()).text).toBe('{"resourceType":"Bundle","type":"batch-response"}');
  });

  test.each([
    ['another resource', patient(), 'invalid resourceType'],
    ['a Bundle of another type', { resourceType: 'Bundle', type: 'collection' }, 'value Bundle.type'],
    ['entry that is no array', { resourceType: 'Bundle', type: 'batch', entry: {} }, 'structure Bundle.entry'],
  ])('%s: 400', async (_, body, issue) => {
    const answer = await send('POST', '', body);
    expect([answer.status, issuesOf(answer)]).toEqual([400, [issue]]);
  });

  test('more than 1,000 entries: 413', async () => {
    const answer = await batch(...Array.from({ length: 1001 }, () => get('Patient/1')));
    expect([answer.status, issuesOf(answer)]).toEqual([413, ['too-costly Bundle.entry']]);
  });
});
