/** Rotation under load, by processes that are killed on the way: security.md C6, docs/encryption.md. */
import { spawn } from 'node:child_process';
import { mkdtemp, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SEALED_COLUMNS, status } from '../../src/compose-rotation.ts';
import { sealedTables } from '../../src/fhir/store/reseal.ts';
import { client, type Send } from '../http/client.ts';
import { urlOf } from '../../src/bench/processes.ts';
import { TEST_ROOT_KEY } from '../support/root-key.ts';
import { createTestServer, type TestServer } from '../support/server.ts';

const CHILD = fileURLToPath(new URL('rotating-child.ts', import.meta.url));
const PATIENTS = 60;

let folder: string;
let server: TestServer;
let send: Send;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'kairos-keys-'));
  await mkdir(path.join(folder, 'keys'));
  await writeFile(path.join(folder, 'keys', 'root.key'), `${TEST_ROOT_KEY}\n`);
  server = await createTestServer({ env: { ROOT_KEY: '', DATA_DIR: folder } });
  send = client(server);
});
afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

interface Ended {
  readonly killed: boolean;
  readonly output: string;
}

async function rotate(what: 'root' | 'data' | 'retire', at: number): Promise<Ended> {
  const { roles } = server.kairos;
  const child = spawn(process.execPath, [CHILD, what, String(at)], {
    env: {
      PATH: process.env['PATH'],
      DATA_DIR: folder,
      DATABASE_URL: urlOf(roles.app),
      DATABASE_OWNER_URL: urlOf(roles.owner),
      DEMO: 'off',
      LOG_LEVEL: 'error',
    },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
  const by = await new Promise((resolve) => child.on('close', (code, signal) => resolve(signal ?? code)));
  if (by !== 'SIGKILL' && by !== 0) throw new Error(`The rotation failed: ${output}`);
  return { killed: by === 'SIGKILL', output };
}

const patient = (id: number, text: string): object => ({
  resourceType: 'Patient',
  id: `p${id}`,
  name: [{ family: text, given: ['Ada'] }],
});

/** Requests without a pause, until told to stop; those that went wrong, in words. */
function load(): { stop(): Promise<{ readonly sent: number; readonly wrong: readonly string[] }> } {
  const over = new AbortController();
  let [sent, turn] = [0, 0];
  const wrong: string[] = [];
  const one = async (n: number): Promise<void> => {
    const id = n % PATIENTS;
    const requests = [
      () => send('GET', `Patient/p${id}`),
      () => send('PUT', `Patient/p${id}`, patient(id, `Turn${n}`)),
      () => send('GET', `Patient/p${id}/_history?_count=5`),
      () => send('GET', `Patient/p${id}/_history/1`),
      () =>
        send('POST', 'Basic', {
          resourceType: 'Basic',
          code: { text: `b${n}` },
          subject: { reference: `Patient/p${id}` },
        }),
      () => send('POST', 'Basic', { resourceType: 'Basic', code: { text: `nobody's` } }),
      () => send('GET', 'Patient?_count=10'),
    ];
    const answer = await requests[n % requests.length]?.();
    sent++;
    // Two that write the same patient at once are told so: they were before there were keys.
    if (answer && answer.status >= 300 && answer.status !== 409 && answer.status !== 412)
      wrong.push(`${answer.status} ${answer.text.slice(0, 300)}`);
  };
  const running = Array.from({ length: 4 }, async () => {
    while (!over.signal.aborted) {
      await one(turn++);
      await sleep(5);
    }
  });
  return {
    async stop() {
      over.abort();
      await Promise.all(running);
      return { sent, wrong };
    },
  };
}

const rows = async (text: string): Promise<readonly (readonly unknown[])[]> =>
  (await server.kairos.pool.query<unknown[]>({ text, rowMode: 'array' })).rows;

/** Rows of all tables by the data key that they need. */
async function keysInUse(): Promise<Map<string, number>> {
  const inUse = new Map<string, number>();
  for (const [, table] of sealedTables(server.kairos.store)) {
    const found = await rows(
      `select substr(content, 4, 10), count(*) from "${table}" where content is not null group by 1`,
    );
    for (const [id, count] of found) inUse.set(String(id), (inUse.get(String(id)) ?? 0) + Number(count));
  }
  return inUse;
}

/** Runs until it has been killed so often, and then to its end. Now and then it ends before the point. @returns deaths */
async function withCrashes(what: 'root' | 'data', points: readonly number[], most: number): Promise<number> {
  let deaths = 0;
  for (const at of points) if (deaths < most && (await rotate(what, at)).killed) deaths++;
  expect((await rotate(what, 0)).killed).toBe(false);
  return deaths;
}

test(
  'twenty deaths on the way: no request fails, nothing stays with an old key, everything is there',
  { timeout: 600_000 },
  async () => {
    for (let id = 0; id < PATIENTS; id++)
      expect((await send('PUT', `Patient/p${id}`, patient(id, 'First'))).status).toBe(201);
    const before = await rows('select id, kek from data_key');
    const { kairos } = server;
    const sealed = kairos.keys.seal('mail_message.to_sealed', 'canary', 'someone@example.org');
    await kairos.pool.query(
      `insert into mail_message (id, kind, to_sealed, content_sealed, sent_at) values ('canary', 'test', $1, $2, now())`,
      [sealed, kairos.keys.seal('mail_message.content_sealed', 'canary', '{}')],
    );

    const traffic = load();
    let deaths = await withCrashes('root', [1, 2, 3, 4, 5, 6], 6);
    deaths += await withCrashes(
      'data',
      [1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 70, 90, 120, 2, 4, 8, 12, 18, 24, 32],
      20 - deaths,
    );
    expect(deaths).toBe(20);
    expect((await rotate('retire', 0)).output).toContain('retired data keys are deleted');
    const { sent, wrong } = await traffic.stop();

    expect(wrong).toEqual([]);
    expect(sent).toBeGreaterThan(200);
    const inUse = await keysInUse();
    const now = new Map((await rows('select id, kek from data_key')).map(([id, kek]) => [String(id), String(kek)]));
    expect([...inUse.keys()].filter((id) => !now.has(id))).toEqual([]);
    const oldKek = String(before[0]?.[1]);
    expect([...now.values()].filter((kek) => kek === oldKek)).toEqual([]);
    for (const [id] of before) if (id !== 'installation') expect(now.has(String(id))).toBe(false);
    const [line] = await rows(`select to_sealed from mail_message where id = 'canary'`);
    expect(line?.[0]).not.toBe(sealed);
    expect(kairos.keys.open('mail_message.to_sealed', 'canary', String(line?.[0]))).toBe('someone@example.org');

    // One root key is left; who starts now has nothing in memory.
    const file = path.join(folder, 'keys', 'root.key');
    expect((await readFile(file, 'utf8')).trim().split('\n')).toHaveLength(1);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await status(kairos)).filter((l) => l.startsWith('root key'))).toHaveLength(1);
    const fresh = await createTestServer({ env: { ROOT_KEY: '', DATA_DIR: folder }, roles: kairos.roles });
    try {
      for (let id = 0; id < PATIENTS; id++) {
        const history = await client(fresh)('GET', `Patient/p${id}/_history?_count=1000`);
        expect(history.status).toBe(200);
        expect(history.text).toContain('"family":"First"');
      }
    } finally {
      await fresh.close();
    }
  },
);

test('every sealed column is sealed anew by a rotation', async () => {
  const found = await rows(
    `select table_name || '.' || column_name from information_schema.columns where column_name like '%\\_sealed' order by 1`,
  );
  expect(found.length).toBeGreaterThan(10);
  expect(SEALED_COLUMNS.map(([table, column]) => `${table}.${column}`).sort()).toEqual(found.map(([name]) => name));
});
