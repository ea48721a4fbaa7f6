/**
 * A stolen database names nobody: values planted over HTTP and into accounts are looked for in every table, the data folder with its write-ahead log, the
 * server's words and its refusals, in every form that bytes may take. security.md A3.
 */
import { randomInt } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createAccount } from '../../src/auth/accounts/create.ts';
import { accountById } from '../../src/auth/accounts/account.ts';
import { issueTicket } from '../../src/auth/accounts/ticket.ts';
import { writeTo } from '../../src/auth/mail/mail.ts';
import { openKairos, type Kairos } from '../../src/compose.ts';
import { startWorker } from '../../src/compose-worker.ts';
import { loadConfig } from '../../src/platform/config.ts';
import { poolNamed } from '../../src/platform/database/pool.ts';
import { inTransaction } from '../../src/platform/database/transaction.ts';
import { client, type Send } from '../http/client.ts';
import { everything } from '../support/everything.ts';

const PREFIX = 'Kanari';
const LETTERS = 'abcdefghijklmnopqrstuvwxyz';
const planted = new Set<string>();
/** A value like no other, as a name may be. */
function canary(): string {
  const value = `${PREFIX}${Array.from({ length: 10 }, () => LETTERS[randomInt(26)]).join('')}`;
  planted.add(value);
  return value;
}

/** All that bytes of a text may look like. */
function formsOf(value: string): readonly Buffer[] {
  const forms: Buffer[] = [];
  for (const text of [value, value.toLowerCase(), value.toUpperCase()]) {
    const bytes = Buffer.from(text);
    const wide = Buffer.from(text, 'utf16le');
    forms.push(bytes, wide, Buffer.from(wide).swap16());
    for (const raw of [bytes, wide])
      forms.push(Buffer.from(raw.toString('hex')), Buffer.from(raw.toString('hex').toUpperCase()));
    // At each place that it may have in a group of three; the characters at the ends depend on what stands beside.
    for (const shift of [0, 1, 2]) {
      const encoded = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64');
      const inner = encoded.slice(Math.ceil((shift * 4) / 3), Math.floor(((shift + bytes.length) * 4) / 3));
      forms.push(Buffer.from(inner), Buffer.from(inner.replaceAll('+', '-').replaceAll('/', '_')));
    }
  }
  return forms;
}

const BEGINNINGS = formsOf(PREFIX);
const known = new Map<string, readonly Buffer[]>();
function isIn(bytes: Buffer, value: string): boolean {
  let forms = known.get(value);
  if (!forms) known.set(value, (forms = formsOf(value)));
  return forms.some((form) => bytes.includes(form));
}

/** Canaries in some bytes. All begin alike, so their beginnings are looked for, and the rest where one stands. */
function foundIn(bytes: Buffer, among: ReadonlySet<string>): readonly string[] {
  const found = new Set<string>();
  for (const beginning of BEGINNINGS) {
    for (let at = bytes.indexOf(beginning); at >= 0; at = bytes.indexOf(beginning, at + 1)) {
      const around = bytes.subarray(Math.max(0, at - 4), at + 100);
      for (const value of among) if (!found.has(value) && isIn(around, value)) found.add(value);
    }
  }
  return [...found];
}

let folder: string;
let kairos: Kairos;
let send: Send;
let said = '';
const writeToError = process.stderr.write.bind(process.stderr);
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'kairos-canary-'));
  // For all of the file: a spy would be taken away before each test.
  process.stderr.write = (chunk: string | Uint8Array): boolean => {
    said += String(chunk);
    return true;
  };
  kairos = await openKairos(
    loadConfig({ DATA_DIR: folder, DEMO: 'off', LOG_LEVEL: 'debug', VALIDATE_REFERENCES: 'off' }),
    {
      accessOf: () => everything,
      passwordCost: 4,
      say: (line) => void (said += line),
    },
  );
  send = client({ request: async (to, init) => kairos.app.request(`http://localhost${to}`, init) });
}, 240_000);
afterAll(async () => {
  await kairos.close();
  process.stderr.write = writeToError;
  await rm(folder, { recursive: true, force: true });
});

const concept = (): object => ({ text: canary() });
const note = (): object => ({ text: canary() });
const who = { reference: 'Patient/who' };
const identifier = (): object => ({ system: 'urn:canary', value: canary() });
const narrative = (): object => ({
  status: 'additional',
  div: `<div xmlns="http://www.w3.org/1999/xhtml">${canary()}</div>`,
});

/** One of each type that speaks of a person, full of canaries. */
const resources = (): readonly { readonly resourceType: string; readonly [name: string]: unknown }[] => [
  {
    resourceType: 'Patient',
    text: narrative(),
    identifier: [identifier()],
    name: [{ text: canary(), family: canary(), given: [canary(), canary()], prefix: [canary()] }],
    telecom: [{ system: 'email', value: `${canary()}@example.org` }],
    address: [
      { text: canary(), line: [canary()], city: canary(), district: canary(), state: canary(), postalCode: canary() },
    ],
    contact: [{ name: { family: canary(), text: canary() }, telecom: [{ system: 'phone', value: canary() }] }],
    maritalStatus: concept(),
    photo: [{ title: canary(), contentType: 'image/png' }],
    communication: [{ language: { text: canary() } }],
    generalPractitioner: [{ display: canary() }],
  },
  {
    resourceType: 'RelatedPerson',
    text: narrative(),
    patient: { ...who, display: canary() },
    name: [{ family: canary() }],
    relationship: [concept()],
  },
  {
    resourceType: 'Communication',
    status: 'completed',
    subject: who,
    payload: [{ contentString: canary() }],
    note: [note()],
    topic: concept(),
  },
  {
    resourceType: 'CommunicationRequest',
    status: 'active',
    subject: who,
    payload: [{ contentString: canary() }],
    note: [note()],
  },
  {
    resourceType: 'Encounter',
    status: 'finished',
    class: { code: 'AMB', display: canary() },
    subject: who,
    reasonCode: [concept()],
    type: [concept()],
  },
  {
    resourceType: 'ServiceRequest',
    status: 'active',
    intent: 'order',
    subject: who,
    code: concept(),
    patientInstruction: canary(),
    note: [note()],
  },
  {
    resourceType: 'Task',
    status: 'requested',
    intent: 'order',
    for: who,
    description: canary(),
    note: [note()],
    code: concept(),
  },
  { resourceType: 'Basic', code: concept(), subject: who, text: narrative() },
  { resourceType: 'Binary', contentType: 'text/plain', data: Buffer.from(`x${canary()}`).toString('base64') },
  {
    resourceType: 'Coverage',
    status: 'active',
    beneficiary: who,
    payor: [{ display: canary() }],
    subscriberId: canary(),
    dependent: canary(),
  },
  { resourceType: 'Account', status: 'active', name: canary(), description: canary(), subject: [who] },
  {
    resourceType: 'Invoice',
    status: 'issued',
    subject: who,
    note: [note()],
    paymentTerms: canary(),
    cancelledReason: canary(),
  },
  {
    resourceType: 'ChargeItem',
    status: 'billable',
    code: concept(),
    subject: who,
    note: [note()],
    overrideReason: canary(),
  },
  {
    resourceType: 'Group',
    type: 'person',
    actual: true,
    name: canary(),
    member: [{ entity: who }, { entity: { reference: 'Patient/other' } }],
  },
  {
    resourceType: 'Appointment',
    status: 'proposed',
    description: canary(),
    comment: canary(),
    patientInstruction: canary(),
    reasonCode: [concept()],
    participant: [{ actor: { ...who, display: canary() }, status: 'accepted' }],
  },
];

interface Leak {
  readonly where: string;
  readonly value: string;
}

/** Every row of every table, column by column, as a dump has it. */
async function tables(): Promise<readonly Leak[]> {
  const owner = new pg.Client(kairos.database.roles.owner);
  await owner.connect();
  const leaks: Leak[] = [];
  try {
    const { rows } = await owner.query<{ name: string; table: string; column: string }>(
      `select format('%I.%I', table_schema, table_name) as name, table_name as table, column_name as column from information_schema.columns
       join information_schema.tables using (table_schema, table_name)
       where table_schema not in ('pg_catalog', 'information_schema') and table_type = 'BASE TABLE'`,
    );
    for (const { name, table, column } of rows) {
      const found = await owner.query<{ v: string }>(
        `select "${column}"::text as v from ${name} where "${column}" is not null`,
      );
      const bytes = Buffer.from(found.rows.map((r) => r.v).join('\n'));
      for (const value of foundIn(bytes, planted)) leaks.push({ where: `${table}.${column}`, value });
    }
  } finally {
    await owner.end();
  }
  return leaks;
}

async function files(among: ReadonlySet<string>): Promise<readonly string[]> {
  const leaks: string[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    const bytes = await readFile(file).catch(() => Buffer.alloc(0));
    for (const value of foundIn(bytes, among)) leaks.push(`${path.relative(folder, file)}: ${value}`);
  }
  return leaks;
}

test('what was planted is nowhere', { timeout: 600_000 }, async () => {
  const errors: string[] = [];
  const ids: string[] = [];
  for (let round = 0; round < 6; round++) {
    for (const [i, resource] of resources().entries()) {
      const id = `${resource.resourceType}/c${i}`;
      // The same again as another version; the last time under a key whose reply is kept.
      const answer = await send('PUT', id, { ...resource, id: `c${i}` });
      expect([id, answer.status, answer.status > 201 ? answer.text : '']).toEqual([id, expect.any(Number), '']);
      ids.push(id);
    }
  }
  for (const [i, resource] of resources().entries())
    expect((await send('POST', resource.resourceType, resource, { 'Idempotency-Key': `k${i}` })).status).toBe(201);
  await send('DELETE', 'Basic/c7');
  expect(planted.size).toBeGreaterThanOrEqual(300);

  // Accounts, with what goes out to them and what is told to a queue.
  const { identity, pool } = kairos;
  for (let n = 0; n < 5; n++) {
    const email = `${canary().toLowerCase()}@example.org`;
    const id = await createAccount((text, values) => poolNamed(pool, text, values), identity, {
      email,
      name: canary(),
      roles: ['patient'],
      locale: 'en',
      by: 'test',
      passwordHash: undefined,
    });
    const account = await accountById(identity, id ?? '');
    if (!account) throw new Error('no account');
    await inTransaction(pool, async (run) => {
      await issueTicket(run, identity, {
        kind: 'invitation',
        seconds: 3600,
        payload: { email, name: canary() },
      });
      await writeTo(identity, run, account, 'factor-added', { factor: 'totp', account: 'http://localhost/account' });
    });
  }
  const worker = await startWorker(kairos);
  await vi.waitFor(
    async () =>
      expect(
        (await pool.query(`select 1 from outbox where topic = 'send-mail' and status <> 'done'`)).rows,
      ).toHaveLength(0),
    { timeout: 30_000, interval: 200 },
  );
  await worker.close();

  // What is refused, or not there, says nothing of what is.
  for (const id of ids.slice(0, 15)) {
    const type = id.split('/', 1)[0] ?? '';
    for (const [method, target, body, headers] of [
      ['GET', `${id}x`],
      ['PUT', id, { resourceType: type, id: 'other' }],
      ['PUT', id, { resourceType: type, id: id.split('/')[1] }, { 'If-Match': 'W/"99"' }],
      ['PATCH', id, [{ op: 'test', path: '/id', value: 'no' }]],
      ['GET', `${type}?_nothing=1`, undefined, { Prefer: 'handling=strict' }],
      ['POST', type, '{"resourceType":'],
    ] as const) {
      const answer = await send(method, target, body, headers);
      expect(answer.status).toBeGreaterThanOrEqual(400);
      errors.push(answer.text);
    }
  }
  await pool.query(`update patient set content = 'v1.' || repeat('x', 10) || '.' || repeat('A', 80) where id = 'c0'`);
  const broken = await send('GET', 'Patient/c0');
  expect([broken.status, said.includes(/in our log as ([\w-]{20,})/.exec(broken.text)?.[1] ?? 'none')]).toEqual([
    500,
    true,
  ]);
  errors.push(broken.text);

  const leaks = await tables();
  expect([...new Set(leaks.map((l) => l.where))].sort()).toEqual([]);
  expect(foundIn(Buffer.from(said), planted)).toEqual([]);
  expect(foundIn(Buffer.from(errors.join('\n')), planted)).toEqual([]);
  expect(await files(planted)).toEqual([]);
  await pool.query('checkpoint').catch(() => undefined);

  // The search would find them: it finds one that is written in clear.
  const control = canary();
  await pool.query(`insert into outbox (topic, payload, status) values ('none', $1, 'done')`, [
    JSON.stringify({ name: control }),
  ]);
  expect((await tables()).some((l) => l.where === 'outbox.payload')).toBe(true);
  expect((await files(new Set([control]))).length).toBeGreaterThan(0);
  for (const form of formsOf(control)) {
    expect(foundIn(Buffer.concat([Buffer.from('  '), form, Buffer.from('  ')]), new Set([control]))).toEqual([control]);
  }
});

test('the start said where the key is, and what it is worth; nobody else may read the file', async () => {
  const file = path.join(folder, 'keys', 'root.key');
  expect(said).toContain(file);
  expect(said).toMatch(/loses it loses the data/);
  const { stat } = await import('node:fs/promises');
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  // The key itself is in no other file.
  const key = (await readFile(file, 'utf8')).trim();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const each = path.join(entry.parentPath, entry.name);
    if (!entry.isFile() || each === file) continue;
    const bytes = await readFile(each).catch(() => Buffer.alloc(0));
    expect([each, bytes.includes(key) || bytes.includes(Buffer.from(key, 'base64'))]).toEqual([each, false]);
  }
});
