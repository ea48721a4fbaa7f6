/**
 * Matches sorted by a parameter whose column holds tags: all of them are decoded, sorted and cut into pages here. Bounded by `limits.candidates`.
 * @see https://hl7.org/fhir/R4/search.html#sort
 */
import { createCipheriv, createDecipheriv, hash, randomBytes } from 'node:crypto';
import { raw, sql } from '../../platform/database/sql.ts';
import { badRequest } from '../outcome.ts';
import { eachMatch, type Matches, type Row, type Run, type Sought } from './matches.ts';
import type { Moment, Position } from './page.ts';
import { changedSince, compareRows } from './steady.ts';

/** An order that statements cannot make. */
export const isDecodedOrder = (sought: readonly Sought[]): boolean =>
  sought.some(({ keys }) => keys.some((key) => key.hidden));

/** What the database is now; rows that change from here on keep their place. */
async function now(run: Run): Promise<Moment> {
  const [row] = await run.reader.query(sql`select ${raw('pg_current_snapshot()::text')}`);
  return { snapshot: String(row?.[0]), atMs: run.engine.clock.now() };
}

interface Placed extends Row {
  readonly keys: readonly (string | null)[];
}

/** All matches of one type, each with its sort values. @param spend takes from what may be kept in memory */
async function placedMatches(
  run: Run,
  one: Sought,
  began: Moment,
  spend: (size: number) => void,
): Promise<readonly Placed[]> {
  const found: { row: Row; resource: unknown }[] = [];
  await eachMatch(run, one.plan, (row, resource) => {
    spend(row.content.length);
    found.push({ row, resource });
  });
  const changing = run.engine.resources.get(one.plan.scope.type)?.storage !== 'relation';
  const changed = (changing ? await changedSince(run, one, began) : undefined) ?? [];
  const before = new Map(changed.map(({ row, was }) => [row.id, was]));
  return found.map(({ row, resource }) => {
    const place = before.get(row.id) ?? resource;
    return { ...row, keys: one.keys.map((key) => key.valueIn(place)), snapshot: began.snapshot };
  });
}

/**
 * The first `limit` matches after the position; each row tells the number of all matches.
 * @param began when the first page was read
 * @throws FhirError 400 when there are more matches than may be decoded
 */
export async function decodedMatches(
  run: Run,
  sought: readonly Sought[],
  after: Position | undefined,
  began: Moment | undefined,
  limit: number,
): Promise<Matches> {
  const keys = sought[0]?.keys ?? [];
  const moment = began ?? (await now(run));
  let left = 2 * run.engine.limits.replyBytes;
  const spend = (size: number): void => {
    left -= size;
    if (left < 0)
      throw badRequest('too-costly', 'The matches are too large to be sorted so: narrow the search.', '_sort');
  };
  const all: Placed[] = [];
  for (const one of sought) all.push(...(await placedMatches(run, one, moment, spend)));
  const counted = String(all.length);
  const rest = after ? all.filter((row) => compareRows(keys, row, after) > 0) : all;
  rest.sort((a, b) => compareRows(keys, a, b));
  return { rows: rest.slice(0, limit).map((row) => ({ ...row, counted })), cut: false };
}

const CIPHER = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16;
const keyOf = (cursorKey: Uint8Array): Buffer =>
  hash('sha256', Buffer.concat([Buffer.from('sort values of page links'), cursorKey]), 'buffer');

/** Sort values as a page link may carry them: they are what the columns do not show. */
export function hideKeys(cursorKey: Uint8Array, keys: readonly (string | null)[]): string {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv(CIPHER, keyOf(cursorKey), iv);
  const text = cipher.update(JSON.stringify(keys), 'utf8');
  return Buffer.concat([iv, text, cipher.final(), cipher.getAuthTag()]).toString('base64url');
}

/** @param hidden of a link that was found to be ours */
export function showKeys(cursorKey: Uint8Array, hidden: string): readonly (string | null)[] {
  const bytes = Buffer.from(hidden, 'base64url');
  const decipher = createDecipheriv(CIPHER, keyOf(cursorKey), bytes.subarray(0, IV_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
  const text = decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
  return JSON.parse(text) as (string | null)[];
}
