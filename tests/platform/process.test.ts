/** The server's process: start, crash, stop, and what keeps it from starting. */
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../support/process.ts';
import { asRobot } from '../support/robot.ts';

let DATA_DIR: string;
const running: ServerProcess[] = [];

function start(env: Readonly<Record<string, string>> = {}): ServerProcess {
  const server = startServer({ DATA_DIR, ...env });
  running.push(server);
  return server;
}

async function create(base: string, resource: object): Promise<string> {
  const response = await fetch(`${base}/Organization`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/fhir+json', ...(await asRobot(base)) },
    body: JSON.stringify(resource),
  });
  expect(response.status).toBe(201);
  return ((await response.json()) as { id: string }).id;
}

const status = async (url: string): Promise<number> => (await fetch(url)).status;
const databasePid = async (): Promise<number> =>
  Number((await readFile(path.join(DATA_DIR, 'postgres/data/postmaster.pid'), 'utf8')).split('\n')[0]);
const organization = { resourceType: 'Organization', name: 'Kept' };

beforeAll(async () => {
  DATA_DIR = await mkdtemp(path.join(os.tmpdir(), 'kairos-process-'));
});
afterEach(async () => {
  for (const server of running.splice(0)) {
    server.signal('SIGTERM');
    await server.ended;
  }
});
afterAll(() => rm(DATA_DIR, { recursive: true, force: true }));

test('kill -9 loses nothing: the next start joins the database that still runs', async () => {
  const first = start();
  const id = await create(await first.base, organization);
  first.signal('SIGKILL');
  expect(await first.ended).toBe('SIGKILL');
  const second = start();
  expect(await status(`${await second.base}/Organization/${id}`)).toBe(200);
  expect(await databasePid()).toBeGreaterThan(0);
  second.signal('SIGTERM');
  expect(await second.ended).toBe(0);
  // It was started by a process that is gone, and stopped by the last one that used it.
  expect(existsSync(path.join(DATA_DIR, 'postgres/data/postmaster.pid'))).toBe(false);
});

test('SIGTERM lets the requests that run come to their end, takes no new ones, and exits with 0', async () => {
  const server = start();
  const base = new URL(await server.base);
  const body = JSON.stringify(organization);
  const robot = await asRobot(base.href);
  const answer = new Promise<number>((resolve, reject) => {
    const sending = request(
      {
        host: base.hostname,
        port: base.port,
        path: `${base.pathname}/Organization`,
        method: 'POST',
        headers: { 'Content-Type': 'application/fhir+json', 'Content-Length': Buffer.byteLength(body), ...robot },
      },
      (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      },
    );
    sending.on('error', reject);
    // Half of the body before the signal, half of it after the socket has closed to others.
    sending.write(body.slice(0, 10), () => {
      setTimeout(() => {
        server.signal('SIGTERM');
        const closed = async (): Promise<void> => {
          const refused = await fetch(`${base.origin}/livez`).then(
            () => false,
            () => true,
          );
          if (refused) sending.end(body.slice(10));
          else setTimeout(closed, 20);
        };
        void closed();
      }, 200);
    });
  });
  expect(await answer).toBe(201);
  expect(await server.ended).toBe(0);
});

test('SIGTERM ends streams of events at once, with what to go on from', async () => {
  const server = start();
  const response = await fetch(new URL('/events', await server.base));
  expect(response.status).toBe(200);
  const reading = response.text();
  const since = performance.now();
  server.signal('SIGTERM');
  const text = await reading;
  expect(performance.now() - since).toBeLessThan(2_000);
  expect(text).toContain('event: end\ndata: {"reason":"shutdown"');
  expect(text).toMatch(/^id: .+$/m);
  expect(await server.ended).toBe(0);
  expect(performance.now() - since).toBeLessThan(15_000);
});

test('a port in use: one sentence, exit code 1', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const address = other.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const server = start({ PORT: String(port) });
  expect(await server.ended).toBe(1);
  expect(server.said()).toBe(
    `Kairos cannot start. Port ${port} on 127.0.0.1 is in use: stop what listens there, or choose another PORT.\n`,
  );
  await new Promise((resolve) => other.close(resolve));
});

test('a data folder that another server uses: one sentence, exit code 1, and the other goes on', async () => {
  const first = start();
  const base = await first.base;
  const second = start();
  expect(await second.ended).toBe(1);
  expect(second.said()).toBe(
    `Kairos cannot start. Another Kairos already serves from the data folder ${DATA_DIR}: stop it, or choose another DATA_DIR.\n`,
  );
  expect(await status(`${base}/metadata`)).toBe(200);
});

test('a bad setting: one sentence, exit code 1', async () => {
  const server = start({ HOST: '0.0.0.0', PUBLIC_URL: 'http://kairos.example.org' });
  expect(await server.ended).toBe(1);
  expect(server.said()).toMatch(/^Kairos cannot start\. PUBLIC_URL must start with https:\/\/ .*\n$/);
});

test.runIf(process.platform === 'linux')(
  'a data folder where none can be made: one sentence, exit code 1',
  async () => {
    const server = startServer({ DATA_DIR: '/proc/nope' });
    expect(await server.ended).toBe(1);
    expect(server.said()).toMatch(/^Kairos cannot start\. .*\/proc\/nope.*\n$/);
  },
);

test('a .env file is read, and does not override the environment', async () => {
  await writeFile(path.join(DATA_DIR, '.env'), 'PORT=http\nLIMIT_JSON_DEPTH=3\n');
  const server = startServer({ DATA_DIR }, DATA_DIR);
  expect(await server.ended).toBe(1);
  expect(server.said()).toBe('Kairos cannot start. LIMIT_JSON_DEPTH must be a whole number from 8 to 512.\n');
});

test('a database that dies is started again under the running server', async () => {
  const server = start();
  const base = await server.base;
  const id = await create(base, organization);
  process.kill(await databasePid(), 'SIGKILL');
  await expect.poll(() => status(`${base}/Organization/${id}`), { timeout: 30_000 }).toBe(200);
  await expect.poll(() => status(new URL('/readyz', base).href), { timeout: 30_000 }).toBe(200);
  await create(base, organization);
});

test('health and metrics are served beside FHIR, to whoever watches', async () => {
  const server = start();
  const base = await server.base;
  expect(await status(new URL('/livez', base).href)).toBe(200);
  expect(await status(new URL('/readyz', base).href)).toBe(200);
  await status(`${base}/Organization/none`);
  const page = await (await fetch(new URL('/metrics', base))).text();
  expect(page).toMatch(/^fhir_request_duration_seconds_count\{interaction="read",status="404"\} 1$/m);
  expect(page).toMatch(/^nodejs_eventloop_lag_seconds\{quantile="0.99"\} \d/m);
  expect(page).toMatch(/^db_pool_connections\{state="idle"\} \d/m);
});
