/** An engine with search on a database of its own, without HTTP: what the tests of this folder ask. */
import { readdir } from 'node:fs/promises';
import { Client } from 'pg';
import type { Bundle, OperationOutcome, Resource } from '@medplum/fhirtypes';
import type { Access } from '../../src/fhir/access.ts';
import { grantAll } from '../../src/fhir/access.ts';
import type { RequestContext } from '../../src/fhir/context.ts';
import { loadDefinitions } from '../../src/fhir/definitions/registry.ts';
import type { Engine, EngineLimits } from '../../src/fhir/engine.ts';
import { parseQuery } from '../../src/fhir/http/url.ts';
import { FhirError } from '../../src/fhir/outcome.ts';
import { declareResources, type ResourceModule } from '../../src/operation-context.ts';
import { defineResource, type ResourceDeclaration } from '../../src/fhir/resource.ts';
import { createBlind, type Blind } from '../../src/fhir/search/blind/blind.ts';
import { search } from '../../src/fhir/search/search.ts';
import type { SearchTarget } from '../../src/fhir/search/contract.ts';
import { tableOf, type Layout } from '../../src/fhir/store/layout.ts';
import { indexesOf } from '../../src/fhir/store/table-index.ts';
import { createKeptReplies } from '../../src/fhir/store/kept-reply.ts';
import { createRepository } from '../../src/fhir/store/postgres-repository.ts';
import { prepareWrite } from '../../src/fhir/store/prepare.ts';
import { searchLayout } from '../../src/fhir/store/search-layout.ts';
import { loadTerminology } from '../../src/fhir/terminology/terminology.ts';
import { openClient, openPool } from '../../src/platform/database/pool.ts';
import { createKeys } from '../../src/platform/keys.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

export const BASE = 'http://localhost:8080/fhir/R4';
/** 2026-11-23T12:00:00Z */
export const NOW = Date.UTC(2026, 10, 23, 12);

export const LIMITS: EngineLimits = {
  resourceBytes: 1_048_576,
  bundleBytes: 16_777_216,
  bundleEntries: 1000,
  replyBytes: 33_554_432,
  jsonDepth: 64,
  resourceValues: 50_000,
  pageSize: 20,
  maxPageSize: 1000,
  searchValues: 500,
  includes: 1000,
  candidates: 2_000,
};

export const everything: Access = grantAll({ kind: 'system', name: 'test' });

export interface Found {
  readonly bundle: Bundle;
  /** `Type/id` of the matches, in order. */
  readonly matches: string[];
  readonly included: string[];
  readonly outcome: OperationOutcome | undefined;
  readonly next: string | undefined;
  readonly self: string;
}

export interface AskOptions {
  readonly strict?: boolean;
  readonly access?: Access;
}

export interface SearchServer {
  readonly engine: Engine;
  readonly database: TestDatabase;
  /** Stores resources with their own ids. */
  put(...resources: Resource[]): Promise<void>;
  remove(type: string, id: string): Promise<void>;
  /** `Patient?name=a`, `Patient/1/Appointment?…`, `?_type=…`, or a link of a Bundle. */
  ask(url: string, options?: AskOptions): Promise<Found>;
  /** Ids of the matches, in order. */
  ids(url: string, options?: AskOptions): Promise<string[]>;
  /** The refusal. */
  refusal(url: string, options?: AskOptions): Promise<FhirError>;
  context(access?: Access): RequestContext;
  close(): Promise<void>;
}

async function declarations(): Promise<Map<string, ResourceDeclaration>> {
  const folder = new URL('../../src/resources/', import.meta.url);
  const all = new Map<string, ResourceDeclaration>();
  for (const name of (await readdir(folder)).sort()) {
    const { default: declaration } = (await import(new URL(name, folder).href)) as { default: ResourceModule };
    // What changes do elsewhere is nothing to a search.
    for (const { project: _, foresee: ___, advise: __, lock: ____, ...declared } of declareResources([declaration]))
      all.set(declared.type, declared);
  }
  return all;
}

function targetOf(path: string): SearchTarget {
  const [first = '', id, type] = path.split('/');
  if (id !== undefined)
    return { compartment: { code: first, id }, ...(type === undefined || type === '*' ? {} : { type }) };
  return first === '' ? {} : { type: first };
}

const nameOf = (resource: Resource | undefined): string => `${resource?.resourceType}/${resource?.id}`;

function foundIn(bundle: Bundle): Found {
  const entries = bundle.entry ?? [];
  const named = (mode: string): string[] =>
    entries.filter((e) => e.search?.mode === mode).map((e) => nameOf(e.resource));
  const url = (relation: string): string | undefined => bundle.link?.find((l) => l.relation === relation)?.url;
  return {
    bundle,
    matches: named('match'),
    included: named('include'),
    outcome: entries.find((e) => e.search?.mode === 'outcome')?.resource as OperationOutcome | undefined,
    next: url('next'),
    self: url('self') ?? '',
  };
}

export interface SearchOptions {
  /** Other tags than the server's own. */
  readonly tagsOf?: (blind: Blind) => Blind;
  /** Types of which no parameter is plain, whatever their declarations say. */
  readonly hidden?: readonly string[];
}

/** Makes the search columns of empty tables anew, as the layout has them. */
async function alterTables(database: TestDatabase, types: readonly string[], layout: Layout): Promise<void> {
  const client = new Client(database.owner);
  await client.connect();
  try {
    for (const type of types) {
      const table = tableOf(type);
      const { rows } = await client.query<{ name: string }>(
        `select indexrelid::regclass::text as name from pg_index where indrelid = $1::regclass and not indisunique`,
        [`"${table}"`],
      );
      for (const { name } of rows) await client.query(`drop index ${name}`);
      for (const { name, sqlType } of layout.columns(type))
        await client.query(`alter table "${table}" alter column "${name}" type ${sqlType} using null`);
      for (const { statement } of indexesOf(defineResource({ type, sealed: false }), layout.columns(type)))
        await client.query(statement);
    }
  } finally {
    await client.end();
  }
}

export async function openSearch(
  limits: Partial<EngineLimits> = {},
  { tagsOf = (blind) => blind, hidden = [] }: SearchOptions = {},
): Promise<SearchServer> {
  const database = await createTestDatabase();
  const definitions = loadDefinitions();
  const resources = await declarations();
  for (const type of hidden)
    resources.set(type, {
      ...defineResource({ type, sealed: { plain: [] } }),
      defaultSort: resources.get(type)?.defaultSort ?? [],
    });
  const pool = openPool(database.app, { max: 4, name: 'test', statementTimeoutMs: 30_000 });
  const keys = createKeys(new Uint8Array(32).fill(7));
  const blind = tagsOf(createBlind(resources.values(), () => keys));
  const layout = searchLayout({ definitions, blind }, BASE);
  if (hidden.length > 0) await alterTables(database, hidden, layout);
  const repository = createRepository({
    pool,
    openClient: () => openClient(database.app, 'test lane', 30_000),
    resources,
    layout,
  });
  const engine: Engine = {
    definitions,
    resources,
    operations: [],
    blind,
    repository,
    validator: { validate: () => [] },
    terminology: loadTerminology(),
    limits: { ...LIMITS, ...limits },
    clock: { now: () => NOW },
    baseUrl: BASE,
    validateReferences: false,
    keptReplies: createKeptReplies(keys),
    cursorKey: new Uint8Array(32).fill(7),
  };
  const context = (access: Access = everything): RequestContext => ({
    requestId: 'test',
    access,
    clock: engine.clock,
    emit: () => undefined,
    baseUrl: BASE,
  });
  const versions = new Map<string, number>();
  const live = new Set<string>();
  const server: SearchServer = {
    engine,
    database,
    context,
    async put(...sent) {
      await repository.transaction('read committed', async (tx) => {
        for (const resource of sent) {
          const name = nameOf(resource);
          const version = (versions.get(name) ?? 0) + 1;
          versions.set(name, version);
          const lastUpdated = new Date(resource.meta?.lastUpdated ?? NOW);
          const write = prepareWrite(layout, resource, { id: resource.id ?? '', version, lastUpdated, method: 'PUT' });
          if (live.has(name)) await tx.update([write], new Map(), everything.to('update'));
          else await tx.insert([write], everything.to('create'));
          live.add(name);
        }
      });
    },
    async remove(type, id) {
      const version = (versions.get(`${type}/${id}`) ?? 0) + 1;
      versions.set(`${type}/${id}`, version);
      live.delete(`${type}/${id}`);
      await repository.transaction('read committed', (tx) =>
        tx.delete([{ type, id, version, lastUpdated: new Date(NOW) }], everything.to('delete')),
      );
    },
    async ask(url, { strict = false, access } = {}) {
      const local = url.startsWith(BASE) ? url.slice(BASE.length).replace(/^\//, '') : url;
      const mark = local.indexOf('?');
      const path = mark < 0 ? local : local.slice(0, mark);
      const query = parseQuery(mark < 0 ? '' : local.slice(mark + 1));
      const { body } = await search(engine, context(access), targetOf(path), query, { strict });
      return foundIn(JSON.parse(body) as Bundle);
    },
    ids: async (url, options) => (await server.ask(url, options)).matches.map((m) => m.slice(m.indexOf('/') + 1)),
    async refusal(url, options) {
      try {
        await server.ask(url, options);
      } catch (error) {
        if (error instanceof FhirError) return error;
        throw error;
      }
      throw new Error(`${url} was not refused`);
    },
    async close() {
      await repository.close();
      await pool.end();
      await database.drop();
    },
  };
  return server;
}
