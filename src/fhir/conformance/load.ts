/**
 * Puts the conformance resources of the build into their tables: once for each build, in one transaction, by difference.
 * @see https://hl7.org/fhir/R4/conformance-module.html
 */
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { Resource } from '@medplum/fhirtypes';
import { id, raw, sql } from '../../platform/database/sql.ts';
import type { Engine } from '../engine.ts';
import { extract } from '../search/columns.ts';
import type { PreparedWrite, Transaction } from '../store/repository.ts';
import { tableOf } from '../store/layout.ts';

const NAME = 'conformance';
const BATCH = 100;

export interface LoadResult {
  readonly created: number;
  readonly updated: number;
  readonly deleted: number;
}

const NOTHING: LoadResult = { created: 0, updated: 0, deleted: 0 };

interface Stored {
  readonly version: number;
  readonly content: string;
}

const storedHash = async (reader: Pick<Transaction, 'query'>): Promise<unknown> =>
  (await reader.query(sql`select "value" from "installation" where "name" = ${NAME}`))[0]?.[0];

/** Current rows of a type, by id. */
async function current(tx: Transaction, type: string): Promise<Map<string, Stored>> {
  const rows = await tx.query(sql`select "id", "version", "content" from ${id(tableOf(type))}`);
  return new Map(rows.map(([key, version, content]) => [String(key), { version: Number(version), content: String(content) }]));
}

/** The content without what loading adds to it, to compare with the build's line. */
function withoutVersion(content: string): string {
  const { meta, resourceType, id: key, ...rest } = JSON.parse(content) as Resource;
  const { lastUpdated: _l, versionId: _v, ...kept } = meta ?? {};
  return JSON.stringify({ resourceType, id: key, ...(Object.keys(kept).length > 0 ? { meta: kept } : {}), ...rest });
}

function prepare(engine: Engine, line: string, version: number, now: Date): PreparedWrite {
  const { resourceType, id: key = '', meta, ...rest } = JSON.parse(line) as Resource;
  const resource = {
    resourceType,
    id: key,
    meta: { ...meta, versionId: String(version), lastUpdated: now.toISOString() },
    ...rest,
  } as Resource;
  return {
    type: resourceType,
    id: key,
    version,
    lastUpdated: now,
    content: JSON.stringify(resource),
    columns: extract(engine.definitions, resourceType, resource, engine.baseUrl),
    method: version === 1 ? 'POST' : 'PUT',
    resource,
  };
}

async function synchronise(tx: Transaction, engine: Engine, ndjson: URL): Promise<LoadResult> {
  const types = [...engine.resources.values()].filter((r) => r.storage === 'definitions').map((r) => r.type);
  const stored = new Map(await Promise.all(types.map(async (type) => [type, await current(tx, type)] as const)));
  const now = new Date(engine.clock.now());
  let created = 0;
  let updated = 0;
  let inserts: PreparedWrite[] = [];
  const updates: PreparedWrite[] = [];
  const before = new Map<string, Resource>();
  const flush = async (): Promise<void> => {
    created += inserts.length;
    if (inserts.length > 0) await tx.insert(inserts);
    inserts = [];
  };
  for await (const line of createInterface({ input: createReadStream(ndjson), crlfDelay: Infinity })) {
    const [, type = '', key = ''] = /^\{"resourceType":"(\w+)","id":"([^"]+)"/.exec(line) ?? [];
    const known = stored.get(type)?.get(key);
    stored.get(type)?.delete(key);
    if (!known) inserts.push(prepare(engine, line, 1, now));
    else if (withoutVersion(known.content) !== line) {
      updates.push(prepare(engine, line, known.version + 1, now));
      before.set(`${type}/${key}`, JSON.parse(known.content) as Resource);
    }
    if (inserts.length >= BATCH) await flush();
  }
  await flush();
  if (updates.length > 0) await tx.update(updates, before);
  updated += updates.length;
  const gone = [...stored].flatMap(([type, rows]) => [...rows].map(([key, row]) => ({ type, id: key, version: row.version + 1, lastUpdated: now })));
  if (gone.length > 0) await tx.delete(gone);
  return { created, updated, deleted: gone.length };
}

/**
 * Makes the tables of conformance resources equal to the build. Costs one small read when they already are.
 * Processes that start together wait for one another.
 */
export async function loadConformance(
  engine: Engine,
  folder: URL = new URL('../../../.build/', import.meta.url),
): Promise<LoadResult> {
  const hash = await readFile(new URL('conformance.sha256', folder), 'utf8');
  if ((await storedHash(engine.repository)) === hash) return NOTHING;
  return engine.repository.transaction('read committed', async (tx) => {
    await tx.execute(raw(`select pg_advisory_xact_lock(hashtext('conformance'))`));
    if ((await storedHash(tx)) === hash) return NOTHING;
    const result = await synchronise(tx, engine, new URL('conformance.ndjson', folder));
    await tx.execute(sql`insert into "installation" ("name", "value") values (${NAME}, ${hash})
      on conflict ("name") do update set "value" = excluded."value"`);
    return result;
  });
}
