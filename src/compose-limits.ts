/** Who may send how much, and what is taken when the server is behind: asked before anything is done for a request. @see https://www.rfc-editor.org/rfc/rfc6585#section-4 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type pg from 'pg';
import { clientAddress } from './auth/client-address.ts';
import type { Access } from './fhir/access.ts';
import { errorIssue, FhirError } from './fhir/outcome.ts';
import type { Config } from './platform/config.ts';
import type { Keys } from './platform/keys.ts';
import type { Log } from './platform/log.ts';
import { watchLoopDelay } from './platform/loop-delay.ts';
import { createRateLimiter, type RateStore } from './platform/rate-limit.ts';
import { postgresRates, redisRates } from './platform/rate-store.ts';

/** Who is behind by more than this refuses what is new, so that what has begun comes to an end. */
const BEHIND_MS = 3_000;

type Handle = (request: IncomingMessage, response: ServerResponse) => void;

export interface Limits {
  /**
   * Counts a request. @param access undefined: it is not known, or was refused
   * @throws FhirError 429, 503, with Retry-After
   */
  admit(access: Access | undefined, incoming: IncomingMessage | undefined): void;
  /** The authorization server behind the same limits, with its own kind of error. @see https://www.rfc-editor.org/rfc/rfc6749#section-5.2 */
  guarded(handle: Handle): Handle;
  close(): Promise<void>;
}

/** Addresses and accounts stay here: others are told keyed tags. */
function tagged(store: RateStore, keys: Keys): RateStore {
  return {
    async add(window, windowMs, counts) {
      const sources = new Map([...counts.keys()].map((source) => [keys.tag('rate.source', source), source]));
      const told = new Map([...sources].map(([tag, source]) => [tag, counts.get(source) ?? 0]));
      const all = await store.add(window, windowMs, told);
      return new Map([...all].map(([tag, count]) => [sources.get(tag) ?? '', count]));
    },
    ...(store.close ? { close: () => store.close?.() ?? Promise.resolve() } : {}),
  };
}

const tooMany = (seconds: number): FhirError =>
  new FhirError(429, [errorIssue('throttled', `Too many requests came from you: send the next one in ${seconds} s.`)], {
    'Retry-After': String(seconds),
  });

const behind = (): FhirError =>
  new FhirError(503, [errorIssue('throttled', 'The server is behind with its work: send this again in a second.')], {
    'Retry-After': '1',
  });

interface Parts {
  readonly config: Pick<Config, 'rates' | 'identity' | 'redisUrl'>;
  readonly pool: pg.Pool;
  readonly keys: Keys;
  readonly log: Log;
}

/** Sources and what they may send in a minute. */
export function createLimits({ config, pool, keys, log }: Parts): Limits {
  const { rates, redisUrl, identity } = config;
  const delay = rates.isOn ? watchLoopDelay() : undefined;
  const store = (): RateStore => tagged(redisUrl === undefined ? postgresRates(pool) : redisRates(redisUrl), keys);
  const limiter = rates.isOn ? createRateLimiter({ store: store(), log }) : undefined;

  const sourceOf = (
    access: Access | undefined,
    incoming: IncomingMessage | undefined,
  ): readonly [source: string, perMinute: number] => {
    const { kind = 'anonymous', account, client } = access?.principal ?? {};
    if (kind === 'user' && account !== undefined) return [`account ${account}`, rates.account];
    if (kind === 'system' && client !== undefined) return [`client ${client}`, rates.system];
    return [`address ${clientAddress({ settings: identity }, incoming)}`, rates.address];
  };

  const admit: Limits['admit'] = (access, incoming) => {
    if (delay && delay.ms > BEHIND_MS) throw behind();
    const seconds = limiter?.take(...sourceOf(access, incoming));
    if (seconds !== undefined) throw tooMany(seconds);
  };
  return {
    admit,
    guarded: (handle) => (request, response) => {
      // A browser that only asks whether it may ask is no try.
      if (request.method === 'OPTIONS') return handle(request, response);
      try {
        admit(undefined, request);
      } catch (error) {
        if (!(error instanceof FhirError)) throw error;
        response.writeHead(error.status, {
          'Content-Type': 'application/json',
          'Cache-Control': 'no-store',
          Pragma: 'no-cache',
          // Apps in browsers shall see that they are to wait.
          'Access-Control-Allow-Origin': '*',
          'Access-Control-Expose-Headers': 'Retry-After',
          ...error.headers,
        });
        const said = error.issues[0]?.diagnostics ?? '';
        return void response.end(JSON.stringify({ error: 'temporarily_unavailable', error_description: said }));
      }
      return handle(request, response);
    },
    async close() {
      delay?.close();
      await limiter?.close();
    },
  };
}
