/**
 * Counts of many tries, at the same cost for each: of a window of time and the one before it, which counts by the part of it that still lies
 * within the limit's seconds. Exact to a few tries where they come evenly. @see https://www.rfc-editor.org/rfc/rfc6585#section-4
 */
import { poolNamed } from '../platform/database/pool.ts';
import type { AuthParts } from './parts.ts';

export interface Window {
  readonly limit: number;
  readonly seconds: number;
}

type Parts = Pick<AuthParts, 'pool'>;

const beginOf = (now: number, seconds: number): number => Math.floor(now / seconds) * seconds;

/** @param now seconds since the epoch @returns seconds until there is room; undefined: there was, and it is taken */
export async function takeCounted(
  { pool }: Parts,
  tag: string,
  { limit, seconds }: Window,
  now: number,
): Promise<number | undefined> {
  const began = beginOf(now, seconds);
  const before = 1 - (now - began) / seconds;
  // A process whose clock is behind counts into the window that has begun for others.
  const { rowCount } = await poolNamed(
    pool,
    `insert into auth_attempt as a (key, began_at, count, expires_at)
       values ($1, to_timestamp($2), 1, to_timestamp($2) + make_interval(secs => 2 * $3::float8))
     on conflict (key) do update
       set count = case when a.began_at >= excluded.began_at then a.count + 1 else 1 end,
           earlier = case when a.began_at >= excluded.began_at then a.earlier
             when a.began_at = excluded.began_at - make_interval(secs => $3::float8) then a.count else 0 end,
           began_at = greatest(a.began_at, excluded.began_at),
           expires_at = greatest(a.expires_at, excluded.expires_at)
       where case when a.began_at >= excluded.began_at then a.count + a.earlier * $4::float8
         when a.began_at = excluded.began_at - make_interval(secs => $3::float8) then a.count * $4::float8 else 0 end < $5`,
    [tag, began, seconds, before, limit],
  );
  if (rowCount > 0) return undefined;
  const { rows } = await poolNamed(
    pool,
    `select extract(epoch from began_at), count, earlier from auth_attempt where key = $1`,
    [tag],
  );
  const [known, count = 0, earlier = 0] = (rows[0] ?? []).map(Number);
  const [inThis, inLast] = known === began ? [count, earlier] : [0, count];
  const room = limit - inThis;
  const at = room > 0 && inLast > 0 ? began + seconds * (1 - room / inLast) : began + seconds;
  return Math.max(1, Math.ceil(at - now));
}

/** Takes back one try that was counted at `now`. */
export async function giveBackCounted({ pool }: Parts, tag: string, { seconds }: Window, now: number): Promise<void> {
  await poolNamed(
    pool,
    `update auth_attempt set count = case when began_at = to_timestamp($2) then greatest(0, count - 1) else count end,
       earlier = case when began_at = to_timestamp($2) then earlier else greatest(0, earlier - 1) end where key = $1`,
    [tag, beginOf(now, seconds)],
  );
}
