/** Hostile bodies over a real socket: each is refused with its place and the fix, while other requests are served. */
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildApp } from '../../../src/app.ts';
import { listen, type Listener } from '../../../src/compose-http.ts';
import { silentLog } from '../../../src/platform/log.ts';
import { createMetrics } from '../../../src/platform/metrics.ts';
import { createTestServer, type TestServer } from '../../support/server.ts';
import { everything } from '../../support/everything.ts';
import { client, createdId, issuesOf, patient, type Send } from '../client.ts';

let server: TestServer;
let listener: Listener;
let send: Send;
beforeAll(async () => {
  server = await createTestServer();
  const app = buildApp(server.engine, {
    accessOf: () => everything,
    log: silentLog,
    metrics: createMetrics(),
    ready: () => true,
    bodyTimeoutMs: 500,
    maxInFlight: 50,
  });
  listener = await listen('127.0.0.1', 0);
  listener.serve((request, env) => app.fetch(request, env));
  send = client({ request: (path, init) => fetch(`http://127.0.0.1:${listener.port}${path}`, init) });
});
afterAll(async () => {
  listener.cut();
  await server.close();
});

/** Sends raw text and gives back all that came until the socket closed. */
function talk(write: (socket: Socket) => void): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(listener.port, '127.0.0.1');
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString()));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text));
    write(socket);
  });
}

const many500 = (text: string): string => Array.from({ length: 500 }, (_, i) => `${text}${i}`).join(',');

const HEAD = 'POST /fhir/R4/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\n';

describe('size and time', () => {
  test('a resource above 1 MiB: 413, whatever Content-Length said', async () => {
    const answer = await send('POST', 'Patient', patient({ name: [{ text: 'x'.repeat(1_100_000) }] }));
    expect([answer.status, issuesOf(answer)]).toEqual([413, ['too-long']]);
  });

  test('a 10 MB string: 413', async () => {
    const answer = await send('POST', 'Patient', `{"resourceType":"Patient","id":"${'x'.repeat(10_000_000)}"}`).catch(
      () => undefined,
    );
    // A server that stops reading may close before the client has sent all.
    if (answer) expect(answer.status).toBe(413);
    expect((await send('GET', 'metadata')).status).toBe(200);
  });

  test('a Bundle may have 16 MiB', async () => {
    const entry = Array.from({ length: 20 }, () => ({
      resource: patient({
        text: { status: 'generated', div: `<div xmlns="http://www.w3.org/1999/xhtml">${'y'.repeat(100_000)}</div>` },
      }),
      request: { method: 'POST', url: 'Patient' },
    }));
    expect((await send('POST', '', { resourceType: 'Bundle', type: 'transaction', entry })).status).toBe(200);
    const large = await send(
      'POST',
      '',
      `{"resourceType":"Bundle","type":"batch","x":"${'x'.repeat(17_000_000)}"}`,
    ).catch(() => undefined);
    if (large) expect(large.status).toBe(413);
  });

  test('an endless chunked body is cut off', async () => {
    let sent = 0;
    const text = await talk((socket) => {
      socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`);
      const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`;
      const more = (): void => {
        if (socket.destroyed || sent > 1_000_000_000) return;
        sent += 65_536;
        if (socket.write(chunk)) setImmediate(more);
        else socket.once('drain', more);
      };
      more();
    });
    expect(sent).toBeLessThan(200_000_000);
    if (text !== '') expect(text).toContain('413');
    expect((await send('GET', 'metadata')).status).toBe(200);
  });

  test('a body that never comes: 408', async () => {
    const text = await talk((socket) => socket.write(`${HEAD}Content-Length: 100\r\n\r\n{"resourceType"`));
    expect(text).toContain('408');
    expect(text).toContain('"code":"timeout"');
  });

  test('more requests than are taken: 503 with Retry-After, and the others are answered', async () => {
    const slow = Array.from({ length: 50 }, () =>
      talk((socket) => socket.write(`${HEAD}Content-Length: 100\r\n\r\n{`)),
    );
    await new Promise((resolve) => setTimeout(resolve, 200));
    const answer = await send('GET', 'Patient/1');
    expect([answer.status, answer.headers.get('retry-after'), issuesOf(answer)]).toEqual([503, '1', ['throttled']]);
    await Promise.all(slow);
    expect((await send('GET', 'metadata')).status).toBe(200);
  });
});

describe('large Bundles, read entry by entry', () => {
  const filler = 'z'.repeat(150_000);
  const tricky = 'a "quoted" ] } , [ { \\ "entry":[1,2] \u00e9 \ud83d\ude00 \\" end';
  const entry = (text: string): string =>
    JSON.stringify({
      resource: {
        resourceType: 'Basic',
        code: { text },
        extension: [{ url: 'http://example.org/x', valueString: filler }],
      },
      request: { method: 'POST', url: 'Basic' },
    });
  const bundle = (entries: string, more = ''): string =>
    `{ "type" : "batch", "id": "\\"entry\\":[", "entry" : [ ${entries} ] ${more}, "resourceType":"Bundle"}`;
  const run = (body: string): ReturnType<Send> => send('POST', '', body, { Prefer: 'return=representation' });

  test('entries come through as they were sent, whatever their strings hold', async () => {
    const answer = await run(bundle([entry(tricky), ` \n${entry('plain')}`, entry(tricky)].join(' ,')));
    expect(answer.status, answer.text.slice(0, 500)).toBe(200);
    const made = answer.body['entry'] as unknown as { resource: { code: { text: string } } }[];
    expect(made.map((e) => e.resource.code.text)).toEqual([tricky, 'plain', tricky]);
  });

  test.each([
    ['an entry that is no JSON', bundle(`${entry('a')},{"resource":tru},${entry('b')}`), 'Bundle.entry[1]'],
    ['a comma too many', bundle(`${entry('a')},${entry('b')},`), 'Bundle.entry[2]'],
    ['entry given twice', bundle(`${entry('a')},${entry('b')}`, ',"entry":[]'), 'twice'],
    ['cut off', bundle(`${entry('a')},${entry('b')}`).slice(0, -20), 'cut off'],
    ['a bracket too many', `${bundle(`${entry('a')},${entry('b')}`)}]`, ''],
    ['an unclosed string', `${bundle(`${entry('a')},${entry('b')}`)}"`, 'cut off'],
    ['nothing but brackets', '['.repeat(300_000), 'cut off'],
    ['brackets that do not match', bundle(`${entry('a')},{"x":[}],${entry('b')}`), 'Bundle.entry[1]'],
  ])('%s: 400', async (_, body, says) => {
    const answer = await run(body);
    expect(answer.status, answer.text.slice(0, 500)).toBe(400);
    expect(answer.text).toContain(says);
  });

  test('an entry above 1 MiB, more besides the entries, more than 1,000 entries: 413', async () => {
    expect((await run(bundle(entry('y'.repeat(1_100_000))))).status).toBe(413);
    expect((await run(bundle(entry('a'), `,"x":"${'y'.repeat(1_100_000)}"`))).status).toBe(413);
    expect((await run(bundle(Array.from({ length: 300_000 }, () => '{}').join(',')))).status).toBe(413);
  });

  test('a Bundle in a Bundle is not run', async () => {
    const inner = { resourceType: 'Bundle', type: 'batch', entry: [] };
    const answer = await send('POST', '', {
      resourceType: 'Bundle',
      type: 'batch',
      entry: [{ resource: inner, request: { method: 'POST', url: '' } }],
    });
    expect(answer.body['entry']?.[0]?.['response']?.['status'] as unknown as string).toBe('400 Bad Request');
  });
});

describe('malformed JSON: 400 with the place', () => {
  const deep = `{"resourceType":"Patient","x":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
  test.each([
    ['cut off', '{"resourceType":"Patient"', 'Line 1, column 26'],
    ['a key twice', '{"resourceType":"Patient","active":true,"active":false}', 'twice'],
    ['__proto__', '{"resourceType":"Patient","__proto__":{"x":1}}', '__proto__'],
    ['NUL', '{"resourceType":"Patient","id":"\\u0000"}', 'NUL'],
    ['a raw control character', '{"resourceType":"Patient","id":"\u0001"}', 'U+0001'],
    ['half a surrogate pair', '{"resourceType":"Patient","id":"\\ud800"}', 'surrogate'],
    ['nested 100,000 deep', deep, 'deep'],
    ['NaN', '{"resourceType":"Patient","x":NaN}', 'JSON value'],
    ['a comment', '{/* */"resourceType":"Patient"}', 'property name'],
    ['something after it', '{"resourceType":"Patient"} x', 'nothing may follow'],
    ['a number of 100 digits', `{"resourceType":"Patient","x":${'9'.repeat(100)}}`, 'number'],
  ])('%s', async (_, body, says) => {
    const answer = await send('POST', 'Patient', body);
    expect(answer.status, answer.text).toBe(400);
    expect(answer.text).toContain(says);
  });

  test('bytes that are not UTF-8', async () => {
    const response = await fetch(`http://127.0.0.1:${listener.port}/fhir/R4/Patient`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/fhir+json' },
      body: Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]),
    });
    expect(response.status).toBe(400);
    expect(await response.text()).toContain('UTF-8');
  });
});

describe('more values than any resource has', () => {
  const many = (length: number, one: (i: number) => unknown): unknown[] => Array.from({ length }, (_, i) => one(i));
  const names = patient({ name: many(40_000, () => ({ family: 'a' })) });

  test.each([
    ['values in a resource', names, [400, 'structure Patient.name[24998].family']],
    [
      'properties of an object',
      patient(Object.fromEntries(many(1500, (i) => [`x${String(i)}`, 1]) as [string, 1][])),
      [400, 'structure Patient.x997'],
    ],
    [
      'contained resources',
      patient({ contained: many(1001, (i) => ({ resourceType: 'Basic', id: `b${String(i)}`, code: { text: 'x' } })) }),
      [422, 'too-costly Patient.contained'],
    ],
  ])('%s', async (_title, resource, expected) => {
    const answer = await send('POST', 'Patient', resource);
    expect([answer.status, ...issuesOf(answer)]).toEqual(expected);
  });

  test('in an entry of a large Bundle', async () => {
    const entry = [patient(), names].map((resource) => ({ request: { method: 'POST', url: 'Patient' }, resource }));
    const answer = await send('POST', '', { resourceType: 'Bundle', type: 'batch', entry });
    expect([answer.status, issuesOf(answer)]).toEqual([400, ['structure Bundle.entry[1]']]);
  });

  test('made by patches, alone and in a transaction', async () => {
    const id = await createdId(send, patient({ name: many(24_000, () => ({ family: 'a' })) }));
    const operations = [{ op: 'add', path: '/address', value: many(2000, () => ({ city: 'a' })) }];
    const alone = await send('PATCH', `Patient/${id}`, operations);
    expect([alone.status, issuesOf(alone)]).toEqual([422, ['too-costly']]);
    const data = Buffer.from(JSON.stringify(operations)).toString('base64');
    const resource = { resourceType: 'Binary', contentType: 'application/json-patch+json', data };
    const entry = [{ request: { method: 'PATCH', url: `Patient/${id}` }, resource }];
    const together = await send('POST', '', { resourceType: 'Bundle', type: 'transaction', entry });
    expect([together.status, issuesOf(together)]).toEqual([422, ['too-costly Bundle.entry[0]']]);
  });

  test('dangling references are told up to 100', async () => {
    const answer = await send(
      'POST',
      'Patient',
      patient({ generalPractitioner: many(3000, (i) => ({ reference: `Practitioner/p${String(i)}` })) }),
    );
    expect([answer.status, issuesOf(answer).length]).toEqual([422, 100]);
  });
});

describe('hostile requests', () => {
  test.each([
    ['one long path', `_profile:above=http://x/${'a/'.repeat(3000)}`, 'value _profile:above'],
    ['a path of many parts', `_profile:above=http://x/${'a/'.repeat(400)}`, 'too-costly _profile:above'],
    ['many paths of many parts', `_profile:above=${many500('http://x/a/b/c/d')}`, 'too-costly _profile:above'],
  ])(':above stands for as many values as the path has parts: %s', async (_title, query, issue) => {
    const form = await fetch(`http://127.0.0.1:${listener.port}/fhir/R4/Patient/_search`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: query,
    });
    const body = (await form.json()) as { issue: { code: string; expression: string[] }[] };
    expect([form.status, body.issue.map((i) => `${i.code} ${i.expression.join('')}`)]).toEqual([400, [issue]]);
  });

  test.each([
    ['GET', 'Patient?_count=10e9'],
    ['GET', `Patient?_id=${Array.from({ length: 1000 }, (_, i) => i).join(',')}`],
    ['GET', `Patient?${'a=b&'.repeat(3000)}`],
    ['GET', `Patient?name=${'(a%2B)%2B'.repeat(100)}%24`],
    ['GET', `Patient?${'_has:Appointment:patient:'.repeat(50)}_id=1`],
    ['GET', 'Patient?birthdate=1973-02-30'],
    ['GET', `Patient/${'../'.repeat(10)}etc/passwd`],
    ['GET', "Patient?name=';drop table patient;--"],
    ['GET', 'Patient/1/_history/9999999999999999'],
    ['GET', '_history?_since=0000'],
    ['POST', 'Patient/$validate'],
    ['PATCH', 'Patient/1'],
  ])('%s %s is never a 5xx', async (method, path) => {
    const answer = await send(method, path, method === 'GET' ? undefined : '{"a":');
    expect(answer.status, answer.text).toBeLessThan(500);
  });

  test('an unknown method: 405', async () => {
    const text = await talk((socket) =>
      socket.write('PROPFIND /fhir/R4/Patient HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'),
    );
    expect(text).toContain(' 405 ');
  });
});

describe('what Node or URLs would settle by themselves', () => {
  const ask = (line: string, headers = 'Host: localhost\r\n'): Promise<string> =>
    talk((socket) => socket.write(`${line} HTTP/1.1\r\n${headers}Connection: close\r\n\r\n`));
  /** Status, and code of the outcome. */
  const told = (text: string): string =>
    `${/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]} ${/"resourceType":"OperationOutcome".*?"code":"([a-z-]+)"/.exec(text)?.[1]}`;

  test.each([
    '/fhir/R4/Patient/..',
    '/fhir/R4/Patient/.',
    '/fhir/R4/Patient/%2e%2E',
    '/fhir/R4/Patient/.%2e?_id=1',
    '/fhir/R4/Patient/./1',
    '/fhir/R4/Patient/../../../metrics',
    'http://localhost/fhir/R4/Patient/..',
  ])('%s is not folded into another path: 404', async (path) => {
    expect(told(await ask(`GET ${path}`))).toBe('404 not-found');
  });

  test('dots elsewhere are none of these', async () => {
    expect(await ask('GET /fhir/R4/Patient?name=/../')).toContain(' 200 OK');
    expect(told(await ask('GET /fhir/R4/Patient/.a..'))).toBe('404 not-found');
  });

  test('in a batch nothing is read there: 404', async () => {
    const urls = ['Patient/..', 'Patient/.', 'Patient/%2e%2e', 'Patient/../Appointment', '..'];
    const answer = await send('POST', '', {
      resourceType: 'Bundle',
      type: 'batch',
      entry: urls.map((url) => ({ request: { method: 'GET', url } })),
    });
    const entries = answer.body['entry'] as unknown as { resource?: unknown; response: { status: string } }[];
    expect(entries.map((e) => [e.response.status, e.resource])).toEqual(urls.map(() => ['404 Not Found', undefined]));
  });

  test.each([
    ['no Host', 'GET /fhir/R4/Patient', ''],
    ['a Host that is none', 'GET /fhir/R4/Patient', 'Host: a b c%%%\r\n'],
    ['half an IPv6 address as Host', 'GET /fhir/R4/Patient', 'Host: [::\r\n'],
    ['half an IPv6 address in the URL', 'GET http://[::/fhir/R4/Patient', 'Host: localhost\r\n'],
    ['OPTIONS *', 'OPTIONS *', 'Host: localhost\r\n'],
    ['a backslash', 'GET /\\[', 'Host: localhost\r\n'],
  ])('%s: 400 with an OperationOutcome', async (_, line, headers) => {
    const text = await ask(line, headers);
    expect(told(text)).toBe('400 structure');
    expect(text.toLowerCase()).toContain('content-type: application/fhir+json');
  });

  test('an expectation that is not met: 417 with an OperationOutcome', async () => {
    expect(told(await ask('GET /fhir/R4/metadata', 'Host: localhost\r\nExpect: banana\r\n'))).toBe('417 not-supported');
  });

  test('scripts of other origins may send and read what FHIR uses (CORS)', async () => {
    const preflight = await fetch(`http://127.0.0.1:${listener.port}/fhir/R4/Patient`, { method: 'OPTIONS' });
    expect(preflight.headers.get('access-control-allow-headers')).toContain('X-Security-Context');
    for (const name of ['Accept-Patch', 'Allow', 'Content-Disposition', 'Retry-After'])
      expect(preflight.headers.get('access-control-expose-headers')).toContain(name);
  });
});
