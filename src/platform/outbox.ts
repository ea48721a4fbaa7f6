/**
 * The outbox as its relay sees it: rows are claimed by status under a lease, never by a watermark, since a row with a smaller id may be
 * committed later. `pending` waits for the relay, `sent` for its job, `done` is over, `dead` waits for a person. A queue may forget jobs, so
 * a row counts as done when its job has ended, not when it was enqueued.
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

/** A row of the outbox as values of `returning id, topic, payload, attempts`. */
const toRow = ([id, topic, payload, attempts]: readonly (string | null)[]): OutboxRow => ({
  id: id ?? '',
  topic: topic ?? '',
  payload: JSON.parse(payload ?? '{}') as OutboxRow['payload'],
  attempts: Number(attempts),
});

/**
 * Takes up to `count` waiting rows for a quarter of a minute: a relay that dies leaves them to the next one. `available_at` is rounded to
 * milliseconds, so that of a row just written may lie a little ahead.
 */
export async function claimOutbox(database: pg.Pool, count: number): Promise<OutboxRow[]> {
  const { rows } = await poolNamed(
    database,
    `update outbox set attempts = attempts + 1, available_at = now() + interval '15 s'
     where id in (select id from outbox where status = 'pending' and available_at <= now() + interval '1 ms'
                  order by available_at, id limit $1 for update skip locked)
     returning id, topic, payload, attempts`,
    [count],
  );
  return rows.map(toRow).sort((a, b) => Number(a.id) - Number(b.id));
}

/** Gives claimed rows back: they could not be relayed now. */
export async function releaseOutbox(database: pg.Pool, ids: readonly string[]): Promise<void> {
  await poolNamed(
    database,
    `update outbox set attempts = attempts - 1, available_at = now() where id = any ($1::bigint[]) and status = 'pending'`,
    [ids],
  );
}

/** Their jobs are in the queue. @param checkMs how long they are believed to be there without a look */
export async function markSent(database: pg.Pool, ids: readonly string[], checkMs: number): Promise<void> {
  // A job that was quick has finished its row already.
  await poolNamed(
    database,
    `update outbox set status = 'sent', available_at = now() + make_interval(secs => $2::float8 / 1000)
     where id = any ($1::bigint[]) and status = 'pending'`,
    [ids, checkMs],
  );
}

/** Takes up to `count` rows that nobody has looked after for a while. @param checkMs when they are looked after again */
export async function claimSent(database: pg.Pool, count: number, checkMs: number): Promise<OutboxRow[]> {
  const { rows } = await poolNamed(
    database,
    `update outbox set available_at = now() + make_interval(secs => $2::float8 / 1000)
     where id in (select id from outbox where status = 'sent' and available_at <= now()
                  order by available_at, id limit $1 for update skip locked)
     returning id, topic, payload, attempts`,
    [count, checkMs],
  );
  return rows.map(toRow);
}

/** The queue has lost the jobs of these rows: they are relayed again, unless that has been so too often. */
export async function returnSent(database: pg.Pool, ids: readonly string[]): Promise<void> {
  await poolNamed(
    database,
    `update outbox set available_at = now(), status = case when attempts < $2 then 'pending' else 'dead' end,
       error = case when attempts < $2 then error else 'Its job was lost again and again' end
     where id = any ($1::bigint[]) and status = 'sent'`,
    [ids, ATTEMPTS],
  );
}

export async function finishOutbox(database: pg.Pool, id: string): Promise<void> {
  await poolNamed(database, `update outbox set status = 'done', error = null where id = $1`, [id]);
}

/** Its job has failed for good. @param reason without personal data */
export async function buryOutbox(database: pg.Pool, id: string, reason: string): Promise<void> {
  await poolNamed(database, `update outbox set status = 'dead', error = $2 where id = $1 and status <> 'done'`, [
    id,
    reason,
  ]);
}

/** Tries again later, each time twice as late; at last the row is dead. @param reason without personal data */
export async function postponeOutbox(
  database: pg.Pool,
  { id, attempts }: Pick<OutboxRow, 'id' | 'attempts'>,
  reason: string,
): Promise<void> {
  await poolNamed(
    database,
    `update outbox set status = $2, available_at = now() + make_interval(secs => $3), error = $4 where id = $1`,
    [id, attempts >= ATTEMPTS ? 'dead' : 'pending', 5 * 2 ** attempts, reason],
  );
}

/** Dead rows are relayed once more. @returns how many */
export async function reviveOutbox(database: pg.Pool): Promise<number> {
  // Not 0: the relay makes the queue forget a job of an earlier try before it adds a new one.
  return (
    await poolNamed(
      database,
      `update outbox set status = 'pending', attempts = 1, available_at = now() where status = 'dead'`,
    )
  ).rowCount;
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

/** `pending`, `sent`, `done` or `dead`; undefined once it is forgotten. */
export async function outboxStatus(database: pg.Pool, id: string): Promise<string | undefined> {
  const { rows } = await poolNamed(database, `select status from outbox where id = $1`, [id]);
  return rows[0]?.[0] ?? undefined;
}

/** What a job that a row asked for has to do; undefined: nothing any more. */
export async function openPayload(database: pg.Pool, id: string): Promise<OutboxRow['payload'] | undefined> {
  const { rows } = await poolNamed(database, `select payload from outbox where id = $1 and status <> 'done'`, [id]);
  const payload = rows[0]?.[0];
  return payload === undefined || payload === null ? undefined : (JSON.parse(payload) as OutboxRow['payload']);
}

export interface OutboxCounts {
  readonly pending: number;
  readonly sent: number;
  readonly dead: number;
  /** Age of the oldest row that is due and neither done nor dead, in seconds. */
  readonly oldestSeconds: number;
}

export async function countOutbox(database: pg.Pool): Promise<OutboxCounts> {
  // By the partial indexes alone: rows that are done are many.
  const { rows } = await poolNamed(
    database,
    `select (select count(*) from outbox where status = 'pending'), (select count(*) from outbox where status = 'sent'),
            (select count(*) from outbox where status = 'dead'),
            coalesce(extract(epoch from now() - least((select min(created_at) from outbox where status = 'pending' and available_at <= now()),
                                                      (select min(created_at) from outbox where status = 'sent'))), 0)`,
  );
  const [pending = 0, sent = 0, dead = 0, oldest = 0] = (rows[0] ?? []).map(Number);
  return { pending, sent, dead, oldestSeconds: Math.max(0, oldest) };
}

export interface DeadRow {
  readonly topic: string;
  readonly count: number;
  /** Of the newest. */
  readonly error: string;
}

/** What waits for a person, by topic. */
export async function deadOutbox(database: pg.Pool): Promise<DeadRow[]> {
  const { rows } = await poolNamed(
    database,
    `select topic, count(*), (array_agg(coalesce(error, 'unknown') order by id desc))[1] from outbox where status = 'dead'
     group by topic order by topic`,
  );
  return rows.map(([topic, count, error]) => ({ topic: topic ?? '', count: Number(count), error: error ?? '' }));
}
