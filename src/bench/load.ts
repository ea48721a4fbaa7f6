/** Fills a migrated database with resources: the server's own columns and content, but by COPY and with the indexes made last. */
import { Client, type ClientConfig } from 'pg';
import type { Resource } from '@medplum/fhirtypes';
import type { ColumnSource } from '../fhir/search/blind/blind.ts';
import { columnsOf, extract } from '../fhir/search/columns.ts';
import { BASE_COLUMNS, tableOf } from '../fhir/store/layout.ts';
import { plainContent, type ContentCodec } from '../fhir/store/content.ts';
import { copyInto, copyRow } from './copy.ts';

const CHUNK_CHARACTERS = 256 * 1024;

/** Columns of a type's table in the order of `rowOf`. */
export const rowColumns = (source: ColumnSource, type: string): string[] => [
  ...BASE_COLUMNS.map(([name]) => name),
  ...columnsOf(source, type).map((c) => c.name),
];

/** A first version as the store writes it: content as served, key order `resourceType`, `id`, `meta`. @param at instant with milliseconds */
export function rowOf(source: ColumnSource, resource: Resource, at: string): (string | null)[] {
  const { resourceType, id = '', ...rest } = resource;
  const content = JSON.stringify({
    resourceType,
    id,
    ...rest,
    meta: { ...resource.meta, versionId: '1', lastUpdated: at },
  });
  const base: Readonly<Record<string, string>> = { id, version: '1', last_updated: at, method: 'PUT', content };
  return [...BASE_COLUMNS.map(([name]) => base[name] ?? null), ...extract(source, resourceType, resource)];
}

function* byType(resources: Iterable<Resource>): Generator<readonly [type: string, resources: Resource[]]> {
  let batch: Resource[] = [];
  for (const resource of resources) {
    if (batch.length > 0 && (batch[0]?.resourceType !== resource.resourceType || batch.length === 50_000)) {
      yield [batch[0]?.resourceType ?? '', batch];
      batch = [];
    }
    batch.push(resource);
  }
  if (batch.length > 0) yield [batch[0]?.resourceType ?? '', batch];
}

/** Where the content stands in a row. */
const CONTENT_AT = BASE_COLUMNS.findIndex(([name]) => name === 'content');

/** @param codec prepared for all of them */
function* chunks(
  source: ColumnSource,
  resources: readonly Resource[],
  at: string,
  codec: ContentCodec,
): Generator<string> {
  let text = '';
  for (const resource of resources) {
    const row = rowOf(source, resource, at);
    const { resourceType: type, id = '' } = resource;
    row[CONTENT_AT] = codec.encode({ type, id, version: 1, resource, content: row[CONTENT_AT] ?? '' });
    text += copyRow(row);
    if (text.length > CHUNK_CHARACTERS) {
      yield text;
      text = '';
    }
  }
  if (text !== '') yield text;
}

interface Index {
  readonly name: string;
  readonly definition: string;
}

/** Drops what the load would have to keep up to date row by row, and says how to make it again. */
async function dropIndexes(client: Client, table: string): Promise<readonly Index[]> {
  const { rows } = await client.query<Index>(
    `select i.indexrelid::regclass::text as name, pg_get_indexdef(i.indexrelid) as definition
       from pg_index i where i.indrelid = $1::regclass and not i.indisunique and not i.indisexclusion`,
    [client.escapeIdentifier(table)],
  );
  for (const { name } of rows) await client.query(`drop index ${name}`);
  return rows;
}

/**
 * @param owner the role that owns the tables
 * @param all type after type
 * @param say one line for each type that is in
 * @param codec as the server has it; unset: contents are plain, which the types of calendars are anyway
 * @returns resources written
 */
export async function loadResources(
  owner: ClientConfig,
  source: ColumnSource,
  all: Iterable<Resource>,
  say: (line: string) => void,
  codec: ContentCodec = plainContent,
): Promise<number> {
  const client = new Client({ ...owner, application_name: 'kairos bench load' });
  await client.connect();
  try {
    await client.query(
      `set synchronous_commit = off; set maintenance_work_mem = '512MB'; set max_parallel_maintenance_workers = 2`,
    );
    const at = new Date().toISOString();
    const dropped = new Map<string, readonly Index[]>();
    const counts = new Map<string, number>();
    for (const [type, resources] of byType(all)) {
      const table = tableOf(type);
      if (!dropped.has(table)) dropped.set(table, await dropIndexes(client, table));
      await codec.prepare(resources.map((resource) => ({ type, id: resource.id ?? '', resource })));
      const rows = chunks(source, resources, at, codec);
      const written = await copyInto(client, table, rowColumns(source, type), rows);
      counts.set(type, (counts.get(type) ?? 0) + written);
    }
    for (const indexes of dropped.values()) for (const { definition } of indexes) await client.query(definition);
    for (const table of dropped.keys()) await client.query(`vacuum (analyze) ${client.escapeIdentifier(table)}`);
    await client.query('checkpoint').catch(() => undefined);
    say([...counts].map(([type, n]) => `${n.toLocaleString('en')} ${type}`).join(', '));
    return [...counts.values()].reduce((a, b) => a + b, 0);
  } finally {
    await client.end();
  }
}
