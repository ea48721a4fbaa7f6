/**
 * Pages by keyset: a page continues after the sort values and the id of the last match, which a signed link carries, so that
 * every match is met once however the rows between change.
 * @see https://hl7.org/fhir/R4/http.html#paging
 */
import { timingSafeEqual } from 'node:crypto';
import { and, join, or, raw, sql, type Sql } from '../../platform/database/sql.ts';
import { hmac } from '../../platform/hmac.ts';
import { badRequest } from '../outcome.ts';
import type { SortExpression } from './kind.ts';
import type { Plan } from './plan.ts';
import { selectFrom } from './sql.ts';

/** What rows are ordered by, before the id. */
export interface OrderKey extends SortExpression {
  readonly descending: boolean;
  /** Every resource has a value. */
  readonly required: boolean;
  /** The column holds tags, which have no order: only resources tell the value. */
  readonly hidden: boolean;
  /** The value of a resource, as a statement prints it. */
  valueIn(resource: unknown): string | null;
}

/** The place after which a page begins. */
export interface Position {
  readonly keys: readonly (string | null)[];
  readonly id: string;
  readonly type: string;
}

/** What the database was when the first page was read. */
export interface Moment {
  /** pg_snapshot, as PostgreSQL prints it. */
  readonly snapshot: string;
  readonly atMs: number;
}

/** A page link, opened. */
export interface Cursor extends Position {
  /** Number of matches, where the first page knew it. */
  readonly total: number | undefined;
  /** Undefined where rows keep their place: ordered by id alone. */
  readonly began: Moment | undefined;
}

const order = (key: OrderKey, expression: Sql): Sql =>
  key.descending ? sql`${expression} desc nulls last` : expression;

/** Rows after the position. Missing values come last, whatever the direction. */
export function afterPosition(
  keys: readonly OrderKey[],
  expressions: readonly Sql[],
  idColumn: Sql,
  type: string,
  after: Position,
): Sql {
  // Equal ids of several types come in the order of the types' names.
  const tie = type > after.type ? sql`${idColumn} >= ${after.id}` : sql`${idColumn} > ${after.id}`;
  const from = (index: number): Sql => {
    const key = keys[index];
    const expression = expressions[index];
    if (!key || !expression) return tie;
    const value = after.keys[index] ?? null;
    if (value === null) return and([sql`${expression} is null`, from(index + 1)]);
    const bound = sql`${value}::${raw(key.cast)}`;
    const beyond = sql`${expression} ${raw(key.descending ? '<' : '>')} ${bound}`;
    const equal = and([sql`${expression} = ${bound}`, from(index + 1)]);
    if (!key.required) return or([beyond, sql`${expression} is null`, equal]);
    return and([sql`${expression} ${raw(key.descending ? '<=' : '>=')} ${bound}`, or([beyond, equal])]);
  };
  return from(0);
}

/** What each row of a first page says besides: the snapshot it was read under, the number of all matches. */
export interface Notes {
  readonly snapshot: boolean;
  readonly count: boolean;
}

function noteColumns({ snapshot, count }: Notes): Sql[] {
  const columns: Sql[] = [];
  if (snapshot) columns.push(raw('(select pg_current_snapshot()::text)'));
  if (count) columns.push(raw('count(*) over ()'));
  return columns;
}

const keyName = (index: number): string => `k${index}`;

/**
 * The matches of one type in order: what is asked for, then the sort values. Fenced plans find all matches before they sort.
 * @param what base columns besides the sort values, by their names
 */
export function pageSelect(
  plan: Plan,
  what: readonly string[],
  keys: readonly OrderKey[],
  after: Position | undefined,
  limit: number,
  notes: Notes,
): Sql {
  const { scope } = plan;
  const last = noteColumns(notes);
  const alias = plan.fenced ? 'x' : scope.alias;
  const named = (from: string): Sql => raw(what.map((name) => `${from}.${name}`).join(', '));
  const expressions = plan.fenced ? keys.map((_, i) => raw(`x.${keyName(i)}`)) : keys.map((k) => k.sql);
  const idColumn = raw(`${alias}.id`);
  const place = after ? [afterPosition(keys, expressions, idColumn, scope.type, after)] : [];
  const ordered = join([...keys.map((k, i) => order(k, expressions[i] ?? k.sql)), idColumn], ', ');
  const tail = sql` order by ${ordered} limit ${raw(String(limit))}`;
  if (!plan.fenced) {
    return selectFrom(scope, join([named(scope.alias), ...expressions, ...last], ', '), [...plan.where, ...place], {
      tail,
    });
  }
  const keyed = keys.map((k, i) => sql`${k.sql} as ${raw(keyName(i))}`);
  const all = selectFrom(scope, join([named(scope.alias), ...keyed], ', '), plan.where, { tail: raw(' offset 0') });
  const outer = join([named('x'), ...expressions, ...last], ', ');
  return sql`select ${outer} from (${all}) x where ${and(place)}${tail}`;
}

/** The matches of several types in one order: keys, id, then the type's name, which stands first in each row. */
export function unionSelect(
  pages: readonly { readonly type: string; readonly page: Sql }[],
  what: readonly string[],
  keys: readonly OrderKey[],
  limit: number,
): Sql {
  const parts = pages.map(({ type, page }) => sql`(select ${raw(`'${type}'`)} as t, p.* from (${page}) p)`);
  const positions = keys.map((k, i) => order(k, raw(String(what.length + 2 + i))));
  const ordered = join([...positions, raw('2'), raw('1')], ', ');
  return sql`${join(parts, ' union all ')} order by ${ordered} limit ${raw(String(limit))}`;
}

/**
 * The same rows in the same order; those that come after `bytes` bytes of content have none, so that they are not sent for
 * nothing. Contents that PostgreSQL keeps aside are not even read.
 * @param width number of columns
 * @param contentAt which of them holds the content
 */
export function cappedSelect(page: Sql, width: number, contentAt: number, bytes: number): Sql {
  const names = Array.from({ length: width }, (_, i) => `c${i}`);
  const content = names[contentAt] ?? '';
  const capped = names.map((name) =>
    name === content
      ? `case when sum(octet_length(${content})) over (rows unbounded preceding) - octet_length(${content}) < ${bytes} then ${content} end`
      : name,
  );
  return sql`select ${raw(capped.join(', '))} from (${page}) p(${raw(names.join(', '))})`;
}

/**
 * 24 characters: 18 bytes of the HMAC.
 * @param key 64 bytes at most
 */
export const sign = (key: Uint8Array, binding: string, payload: string): string =>
  hmac(key, `${payload}\n${binding}`, 'base64url').slice(0, 24);

/** @param binding the query that the cursor is good for */
export function sealCursor(key: Uint8Array, binding: string, cursor: Cursor): string {
  const { id, type, total, began } = cursor;
  const payload = JSON.stringify([
    id,
    type,
    total ?? null,
    began?.snapshot ?? null,
    began?.atMs ?? null,
    ...cursor.keys,
  ]);
  return `${Buffer.from(payload).toString('base64url')}.${sign(key, binding, payload)}`;
}

const isText = (value: unknown): value is string | null => value === null || typeof value === 'string';

/** @throws FhirError 400 when the link was changed, or belongs to another search */
export function openCursor(key: Uint8Array, binding: string, text: string, keyCount: number): Cursor {
  const [encoded = '', signature = ''] = text.split('.');
  const payload = Buffer.from(encoded, 'base64url').toString();
  const given = Buffer.from(signature);
  const expected = Buffer.from(sign(key, binding, payload));
  const refused = badRequest(
    'value',
    'The page link does not belong to this search, or was changed: follow links as they are, or search again.',
    '_cursor',
  );
  if (text.length > 20_000 || given.length !== expected.length || !timingSafeEqual(given, expected)) throw refused;
  const [id, type, total, snapshot, atMs, ...keys] = JSON.parse(payload) as unknown[];
  if (typeof id !== 'string' || typeof type !== 'string' || keys.length !== keyCount || !keys.every(isText))
    throw refused;
  return {
    id,
    type,
    total: typeof total === 'number' ? total : undefined,
    began: typeof snapshot === 'string' && typeof atMs === 'number' ? { snapshot, atMs } : undefined,
    keys,
  };
}
