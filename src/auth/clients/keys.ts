/**
 * The public keys of clients that publish them at a URL: fetched when an assertion needs them, kept as long as their server says, fetched
 * again when an assertion names one that is not among them. @see https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html#authorization-server-obligations
 */
import type { Clock } from '../../platform/clock.ts';
import type { OutboundFetch } from '../../platform/outbound.ts';
import { demandJwks, type PublicJwk, type PublicJwks } from './client.ts';

export interface ClientKeys {
  /**
   * Keys at a URL.
   * @param kid that an assertion names
   * @returns none when they cannot be had
   */
  keysAt(url: string, kid: string | undefined): Promise<PublicJwks>;
}

interface Known {
  readonly keys: readonly PublicJwk[];
  readonly freshUntil: number;
}

const MINUTE_MS = 60_000;
const SHORTEST_MS = MINUTE_MS;
const LONGEST_MS = 60 * MINUTE_MS;
/** Whoever sends assertions with made-up kids causes no more than this. */
const FETCHES_PER_MINUTE = 5;
const REMEMBERED = 1000;

/** Milliseconds that a reply may be kept. @see https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2.1 */
function keptFor(cacheControl: string | null): number {
  if (cacheControl === null) return SHORTEST_MS;
  if (/\bno-(?:store|cache)\b/i.test(cacheControl)) return 0;
  const seconds = Number(/\bmax-age="?(\d{1,9})/i.exec(cacheControl)?.[1] ?? SHORTEST_MS / 1000);
  return Math.min(LONGEST_MS, seconds * 1000);
}

const NONE: PublicJwks = { keys: [] };

/** Keys that we can use; others beside them do no harm. */
function usableKeys(jwks: unknown): readonly PublicJwk[] {
  const keys: unknown = typeof jwks === 'object' && jwks !== null && 'keys' in jwks ? jwks.keys : undefined;
  if (!Array.isArray(keys)) return [];
  return keys.slice(0, 100).flatMap((key: unknown) => {
    const alone = { keys: [key] };
    try {
      demandJwks(alone);
      return alone.keys;
    } catch {
      return [];
    }
  });
}

export function createClientKeys(fetchOut: OutboundFetch, clock: Clock): ClientKeys {
  const known = new Map<string, Known>();
  const underWay = new Map<string, Promise<readonly PublicJwk[]>>();
  const fetched = new Map<string, readonly number[]>();

  /** Whether one more fetch from this URL is allowed now; counts it. */
  const mayFetch = (url: string): boolean => {
    const now = clock.now();
    const recent = (fetched.get(url) ?? []).filter((at) => now - at < MINUTE_MS);
    if (recent.length >= FETCHES_PER_MINUTE) return false;
    if (fetched.size >= REMEMBERED) fetched.clear();
    fetched.set(url, [...recent, now]);
    return true;
  };

  const load = async (url: string): Promise<readonly PublicJwk[]> => {
    const response = await fetchOut(url);
    if (response.status !== 200) throw new Error('The key set is not there');
    const keys = usableKeys(await response.json());
    if (known.size >= REMEMBERED) known.clear();
    known.set(url, { keys, freshUntil: clock.now() + keptFor(response.headers.get('cache-control')) });
    return keys;
  };

  const loadOnce = (url: string): Promise<readonly PublicJwk[]> => {
    let loading = underWay.get(url);
    if (!loading) underWay.set(url, (loading = load(url).finally(() => underWay.delete(url))));
    return loading;
  };

  return {
    async keysAt(url, kid) {
      const before = known.get(url);
      const hasKey = (keys: readonly PublicJwk[]): boolean =>
        kid === undefined || keys.some((key) => key['kid'] === kid);
      if (before && before.freshUntil > clock.now() && hasKey(before.keys)) return { keys: before.keys };
      if (!underWay.has(url) && !mayFetch(url)) return before ? { keys: before.keys } : NONE;
      try {
        return { keys: await loadOnce(url) };
      } catch {
        // Their server may be down for a moment: what it said last still counts for a while.
        return before && clock.now() - before.freshUntil < LONGEST_MS ? { keys: before.keys } : NONE;
      }
    },
  };
}
