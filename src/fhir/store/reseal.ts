/**
 * Seals contents anew whose data key is retired: current versions first, then the history, into which a current one may move meanwhile. Rows keep id,
 * version and time; what another request changes at the same moment is left to the history.
 */
import type { Resource } from '@medplum/fhirtypes';
import type pg from 'pg';
import { poolNamed } from '../../platform/database/pool.ts';
import { historyTableOf, tableOf } from './layout.ts';
import type { StoreParts } from './reader.ts';
import { isSealed, keyIn, keySql } from './sealed-content.ts';
import { isRetryable } from './sqlstate.ts';

/** Rows looked at, and rows locked, at a time. */
const PAGE = 500;
const LOCKED = 50;

interface Fresh {
  readonly id: string;
  readonly version: number;
  readonly was: string;
  readonly content: string;
}

/** Tables with sealed content, in the order in which they must be gone through. */
export const sealedTables = ({
  resources,
}: Pick<StoreParts, 'resources'>): (readonly [type: string, table: string])[] =>
  [...resources.values()]
    .filter(isSealed)
    .flatMap(({ type }) => [[type, tableOf(type)] as const, [type, historyTableOf(type)] as const]);

async function replace(pool: pg.Pool, table: string, rows: readonly Fresh[]): Promise<number> {
  try {
    const { rowCount } = await poolNamed(
      pool,
      `update "${table}" r set content = f.content
       from json_to_recordset($1::json) as f(id text, version integer, was text, content text)
       where r.id = f.id and r.version = f.version and ${keySql('r.content')} = f.was`,
      [JSON.stringify(rows)],
    );
    return rowCount;
  } catch (error) {
    if (!isRetryable(error)) throw error;
    return replace(pool, table, rows);
  }
}

/**
 * @param tell after each page: rows sealed anew so far
 * @returns how many rows of the table were sealed anew
 */
export async function reseal(
  { content }: Pick<StoreParts, 'content'>,
  pool: pg.Pool,
  type: string,
  table: string,
  tell: (done: number) => void,
): Promise<number> {
  const page = `select p.id, p.version::text, case when k.id is not null then p.content end
    from (select id, version, content from "${table}" where (id, version) > ($1, $2::integer) order by id, version limit ${PAGE}) p
    left join data_key k on k.id = ${keySql('p.content')} and k.retired_at is not null order by p.id, p.version`;
  let done = 0;
  for (let after: readonly unknown[] = ['', 0]; ;) {
    const { rows } = await poolNamed(pool, page, after);
    const last = rows.at(-1);
    if (!last) return done;
    after = [last[0], last[1]];
    const old = rows.filter(([, , stored]) => stored !== null);
    if (old.length === 0) continue;
    await content.ready(old);
    const writes = old.map(([id, version, stored]) => {
      const text = content.decode(type, id ?? '', Number(version), stored ?? '');
      const resource = JSON.parse(text) as Resource;
      return { type, id: id ?? '', version: Number(version), content: text, resource, was: stored ?? '' };
    });
    await content.prepare(writes);
    const fresh = writes.map((w) => ({
      id: w.id,
      version: w.version,
      was: keyIn(w.was) ?? '',
      content: content.encode(w),
    }));
    for (let from = 0; from < fresh.length; from += LOCKED)
      done += await replace(pool, table, fresh.slice(from, from + LOCKED));
    tell(done);
  }
}

/** @returns whether rows of the table need a key that is retired */
export async function needsRetired(pool: pg.Pool, table: string): Promise<boolean> {
  const { rows } = await poolNamed(
    pool,
    `select exists (select from "${table}" r join data_key k on k.id = ${keySql('r.content')} and k.retired_at is not null)`,
  );
  return rows[0]?.[0] === 't';
}
