/**
 * The database's schema, compared with the resource declarations: what a migration would have to say. Loads MikroORM;
 * import where that does not matter.
 * @see https://mikro-orm.io/docs/schema-generator
 */
import type pg from 'pg';
import { openOrm } from '../../platform/database/orm.ts';
import type { ResourceDeclaration } from '../resource.ts';
import { entitiesOf } from './entity.ts';
import { tableOf, type Layout } from './layout.ts';

export interface SchemaSource {
  readonly resources: readonly ResourceDeclaration[];
  readonly layout: Layout;
}

const relations = (source: SchemaSource): ResourceDeclaration[] =>
  source.resources.filter((r) => r.storage === 'relation');

/** Tables of the domains, of kept replies, of keys, of counted requests, and of what is known of jobs have migrations written by hand. */
const HAND_MADE_TABLES = /^(?:(?:audit|auth|mail|scheduling)_|(?:idempotency|occupancy|job_run|data_key|rate_count)$)/;

/** Triggers are written by hand too, on the types' tables as well. */
const HAND_MADE = /^drop (?:trigger|function|view) /;

/** Hand-made relations have migrations of their own; the comparison leaves them alone. */
const skipped = (source: SchemaSource): RegExp[] => [
  HAND_MADE_TABLES,
  ...relations(source).map((r) => new RegExp(`^${tableOf(r.type)}(_|$)`)),
];

/**
 * Statements that bring a database to the declarations; none when it is there already.
 * @param connection as the owner of the tables
 */
export async function schemaDifference(connection: pg.ClientConfig, source: SchemaSource): Promise<string[]> {
  const orm = await openOrm(connection, entitiesOf(source.resources, source.layout), skipped(source));
  try {
    const { up } = await orm.schema.getUpdateSchemaMigrationSQL({ wrap: false, schema: 'public' });
    const generated = up
      .split(';\n')
      .map((s) => s.trim().replace(/;$/, ''))
      .filter((s) => s !== '' && !HAND_MADE.test(s));
    const extensions = await orm.em
      .getConnection()
      .execute<{ name: string }[]>('select extname as name from pg_extension');
    const needed = ['pg_trgm', 'btree_gist'].filter((name) => !extensions.some((e) => e.name === name));
    return [...needed.map((name) => `create extension if not exists ${name}`), ...generated];
  } finally {
    await orm.close();
  }
}

/** The file of a migration, for review. */
export function migrationFile(className: string, statements: readonly string[]): string {
  const escaped = (statement: string): string => statement.replaceAll(/[`$\\]/g, '\\$&');
  return `import { Migration } from '@mikro-orm/migrations';

export class ${className} extends Migration {
  override up(): void {
${statements.map((s) => `    this.addSql(\`${escaped(s)}\`);`).join('\n')}
  }
}
`;
}
