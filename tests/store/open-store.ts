/** A repository on a fresh database, as the application role, with declarations that a test may add to. */
import path from 'node:path';
import type { Resource } from '@medplum/fhirtypes';
import type pg from 'pg';
import { accessPredicate, grantAll, type Rows } from '../../src/fhir/access.ts';
import { loadDefinitions } from '../../src/fhir/definitions/registry.ts';
import { defineResource, type ResourceDeclaration } from '../../src/fhir/resource.ts';
import { createBlind } from '../../src/fhir/search/blind/blind.ts';
import { prepareWrite } from '../../src/fhir/store/prepare.ts';
import { createRepository, type PostgresRepository } from '../../src/fhir/store/postgres-repository.ts';
import type { PreparedWrite, StoredVersion } from '../../src/fhir/store/repository.ts';
import { searchLayout } from '../../src/fhir/store/search-layout.ts';
import type { Layout } from '../../src/fhir/store/layout.ts';
import { declareResources, type ResourceModule } from '../../src/operation-context.ts';
import { loadFolder } from '../../src/platform/folder.ts';
import { projectFolder } from '../../src/platform/paths.ts';
import { openClient, openPool } from '../../src/platform/database/pool.ts';
import { raw } from '../../src/platform/database/sql.ts';
import { newId } from '../../src/platform/id.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

const definitions = loadDefinitions();
// Columns as the migrations made them, whatever a test declares of their types.
const declared = declareResources(await loadFolder<ResourceModule>(path.join(projectFolder, 'src/resources')));
const blind = createBlind(declared, () => ({ derive: () => new Uint8Array(32) }));
/** What the column holds of an identifier. */
export const identifierTag = blind.tagger('Patient', 'identifier');

export const access: Rows = grantAll({ kind: 'system', name: 'test' }).to('read');

/** Sees only rows of one status. */
export const onlyStatus = (status: string): Rows => ({
  act: 'read',
  principal: { kind: 'user', name: 'limited' },
  reach: (type) => (type === 'Slot' ? 'some' : 'none'),
  key: () => `status ${status}`,
  rows: (_type, alias) => accessPredicate(raw(`${alias}.status = '${status}'`)),
  narrow: () => false,
  admits: (_type, resource) => (resource as { status?: string }).status === status,
  veil: () => undefined,
});

export interface TestStore {
  readonly database: TestDatabase;
  readonly pool: pg.Pool;
  readonly repository: PostgresRepository;
  /** As another process on the same database has it. */
  readonly sibling: PostgresRepository;
  readonly layout: Layout;
  readonly resources: ReadonlyMap<string, ResourceDeclaration>;
  close(): Promise<void>;
}

const TYPES = ['Slot', 'Schedule', 'Patient', 'Basic'];

/** @param declarations replace or add to a few ordinary types */
export async function openStore(declarations: readonly ResourceDeclaration[] = []): Promise<TestStore> {
  const database = await createTestDatabase();
  const pool = openPool(database.app, { max: 10, name: 'test', statementTimeoutMs: 20_000 });
  const relation = defineResource({ type: 'AuditEvent', sealed: false, storage: 'relation' });
  const all = [...TYPES.map((type) => defineResource({ type, sealed: false })), relation, ...declarations];
  const resources = new Map(all.map((r) => [r.type, r]));
  const layout = layoutOfTests;
  const open = (): PostgresRepository =>
    createRepository({
      pool,
      openClient: () => openClient(database.app, 'test lane', 20_000),
      resources,
      layout,
    });
  const [repository, sibling] = [open(), open()];
  return {
    database,
    pool,
    repository,
    sibling,
    layout,
    resources,
    async close() {
      await Promise.all([repository.close(), sibling.close()]);
      await pool.end();
      await database.drop();
    },
  };
}

const layoutOfTests = searchLayout({ definitions, blind }, 'http://localhost/fhir/R4');

/** A resource ready to be written; new, unless told otherwise. */
export function write(
  resource: Resource,
  version: Partial<Pick<PreparedWrite, 'id' | 'version' | 'lastUpdated' | 'method'>> = {},
): PreparedWrite {
  return prepareWrite(layoutOfTests, resource, {
    id: newId(),
    version: 1,
    lastUpdated: new Date(),
    method: 'POST',
    ...version,
  });
}

export const slot = (status: 'free' | 'busy' = 'free', comment?: string): Resource => ({
  resourceType: 'Slot',
  schedule: { reference: 'Schedule/s1' },
  status,
  start: '2030-01-01T09:00:00Z',
  end: '2030-01-01T09:30:00Z',
  ...(comment === undefined ? {} : { comment }),
});

export const parsed = (version: StoredVersion | undefined): Record<string, unknown> =>
  JSON.parse(version?.content ?? 'null') as Record<string, unknown>;

/** Replaces the current version, whatever it is. */
export async function replaceWith(
  { repository }: TestStore,
  id: string,
  resource: Resource,
  lastUpdated = new Date(),
): Promise<void> {
  const current = await repository.read(resource.resourceType, id, access);
  const next = write(resource, { id, version: (current?.version ?? 0) + 1, lastUpdated, method: 'PUT' });
  await repository.transaction('read committed', (tx) => tx.update([next], new Map(), access));
}

/** Deletes the current version, whatever it is. */
export async function remove(
  { repository }: TestStore,
  type: string,
  id: string,
  lastUpdated = new Date(),
): Promise<void> {
  const current = await repository.read(type, id, access);
  await repository.transaction('read committed', (tx) =>
    tx.delete([{ type, id, version: (current?.version ?? 0) + 1, lastUpdated }], access),
  );
}
