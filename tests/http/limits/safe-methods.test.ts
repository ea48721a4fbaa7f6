/** GET and HEAD change nothing but the record of accesses, whatever they ask for and whatever header would have it otherwise. security.md A4.5, A4.9 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openClinic, type Clinic } from '../../scheduling/clinic.ts';

let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
});
afterAll(() => clinic.close());

/** Of every table of ours: the record of accesses, and the lots in which uses of keys are counted, aside. */
async function fingerprint(): Promise<ReadonlyMap<string, string>> {
  const tables = await clinic.sql(
    `select c.relname as t from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and not c.relname like 'audit\\_%' order by 1`,
  );
  const found = new Map<string, string>();
  for (const { t } of tables) {
    const row = t === 'data_key' ? `(to_jsonb(t) - 'uses')` : 'to_jsonb(t)';
    const [hash] = await clinic.sql(
      `select count(*) || ' ' || md5(coalesce(string_agg(${row}::text, ',' order by ${row}::text), '')) as h from "${String(t)}" t`,
    );
    found.set(String(t), String(hash?.['h']));
  }
  return found;
}

test('of every type, by every interaction, operation and override', async () => {
  const { resources } = clinic.server.engine;
  const paths = [
    '',
    '_history',
    'metadata',
    '$meta',
    '?_type=Patient',
    'Appointment/$find?start=2026-12-01&end=2026-12-03',
    'Appointment/$book?appointment-reference=Appointment/x',
    'Appointment/$hold?appointment-reference=Appointment/x',
    'Patient/ann/$everything',
    ...[...resources.keys()].flatMap((type) => [
      type,
      `${type}?_count=2&_total=accurate`,
      `${type}/_history`,
      `${type}/_search`,
      `${type}/none`,
      `${type}/none/_history/1`,
    ]),
    ...['$cancel', '$confirm', '$reschedule', '$check-in', '$no-show', '$release'].map((o) => `Appointment/none/${o}`),
    ...['$block', '$unblock'].map((o) => `Schedule/grey/${o}?start=2026-12-01T09:00:00Z&end=2026-12-01T10:00:00Z`),
  ];
  const before = await fingerprint();
  expect(before.size).toBeGreaterThan(40);
  const seen = new Set<number>();
  for (const send of [clinic.system, clinic.staff, clinic.ann, clinic.nobody]) {
    for (const path of paths) {
      for (const [method, headers] of [
        ['GET', {}],
        ['HEAD', {}],
        ['GET', { 'X-HTTP-Method-Override': 'DELETE', 'X-HTTP-Method': 'DELETE', 'X-Method-Override': 'PUT' }],
        ['GET', { 'If-Match': 'W/"1"', 'If-None-Exist': 'identifier=x', 'Idempotency-Key': 'k' }],
      ] as const) {
        const { status } = await send(method, path, undefined, headers);
        expect([method, path, status < 500]).toEqual([method, path, true]);
        seen.add(status);
      }
    }
  }
  expect(seen.has(200) && seen.has(404) && seen.has(401)).toBe(true);
  expect([...(await fingerprint())]).toEqual([...before]);
});
