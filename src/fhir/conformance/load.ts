/**
 * Puts the conformance resources of the build into their tables: once for each build, in one transaction, by difference.
 * @see https://hl7.org/fhir/R4/conformance-module.html
 */
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { Resource } from '@medplum/fhirtypes';
import { id, raw, sql } from '../../platform/database/sql.ts';
import { grantAll } from '../access.ts';
import type { Engine } from '../engine.ts';
import type { PreparedWrite, Transaction } from '../store/repository.ts';
import { historyTableOf, tableOf } from '../store/layout.ts';
import { prepareWrite } from '../store/prepare.ts';
import { searchLayout } from '../store/search-layout.ts';

const NAME = 'conformance';
/** The build acts for the installation. */
const OWN = grantAll({ kind: 'system', name: 'definitions' }).to('update');
const BATCH = 100;

export interface LoadResult {
  readonly created: number;
  readonly updated: number;
  readonly deleted: number;
}

const NOTHING: LoadResult = { created: 0, updated: 0, deleted: 0 };

/** What the tables hold of a definition: its last version, and its content unless it was taken away. */
interface Stored {
  readonly version: number;
  readonly content: string | undefined;
}

const storedHash = async (reader: Pick<Transaction, 'query'>): Promise<unknown> =>
  (await reader.query(sql`select "value" from "installation" where "name" = ${NAME}`))[0]?.[0];

/** Definitions of a type by id, those taken away included. */
async function storedOf(tx: Transaction, type: string): Promise<Map<string, Stored>> {
  const gone = await tx.query(sql`select "id", max("version") from ${id(historyTableOf(type))} group by "id"`);
  const rows = await tx.query(sql`select "id", "version", "content" from ${id(tableOf(type))}`);
  return new Map<string, Stored>([
    ...gone.map(([key, version]) => [String(key), { version: Number(version), content: undefined }] as const),
    ...rows.map(
      ([key, version, content]) => [String(key), { version: Number(version), content: String(content) }] as const,
    ),
  ]);
}

/** The content as the build wrote it, without what loading added. */
function asBuilt(content: string): string {
  const { meta, resourceType, id: key, ...rest } = JSON.parse(content) as Resource;
  const { lastUpdated: _l, versionId: _v, ...kept } = meta ?? {};
  return JSON.stringify({ resourceType, id: key, ...(Object.keys(kept).length > 0 ? { meta: kept } : {}), ...rest });
}

async function synchronise(tx: Transaction, engine: Engine, ndjson: URL): Promise<LoadResult> {
  const types = [...engine.resources.values()].filter((r) => r.storage === 'definitions').map((r) => r.type);
  const stored = new Map<string, Map<string, Stored>>();
  for (const type of types) stored.set(type, await storedOf(tx, type));
  const layout = searchLayout(engine, engine.baseUrl);
  const lastUpdated = new Date(engine.clock.now());
  const prepare = (line: string, key: string, version: number): PreparedWrite =>
    prepareWrite(layout, JSON.parse(line) as Resource, {
      id: key,
      version,
      lastUpdated,
      method: version === 1 ? 'POST' : 'PUT',
    });
  const counts = { created: 0, updated: 0, deleted: 0 };
  let inserts: PreparedWrite[] = [];
  let updates: PreparedWrite[] = [];
  const flush = async (): Promise<void> => {
    if (inserts.length > 0) await tx.insert(inserts, OWN);
    if (updates.length > 0) await tx.update(updates, new Map(), OWN);
    counts.created += inserts.length;
    counts.updated += updates.length;
    inserts = [];
    updates = [];
  };
  for await (const line of createInterface({ input: createReadStream(ndjson), crlfDelay: Infinity })) {
    const [, type = '', key = ''] = /^\{"resourceType":"(\w+)","id":"([^"]+)"/.exec(line) ?? [];
    const known = stored.get(type)?.get(key);
    stored.get(type)?.delete(key);
    if (known?.content === undefined) inserts.push(prepare(line, key, (known?.version ?? 0) + 1));
    else if (asBuilt(known.content) !== line) updates.push(prepare(line, key, known.version + 1));
    if (inserts.length + updates.length >= BATCH) await flush();
  }
  await flush();
  const left = [...stored].flatMap(([type, rows]) =>
    [...rows].flatMap(([key, row]) =>
      row.content === undefined ? [] : [{ type, id: key, version: row.version + 1, lastUpdated }],
    ),
  );
  if (left.length > 0) await tx.delete(left, OWN);
  counts.deleted = left.length;
  return counts;
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
