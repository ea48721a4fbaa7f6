/**
 * The outbox as its relay sees it: rows are claimed by status under a lease, never by a watermark, since a row with a
 * smaller id may be committed later.
 */
import type pg from 'pg';
import { poolNamed } from './database/pool.ts';

export interface OutboxRow {
  readonly id: string;
  readonly topic: string;
  readonly payload: Readonly<Record<string, unknown>>;
  /** This claim included. */
  readonly attempts: number;
}

/** How long rows are kept that are done. */
export const OUTBOX_DAYS = 7;

/** Claims after which a row is given up. */
const ATTEMPTS = 10;

/**
 * Takes up to `count` waiting rows for a minute: a relay that dies leaves them to the next one. `available_at` is rounded to
 * milliseconds, so that of a row just written may lie a little ahead.
 */
export async function claimOutbox(database: pg.Pool, count: number): Promise<OutboxRow[]> {
  const { rows } = await poolNamed(
    database,
    `update outbox set attempts = attempts + 1, available_at = now() + interval '1 minute'
     where id in (select id from outbox where status = 'pending' and available_at <= now() + interval '1 ms'
                  order by available_at, id limit $1 for update skip locked)
     returning id, topic, payload, attempts`,
    [count],
  );
  return rows
    .map(([id, topic, payload, attempts]) => ({
      id: id ?? '',
      topic: topic ?? '',
      payload: JSON.parse(payload ?? '{}') as OutboxRow['payload'],
      attempts: Number(attempts),
    }))
    .sort((a, b) => Number(a.id) - Number(b.id));
}

export async function finishOutbox(database: pg.Pool, id: string): Promise<void> {
  await poolNamed(database, `update outbox set status = 'done' where id = $1`, [id]);
}

/** Tries again later, each time twice as late; at last the row is dead. */
export async function postponeOutbox(database: pg.Pool, { id, attempts }: OutboxRow): Promise<void> {
  await poolNamed(
    database,
    `update outbox set status = $2, available_at = now() + make_interval(secs => $3) where id = $1`,
    [id, attempts >= ATTEMPTS ? 'dead' : 'pending', 5 * 2 ** attempts],
  );
}

/** @returns how many rows were forgotten */
export async function sweepOutbox(database: pg.Pool, days: number): Promise<number> {
  return (
    await poolNamed(
      database,
      `delete from outbox where status = 'done' and created_at < now() - make_interval(days => $1)`,
      [days],
    )
  ).rowCount;
}

export async function addToOutbox(
  database: pg.Pool,
  topic: string,
  payload: Readonly<Record<string, unknown>>,
): Promise<string> {
  const { rows } = await poolNamed(database, `insert into outbox (topic, payload) values ($1, $2) returning id`, [
    topic,
    JSON.stringify(payload),
  ]);
  return rows[0]?.[0] ?? '';
}

/** `pending`, `done` or `dead`; undefined once it is forgotten. */
export async function outboxStatus(database: pg.Pool, id: string): Promise<string | undefined> {
  const { rows } = await poolNamed(database, `select status from outbox where id = $1`, [id]);
  return rows[0]?.[0] ?? undefined;
}
