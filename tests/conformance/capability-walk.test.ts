/**
 * Walks the CapabilityStatement: every search parameter of every type, with each modifier and comparator that its served
 * SearchParameter lists, every include, every operation.
 * @see https://hl7.org/fhir/R4/capabilitystatement.html
 */
import type {
  Bundle,
  CapabilityStatement,
  CapabilityStatementRestResource,
  CapabilityStatementRestResourceSearchParam,
  OperationOutcome,
  Resource,
  SearchParameter,
} from '@medplum/fhirtypes';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let capability: CapabilityStatement;
let types: CapabilityStatementRestResource[];
const definitions = new Map<string, SearchParameter>();

async function get<T extends Resource>(path: string): Promise<{ status: number; body: T }> {
  const response = await server.request(path, { headers: { Prefer: 'handling=strict' } });
  return { status: response.status, body: (await response.json()) as T };
}

beforeAll(async () => {
  server = await createTestServer();
  capability = (await get<CapabilityStatement>('/fhir/R4/metadata')).body;
  types = capability.rest?.[0]?.resource ?? [];
  let next: string | undefined = '/fhir/R4/SearchParameter?_count=500';
  while (next) {
    const page: Bundle = (await get<Bundle>(next)).body;
    for (const { resource } of page.entry ?? []) {
      if (resource?.resourceType === 'SearchParameter' && resource.url) definitions.set(resource.url, resource);
    }
    const url = page.link?.find((l) => l.relation === 'next')?.url;
    next = url ? url.slice(url.indexOf('/fhir/R4')) : undefined;
  }
});

afterAll(() => server.close());

const VALUE: Readonly<Record<string, string>> = {
  token: 'http://example.org/system|code',
  string: 'kairos',
  date: '2026-11-22',
  number: '1.5',
  quantity: '5.4|http://unitsofmeasure.org|mg',
  uri: 'http://example.org/thing',
  special: '42.36|-71.06|5|km',
};

function definitionOf(param: CapabilityStatementRestResourceSearchParam): SearchParameter {
  const definition = definitions.get(param.definition ?? '');
  if (!definition) throw new Error(`${param.name}: no served SearchParameter has the url ${param.definition}`);
  return definition;
}

function valueOf(param: SearchParameter): string {
  if (param.type === 'composite') {
    return (param.component ?? [])
      .map((c) => {
        const component = definitions.get(c.definition ?? '');
        if (!component) throw new Error(`${param.url}: component ${c.definition} is not served`);
        return valueOf(component).replaceAll('$', '\\$');
      })
      .join('$');
  }
  if (param.type === 'reference') return `${param.target?.[0] ?? 'Patient'}/nobody`;
  const value = VALUE[param.type ?? ''];
  if (!value) throw new Error(`${param.url}: no value for type ${param.type}`);
  return value;
}

/** Each search that the definition promises, as a query. */
function searchesOf(type: string, code: string, definition: SearchParameter): string[] {
  const value = valueOf(definition);
  const query = (name: string, v: string): string => `/fhir/R4/${type}?${name}=${encodeURIComponent(v)}`;
  const withModifier = (modifier: string): string[] => {
    switch (modifier) {
      case 'missing':
        return [query(`${code}:missing`, 'true'), query(`${code}:missing`, 'false')];
      case 'type':
        return (definition.target ?? []).slice(0, 3).map((t) => query(`${code}:${t}`, 'nobody'));
      case 'in':
      case 'not-in':
        return [query(`${code}:${modifier}`, 'http://hl7.org/fhir/ValueSet/administrative-gender')];
      case 'ofType':
        return [query(`${code}:of-type`, 'http://terminology.hl7.org/CodeSystem/v2-0203|MR|446053')];
      case 'identifier':
        return [query(`${code}:identifier`, 'http://example.org/mrn|1')];
      case 'above':
      case 'below':
        return definition.type === 'token'
          ? [query(`${code}:${modifier}`, 'http://terminology.hl7.org/CodeSystem/v3-ActCode|AMB')]
          : [query(`${code}:${modifier}`, value)];
      case 'text':
        return [query(`${code}:text`, 'kairos')];
      default:
        return [query(`${code}:${modifier}`, value)];
    }
  };
  return [
    query(code, value),
    ...(definition.modifier ?? []).flatMap(withModifier),
    ...(definition.comparator ?? []).map((c) => query(code, `${c}${value}`)),
  ];
}

test('every advertised search parameter answers, with each of its modifiers and comparators, under handling=strict', async () => {
  const refused: string[] = [];
  let tried = 0;
  for (const type of types) {
    for (const param of type.searchParam ?? []) {
      if (!type.type || !param.name) throw new Error('a parameter without a name');
      const definition = definitionOf(param);
      expect(definition.type, `${type.type}.${param.name}`).toBe(param.type);
      for (const url of searchesOf(type.type, param.name, definition)) {
        tried++;
        const { status, body } = await get<Bundle | OperationOutcome>(url);
        if (status !== 200) refused.push(`${url} → ${status} ${JSON.stringify(body)}`);
      }
    }
  }
  expect(refused).toEqual([]);
  expect(tried).toBeGreaterThan(3_000);
});

test('a modifier that the SearchParameter does not list is refused with 400', async () => {
  const all = ['exact', 'contains', 'not', 'text', 'in', 'above', 'below', 'identifier', 'of-type', 'nonsense'];
  const accepted: string[] = [];
  for (const type of types) {
    for (const param of type.searchParam ?? []) {
      const listed = new Set<string>(
        (definitionOf(param).modifier ?? []).map((m) => (String(m) === 'ofType' ? 'of-type' : m)),
      );
      for (const modifier of all.filter((m) => !listed.has(m)).slice(0, 2)) {
        const url = `/fhir/R4/${type.type}?${param.name}:${modifier}=${encodeURIComponent(valueOf(definitionOf(param)))}`;
        const { status } = await get(url);
        if (status !== 400) accepted.push(`${url} → ${status}`);
      }
    }
  }
  expect(accepted).toEqual([]);
});

test('every advertised include and revinclude answers under handling=strict', async () => {
  const refused: string[] = [];
  let tried = 0;
  for (const type of types) {
    const includes = (type.searchInclude ?? []).map((i) => `_include=${encodeURIComponent(i)}`);
    const reverse = (type.searchRevInclude ?? []).map((i) => `_revinclude=${encodeURIComponent(i)}`);
    for (const include of [...includes, ...reverse]) {
      tried++;
      const { status, body } = await get(`/fhir/R4/${type.type}?${include}&_count=1`);
      if (status !== 200) refused.push(`${type.type}?${include} → ${status} ${JSON.stringify(body)}`);
    }
  }
  expect(refused).toEqual([]);
  expect(tried).toBeGreaterThan(100);
});

test('every interaction that is advertised is routed, and no other (405)', async () => {
  const wrong: string[] = [];
  for (const type of types) {
    const has = new Set((type.interaction ?? []).map((i) => i.code));
    const probe = async (code: string, method: string, path: string): Promise<void> => {
      const response = await server.request(`/fhir/R4/${type.type}${path}`, {
        method,
        ...(method === 'POST' || method === 'PUT'
          ? { body: '{', headers: { 'Content-Type': 'application/fhir+json' } }
          : {}),
        ...(method === 'PATCH' ? { body: '{', headers: { 'Content-Type': 'application/json-patch+json' } } : {}),
      });
      const routed = response.status !== 405;
      if (routed !== has.has(code as 'read')) wrong.push(`${type.type} ${code}: ${response.status}`);
    };
    await probe('create', 'POST', '');
    await probe('update', 'PUT', '/nobody');
    await probe('patch', 'PATCH', '/nobody');
    await probe('delete', 'DELETE', '/nobody');
    await probe('read', 'GET', '/nobody');
    await probe('search-type', 'GET', '?_count=0');
  }
  expect(wrong).toEqual([]);
});

test('every advertised operation has a served OperationDefinition and is routed', async () => {
  for (const type of types) {
    for (const operation of type.operation ?? []) {
      const found = (
        await get<Bundle>(`/fhir/R4/OperationDefinition?url=${encodeURIComponent(operation.definition ?? '')}`)
      ).body;
      expect(found.entry?.length, `${type.type} $${operation.name}`).toBe(1);
      const response = await server.request(`/fhir/R4/${type.type}/$${operation.name}`, {
        method: 'POST',
        body: JSON.stringify({ resourceType: 'Parameters' }),
        headers: { 'Content-Type': 'application/fhir+json' },
      });
      const text = await response.text();
      expect(response.status, `${type.type}/$${operation.name}: ${text}`).not.toBe(405);
      expect(response.status, `${type.type}/$${operation.name}: ${text}`).toBeLessThan(500);
    }
  }
});
