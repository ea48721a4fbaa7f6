/**
 * Matches sorted by a parameter whose column holds tags: all of them are decoded, sorted and cut into pages here. Bounded by `limits.candidates`.
 * @see https://hl7.org/fhir/R4/search.html#sort
 */
import { createCipheriv, createDecipheriv, hash, randomBytes } from 'node:crypto';
import { raw, sql } from '../../platform/database/sql.ts';
import { eachMatch, plainRow, textOfRow, type Matches, type Row, type Run, type Sought } from './matches.ts';
import type { Moment, Position } from './page.ts';
import { selectFrom } from './sql.ts';
import { changedSince, compareRows } from './steady.ts';

/** An order that statements cannot make. */
export const isDecodedOrder = (sought: readonly Sought[]): boolean =>
  sought.some(({ keys }) => keys.some((key) => key.hidden));

/** What the database is now; rows that change from here on keep their place. */
async function now(run: Run): Promise<Moment> {
  const [row] = await run.reader.query(sql`select ${raw('pg_current_snapshot()::text')}`);
  return { snapshot: String(row?.[0]), atMs: run.engine.clock.now() };
}

/** A match with its place. Large ones are not kept, but read again when they are shown. */
interface Placed extends Position {
  readonly version: number;
  readonly size: number;
  readonly content: string | undefined;
}

/** All matches of one type, each with its sort values. @param keeps whether so many characters more may be kept */
async function placedMatches(
  run: Run,
  { plan, keys }: Sought,
  began: Moment,
  keeps: (size: number) => boolean,
): Promise<readonly Placed[]> {
  const { type } = plan.scope;
  const changing = run.engine.resources.get(type)?.storage !== 'relation';
  const found: Placed[] = [];
  const placeOf = (resource: unknown): (string | null)[] => keys.map((key) => key.valueIn(resource));
  await eachMatch(run, plan, ({ id, version, content }, resource) => {
    const size = content.length;
    found.push({ type, id, version, size, content: keeps(size) ? content : undefined, keys: placeOf(resource) });
  });
  const changed = (changing ? await changedSince(run, { plan, keys }, began) : undefined) ?? [];
  const before = new Map(changed.map(({ row, was }) => [row.id, was]));
  return found.map((row) => (before.has(row.id) ? { ...row, keys: placeOf(before.get(row.id)) } : row));
}

/** The rows as they are shown; those that were deleted meanwhile are left out. */
async function withContent(run: Run, sought: readonly Sought[], placed: readonly Placed[]): Promise<readonly Placed[]> {
  const texts = new Map<string, Pick<Placed, 'content' | 'version'>>();
  for (const { plan } of sought) {
    const { scope } = plan;
    const ids = placed.filter((p) => p.type === scope.type && p.content === undefined).map((p) => p.id);
    if (ids.length === 0) continue;
    const conditions = [...plan.where, sql`${raw(scope.alias)}.id = any(${ids}::text[])`];
    for (const row of await run.reader.query(selectFrom(scope, raw('r.id, r.version, r.content'), conditions))) {
      const [id, version] = [String(row[0]), Number(row[1])];
      const content = textOfRow(run, scope.type, id, version, row[2]);
      texts.set(`${scope.type}/${id}`, { version, content });
    }
  }
  return placed.flatMap((p) => {
    const read = p.content === undefined ? texts.get(`${p.type}/${p.id}`) : p;
    return read ? [{ ...p, ...read }] : [];
  });
}

/**
 * The first `limit` matches after the position, fewer when they are larger than a reply; each row tells the number of all matches.
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
  const { replyBytes } = run.engine.limits;
  let kept = 0;
  const keeps = (size: number): boolean => (kept += size) <= replyBytes;
  const all: Placed[] = [];
  for (const one of sought) all.push(...(await placedMatches(run, one, moment, keeps)));
  const rest = after ? all.filter((row) => compareRows(keys, row, after) > 0) : [...all];
  rest.sort((a, b) => compareRows(keys, a, b));
  const page: Placed[] = [];
  let size = 0;
  for (const row of rest) {
    if (page.length >= limit || size > replyBytes) break;
    page.push(row);
    size += row.size;
  }
  const counted = String(all.length);
  const rows = (await withContent(run, sought, page)).map(({ type, id, version, content = '', keys: place }): Row => ({
    ...plainRow(type, id, version, content),
    keys: place,
    snapshot: moment.snapshot,
    counted,
  }));
  return { rows, cut: page.length < Math.min(limit, rest.length) };
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
