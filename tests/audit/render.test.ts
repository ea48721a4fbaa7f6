/** AuditEvents as others see them: valid, coded as IHE BALP says, and found by what they hold. */
import type { AuditEvent } from '@medplum/fhirtypes';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KINDS, type Kind } from '../../src/audit/kinds.ts';
import { insertRows, type AuditRow } from '../../src/audit/row.ts';
import { extract } from '../../src/fhir/search/columns.ts';
import { drift, reindex } from '../../src/fhir/store/reindex.ts';
import { newId } from '../../src/platform/id.ts';
import { createTestServer, type TestServer } from '../support/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await createTestServer();
});
afterAll(() => server.close());

const row = (kind: Kind, given: Partial<AuditRow> = {}): AuditRow => ({
  id: newId(),
  recorded: new Date(Date.UTC(2026, 10, 28, 1, 2, 3, 456)).toISOString(),
  kind,
  outcome: 0,
  about: false,
  ...given,
});

const full = (kind: Kind, given: Partial<AuditRow> = {}): AuditRow => {
  const made = row(kind, {
    person: 'Practitioner/d1',
    account: 'account-1',
    roles: ['physician', 'admin'],
    client: 'client-1',
    address: '2001:db8:1:2::/64',
    about: true,
    patients: ['Patient/p1', 'Patient/p2'],
    entities: ['Patient/p1', 'Appointment/a1', 'Patient/p2'],
    detail: 'cancel',
    request: 'req.1',
    ...given,
  });
  return { ...made, query: server.kairos.keys.seal('audit.query', made.id, 'patient=Patient/p1&date=ge2026') };
};

const forms = (text: string | null): readonly string[] | null => {
  if (text === null) return null;
  if (!text.startsWith('{')) return [text];
  const inner = [...text.slice(1, -1).matchAll(/"((?:[^"\\]|\\.)*)"|([^,]+)/g)].map((m) => m[1] ?? m[2] ?? '');
  return [...new Set(inner)].sort();
};

test('every kind of event is valid FHIR, and its columns hold what its elements do', async () => {
  const rows = [
    ...(Object.keys(KINDS) as Kind[]).flatMap((kind) => [row(kind), full(kind)]),
    row('read', { actor: 'generate-slots', outcome: 8 }),
    row('read', { client: 'only', outcome: 4, entities: ['Slot/1'] }),
    row('search-type', { person: 'Patient/p9', account: 'x', patients: ['Patient/p9'], roles: ['patient'] }),
  ];
  await server.kairos.pool.query(insertRows('$1'), [JSON.stringify(rows)]);
  const { engine, kairos } = server;
  const columns = kairos.store.layout.columns('AuditEvent').map((c) => c.name);
  for (const { id, kind } of rows) {
    const reply = await server.request(`/fhir/R4/AuditEvent/${id}`);
    expect(reply.status, kind).toBe(200);
    const event = (await reply.json()) as AuditEvent;
    expect(engine.validator.validate(event), kind).toEqual([]);
    const { rows: found } = await kairos.pool.query<Record<string, string | null>>(
      `select ${columns.map((c) => `"${c}"::text`).join(', ')} from audit_event where id = $1`,
      [id],
    );
    const wanted = extract(engine, 'AuditEvent', event, engine.baseUrl);
    columns.forEach((column, i) => {
      const is = found[0]?.[column] ?? null;
      if (column === 'date') expect(new Date(is ?? '').toISOString()).toBe(event.recorded);
      else {
        const want = forms(wanted[i] ?? null);
        // What only has identifiers has no forms.
        expect(is === '{}' ? null : forms(is), `${kind} ${column}`).toEqual(want?.length === 0 ? null : want);
      }
    });
  }
});

test('a query is kept as it was sent, and stands in no row of the database', async () => {
  const made = full('search-type');
  await server.kairos.pool.query(insertRows('$1'), [JSON.stringify([made])]);
  const event = (await (await server.request(`/fhir/R4/AuditEvent/${made.id}`)).json()) as AuditEvent;
  const query = event.entity?.find((e) => e.query !== undefined)?.query ?? '';
  expect(Buffer.from(query, 'base64').toString()).toBe('patient=Patient/p1&date=ge2026');
  const { rows } = await server.kairos.pool.query<{ row: string }>('select a::text as row from audit_log a');
  expect(rows.filter((r) => r.row.includes('ge2026'))).toEqual([]);
});

test("the columns of a view are nobody's to refresh, or to call wrong", async () => {
  const { store, pool } = server.kairos;
  expect(await drift(store, pool, 'AuditEvent')).toEqual({ sampled: 0, drifted: [] });
  for await (const step of reindex(store, pool, 'AuditEvent')) expect(step).toBeUndefined();
});
