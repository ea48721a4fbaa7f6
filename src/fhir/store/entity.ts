/**
 * MikroORM entities of the resource declarations: one for the current versions of a type, one for its history, and two small ones of the installation.
 * They exist for the schema and its migrations; rows are written and read by prepared statements.
 * @see https://mikro-orm.io/docs/define-entity
 */
import { defineEntity, p, type EntitySchema } from '@mikro-orm/core';
import type { ResourceDeclaration } from '../resource.ts';
import { BASE_COLUMNS, historyTableOf, tableOf, type Layout } from './layout.ts';
import { indexesOf, type TableIndex } from './table-index.ts';

const plainColumn = (name: string, sqlType: string) => {
  const column = p.type(sqlType).columnType(sqlType).fieldName(name).nullable();
  return sqlType === 'text' || sqlType === 'text[]' ? column.collation('C') : column;
};

/** `content` is null in a deletion, in the history alone. */
function versionColumns(contentOptional: boolean) {
  const content = p.text().fieldName('content');
  return {
    id: p.text().fieldName('id').collation('C').primary(),
    version: p.integer().fieldName('version'),
    last_updated: p.datetime(3).fieldName('last_updated'),
    method: p.text().fieldName('method'),
    content: contentOptional ? content.nullable() : content,
  };
}

/** The index as a whole statement: the comparison with the database then goes by name alone, so a changed index needs a changed name. */
function define(
  name: string,
  tableName: string,
  properties: Record<string, unknown>,
  indexes: readonly TableIndex[],
): unknown {
  return defineEntity({
    name,
    tableName,
    properties,
    indexes: indexes.map((i) => ({ name: i.name, expression: i.statement })),
  });
}

function currentEntity(declaration: ResourceDeclaration, layout: Layout): unknown {
  const columns = layout.columns(declaration.type);
  const table = tableOf(declaration.type);
  const taken = columns.find((c) => BASE_COLUMNS.some(([name]) => name === c.name));
  if (taken) throw new Error(`${declaration.type}: the search column ${taken.name} has the name of a base column`);
  const searched = Object.fromEntries(columns.map((c) => [c.name, plainColumn(c.name, c.sqlType)]));
  return define(declaration.type, table, { ...versionColumns(false), ...searched }, indexesOf(declaration, columns));
}

function historyEntity(type: string): unknown {
  const table = historyTableOf(type);
  const properties = { ...versionColumns(true), version: p.integer().fieldName('version').primary() };
  const index = `${table}_last_updated`;
  return define(`${type}History`, table, properties, [
    { name: index, statement: `create index "${index}" on "${table}" ("last_updated", "id")` },
  ]);
}

/** Side effects to run after commit. Only rows that are not done are indexed. */
const outboxEntity = () =>
  define(
    'Outbox',
    'outbox',
    {
      id: p.bigint().primary().autoincrement(),
      topic: p.text(),
      payload: p.json(),
      status: p.text().default('pending').check(`"status" in ('pending', 'sent', 'done', 'dead')`),
      attempts: p.integer().default(0),
      created_at: p.datetime(3).fieldName('created_at').defaultRaw('now()'),
      available_at: p.datetime(3).fieldName('available_at').defaultRaw('now()'),
      xid: p.type('xid8').columnType('xid8').defaultRaw('pg_current_xact_id()'),
      error: p.text().nullable(),
    },
    [
      {
        name: 'outbox_pending',
        statement: `create index "outbox_pending" on "outbox" ("available_at", "id") where "status" = 'pending'`,
      },
      { name: 'outbox_event', statement: `create index "outbox_event" on "outbox" ("xid") where "topic" = 'event'` },
      {
        name: 'outbox_unsettled',
        statement: `create index "outbox_unsettled" on "outbox" ("status", "available_at", "id") where "status" in ('sent', 'dead')`,
      },
    ],
  );

/** Facts about this installation by name, such as the hash of the definitions that were loaded last. */
const installationEntity = () =>
  define('Installation', 'installation', { name: p.text().primary(), value: p.text() }, []);

/** Entities of every table that a generated migration keeps; relations made by hand have none. */
export function entitiesOf(resources: Iterable<ResourceDeclaration>, layout: Layout): EntitySchema[] {
  const ordinary = [...resources].filter((r) => r.storage !== 'relation').sort((a, b) => (a.type < b.type ? -1 : 1));
  return [
    ...ordinary.flatMap((r) => [currentEntity(r, layout), historyEntity(r.type)]),
    outboxEntity(),
    installationEntity(),
  ] as EntitySchema[];
}
