/** Where processes count requests together: Redis, where there is one, else PostgreSQL. @see https://redis.io/docs/latest/commands/incrby/ */
import { Redis } from 'ioredis';
import type pg from 'pg';
import { poolNamed } from './database/pool.ts';
import type { RateStore } from './rate-limit.ts';

const PREFIX = 'kairos:rate';
const TIMEOUT_MS = 1_000;

/** One statement for all sources; what is over goes with it. */
export const postgresRates = (pool: pg.Pool): RateStore => ({
  async add(window, _windowMs, counts) {
    const { rows } = await poolNamed(
      pool,
      `with gone as (delete from rate_count where "window" < $1::int8 - 1),
         told as (select k, n from unnest($2::text[], $3::int[]) t(k, n) order by k)
       insert into rate_count as r ("window", "source", "count") select $1::int8, k, n from told
       on conflict ("window", "source") do update set "count" = r."count" + excluded."count"
       returning "source", "count"`,
      [window, [...counts.keys()], [...counts.values()]],
    );
    return new Map(rows.map(([source, count]) => [source ?? '', Number(count)]));
  },
});

export function redisRates(url: string): RateStore {
  const redis = new Redis(url, {
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    commandTimeout: TIMEOUT_MS,
    connectTimeout: TIMEOUT_MS,
  });
  // Whoever asks hears of it.
  redis.on('error', () => undefined);
  return {
    async add(window, windowMs, counts) {
      if (redis.status === 'wait') await redis.connect();
      const all = redis.pipeline();
      const keys = [...counts.keys()];
      for (const key of keys) {
        const name = `${PREFIX}:${window}:${key}`;
        all.incrby(name, counts.get(key) ?? 0).pexpire(name, 2 * windowMs);
      }
      const answers = (await all.exec()) ?? [];
      return new Map(
        keys.map((key, i) => {
          const [error, count] = answers[2 * i] ?? [];
          if (error) throw error;
          return [key, Number(count)];
        }),
      );
    },
    close: () => Promise.resolve(redis.disconnect()),
  };
}
