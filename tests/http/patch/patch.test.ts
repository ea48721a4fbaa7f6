/** https://hl7.org/fhir/R4/http.html#patch, https://www.rfc-editor.org/rfc/rfc6902 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestServer, type TestServer } from '../../support/server.ts';
import { client, createdId, issuesOf, patient, type Send } from '../client.ts';

let server: TestServer;
let send: Send;
beforeAll(async () => {
  server = await createTestServer();
  send = client(server);
});
afterAll(() => server.close());

const appointment =
  '{"resourceType":"Appointment","status":"proposed","participant":[{"actor":{"display":"a"},"status":"accepted"}],"start":"2026-11-22T09:00:00+05:30","end":"2026-11-22T09:30:00+05:30"}';

const create = (resource: object | string): Promise<string> =>
  createdId(send, typeof resource === 'string' ? (JSON.parse(resource) as object) : resource);

describe('patch (3.1.0.6)', () => {
  test('200 with the next version; texts of dates and offsets stay as they were', async () => {
    const id = await create(appointment);
    const answer = await send('PATCH', `Appointment/${id}`, [
      { op: 'test', path: '/status', value: 'proposed' },
      { op: 'replace', path: '/status', value: 'pending' },
      { op: 'add', path: '/participant/-', value: { actor: { display: 'b' }, status: 'tentative' } },
    ]);
    expect([answer.status, answer.headers.get('etag'), answer.body['status']]).toEqual([200, 'W/"2"', 'pending']);
    expect(answer.body['start']).toBe('2026-11-22T09:00:00+05:30');
    expect(answer.body['participant']?.[1]?.['actor']?.['display']).toBe('b');
    const versions = (await send('GET', `Appointment/${id}/_history`)).body['entry'] as unknown as {
      request: { method: string };
    }[];
    expect(versions.map((v) => v.request.method)).toEqual(['PATCH', 'POST']);
  });

  test('decimals keep their digits, those that the patch moves too', async () => {
    const made = await send(
      'POST',
      'ChargeItem',
      '{"resourceType":"ChargeItem","status":"billable","code":{"text":"x"},"subject":{"display":"a"},"quantity":{"value":2.50},"priceOverride":{"value":10.00,"currency":"EUR"}}',
    );
    const answer = await send(
      'PATCH',
      `ChargeItem/${String(made.body['id'])}`,
      '[{"op":"add","path":"/factorOverride","value":3.10},{"op":"copy","from":"/quantity/value","path":"/priceOverride/value"}]',
    );
    expect(answer.status).toBe(200);
    expect(answer.text).toContain('"factorOverride":3.10');
    expect(answer.text).toContain('"quantity":{"value":2.50}');
    expect(answer.text).toContain('"priceOverride":{"value":2.50,"currency":"EUR"}');
  });

  test.each([
    ['a failed test', [{ op: 'test', path: '/status', value: 'booked' }], 422],
    ['a path that is not there', [{ op: 'replace', path: '/comment', value: 'x' }], 422],
    ['an index beyond the array', [{ op: 'add', path: '/participant/5', value: {} }], 422],
    ['an index with a leading zero', [{ op: 'remove', path: '/participant/00' }], 422],
    ['a result that is invalid', [{ op: 'replace', path: '/status', value: 'nonsense' }], 422],
    ['a result without a mandatory element', [{ op: 'remove', path: '/participant' }], 422],
    ['a reference to nothing', [{ op: 'add', path: '/basedOn', value: [{ reference: 'ServiceRequest/none' }] }], 422],
    ['no array', { op: 'remove', path: '/comment' }, 400],
    ['an unknown op', [{ op: 'merge', path: '/comment' }], 400],
    ['no value', [{ op: 'add', path: '/comment' }], 400],
    ['a path without slash', [{ op: 'remove', path: 'comment' }], 400],
    ['a bad escape', [{ op: 'remove', path: '/a~2' }], 400],
    ['the id', [{ op: 'replace', path: '/id', value: 'x' }], 400],
    ['the resourceType', [{ op: 'replace', path: '/resourceType', value: 'Slot' }], 400],
    ['meta.versionId', [{ op: 'add', path: '/meta/versionId', value: '9' }], 400],
    ['meta.lastUpdated, moved away', [{ op: 'move', from: '/meta/lastUpdated', path: '/comment' }], 400],
    ['the whole resource', [{ op: 'replace', path: '', value: {} }], 400],
    ['a value into itself', [{ op: 'move', from: '/participant', path: '/participant/0/x' }], 400],
    ['the prototype', [{ op: 'add', path: '/__proto__/polluted', value: true }], 422],
    ['the prototype as a name', [{ op: 'add', path: '/__proto__', value: {} }], 400],
    ['the constructor', [{ op: 'add', path: '/constructor/prototype/polluted', value: true }], 422],
  ])('%s: refused, nothing changes', async (_, patch, status) => {
    const id = await create(appointment);
    const answer = await send('PATCH', `Appointment/${id}`, patch);
    expect(answer.status, answer.text).toBe(status);
    expect(answer.body['resourceType']).toBe('OperationOutcome');
    expect((await send('GET', `Appointment/${id}`)).headers.get('etag')).toBe('W/"1"');
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  test('copies of copies and nesting are bounded', async () => {
    const id = await create(appointment);
    const bomb = Array.from({ length: 30 }, (_, i) => ({
      op: 'copy',
      from: '/participant',
      path: `/participant/0/x${i}`,
    }));
    expect((await send('PATCH', `Appointment/${id}`, bomb)).status).toBe(413);
    let deep: object = {};
    for (let i = 0; i < 50; i++) deep = { a: deep };
    const tower = [
      { op: 'add', path: '/a', value: deep },
      { op: 'move', from: '/a', path: '/b' },
      { op: 'add', path: '/a', value: { x: 1 } },
      { op: 'move', from: '/b', path: '/a/b' },
    ];
    const path = `/a/b${'/a'.repeat(49)}`;
    expect((await send('PATCH', `Appointment/${id}`, [...tower, { op: 'add', path, value: deep }])).status).toBe(422);
  });

  test('404 for nothing, 410 for a deleted one, 412 for a stale If-Match, 415 for another form', async () => {
    const id = await create(patient());
    const change = [{ op: 'add', path: '/active', value: true }];
    expect((await send('PATCH', 'Patient/nobody', change)).status).toBe(404);
    expect((await send('PATCH', `Patient/${id}`, change, { 'If-Match': 'W/"4"' })).status).toBe(412);
    expect((await send('PATCH', `Patient/${id}`, change, { 'If-Match': 'W/"1"' })).status).toBe(200);
    const parameters = await send(
      'PATCH',
      `Patient/${id}`,
      { resourceType: 'Parameters' },
      { 'Content-Type': 'application/fhir+json' },
    );
    expect([parameters.status, parameters.headers.get('accept-patch')]).toEqual([415, 'application/json-patch+json']);
    await send('DELETE', `Patient/${id}`);
    expect((await send('PATCH', `Patient/${id}`, change)).status).toBe(410);
  });

  test('Prefer: return=minimal', async () => {
    const id = await create(patient());
    const answer = await send('PATCH', `Patient/${id}`, [{ op: 'add', path: '/active', value: true }], {
      Prefer: 'return=minimal',
    });
    expect([answer.status, answer.text]).toEqual([200, '']);
    expect(issuesOf(answer)).toEqual([]);
  });
});
