/** https://hl7.org/fhir/R4/http.html#history */
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
  readonly fullUrl: string;
  readonly resource?: {
    readonly id: string;
    readonly meta: { readonly versionId: string; readonly lastUpdated: string };
  };
  readonly request: { readonly method: string; readonly url: string };
  readonly response: { readonly status: string; readonly etag: string; readonly lastModified: string };
}
const entries = (answer: Answer): Entry[] => (answer.body['entry'] ?? []) as unknown as Entry[];
const link = (answer: Answer, relation: string): string | undefined =>
  (answer.body['link'] as unknown as { relation: string; url: string }[])
    .find((l) => l.relation === relation)
    ?.url.replace('http://localhost:8080/fhir/R4/', '');

describe('history (3.1.0.11)', () => {
  test('of an instance: newest first, with request and response', async () => {
    const id = await createdId(send, patient());
    await send('PUT', `Patient/${id}`, patient({ id, active: true }));
    await send('DELETE', `Patient/${id}`);
    const answer = await send('GET', `Patient/${id}/_history`);
    expect([answer.status, answer.body['type'], answer.body['total']]).toEqual([200, 'history', 3]);
    expect(
      entries(answer).map((e) => [
        e.request.method,
        e.request.url,
        e.response.status,
        e.response.etag,
        e.resource?.meta.versionId,
      ]),
    ).toEqual([
      ['DELETE', `Patient/${id}`, '204 No Content', 'W/"3"', undefined],
      ['PUT', `Patient/${id}`, '200 OK', 'W/"2"', '2'],
      ['POST', 'Patient', '201 Created', 'W/"1"', '1'],
    ]);
    expect(link(answer, 'self')).toBe(`Patient/${id}/_history`);
    const outcome = await send('POST', 'Patient/$validate', patient());
    expect(outcome.status).toBe(200);
  });

  test('what would change its entries and is not acted on: 400 naming it; other unknown parameters only when strict', async () => {
    const id = await createdId(send, patient());
    for (const [name, value] of [
      ['_summary', 'true'],
      ['_elements', 'id'],
      ['_sort', '_lastUpdated'],
      ['_list', '1'],
      ['_type', 'Patient'],
    ]) {
      const answer = await send('GET', `Patient/${id}/_history?${name}=${value}`);
      expect([answer.status, ...issuesOf(answer)]).toEqual([400, `not-supported ${name}`]);
    }
    expect((await send('GET', `Patient/${id}/_history?_summary=false&_sort=-_lastUpdated&_format=json`)).status).toBe(
      200,
    );
    expect((await send('GET', `Patient/${id}/_history?foo=1`)).status).toBe(200);
    const strict = await send('GET', `Patient/${id}/_history?foo=1`, undefined, { Prefer: 'handling=strict' });
    expect([strict.status, ...issuesOf(strict)]).toEqual([400, 'not-supported foo']);
    for (const name of ['_summary', '_elements']) {
      const everything = await send('GET', `Patient/${id}/$everything?${name}=text`);
      expect([everything.status, ...issuesOf(everything)]).toEqual([400, `not-supported ${name}`]);
    }
  });

  test('of nothing: 404', async () => {
    expect((await send('GET', 'Patient/nobody/_history')).status).toBe(404);
  });

  test('of a type and of the system', async () => {
    const id = await createdId(send, { resourceType: 'Location', name: 'here' });
    const type = await send('GET', 'Location/_history');
    expect(entries(type).map((e) => e.fullUrl)).toEqual([`http://localhost:8080/fhir/R4/Location/${id}`]);
    // The newest of all are the records of these accesses.
    const system = await send('GET', '_history?_count=5');
    expect(entries(system).find((e) => !e.fullUrl?.includes('/AuditEvent/'))?.fullUrl).toBe(
      `http://localhost:8080/fhir/R4/Location/${id}`,
    );
    expect(link(system, 'next')).toContain('_cursor=');
  });

  test('pages by _count lose and double nothing, while others write', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 25; i++) ids.push(await createdId(send, { resourceType: 'Organization', name: `o${i}` }));
    const seen: string[] = [];
    let next: string | undefined = 'Organization/_history?_count=7';
    while (next) {
      const page: Answer = await send('GET', next);
      expect(page.status).toBe(200);
      seen.push(...entries(page).map((e) => e.resource?.id ?? ''));
      next = link(page, 'next');
      await createdId(send, { resourceType: 'Organization', name: 'later' });
    }
    expect(seen).toEqual([...ids].reverse());
  });

  test('_since and _at', async () => {
    const id = await createdId(send, patient());
    const first = entries(await send('GET', `Patient/${id}/_history`))[0]?.resource?.meta.lastUpdated ?? '';
    await new Promise((resolve) => setTimeout(resolve, 5));
    await send('PUT', `Patient/${id}`, patient({ id }));
    const second = entries(await send('GET', `Patient/${id}/_history`))[0]?.resource?.meta.lastUpdated ?? '';
    const versions = async (query: string): Promise<string[]> =>
      entries(await send('GET', `Patient/${id}/_history?${query}`)).map((e) => e.response.etag);
    expect(await versions(`_since=${first}`)).toEqual(['W/"2"', 'W/"1"']);
    expect(await versions(`_since=${second}`)).toEqual(['W/"2"']);
    expect(await versions(`_at=${first}`)).toEqual(['W/"1"']);
    expect(await versions(`_at=${second}`)).toContain('W/"2"');
    expect(await versions('_since=2999-01-01')).toEqual([]);
  });

  test.each(['_count=x', '_count=-1', '_since=yesterday', '_since=1973-02-30', '_at=no', '_cursor=forged.abc'])(
    '%s: 400',
    async (query) => {
      expect((await send('GET', `_history?${query}`)).status).toBe(400);
    },
  );

  test('a cursor of another history is not taken', async () => {
    await createdId(send, patient());
    await createdId(send, patient());
    const next = link(await send('GET', 'Patient/_history?_count=1'), 'next') ?? '';
    expect((await send('GET', next)).status).toBe(200);
    expect((await send('GET', next.replace('Patient/', ''))).status).toBe(400);
  });

  test('_count=0 counts only', async () => {
    const answer = await send('GET', 'Patient/_history?_count=0');
    expect(entries(answer)).toEqual([]);
    expect(Number(answer.body['total'])).toBeGreaterThan(0);
  });
});
