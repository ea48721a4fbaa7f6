/** Every door leaves its record before it answers: who, what, about whom. */
import type { AuditEvent, Bundle } from '@medplum/fhirtypes';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createdId, patient, type Send } from '../http/client.ts';
import {
  at,
  bookProposal,
  done,
  find,
  found,
  idOf,
  openClinic,
  params,
  referring,
  visit,
  workday,
  type Clinic,
} from '../scheduling/clinic.ts';

let clinic: Clinic;
let system: Send;
beforeAll(async () => {
  clinic = await openClinic();
  ({ system } = clinic);
});
afterAll(() => clinic.close());

let since = 0;
beforeEach(async () => {
  since = Number((await clinic.sql('select count(*) as n from audit_log'))[0]?.['n']);
});

/** Rows since the last look, each as `kind outcome about entities`. */
async function told(): Promise<string[]> {
  const rows = await clinic.sql(
    `select kind || coalesce(' ' || detail, '') || ' ' || outcome || ' ' || case when about then patients[1] else '-' end || coalesce(' ' || nullif(array_to_string(case when about then entities[2:] else entities end, ','), ''), '') as said
     from audit_log order by xid, id offset $1`,
    [since],
  );
  since += rows.length;
  return rows.map((r) => String(r['said']));
}

const bundle = (type: 'batch' | 'transaction', ...entry: readonly unknown[]): object => ({
  resourceType: 'Bundle',
  type,
  entry,
});
const request = (method: string, url: string, resource?: object): object => ({
  request: { method, url },
  ...(resource ? { resource } : {}),
});

test('reads, versions, searches and histories tell whom they were about', async () => {
  const id = await createdId(system, patient());
  expect(await told()).toEqual([`create 0 Patient/${id}`]);
  await system('GET', `Patient/${id}`);
  await system('GET', `Patient/${id}/_history/1`);
  await system('GET', `Patient/${id}/_history`);
  expect(await told()).toEqual([`read 0 Patient/${id}`, `vread 0 Patient/${id}`, `history-instance 0 Patient/${id}`]);
  const other = await createdId(system, patient());
  await told();
  await system('GET', `Patient?_id=${id},${other}`);
  await system('POST', 'Patient/_search', `_id=${id}`, { 'Content-Type': 'application/x-www-form-urlencoded' });
  await system('GET', 'Patient?_id=none');
  await system('GET', 'Organization');
  expect((await told()).sort()).toEqual(
    [
      `search-type 0 Patient/${id}`,
      `search-type 0 Patient/${id}`,
      `search-type 0 Patient/${other}`,
      'search-type 0 -',
      'search-type 0 -',
    ].sort(),
  );
});

test('a change has one row, in its own transaction, also in a Bundle', async () => {
  const id = await createdId(system, patient());
  await told();
  await system('PUT', `Patient/${id}`, { ...patient({ active: true }), id });
  await system('PATCH', `Patient/${id}`, [{ op: 'add', path: '/gender', value: 'female' }]);
  await system('DELETE', `Patient/${id}`);
  expect(await told()).toEqual([`update 0 Patient/${id}`, `patch 0 Patient/${id}`, `delete 0 Patient/${id}`]);
  // The second deletion deletes nothing, and is recorded nevertheless.
  await system('DELETE', `Patient/${id}`);
  expect(await told()).toEqual([`delete 0 - Patient/${id}`]);

  await system(
    'POST',
    '',
    bundle('transaction', request('POST', 'Patient', patient()), request('GET', 'Patient?_id=none')),
  );
  expect((await told()).map((t) => t.split(' ')[0])).toEqual(['create', 'search-type', 'transaction']);
  await system('POST', '', bundle('batch', request('POST', 'Patient', patient()), request('GET', 'Patient/none')));
  const batch = await told();
  expect(batch.map((t) => t.split(' ').slice(0, 2).join(' '))).toEqual(['create 0', 'read 4', 'batch 0']);
  expect(batch[1]).toBe('read 4 - Patient/none');
});

test('what a transaction rolled back left no row of itself, only that of its failure', async () => {
  await system(
    'POST',
    '',
    bundle('transaction', request('POST', 'Patient', patient()), request('GET', 'Patient/none')),
  );
  expect(await told()).toEqual(['transaction 4 -']);
});

test('refusals, mistakes and requests that lead nowhere', async () => {
  await clinic.nobody('GET', 'Patient/ann');
  await clinic.ann('GET', 'Patient/bob');
  await clinic.ann('DELETE', 'Patient/ann');
  await system('POST', 'Patient', { resourceType: 'Patient', gender: 'x' });
  await system('GET', 'Nothing/1');
  await system('PUT', 'AuditEvent/1', { resourceType: 'AuditEvent', id: '1' });
  expect(await told()).toEqual([
    'denied read 4 - Patient/ann',
    'read 4 - Patient/bob',
    'denied delete 4 - Patient/ann',
    'create 4 -',
    'other 4 -',
    'other 4 -',
  ]);
});

test('a booking is the transactions of IHE: $find about a patient, $hold, $book', async () => {
  const { ann, nobody } = clinic;
  const day = workday(3);
  await find(nobody, `start=${day}&end=${day}&practitioner=Practitioner/grey`);
  expect(await told()).toEqual(['operation find 0 -']);
  const query = `start=${day}&end=${day}&practitioner=Practitioner/grey&patient-reference=Patient/ann`;
  const [first, second] = found(await find(ann, query)).map((a) => String(a['id']));
  expect(await told()).toEqual(['find 0 Patient/ann']);
  const held = done(
    await ann('POST', 'Appointment/$hold', params(referring('appointment-reference', `Appointment/${first}`))),
  );
  expect(await told()).toEqual([`hold 0 Patient/ann Appointment/${idOf(held)}`]);
  const booked = done(await bookProposal(ann, idOf(held)));
  expect(await told()).toEqual([`book 0 Patient/ann Appointment/${idOf(booked)}`]);
  const other = done(await bookProposal(ann, String(second)));
  expect(await told()).toEqual([`book 0 Patient/ann Appointment/${idOf(other)}`]);
  done(await ann('POST', `Appointment/${idOf(other)}/$cancel`, params()));
  expect((await told()).filter((t) => t.includes(`Appointment/${idOf(other)}`))).toEqual([
    `update cancel 0 Patient/ann Appointment/${idOf(other)}`,
  ]);
  const taken = await bookProposal(ann, String(first));
  expect(taken.status).toBe(409);
  expect(await told()).toEqual(['operation 4 -']);
  const [row] = await clinic.sql(`select id from audit_log where kind = 'book' limit 1`);
  const event = (await system('GET', `AuditEvent/${String(row?.['id'])}`)).body as unknown as AuditEvent;
  expect([event.action, event.subtype?.map((c) => c.code)]).toEqual(['C', ['create', 'ITI-117']]);
  await told();
});

test('a reply that is given again is an access again, and no second change', async () => {
  const day = workday(4);
  const body = visit({ start: at(day, '09:00') });
  const key = { 'Idempotency-Key': 'audit-1' };
  const first = done(await clinic.staff('POST', 'Appointment', body, key));
  expect(await told()).toEqual([`create 0 Patient/ann Appointment/${idOf(first)}`]);
  expect((await clinic.staff('POST', 'Appointment', body, key)).headers.get('idempotency-replayed')).toBe('true');
  expect(await told()).toEqual([`create 0 Patient/ann Appointment/${idOf(first)}`]);
});

test('creates that share a transaction are each their own', async () => {
  const day = workday(5);
  const replies = await Promise.all(
    ['09:00', '09:30', '10:00', '10:30', '11:00', '13:00'].map((time, i) =>
      clinic.staff('POST', 'Appointment', visit({ start: at(day, time), patient: ['ann', 'bob'][i % 2] ?? '' }), {
        'X-Request-Id': `shared-${i}`,
      }),
    ),
  );
  const ids = replies.map((r) => idOf(done(r)));
  const rows = await clinic.sql(
    `select request, entities[2] as entity from audit_log where request like 'shared-%' order by request`,
  );
  expect(rows).toEqual(ids.map((id, i) => ({ request: `shared-${i}`, entity: `Appointment/${id}` })));
  await told();
});

test('who may read the record: its own kind of reading is recorded too', async () => {
  await clinic.staff('GET', 'Patient?_id=ann,bob');
  await system('GET', 'Patient/ann');
  await told();
  const read = await system('GET', 'AuditEvent?patient=Patient/ann&_sort=-date&_count=2');
  const events = ((read.body as unknown as Bundle).entry ?? []).map((e) => e.resource as AuditEvent);
  expect(events[0]?.subtype?.map((c) => c.code)).toEqual(['read']);
  expect((await told()).every((t) => t.startsWith('search-type 0 Patient/ann AuditEvent/'))).toBe(true);
  const own = await clinic.ann('GET', 'AuditEvent?_count=500');
  // Somebody's search may name others.
  expect([own.text.includes('"query"'), own.text.includes('bob')]).toEqual([false, false]);
  expect((await system('GET', 'AuditEvent?patient=Patient/bob&subtype=search')).text).toContain('"query"');
  const seen = ((own.body as unknown as Bundle<AuditEvent>).entry ?? []).map((e) => e.resource);
  expect(seen.length).toBeGreaterThan(0);
  for (const event of seen)
    expect(
      [...(event?.entity ?? []), ...(event?.agent ?? [])].some(
        (e) => ('what' in e ? e.what : 'who' in e ? e.who : undefined)?.reference === 'Patient/ann',
      ),
    ).toBe(true);
  const foreign = await clinic.sql(`select id from audit_log where patients is null limit 1`);
  expect((await clinic.ann('GET', `AuditEvent/${String(foreign[0]?.['id'])}`)).status).toBe(404);
});

test('an answer whose access cannot be recorded is not given', async () => {
  const lock = new pg.Client(clinic.server.kairos.roles.superuser);
  await lock.connect();
  await lock.query('begin');
  await lock.query('lock table audit_log in exclusive mode');
  const started = performance.now();
  const reply = await system('GET', 'Patient/ann');
  expect([reply.status, reply.headers.get('retry-after'), reply.text.includes('birthDate')]).toEqual([503, '1', false]);
  expect(performance.now() - started).toBeLessThan(3000);
  await lock.query('rollback');
  await lock.end();
  expect((await system('GET', 'Patient/ann')).status).toBe(200);
});

test('the record is only added to: over REST, and by the rights of the role', async () => {
  for (const [method, body] of [
    ['PUT', { resourceType: 'AuditEvent', id: 'x' }],
    ['PATCH', []],
    ['DELETE', undefined],
  ] as const)
    expect((await system(method, 'AuditEvent/x', body)).status, method).toBe(405);
  expect((await system('POST', 'AuditEvent', { resourceType: 'AuditEvent' })).status).toBe(405);
  const { pool } = clinic.server.kairos;
  const parts = await clinic.sql(
    `select c.oid::regclass::text as part from pg_class c where relname ~ '^audit_' and relkind in ('r', 'p')`,
  );
  expect(parts.length).toBeGreaterThanOrEqual(7);
  for (const { part } of parts)
    for (const statement of [
      `delete from ${String(part)}`,
      `truncate ${String(part)}`,
      `update ${String(part)} set kind = 'x'`,
    ])
      if (part !== 'audit_seal' || !statement.startsWith('update'))
        await expect(pool.query(statement), statement).rejects.toThrow('permission denied');
});
