/**
 * How many requests one source may send in ten seconds. Counted in memory, so that a request waits for nothing; twice a second the processes of an
 * installation tell each other through a store that they share what they have counted. Without the store each counts by itself.
 * @see https://www.rfc-editor.org/rfc/rfc6585#section-4
 */
import { errorFields, type Log } from './log.ts';

const WINDOW_MS = 10_000;
const TELL_MS = 500;
/** Sources that are remembered in one window; whoever comes after them is counted together. */
const MOST_SOURCES = 100_000;
const OTHERS = 'others';

/** What all processes count together. Keys are opaque. */
export interface RateStore {
  /**
   * Adds to the counts of a window.
   * @param window number of the window since 1970 @param windowMs its length
   * @returns the new counts of the same keys, of all processes
   */
  add(window: number, windowMs: number, counts: ReadonlyMap<string, number>): Promise<ReadonlyMap<string, number>>;
  close?(): Promise<void>;
}

export interface RateLimiter {
  /**
   * Counts one request of a source.
   * @param perMinute how many it may send on average
   * @returns whole seconds after which there is room again; undefined: there is
   */
  take(source: string, perMinute: number): number | undefined;
  /** Tells the store now what was counted. */
  tell(): Promise<void>;
  close(): Promise<void>;
}

interface Count {
  /** By all, as far as it was told. */
  known: number;
  /** By this process, and not told yet. */
  own: number;
}

export interface RateLimiterOptions {
  readonly store?: RateStore;
  readonly log: Log;
  /** ms since the epoch */
  readonly now?: () => number;
}

export function createRateLimiter({ store, log, now = Date.now }: RateLimiterOptions): RateLimiter {
  let window = 0;
  let counts = new Map<string, Count>();
  let telling: Promise<void> | undefined;
  let failed = false;

  const turn = (at: number): void => {
    const current = Math.floor(at / WINDOW_MS);
    if (current === window) return;
    window = current;
    counts = new Map();
  };

  const tellNow = async (to: RateStore): Promise<void> => {
    const [told, of] = [window, counts];
    const own = new Map([...of].flatMap(([key, { own: n }]) => (n > 0 ? [[key, n] as const] : [])));
    if (own.size === 0) return;
    for (const [key, n] of own) {
      const count = of.get(key);
      if (count) [count.own, count.known] = [count.own - n, count.known + n];
    }
    try {
      for (const [key, known] of await to.add(told, WINDOW_MS, own)) {
        const count = of.get(key);
        if (count) count.known = Math.max(known, count.known);
      }
      failed = false;
    } catch (error) {
      // Each goes on by itself; said once.
      if (!failed) log.warn('rate limits are not shared with other processes now', errorFields(error));
      failed = true;
    }
  };

  const tell = (): Promise<void> => {
    if (!store) return Promise.resolve();
    return (telling ??= tellNow(store).finally(() => (telling = undefined)));
  };
  const timer = store ? setInterval(() => void tell(), TELL_MS).unref() : undefined;

  return {
    take(source, perMinute) {
      const at = now();
      turn(at);
      let count = counts.get(source);
      if (!count) {
        const key = counts.size < MOST_SOURCES ? source : OTHERS;
        count = counts.get(key) ?? { known: 0, own: 0 };
        counts.set(key, count);
      }
      if (count.known + count.own >= Math.ceil((perMinute * WINDOW_MS) / 60_000))
        return Math.max(1, Math.ceil(((window + 1) * WINDOW_MS - at) / 1000));
      count.own++;
      return undefined;
    },
    tell,
    async close() {
      clearInterval(timer);
      await telling;
      await store?.close?.();
    },
  };
}
