/** The definitions in use, as resources. @see https://hl7.org/fhir/R4/conformance-module.html */
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Bundle, CapabilityStatement, Resource, TerminologyCapabilities } from '@medplum/fhirtypes';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConformance } from '../../src/fhir/conformance/load.ts';
import { createTestServer, type TestServer } from '../support/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await createTestServer();
});
afterAll(() => server.close());

const built = new URL('../../.build/conformance.ndjson', import.meta.url);
type Canonical = Resource & { readonly id: string; readonly url: string };
const lines = async (): Promise<Canonical[]> =>
  (await readFile(built, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Canonical);

async function get<T>(path_: string): Promise<{ status: number; body: T }> {
  const response = await server.request(`/fhir/R4/${path_}`);
  return { status: response.status, body: (await response.json()) as T };
}

test('every definition is valid R4', async () => {
  const refused: string[] = [];
  for (const resource of await lines()) {
    const errors = server.engine.validator.validate(resource).filter((i) => i.severity === 'error');
    for (const e of errors) refused.push(`${resource.resourceType}/${resource.id}: ${e.diagnostics}`);
  }
  expect(refused).toEqual([]);
});

test.each([
  'StructureDefinition',
  'SearchParameter',
  'OperationDefinition',
  'ValueSet',
  'CodeSystem',
  'CompartmentDefinition',
])('%s is read by id and found by url, name and status', async (type) => {
  const definition = (await lines()).find((r) => r.resourceType === type);
  if (!definition) throw new Error(`no ${type} was built`);
  const read = await get<Canonical & { name: string; status: string }>(`${type}/${definition.id}`);
  expect(read.status).toBe(200);
  const { meta: _, ...content } = read.body;
  const { meta: __, ...expected } = definition;
  expect(content).toEqual(expected);
  for (const query of [
    `url=${definition.url}`,
    `url=${definition.url}&status=${read.body.status}&name:exact=${encodeURIComponent(read.body.name)}`,
  ]) {
    const found = await get<Bundle>(`${type}?${query}`);
    expect(found.body.entry?.map((e) => e.resource?.id)).toContain(definition.id);
  }
});

test('clients cannot change definitions', async () => {
  const response = await server.request('/fhir/R4/ValueSet/appointmentstatus', { method: 'DELETE' });
  expect(response.status).toBe(405);
});

test('whatever the CapabilityStatement names is served', async () => {
  const { rest } = (await get<CapabilityStatement>('metadata')).body;
  const urls = new Set((await lines()).map((r) => r.url));
  const named = (rest?.[0]?.resource ?? []).flatMap((r) => [
    r.profile ?? '',
    ...(r.supportedProfile ?? []),
    ...(r.searchParam ?? []).map((p) => p.definition ?? ''),
    ...(r.operation ?? []).map((o) => o.definition),
  ]);
  expect(named.length).toBeGreaterThan(500);
  expect([...new Set(named.filter((u) => u !== '' && !urls.has(u)))]).toEqual([]);
});

test('mode=terminology: a valid TerminologyCapabilities (capabilitystatement terminology)', async () => {
  const { status, body } = await get<TerminologyCapabilities>('metadata?mode=terminology');
  expect(status).toBe(200);
  expect(body.resourceType).toBe('TerminologyCapabilities');
  expect(body.codeSystem?.map((c) => c.uri)).toContain('http://hl7.org/fhir/appointmentstatus');
  expect(server.engine.validator.validate(body).filter((i) => i.severity === 'error')).toEqual([]);
});

describe('loading', () => {
  test('the same build changes nothing', async () => {
    expect(await loadConformance(server.engine)).toEqual({ created: 0, updated: 0, deleted: 0 });
  });

  test('another build: new, changed and removed definitions, each with its version; back again', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'kairos-conformance-'));
    try {
      const all = (await readFile(built, 'utf8')).trim().split('\n');
      const slot = '{"resourceType":"SearchParameter","id":"kairos-slot-end"';
      const changed = all
        .filter((line) => !line.startsWith('{"resourceType":"CompartmentDefinition","id":"device"'))
        .map((line) => (line.startsWith(slot) ? line.replace('"status":"active"', '"status":"retired"') : line));
      const added = JSON.stringify({ resourceType: 'ValueSet', id: 'added', url: 'urn:added', status: 'draft' });
      await writeFile(path.join(folder, 'conformance.ndjson'), `${[...changed, added].join('\n')}\n`);
      await writeFile(path.join(folder, 'conformance.sha256'), 'another');
      const other = pathToFileURL(`${folder}/`);
      expect(await loadConformance(server.engine, other)).toEqual({ created: 1, updated: 1, deleted: 1 });
      expect((await get<Resource>('SearchParameter/kairos-slot-end')).body.meta?.versionId).toBe('2');
      expect((await get('CompartmentDefinition/device')).status).toBe(410);
      expect((await get<Bundle>('ValueSet?url=urn:added')).body.entry).toHaveLength(1);
      await copyFile(built, path.join(folder, 'conformance.ndjson'));
      await writeFile(path.join(folder, 'conformance.sha256'), 'back');
      expect(await loadConformance(server.engine, other)).toEqual({ created: 1, updated: 1, deleted: 1 });
      expect((await get<Resource>('CompartmentDefinition/device')).body.meta?.versionId).toBe('3');
      expect((await get('ValueSet/added')).status).toBe(410);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
