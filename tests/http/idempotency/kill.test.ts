/** kill -9 of the server while requests run: each has its effect once when it is repeated under its key. security.md I4, B2.2 */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../../support/process.ts';
import { asRobot } from '../../support/robot.ts';

let DATA_DIR: string;
let server: ServerProcess;
beforeAll(async () => {
  DATA_DIR = await mkdtemp(path.join(os.tmpdir(), 'kairos-kill-'));
  server = startServer({ DATA_DIR });
});
afterAll(async () => {
  server.signal('SIGTERM');
  await server.ended;
  await rm(DATA_DIR, { recursive: true, force: true });
});

const KILLS = 3;
const REQUESTS = 60;
const SYSTEM = 'http://example.org/kill';

interface Reply {
  readonly status: number;
  readonly text: string;
}

/** undefined: nobody knows what became of it. */
async function send(base: string, who: Readonly<Record<string, string>>, name: string): Promise<Reply | undefined> {
  try {
    const response = await fetch(`${base}/Patient`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/fhir+json', 'Idempotency-Key': name, ...who },
      body: JSON.stringify({ resourceType: 'Patient', identifier: [{ system: SYSTEM, value: name }] }),
    });
    return { status: response.status, text: await response.text() };
  } catch {
    return undefined;
  }
}

test('requests whose outcome is unknown, repeated after the next start', { timeout: 120_000 }, async () => {
  let unknown = 0;
  for (let kill = 1; kill <= KILLS; kill++) {
    const names = Array.from({ length: REQUESTS }, (_, i) => `kill-${kill}-${i}`);
    const base = await server.base;
    const who = await asRobot(base);
    const sent = names.map(async (name) => send(base, who, name));
    // Some are answered by then, some run, some wait.
    await Promise.race(sent);
    await sleep(15 * (kill - 1));
    server.signal('SIGKILL');
    const first = await Promise.all(sent);
    await server.ended;
    unknown += first.filter((reply) => reply === undefined).length;

    server = startServer({ DATA_DIR });
    const next = await server.base;
    const again = await asRobot(next);
    for (const [i, name] of names.entries()) {
      const second = await send(next, again, name);
      expect(second?.status).toBe(201);
      if (first[i]?.status === 201) expect(second).toEqual(first[i]);
      const search = await fetch(`${next}/Patient?identifier=${encodeURIComponent(`${SYSTEM}|${name}`)}`, {
        headers: again,
      });
      expect(((await search.json()) as { total: number }).total).toBe(1);
    }
  }
  // Else nothing was tried.
  expect(unknown).toBeGreaterThan(0);
});
