/** Names that every object has, wherever a client can put them: refused, and no object learns anything. security.md A4.2 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { client, type Send } from '../client.ts';
import { createTestServer, type TestServer } from '../../support/server.ts';

let server: TestServer;
let send: Send;
let before: string;
const own = (): string =>
  JSON.stringify(
    [Object.prototype, Array.prototype, Function.prototype, String.prototype].map(Reflect.ownKeys),
    (_, v: unknown) => (typeof v === 'symbol' ? v.toString() : v),
  );
const untouched = (): void => {
  expect(own()).toBe(before);
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
};

beforeAll(async () => {
  server = await createTestServer();
  send = client(server);
  await send('PUT', 'Patient/p', { resourceType: 'Patient', id: 'p', name: [{ family: 'Kept' }] });
  before = own();
});
afterAll(() => server.close());

const POISON = '{"polluted":true}';
/** Refused by the reader, before anything looks at them. */
const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype', '\\u005f_proto__']);
const NAMES = ['__proto__', 'constructor', 'prototype', '\\u005f_proto__', 'hasOwnProperty', 'toString'];
/** Around `%s`, at any depth. */
const PLACES: readonly string[] = [
  '{"resourceType":"Patient",%s}',
  '{"resourceType":"Patient","name":[{%s}]}',
  '{"resourceType":"Patient","contained":[{"resourceType":"Patient",%s}]}',
  '{"resourceType":"Patient","extension":[{"url":"http://x","extension":[{"url":"y",%s}]}]}',
  '{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient"},%s}]}',
  '{"resourceType":"Parameters","parameter":[{"name":"x",%s}]}',
];

test.each(NAMES)('%s as a name in JSON', async (name) => {
  for (const place of PLACES) {
    const text = place.replace('%s', () => `"${name}":${POISON}`);
    for (const [method, path] of [
      ['POST', 'Patient'],
      ['PUT', 'Patient/p'],
      ['POST', ''],
      ['POST', 'Patient/$validate'],
      ['POST', 'Appointment/$find'],
    ] as const) {
      const { status } = await send(method, path, text);
      const fitting = FORBIDDEN.has(name) ? [400] : [200, 400, 422];
      expect([method, path, text, status]).toEqual([method, path, text, expect.toBeOneOf(fitting)]);
      untouched();
    }
  }
  expect((await send('GET', 'Patient/p')).body).toMatchObject({ name: [{ family: 'Kept' }], meta: { versionId: '1' } });
});

test.each(NAMES)('%s in a patch', async (name) => {
  for (const [body, type] of [
    [`[{"op":"add","path":"/${name}","value":${POISON}}]`, 'application/json-patch+json'],
    [`[{"op":"add","path":"/${name}/polluted","value":true}]`, 'application/json-patch+json'],
    [`[{"op":"add","path":"/name/0/${name}","value":${POISON}}]`, 'application/json-patch+json'],
    [`[{"op":"copy","from":"/${name}","path":"/gender"}]`, 'application/json-patch+json'],
    [`[{"op":"add","path":"/name/0/text","value":"x","${name}":${POISON}}]`, 'application/json-patch+json'],
  ] as const) {
    const { status } = await send('PATCH', 'Patient/p', body, { 'Content-Type': type });
    // A member that no operation has is not used. https://www.rfc-editor.org/rfc/rfc6902#section-4
    const isExtra = body.includes('/text') && status === 200;
    expect([body, isExtra || (status >= 400 && status < 500)]).toEqual([body, true]);
    untouched();
    expect(Object.keys((await send('GET', 'Patient/p')).body).sort()).toEqual(['id', 'meta', 'name', 'resourceType']);
  }
});

test.each(NAMES)('%s in queries, forms, paths and headers', async (name) => {
  const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
  for (const [method, path, body, headers] of [
    ['GET', `Patient?${name}=x`],
    ['GET', `Patient?${name}[polluted]=x`],
    ['GET', `Patient?family:${name}=x`],
    ['GET', `Patient?_sort=${name}`],
    ['GET', `Patient?_elements=${name}`],
    ['GET', `Patient?_include=Patient:${name}`],
    ['GET', `Patient?organization.${name}=x`],
    ['GET', `Patient?_has:${name}:${name}:${name}=x`],
    ['GET', name],
    ['GET', `Patient/${name}`],
    ['GET', `Patient/p/$${name}`],
    ['POST', 'Patient/_search', `${name}=x&family=Kept`, form],
    ['GET', 'Patient/p', undefined, { Cookie: `${name}=x; sid[${name}]=y` }],
    ['GET', 'Patient/p', undefined, { Prefer: `handling=${name}` }],
  ] as const) {
    const { status } = await send(method, path.replaceAll('\\u005f', '_'), body, headers);
    expect([path, status < 500]).toEqual([path, true]);
    untouched();
  }
});
