/**
 * `npm run make-migration [-- <name>]`: writes the migration that the resource declarations need, for review. It compares them
 * with a throw-away database that has all migrations, so no data of anybody's is touched.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { loadDefinitions } from '../fhir/definitions/registry.ts';
import { migrationFile, schemaDifference } from '../fhir/store/schema.ts';
import { createBlind } from '../fhir/search/blind/blind.ts';
import { searchLayout } from '../fhir/store/search-layout.ts';
import { migrate } from '../platform/database/migrate.ts';
import { openEmbeddedPostgres } from '../platform/embedded-postgres.ts';
import { declareResources, type ResourceModule } from '../operation-context.ts';
import { loadFolder } from '../platform/folder.ts';
import { migrationsFolder, projectFolder } from '../platform/paths.ts';

const suffix = (process.argv[2] ?? 'schema').replaceAll(/\W+/g, '_');
const folder = await mkdtemp(path.join(os.tmpdir(), 'kairos-migration-'));
const database = await openEmbeddedPostgres(folder, { durable: false });
try {
  await migrate(database, { queue: false });
  const resources = declareResources(await loadFolder<ResourceModule>(path.join(projectFolder, 'src/resources')));
  // The shape of columns needs no keys.
  const blind = createBlind(resources, () => ({ derive: () => new Uint8Array(32) }));
  const statements = await schemaDifference(database.owner, {
    resources,
    layout: searchLayout({ definitions: loadDefinitions(), blind }, ''),
  });
  if (statements.length === 0) {
    console.log('The database matches the declarations: no migration is needed.');
  } else {
    const name = `Migration${new Date().toISOString().replaceAll(/\D/g, '').slice(0, 14)}_${suffix}`;
    const file = path.join(migrationsFolder, `${name}.ts`);
    await writeFile(file, migrationFile(name, statements));
    console.log(
      `${path.relative(projectFolder, file)}: ${statements.length} statements. Review it before you commit it.`,
    );
  }
} finally {
  await database.close();
  await rm(folder, { recursive: true, force: true });
}
