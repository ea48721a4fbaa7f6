/** MikroORM over a connection: for migrations and schema comparison only, never on a request's path. Import dynamically. */
import { Migrator } from '@mikro-orm/migrations';
import { defineConfig, MikroORM, type EntitySchema, type Options } from '@mikro-orm/postgresql';
import type pg from 'pg';
import { migrationsFolder } from '../paths.ts';

/** MikroORM takes the parts of a connection by its own names. */
function connectionOptions(connection: pg.ClientConfig): Partial<Options> {
  if (connection.connectionString !== undefined)
    return { clientUrl: connection.connectionString, dbName: databaseOf(connection.connectionString) };
  return {
    dbName: connection.database ?? 'kairos',
    ...(connection.host === undefined ? {} : { host: connection.host }),
    ...(connection.port === undefined ? {} : { port: connection.port }),
    ...(connection.user === undefined ? {} : { user: connection.user }),
    ...(typeof connection.password === 'string' ? { password: connection.password } : {}),
  };
}

const databaseOf = (url: string): string => decodeURIComponent(new URL(url).pathname.slice(1)) || 'postgres';

/**
 * @param entities the tables that the schema should have; none are needed to apply migrations
 * @param skipTables tables written by hand in migrations, which a comparison must leave alone
 */
export function openOrm(
  connection: pg.ClientConfig,
  entities: readonly EntitySchema[] = [],
  skipTables: readonly (string | RegExp)[] = [],
  migrations: string = migrationsFolder,
): Promise<MikroORM> {
  return MikroORM.init(
    defineConfig({
      ...connectionOptions(connection),
      entities: [...entities],
      discovery: { warnWhenNoEntities: false },
      extensions: [Migrator],
      migrations: { path: migrations, glob: '*.ts', snapshot: false, transactional: true, emit: 'ts' },
      logger: () => undefined,
      schemaGenerator: { skipTables: [...skipTables], ignoreRoutines: true },
    }),
  );
}

/** Runs the migrations of a folder that the database has not seen. */
export async function applyMigrations(owner: pg.ClientConfig, folder: string = migrationsFolder): Promise<void> {
  const orm = await openOrm(owner, [], [], folder);
  try {
    await orm.migrator.up();
  } finally {
    await orm.close();
  }
}
