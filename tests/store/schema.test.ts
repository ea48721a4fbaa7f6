/** The schema follows from the declarations: one file and a generated migration add a type (docs/add-a-resource.md). */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Client, type ClientConfig, type QueryResult } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ResourceDeclaration } from '../../src/fhir/resource.ts';
import { createRepository } from '../../src/fhir/store/postgres-repository.ts';
import { tableOf } from '../../src/fhir/store/layout.ts';
import { drift, reindex, type ReindexProgress } from '../../src/fhir/store/reindex.ts';
import { plainContent } from '../../src/fhir/store/content.ts';
import { migrationFile, schemaDifference } from '../../src/fhir/store/schema.ts';
import { declareResources, type ResourceModule } from '../../src/operation-context.ts';
import { applyMigrations } from '../../src/platform/database/orm.ts';
import { openClient } from '../../src/platform/database/pool.ts';
import { loadFolder } from '../../src/platform/folder.ts';
import { projectFolder } from '../../src/platform/paths.ts';
import { access, openStore, slot, write, type TestStore } from './open-store.ts';

let store: TestStore;
let folder: string;
let resources: readonly ResourceDeclaration[];

beforeAll(async () => {
  store = await openStore();
  folder = await mkdtemp(path.join(os.tmpdir(), 'kairos-schema-'));
  resources = declareResources(await loadFolder<ResourceModule>(path.join(projectFolder, 'src/resources')));
});
afterAll(async () => {
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

async function asRole(connection: ClientConfig, statement: string): Promise<QueryResult> {
  const client = new Client(connection);
  await client.connect();
  try {
    return await client.query(statement);
  } finally {
    await client.end();
  }
}

describe('migrations', () => {
  test('the migrated database is what the declarations ask for', async () => {
    expect(await schemaDifference(store.database.owner, { resources, layout: store.layout })).toEqual([]);
  });

  test('each search column has its type: the comparison takes all arrays for one', async () => {
    const { rows } = await asRole(
      store.database.owner,
      `select c.relname || '.' || a.attname as name, format_type(a.atttypid, null) as type from pg_attribute a join pg_class c on c.oid = a.attrelid
         where c.relkind in ('r', 'p', 'v') and a.attnum > 0 and not a.attisdropped`,
    );
    const found = new Map(rows.map((r: { name: string; type: string }) => [r.name, r.type]));
    const names: Readonly<Record<string, string>> = { timestamptz: 'timestamp with time zone', 'int[]': 'integer[]' };
    const differing = resources.flatMap(({ type }) =>
      store.layout.columns(type).flatMap(({ name, sqlType }) => {
        const column = `${tableOf(type)}.${name}`;
        return found.get(column) === (names[sqlType] ?? sqlType)
          ? []
          : [`${column}: ${found.get(column)}, not ${sqlType}`];
      }),
    );
    expect(differing).toEqual([]);
  });

  test('relations made by hand have the columns that search asks for', async () => {
    const { rows } = await asRole(
      store.database.owner,
      `select attname from pg_attribute where attrelid = 'audit_event'::regclass and attnum > 5 and not attisdropped order by attnum`,
    );
    expect(rows).toEqual(store.layout.columns('AuditEvent').map((c) => ({ attname: c.name })));
  });

  test('the application may change rows, never the schema', async () => {
    await expect(asRole(store.database.app, 'create table mine (id text)')).rejects.toThrow('permission denied');
    await expect(asRole(store.database.app, 'drop table slot')).rejects.toThrow('must be owner');
    await expect(asRole(store.database.app, 'truncate slot')).rejects.toThrow('permission denied');
  });

  test('a new type is one file and a generated migration', async () => {
    const declaration = {
      type: 'Flag',
      interactions: ['read', 'create'],
      profiles: [],
      sealed: false,
      indexes: [],
      defaultSort: ['date'],
      storage: 'ordinary',
    };
    const [declared, migrations] = [path.join(folder, 'resources'), path.join(folder, 'migrations')];
    await Promise.all([declared, migrations].map((f) => mkdir(f)));
    await writeFile(path.join(declared, 'Flag.ts'), `export default ${JSON.stringify(declaration)};\n`);
    const added = [...resources, ...(await loadFolder<ResourceDeclaration>(declared))];

    const statements = await schemaDifference(store.database.owner, { resources: added, layout: store.layout });
    expect(statements.filter((s) => s.startsWith('create table')).map((s) => /"(\w+)"/.exec(s)?.[1])).toEqual([
      'flag',
      'flag_history',
    ]);
    expect(statements.filter((s) => !/^create (table|index) "flag/.test(s))).toEqual([]);
    const name = 'Migration29990101000000_flag';
    // Outside the project's folder, the library is found by its address alone.
    const text = migrationFile(name, statements).replace(
      "'@mikro-orm/migrations'",
      `'${import.meta.resolve('@mikro-orm/migrations')}'`,
    );
    await writeFile(path.join(migrations, `${name}.ts`), text);
    await applyMigrations(store.database.owner, migrations);
    expect(await schemaDifference(store.database.owner, { resources: added, layout: store.layout })).toEqual([]);

    const repository = createRepository({
      pool: store.pool,
      openClient: () => openClient(store.database.app, 'test', 20_000),
      resources: new Map(added.map((r) => [r.type, r])),
      layout: store.layout,
    });
    const flag = write({
      resourceType: 'Flag',
      status: 'active',
      code: { text: 'x' },
      subject: { reference: 'Patient/1' },
    });
    await repository.create(flag, access);
    expect((await repository.read('Flag', flag.id, access))?.content).toBe(flag.content);
    await repository.close();
  });
});

describe('reindex', () => {
  test('finds and mends columns that are other than the resource says', async () => {
    const writes = Array.from({ length: 1100 }, (_, i) => write(slot(i % 2 === 0 ? 'free' : 'busy')));
    await store.repository.transaction('read committed', (tx) => tx.insert(writes, access));
    const parts = { resources: store.resources, layout: store.layout, content: plainContent };
    expect((await drift(parts, store.pool, 'Slot', 2000)).drifted).toEqual([]);
    await asRole(
      store.database.owner,
      `update slot set status = 'wrong', service_type = '{"x"}' where status = 'busy'`,
    );
    expect((await drift(parts, store.pool, 'Slot', 2000)).drifted).toHaveLength(550);
    const progress: ReindexProgress[] = [];
    for await (const step of reindex(parts, store.pool, 'Slot')) progress.push(step);
    expect(progress.map((p) => p.seen)).toEqual([500, 1000, 1100]);
    expect(progress.at(-1)?.changed).toBe(550);
    expect(await drift(parts, store.pool, 'Slot', 2000)).toEqual({ sampled: 1100, drifted: [] });
  });
});
