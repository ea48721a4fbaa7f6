/** What is recorded of each exchange, before its reply leaves: the seam that audit will use. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { buildApp } from '../../../src/app.ts';
import { grantAll } from '../../../src/fhir/access.ts';
import type { Exchange } from '../../../src/fhir/http/edge.ts';
import { errorIssue, FhirError } from '../../../src/fhir/outcome.ts';
import { silentLog } from '../../../src/platform/log.ts';
import { createMetrics } from '../../../src/platform/metrics.ts';
import { createTestServer, type TestServer } from '../../support/server.ts';
import { client, createdId, patient, type Send } from '../client.ts';

let server: TestServer;
let send: Send;
let seen: Exchange[] = [];
let fail = false;
let slow: Promise<void> | undefined;
beforeAll(async () => {
  server = await createTestServer();
  const all = grantAll({ kind: 'user', name: 'someone' });
  const app = buildApp(server.engine, {
    log: silentLog,
    metrics: createMetrics(),
    ready: () => true,
    accessOf: () => ({
      ...all,
      demand: (interaction, type) => {
        if (type === 'Account')
          throw new FhirError(403, [errorIssue('forbidden', `${interaction} of Account is not yours.`)]);
      },
    }),
    observers: [
      async (exchange) => {
        await slow;
        if (fail) throw new Error('the record could not be written');
        seen.push(exchange);
      },
    ],
  });
  send = client({ request: async (path, init) => app.request(path, init) });
});
afterAll(() => server.close());
beforeEach(() => {
  seen = [];
});

const told = (): unknown[] =>
  seen.flatMap((e) => e.events.map((event) => [event.interaction, event.resources ?? event.type, event.outcome]));

test('reads and writes tell what was shown and changed, searches what was found and asked', async () => {
  const id = await createdId(send, patient());
  await send('GET', `Patient/${id}`);
  await send('GET', `Patient?_id=${id}`);
  await send('DELETE', `Patient/${id}`);
  expect(told()).toEqual([
    ['create', [`Patient/${id}`], 'success'],
    ['read', [`Patient/${id}`], 'success'],
    ['search-type', [`Patient/${id}`], 'success'],
    ['delete', [`Patient/${id}`], 'success'],
  ]);
  expect(seen[2]?.events[0]?.query).toBe(`_id=${id}`);
  expect(seen.map((e) => [e.method, e.status])).toEqual([
    ['POST', 201],
    ['GET', 200],
    ['GET', 200],
    ['DELETE', 204],
  ]);
});

test('failures and refusals are told too', async () => {
  await send('GET', 'Patient/nobody');
  expect((await send('GET', 'Account/1')).status).toBe(403);
  expect(told()).toEqual([
    ['read', 'Patient', 'failure'],
    ['read', 'Account', 'denied'],
  ]);
});

test('a transaction tells each change, and nothing of what it rolled back', async () => {
  const post = (resource: object, type: string): object => ({ resource, request: { method: 'POST', url: type } });
  await send('POST', '', {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [post(patient(), 'Patient'), { request: { method: 'GET', url: 'Patient?_count=1' } }],
  });
  expect(told().map((e) => (e as unknown[])[0])).toEqual(['create', 'search-type', 'transaction']);
  seen = [];
  const refused = await send('POST', '', {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [post(patient(), 'Patient'), post({ resourceType: 'Account', status: 'active' }, 'Account')],
  });
  expect(refused.status).toBe(403);
  expect(told()).toEqual([['transaction', undefined, 'denied']]);
});

test('a forbidden entry fails alone in a batch', async () => {
  const answer = await send('POST', '', {
    resourceType: 'Bundle',
    type: 'batch',
    entry: [
      { resource: patient(), request: { method: 'POST', url: 'Patient' } },
      { request: { method: 'GET', url: 'Account/1' } },
    ],
  });
  const entries = answer.body['entry'] as unknown as { response: { status: string } }[];
  expect(entries.map((e) => e.response.status)).toEqual(['201 Created', '403 Forbidden']);
});

test('the reply waits for the record; what cannot be recorded is not shown', async () => {
  const id = await createdId(send, patient());
  let release = (): void => undefined;
  slow = new Promise((resolve) => (release = resolve));
  let answered = false;
  const answer = send('GET', `Patient/${id}`).then((a) => {
    answered = true;
    return a;
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(answered).toBe(false);
  release();
  expect((await answer).status).toBe(200);
  slow = undefined;
  fail = true;
  const hidden = await send('GET', `Patient/${id}`);
  fail = false;
  expect([hidden.status, hidden.text.includes('Okafor')]).toEqual([500, false]);
  expect(hidden.text).not.toContain('could not be written');
  expect(hidden.text).toMatch(/in our log as [0-9a-f-]{36}/);
});
