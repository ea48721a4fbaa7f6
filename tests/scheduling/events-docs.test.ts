/** The reader in docs/events.md, word by word. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { listen as listenOn, type Listener } from '../../src/compose-http.ts';
import { projectFolder } from '../../src/platform/paths.ts';
import { createTestServer, type TestServer } from '../support/server.ts';

type Listen = (url: string, token: () => string) => AsyncGenerator<Readonly<Record<string, unknown>>>;

let server: TestServer;
let listener: Listener;
let folder: string;
let listen: Listen;
beforeAll(async () => {
  server = await createTestServer();
  listener = await listenOn('127.0.0.1', 0);
  listener.serve((request, env) => server.app.fetch(request, env));
  const text = await readFile(path.join(projectFolder, 'docs/events.md'), 'utf8');
  folder = await mkdtemp(path.join(os.tmpdir(), 'kairos-events-'));
  const file = path.join(folder, 'listen.mjs');
  await writeFile(file, /^```js\n([\s\S]*?)^```$/m.exec(text)?.[1] ?? '');
  ({ listen } = (await import(pathToFileURL(file).href)) as { listen: Listen });
});
afterAll(async () => {
  listener.cut();
  await listener.drain(0);
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

const tellOf = (id: string): Promise<unknown> =>
  server.kairos.pool.query(
    `insert into outbox (topic, payload, status) values ('event', json_build_object('type', 'Schedule', 'id', $1::text), 'done')`,
    [id],
  );

test('it tells what changes, and goes on where it was cut off', async () => {
  vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  const events = listen(`http://127.0.0.1:${listener.port}/events`, () => 'some-token');
  expect((await events.next()).value).toEqual({ event: 'position' });
  await tellOf('one');
  expect((await events.next()).value).toEqual({ event: 'Schedule', reference: 'Schedule/one', deleted: true });
  const next = events.next();
  listener.cut();
  await tellOf('while-away');
  expect((await next).value).toEqual({ event: 'position' });
  expect((await events.next()).value).toMatchObject({ reference: 'Schedule/while-away' });
  const last = events.return(undefined);
  listener.cut();
  await last;
});
