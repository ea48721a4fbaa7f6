/** security.md A3.7: what clients know of their requests, held against the record. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RECORDED, reconcile, sendMixed } from '../../src/bench/reconcile.ts';
import { writePeople, type People } from '../../src/bench/storm/people.ts';
import { createWire, type Wire } from '../../src/bench/storm/wire.ts';
import { seeded } from '../../src/demo/random.ts';
import { poolNamed } from '../../src/platform/database/pool.ts';
import { startIdentityServer, type IdentityServer } from '../support/identity-server.ts';

let server: IdentityServer;
let people: People;
let wire: Wire;
beforeAll(async () => {
  server = await startIdentityServer();
  people = await writePeople(server.database.app, server.fhirBase, 8);
  wire = createWire();
  const port = Number(new URL(server.listens).port);
  for (const { patient } of people.all)
    await wire.send(
      port,
      { method: 'PUT', path: patient, body: { resourceType: 'Patient', id: patient.slice(8) } },
      people.system,
    );
});
afterAll(async () => {
  wire.close();
  await server.close();
});

test('600 mixed requests, refused ones among them: none is missing, and none was made up', async () => {
  const port = Number(new URL(server.listens).port);
  const random = seeded('reconcile', Date.now());
  const log = await sendMixed({
    people,
    requests: 600,
    clients: 12,
    random,
    send: (sent, token) => wire.send(port, sent, token),
  });
  const { rows } = await poolNamed(server.kairos.pool, RECORDED);
  const result = reconcile(log, rows);
  expect(result.wrong.slice(0, 10)).toEqual([]);
  expect(result.answered).toBe(600);
  expect(result.denied).toBeGreaterThan(20);
  // Each row counts: without any one of them something is missing or was made up.
  const without = reconcile(
    log,
    rows.filter((_, i) => i !== 100 && rows[i]?.[0] !== rows[100]?.[0]),
  );
  expect(without.wrong.length).toBeGreaterThan(0);
  const madeUp = reconcile(log, [...rows, ['reconcile-none', 'read', '0', null]]);
  expect(madeUp.wrong).toEqual(['reconcile-none: recorded, and never sent']);
});
