/**
 * Data keys: each seals the rows of one subject, lies in the table `data_key` wrapped by a root key, and is unwrapped for some minutes where it is used.
 * They are made ahead of the rows that they seal, each for good, so that no rollback takes away a key that was used. The making is not flushed to disk by
 * itself: the commit of the row is, and with it all that came before.
 * @see https://csrc.nist.gov/pubs/sp/800/38/d/final section 8.3
 */
import { randomBytes, type KeyObject } from 'node:crypto';
import { createLanes } from './database/lane.ts';
import type { Reply, Row } from './database/named-query.ts';
import { createKeyCache } from './key-cache.ts';
import type { RootKeys } from './root-keys.ts';

/** Whose rows a key seals. */
export interface Scope {
  readonly kind: string;
  readonly subject: string;
}

export const scopeName = ({ kind, subject }: Scope): string => `${kind} ${subject}`;

/** What a wrapped key is bound to. */
export const boundOf = (id: string, { kind, subject }: Scope): string => `${id}|${kind}|${subject}`;

/** Runs a statement on a connection of its own: what waits for a key may hold one of the pool. */
export type RunForKeys = (text: string, values: readonly unknown[]) => Promise<Reply>;

export interface DataKeys {
  /** Has keys at hand, as far as they exist; undefined: they are. */
  ready(ids: ReadonlySet<string>): Promise<void> | undefined;
  /** @throws Error when there is none, or it cannot be unwrapped */
  get(id: string): KeyObject;
  /** Has keys for writing at hand, and makes those that are missing; undefined: they are. */
  prepare(scopes: readonly Scope[]): Promise<void> | undefined;
  /** The id of the key for writing, prepared before. @throws Error when it was not */
  use(scope: string): string;
  close(): void;
}

const KEY_BYTES = 32;
/** A key seals this often at most: far below the 2^32 after which random nonces may meet. */
export const MOST_USES = 2 ** 28;
export const MOST_DAYS = 90;
/** Uses are counted in lots of so many, each use with this chance: exact enough, and no write for most of them. */
const LOT = 1024;

/** Keys for writing that were chosen before the last rotation are not used longer than this. */
export const STALE_MS = 3000;
const LOOK_MS = 1000;
/** Ids and scopes in one statement. */
const BATCH = 1000;

/** Ten characters: 60 random bits. */
export const newKeyId = (): string => randomBytes(8).toString('base64url').slice(0, 10);

const LIVE = `k.retired_at is null and k.uses < ${MOST_USES} and k.created_at > now() - interval '${MOST_DAYS} days'`;

const LOAD = `select k.id, k.kind, k.subject, k.kek, k.wrapped, ${LIVE} from data_key k where k.id = any($1)`;

/** $1: keys that would be made. Those of subjects that have one are not. */
const FIND_OR_MAKE = `with wanted as (select * from json_to_recordset($1::json) as w(id text, kind text, subject text, kek text, wrapped text)),
  there as (select k.id, k.kind, k.subject, k.kek, k.wrapped from wanted w cross join lateral
    (select * from data_key k where k.kind = w.kind and k.subject = w.subject and ${LIVE} order by k.created_at desc, k.id limit 1) k),
  made as (insert into data_key (id, kind, subject, kek, wrapped)
    select w.id, w.kind, w.subject, w.kek, w.wrapped from wanted w
    where not exists (select from there t where t.kind = w.kind and t.subject = w.subject) on conflict do nothing returning id, kind, subject)
  select id, kind, subject, kek, wrapped, true from there union all select id, kind, subject, null, null, true from made`;

const text = (value: string | null | undefined): string => value ?? '';

export function createDataKeys(run: RunForKeys, roots: RootKeys): DataKeys {
  const cache = createKeyCache();
  const lanes = createLanes<string, undefined>({ cap: BATCH });
  /** Why keys that are there could not be had. */
  const unusable = new Map<string, Error>();
  let [epoch, lookedAt] = ['', -Infinity];
  let looking: Promise<void> | undefined;

  /** Asks whether keys were rotated since: then others are for writing. */
  const look = (): Promise<void> =>
    (looking ??= (async () => {
      const began = performance.now();
      try {
        const { rows } = await run('select last_value, is_called from data_key_epoch', []);
        const now = String(rows[0]);
        if (now !== epoch) cache.forgetActive();
        [epoch, lookedAt] = [now, began];
      } finally {
        looking = undefined;
      }
    })());

  /** @param began the epoch when it was asked: after a rotation, what was for writing before is not */
  const keep = async (rows: readonly Row[], began: string): Promise<void> => {
    const found = rows.map((row) => {
      const [id, kind, subject, kek, wrapped] = row.map(text);
      const scope = { kind: kind ?? '', subject: subject ?? '' };
      return { id: id ?? '', scope, kek: kek ?? '', wrapped: wrapped ?? '', isLive: row[5] === 't' };
    });
    const keys = await roots.unwrap(found.map((f) => ({ ...f, bound: boundOf(f.id, f.scope) })));
    found.forEach(({ id, scope, isLive }, i) => {
      const key = keys[i];
      if (key instanceof Error) {
        if (unusable.size >= BATCH) unusable.clear();
        unusable.set(id, key);
      } else if (key) cache.add(id, key, isLive && began === epoch ? scopeName(scope) : undefined);
    });
  };

  const load = async (ids: readonly string[]): Promise<readonly undefined[]> => {
    const missing = ids.filter((id) => !cache.has(id));
    if (missing.length > 0) {
      const began = epoch;
      const { rows } = await run(LOAD, [missing]);
      cache.turn();
      await keep(rows, began);
    }
    return [];
  };

  /** @param names as `scopeName` gives them */
  const findOrMake = async (names: readonly string[]): Promise<readonly undefined[]> => {
    const missing = [...new Set(names)].filter((name) => cache.activeOf(name, true) === undefined);
    if (missing.length === 0) return [];
    const began = epoch;
    const fresh = missing.map((name) => {
      const space = name.indexOf(' ');
      const scope = { kind: name.slice(0, space), subject: name.slice(space + 1) };
      const id = newKeyId();
      return { id, scope, bound: boundOf(id, scope), key: randomBytes(KEY_BYTES) };
    });
    const wrapped = await roots.wrap(fresh);
    const { rows } = await run(FIND_OR_MAKE, [
      JSON.stringify(fresh.map(({ id, scope }, i) => ({ id, ...scope, ...wrapped[i] }))),
    ]);
    cache.turn();
    const made = new Map(fresh.map((f) => [f.id, f]));
    await keep(
      rows.filter((row) => row[3] !== null),
      began,
    );
    for (const row of rows) {
      const own = row[3] === null ? made.get(text(row[0])) : undefined;
      if (own) cache.add(own.id, own.key, began === epoch ? scopeName(own.scope) : undefined);
    }
    return [];
  };

  const prepare = (scopes: readonly Scope[]): Promise<void> | undefined => {
    const age = performance.now() - lookedAt;
    if (age > STALE_MS) return look().then(() => prepare(scopes));
    if (age > LOOK_MS) void look().catch(() => undefined);
    const missing = scopes.map(scopeName).filter((name) => cache.activeOf(name, true) === undefined);
    if (missing.length === 0) return undefined;
    const ask = lanes('for writing', findOrMake);
    // Rotated meanwhile, or an id that there is already: once more.
    return Promise.all([...new Set(missing)].map(ask)).then(() => {
      const [failed] = unusable.values();
      if (failed && missing.some((name) => cache.activeOf(name, true) === undefined)) throw failed;
      return prepare(scopes);
    });
  };

  return {
    ready(ids) {
      const missing = [...ids].filter((id) => !cache.has(id));
      if (missing.length === 0) return undefined;
      // As many as fill a statement need not wait in a line, one by one.
      if (missing.length > BATCH) return load(missing).then(() => undefined);
      const ask = lanes('for reading', load);
      return Promise.all(missing.map(ask)).then(() => undefined);
    },
    get(id) {
      const key = cache.get(id);
      if (key) return key;
      throw unusable.get(id) ?? new Error(`The data key ${id} is gone`);
    },
    prepare,
    use(scope) {
      const id = cache.activeOf(scope, false);
      if (id === undefined) throw new Error(`No key was prepared for ${scope}`);
      if (Math.random() * LOT < 1)
        void run('update data_key set uses = uses + $2 where id = $1', [id, LOT]).catch(() => undefined);
      return id;
    },
    close: cache.close,
  };
}
