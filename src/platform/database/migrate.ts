/**
 * Brings the schema up to date as the owner role. A start compares names only; MikroORM is loaded when there is work.
 * @see https://mikro-orm.io/docs/migrations
 */
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import type { DatabaseRoles } from '../embedded-postgres.ts';
import { migrationsFolder } from '../paths.ts';
import { migrateQueue, queueSchemaCurrent } from '../queue-schema.ts';
import { StartError } from '../start-error.ts';

const TABLE = 'mikro_orm_migrations';
/** One migration at a time, whatever the number of processes that start together. */
const LOCK = [0x4b41, 2] as const;

/** Names of the migration files, in order. */
async function migrationNames(): Promise<string[]> {
  if (!existsSync(migrationsFolder)) return [];
  return (await readdir(migrationsFolder))
    .filter((n) => n.endsWith('.ts') && !n.endsWith('.d.ts'))
    .map((n) => path.basename(n, '.ts'))
    .sort();
}

async function appliedNames(client: pg.Client): Promise<ReadonlySet<string>> {
  const known = await client.query(`select to_regclass('public.${TABLE}') is not null as there`);
  if ((known.rows[0] as { there: boolean } | undefined)?.there !== true) return new Set();
  const { rows } = await client.query<{ name: string }>(`select name from ${TABLE}`);
  return new Set(rows.map((r) => path.basename(r.name, '.ts')));
}

/** What the application role may do: rows of every table, now and later; never the schema. */
async function grantApp(client: pg.Client, app: string): Promise<void> {
  const role = client.escapeIdentifier(app);
  const { rows } = await client.query<{ same: boolean; granted: boolean }>(
    `select current_user = $1 as same,
            exists (select from pg_default_acl d, aclexplode(d.defaclacl) a join pg_roles r on r.oid = a.grantee
                    where r.rolname = $1 and d.defaclobjtype = 'r') as granted`,
    [app],
  );
  if (rows[0]?.same === true || rows[0]?.granted === true) return;
  await client.query(`
    grant usage on schema public to ${role};
    grant select, insert, update, delete on all tables in schema public to ${role};
    grant usage, select on all sequences in schema public to ${role};
    alter default privileges in schema public grant select, insert, update, delete on tables to ${role};
    alter default privileges in schema public grant usage, select on sequences to ${role};`);
}

/** The name of the role that a connection is made as. */
function roleOf(connection: pg.ClientConfig): string {
  return new pg.Client(connection).user ?? 'postgres';
}

async function connectOwner(owner: pg.ClientConfig): Promise<pg.Client> {
  const client = new pg.Client({ ...owner, application_name: 'kairos migrate', connectionTimeoutMillis: 10_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    throw new StartError(
      `The database does not answer at its URL (${code ?? message}): check DATABASE_URL and that the server runs.`,
    );
  }
  return client;
}

export interface MigrateOptions {
  /** The job queue lives in this database, not in Redis. */
  readonly queue: boolean;
  /** Progress for a person. */
  readonly say?: (sentence: string) => void;
}

interface Work {
  readonly names: readonly string[];
  readonly queue: boolean;
}

/** @throws StartError when the database is newer than this program */
async function pendingWork(client: pg.Client, { queue }: MigrateOptions): Promise<Work> {
  const files = await migrationNames();
  const applied = await appliedNames(client);
  const unknown = [...applied].find((n) => !files.includes(n));
  if (unknown !== undefined) {
    throw new StartError(
      `The database was migrated by a newer version of Kairos (${unknown} is not known here): start that version.`,
    );
  }
  return { names: files.filter((n) => !applied.has(n)), queue: queue && !(await queueSchemaCurrent(client)) };
}

const isNothing = (work: Work): boolean => work.names.length === 0 && !work.queue;

/** Whether `migrate` would have nothing to do. */
export async function isMigrated(roles: DatabaseRoles, options: MigrateOptions): Promise<boolean> {
  const client = await connectOwner(roles.owner);
  try {
    return isNothing(await pendingWork(client, options));
  } finally {
    await client.end();
  }
}

/**
 * Applies the migrations that are missing.
 * @returns how many were applied
 * @throws StartError when the database is newer than this program, or is not PostgreSQL 18
 */
export async function migrate(roles: DatabaseRoles, options: MigrateOptions): Promise<number> {
  const client = await connectOwner(roles.owner);
  try {
    if (isNothing(await pendingWork(client, options))) return 0;
    const { rows } = await client.query<{ v: string }>(`select current_setting('server_version_num') as v`);
    if (Number(rows[0]?.v) < 180_000) throw new StartError('Kairos needs PostgreSQL 18 or later: check DATABASE_URL.');
    await client.query('select pg_advisory_lock($1, $2)', [...LOCK]);
    const work = await pendingWork(client, options);
    const app = roleOf(roles.app);
    if (work.names.length > 0) {
      options.say?.(`Migrating the database: ${work.names.length} migration${work.names.length === 1 ? '' : 's'} …`);
      await grantApp(client, app);
      const { applyMigrations } = await import('./orm.ts');
      await applyMigrations(roles.owner);
    }
    if (work.queue) await migrateQueue(client, app);
    return work.names.length;
  } catch (error) {
    if ((error as { code?: string }).code !== '42501') throw error;
    throw new StartError(
      'The database is not up to date, and this role may not change its tables: run npm run migrate with DATABASE_OWNER_URL.',
    );
  } finally {
    await client.end();
  }
}
