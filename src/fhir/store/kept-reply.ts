/**
 * Replies kept under an Idempotency-Key, in the table `idempotency`: written in the transaction of the effect that they tell of, sealed, and found by a
 * keyed tag. The database's clock decides what has expired, so that any number of processes agree.
 * @see https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header-07
 */
import type pg from 'pg';
import { poolNamed } from '../../platform/database/pool.ts';
import { sql } from '../../platform/database/sql.ts';
import type { Keys } from '../../platform/keys.ts';
import type { Reader, Transaction } from './repository.ts';

export interface KeptReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  /** `Type/id` of what the reply shows or changed. */
  readonly resources: readonly string[];
  /** `Access.key` of who got it. */
  readonly accessKey: string;
}

export interface KeptReplies {
  /** The name of a key in the database. @param scope whose key it is */
  nameOf(scope: readonly string[], key: string): string;
  /** The name of a request: it tells nobody what was sent. @param digest of all that counts */
  requestOf(digest: string): string;
  /** The reply under a name, and to which request; undefined when there is none, or it has expired. */
  find(reader: Reader, name: string): Promise<{ readonly request: string; readonly reply: KeptReply } | undefined>;
  /** Holds the name until the end of the transaction; false when another transaction does. */
  claim(tx: Transaction, name: string): Promise<boolean>;
  /** Keeps a reply in place of one that has expired; false when there is one that has not. */
  keep(tx: Transaction, name: string, request: string, reply: KeptReply): Promise<boolean>;
}

/** How long a reply is kept. */
export const KEPT_HOURS = 24;

const HEAD = 'idempotency.head';
const BODY = 'idempotency.body';

type Head = Omit<KeptReply, 'status' | 'body'>;

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

export function createKeptReplies(keys: Pick<Keys, 'seal' | 'open' | 'tag'>): KeptReplies {
  return {
    nameOf: (scope, key) => keys.tag('idempotency.key', JSON.stringify([...scope, key])),
    requestOf: (digest) => keys.tag('idempotency.request', digest),

    async find(reader, name) {
      const [row] = await reader.query(
        sql`select request, status, head_sealed, body_sealed from idempotency where name = ${name} and expires_at > now()`,
      );
      if (!row) return undefined;
      const [request, status, head, body] = row.map(text);
      const reply = {
        ...(JSON.parse(keys.open(HEAD, name, head ?? '')) as Head),
        status: Number(status),
        body: body === undefined ? undefined : keys.open(BODY, name, body),
      };
      return { request: request ?? '', reply };
    },

    async claim(tx, name) {
      const lock = Buffer.from(name, 'base64url').readBigInt64BE().toString();
      return (await tx.execute(sql`select pg_try_advisory_xact_lock(${lock}::bigint)`))[0]?.[0] === 't';
    },

    async keep(tx, name, request, { status, body, ...head }) {
      const [headSealed, bodySealed] = [
        keys.seal(HEAD, name, JSON.stringify(head)),
        body === undefined ? null : keys.seal(BODY, name, body),
      ];
      // In a serializable transaction a row that came after its snapshot is no match but a failure, and all runs again.
      const rows = await tx.execute(
        sql`insert into idempotency as kept (name, request, status, head_sealed, body_sealed, expires_at)
            values (${name}, ${request}, ${status}, ${headSealed}, ${bodySealed}, now() + make_interval(hours => ${KEPT_HOURS}))
            on conflict (name) do update set (request, status, head_sealed, body_sealed, created_at, expires_at)
              = (excluded.request, excluded.status, excluded.head_sealed, excluded.body_sealed, excluded.created_at, excluded.expires_at)
            where kept.expires_at <= now() returning 1`,
      );
      return rows.length > 0;
    },
  };
}

const BATCH = 500;

/** Deletes what has expired, some rows at a time. @returns how many went */
export async function sweepKeptReplies(pool: pg.Pool, signal: AbortSignal): Promise<number> {
  let total = 0;
  for (let count = BATCH; count >= BATCH && !signal.aborted; total += count) {
    const { rowCount } = await poolNamed(
      pool,
      `delete from idempotency where ctid = any(array(select ctid from idempotency where expires_at <= now() limit ${BATCH} for update skip locked))`,
    );
    count = rowCount;
  }
  return total;
}
