/** security.md A3.8: whoever owns the tables changes the record, and the check names what was changed first. */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { publishedRoots, seal } from '../../src/audit/seal.ts';
import { verifyAudit, type Published, type Verified } from '../../src/audit/verify.ts';
import { inTransaction } from '../../src/platform/database/transaction.ts';
import { client, createdId, patient } from '../http/client.ts';
import { createTestServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let owner: pg.Client;
let folder: string;
let rootsFile: string;
const TABLES = ['audit_log', 'audit_seal'];

const sealNow = () => {
  const { pool, keys } = server.kairos;
  return seal({ pool, keys, now: Date.now, rootsFile });
};
/** All of it under one seal. Transactions of other databases hold back what may be sealed, too. @returns how many rows */
async function sealAll(): Promise<number | undefined> {
  const isOver = async (): Promise<boolean | undefined> =>
    (
      await owner.query<{ over: boolean }>(
        `select max(xid) < pg_snapshot_xmin(pg_current_snapshot()) as over from audit_log`,
      )
    ).rows[0]?.over;
  while ((await isOver()) === false) await new Promise((resolve) => setTimeout(resolve, 20));
  return (await sealNow())?.count;
}
const check = (published: readonly Published[] = []): Promise<Verified> =>
  inTransaction(server.kairos.pool, (run) =>
    verifyAudit(async (text, values = []) => (await run(text, values)).rows, server.kairos.keys, published),
  );

beforeAll(async () => {
  server = await createTestServer();
  folder = await mkdtemp(path.join(os.tmpdir(), 'kairos-audit-'));
  rootsFile = path.join(folder, 'roots.txt');
  owner = new pg.Client(server.kairos.roles.owner);
  await owner.connect();
  const send = client(server);
  for (let batch = 0; batch < 3; batch++) {
    const id = await createdId(send, patient());
    for (let i = 0; i < 4; i++) await send('GET', `Patient/${id}`);
    await sealAll();
  }
  for (const table of TABLES) await owner.query(`create table kept_${table} as select * from ${table}`);
});
afterAll(async () => {
  await owner.end();
  await server.close();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  for (const table of TABLES) {
    await owner.query(`delete from ${table}`);
    await owner.query(`insert into ${table} select * from kept_${table}`);
  }
});

/** Ids of the rows of a seal, in order. */
async function rowsOf(n: number): Promise<string[]> {
  const { rows } = await owner.query<{ id: string }>(
    `select a.id from audit_log a join audit_seal s on a.xid >= s.from_xid and a.xid < s.to_xid where s.n = $1 order by a.xid, a.id`,
    [n],
  );
  return rows.map((r) => r.id);
}

test('what nobody touched is well, and the role of the server cannot touch it', async () => {
  const { seals, rows, wrong, root } = await check(await publishedRoots(rootsFile));
  expect([seals, rows >= 15, wrong, root]).toEqual([
    3,
    true,
    undefined,
    (await publishedRoots(rootsFile)).at(-1)?.hash,
  ]);
  await expect(server.kairos.pool.query(`update audit_log set kind = 'read'`)).rejects.toThrow('permission denied');
  await expect(server.kairos.pool.query(`delete from audit_seal`)).rejects.toThrow('permission denied');
});

test.each([
  ['outcome', `outcome = 4`],
  ['kind', `kind = 'vread'`],
  ['time', `recorded = recorded + interval '1 ms'`],
  ['patient', `patients = array['Patient/other']`],
  ['request', `request = 'another'`],
  ['actor', `actor = null`],
])('edit: the %s of one row', async (_, change) => {
  const [, , third = ''] = await rowsOf(2);
  await owner.query(`update audit_log set ${change} where id = $1`, [third]);
  expect((await check()).wrong).toBe(`row ${third} of seal 2 was edited`);
});

test('delete: of one row, of the last of a seal, of a whole seal', async () => {
  const [first = '', second = ''] = await rowsOf(2);
  await owner.query(`delete from audit_log where id = $1`, [second]);
  expect((await check()).wrong).toContain(`of seal 2 is missing`);
  expect((await check()).wrong).toContain(`after row ${first}`);
  await owner.query(`insert into audit_log select * from kept_audit_log where id = $1`, [second]);
  const last = (await rowsOf(3)).at(-1);
  await owner.query(`delete from audit_log where id = $1`, [last]);
  expect((await check()).wrong).toContain('a row of seal 3 is missing');
  await owner.query(`delete from audit_seal where n = 2`);
  expect((await check()).wrong).toBe('seal 2 is missing');
});

test('insert: a row into what is sealed', async () => {
  const [first = ''] = await rowsOf(2);
  await owner.query(
    `insert into audit_log select '0inserted', recorded, xid, kind, outcome, actor, person, account, roles, client, address, about, patients, entities, detail, request, query
     from audit_log where id = $1`,
    [first],
  );
  expect((await check()).wrong).toBe('row 0inserted was inserted into seal 2');
});

test('reorder: two rows change places', async () => {
  const [first = '', second = ''] = (await rowsOf(2)).slice(1);
  const { rows } = await owner.query<{ id: string; xid: string }>(`select id, xid from audit_log where id = any($1)`, [
    [first, second],
  ]);
  const xid = (id: string): string => rows.find((r) => r.id === id)?.xid ?? '';
  await owner.query(`update audit_log set xid = $2::text::xid8 where id = $1`, [first, xid(second)]);
  await owner.query(`update audit_log set xid = $2::text::xid8 where id = $1`, [second, xid(first)]);
  expect((await check()).wrong).toMatch(/^row \S+ of seal 2 was (?:edited|moved)$/);
});

test('seals: edited, signed by somebody else, exchanged', async () => {
  await owner.query(`update audit_seal set count = count + 1 where n = 2`);
  expect((await check()).wrong).toBe('seal 2 was edited');
  await owner.query(
    `update audit_seal set count = count - 1, signature = (select signature from audit_seal where n = 1) where n = 2`,
  );
  expect((await check()).wrong).toBe('seal 2 has no signature of this installation');
  await owner.query(
    `update audit_seal set signature = k.signature, leaves = (select leaves from audit_seal where n = 1) from kept_audit_seal k where audit_seal.n = 2 and k.n = 2`,
  );
  expect((await check()).wrong).toBe('the hashes of seal 2 were edited');
});

test('truncation, and an old copy: told by what was published', async () => {
  await owner.query(`delete from audit_log a using audit_seal s where s.n = 3 and a.xid >= s.from_xid`);
  await owner.query(`delete from audit_seal where n = 3`);
  // By itself an old state is a good state.
  expect((await check()).wrong).toBe(undefined);
  const [, , last] = await publishedRoots(rootsFile);
  expect((await check([{ hash: last?.hash ?? '' }])).wrong).toContain('was published, and is not here');
  expect((await check(await publishedRoots(rootsFile))).wrong).toContain('seal 3 with the root');
});

test('a transaction that is still open holds back its rows, and theirs alone in the end', async () => {
  const open = new pg.Client(server.kairos.roles.app);
  await open.connect();
  await open.query('begin');
  await open.query(
    `insert into audit_log (id, recorded, kind, outcome, about) values ('late', now(), 'read', 0, false)`,
  );
  await client(server)('GET', 'Patient/none');
  expect(await sealNow()).toBe(undefined);
  await open.query('commit');
  await open.end();
  expect(await sealAll()).toBe(2);
  expect((await check()).wrong).toBe(undefined);
});
