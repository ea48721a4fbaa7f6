/** Who sends too much is told to wait: FHIR, events, pages and the authorization server. @see https://www.rfc-editor.org/rfc/rfc6585#section-4 */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { safeHeaders } from '../../../src/compose-http.ts';
import { createRateLimiter, type RateLimiter, type RateStore } from '../../../src/platform/rate-limit.ts';
import { postgresRates, redisRates } from '../../../src/platform/rate-store.ts';
import { silentLog } from '../../../src/platform/log.ts';
import { startIdentityServer, type IdentityServer } from '../../support/identity-server.ts';
import { openTestKairos, type TestKairos } from '../../support/kairos.ts';
import { hasRedis, openRedis, type TestRedis } from '../../support/redis.ts';

/** Sends until it is refused, as an address may send ten times in ten seconds, and in the next ten again. */
async function untilRefused(send: () => Promise<Response>): Promise<readonly [sent: number, refusal: Response]> {
  for (let sent = 0; sent < 40; sent++) {
    const response = await send();
    if (response.status === 429) return [sent, response];
    await response.body?.cancel();
  }
  throw new Error('nothing was refused');
}

describe('over HTTP', () => {
  let server: IdentityServer;
  const env = { RATE_LIMIT: 'on', RATE_LIMIT_ADDRESS: '60', TRUSTED_PROXIES: '127.0.0.1,::1' };
  beforeAll(async () => void (server = await startIdentityServer({ env })));
  afterAll(() => server.close());

  const from =
    (address: string, path: string, init: RequestInit = {}): (() => Promise<Response>) =>
    () =>
      fetch(`${server.listens}${path}`, { ...init, headers: { 'X-Forwarded-For': address, ...init.headers } });

  test.each([
    ['FHIR', '/fhir/R4/metadata', {}],
    ['tokens that are guessed', '/fhir/R4/Patient', { headers: { Authorization: 'Bearer guess' } }],
    ['events', '/events', { headers: { Authorization: 'Bearer guess', Accept: 'text/event-stream' } }],
    ['pages', '/signin', {}],
    ['the token endpoint', '/oauth/token', { method: 'POST', body: new URLSearchParams({ grant_type: 'x' }) }],
  ] as const)('%s', async (name, path, init) => {
    const address = `192.0.2.${name.length}`;
    const [sent, refusal] = await untilRefused(from(address, path, init));
    expect(sent).toBeGreaterThanOrEqual(10);
    const wait = Number(refusal.headers.get('retry-after'));
    expect(wait).toBeGreaterThanOrEqual(1);
    expect(wait).toBeLessThanOrEqual(10);
    const body = (await refusal.json()) as { issue?: { code: string }[]; error?: string };
    expect(body.issue?.[0]?.code ?? body.error).toMatch(/^(?:throttled|temporarily_unavailable)$/);
    // Others are not in its shadow, and health is always told.
    expect((await from('198.51.100.7', '/fhir/R4/metadata')()).status).toBe(200);
    expect((await from(address, '/livez')()).status).toBe(200);
  });

  test('people are told in a sentence, and apps in browsers may read when to come again', async () => {
    const page = from('192.0.2.77', '/signin', { headers: { Accept: 'text/html' } });
    const [, refusal] = await untilRefused(page);
    expect(refusal.headers.get('content-type')).toContain('text/plain');
    expect(await refusal.text()).toMatch(/^Too many requests came from you: send the next one in \d+ s\.\n$/);
    const init = { method: 'POST', headers: { Origin: 'https://app.example' }, body: 'grant_type=x' };
    const [, late] = await untilRefused(from('192.0.2.78', '/oauth/token', init));
    expect(late.headers.get('access-control-allow-origin')).toBe('*');
    expect(late.headers.get('access-control-expose-headers')).toBe('Retry-After');
    const asked = { 'Access-Control-Request-Method': 'POST', Origin: 'https://app.example' };
    const preflight = await from('192.0.2.78', '/oauth/token', { method: 'OPTIONS', headers: asked })();
    expect(preflight.status).toBe(204);
  });

  test('what processes tell each other names no address', async () => {
    await from('192.0.2.99', '/fhir/R4/metadata')();
    const rows = await vi.waitFor(async () => {
      const { rows: told } = await server.kairos.pool.query<{ source: string }>('select source from rate_count');
      expect(told.length).toBeGreaterThan(0);
      return told;
    });
    expect(rows.filter(({ source }) => /address|192\.|198\.|203\./.test(source))).toEqual([]);
  });

  test('every answer tells browsers what not to do with it', async () => {
    for (const path of ['/fhir/R4/metadata', '/fhir/R4/Nothing', '/livez', '/oauth/jwks', '/nowhere']) {
      const { headers } = await from('203.0.113.5', path)();
      expect([path, headers.get('x-content-type-options')]).toEqual([path, 'nosniff']);
      expect(headers.get('content-security-policy')).toContain("default-src 'none'");
      expect(headers.get('strict-transport-security')).toBeNull();
    }
  });
});

test('where it is known by https, it is by nothing else', () => {
  expect(safeHeaders('https://kairos.example.org')['Strict-Transport-Security']).toBe('max-age=31536000');
});

describe('of persons and systems', () => {
  let kairos: TestKairos;
  beforeAll(async () => void (kairos = await openTestKairos()));
  afterAll(() => kairos.close());

  test('by default a test, like a measurement, is not limited', () => {
    for (let i = 0; i < 5_000; i++) kairos.limits.admit(undefined, undefined);
  });
});

interface Shared {
  readonly limiters: readonly RateLimiter[];
  readonly close: () => Promise<void>;
}

const NOW = 1_800_000_000_000;
const two = (store: () => RateStore, now = (): number => NOW): readonly RateLimiter[] =>
  [store(), store()].map((s) => createRateLimiter({ store: s, log: silentLog, now }));

describe.each([
  ['PostgreSQL', true],
  ['Redis', hasRedis],
] as const)('two processes count together by %s', (name, isThere) => {
  let shared: Shared;
  beforeAll(async () => {
    if (!isThere) return;
    if (name === 'Redis') {
      const redis: TestRedis = await openRedis();
      const { url } = redis;
      const limiters = two(() => redisRates(url));
      shared = { limiters, close: () => redis.close() };
    } else {
      const kairos = await openTestKairos();
      shared = { limiters: two(() => postgresRates(kairos.pool)), close: () => kairos.close() };
    }
  });
  afterAll(async () => {
    if (!isThere) return;
    for (const limiter of shared.limiters) await limiter.close();
    await shared.close();
  });

  test.skipIf(!isThere)('what one has let in, the other does not let in again', async () => {
    const [one, other] = shared.limiters;
    if (!one || !other) throw new Error('there are two');
    const take = (limiter: RateLimiter, times: number): number => {
      let taken = 0;
      for (let i = 0; i < times; i++) if (limiter.take('somebody', 60) === undefined) taken++;
      return taken;
    };
    expect(take(one, 7)).toBe(7);
    await one.tell();
    expect(take(other, 1)).toBe(1);
    await other.tell();
    expect(take(other, 20)).toBe(2);
    await other.tell();
    await one.tell();
    // The first one learns it when it has something to tell.
    expect(take(one, 20)).toBeLessThanOrEqual(3);
    await one.tell();
    expect(one.take('somebody', 60)).toBeGreaterThanOrEqual(1);
    expect(one.take('somebody else', 60)).toBeUndefined();
  });
});

test.skipIf(!hasRedis)('each by itself while there is no Redis', async () => {
  const redis = await openRedis();
  const limiter = createRateLimiter({ store: redisRates(redis.url), log: silentLog, now: () => NOW });
  await redis.kill();
  let taken = 0;
  for (let i = 0; i < 20; i++) if (limiter.take('alone', 60) === undefined) taken++;
  await limiter.tell();
  expect(taken).toBe(10);
  expect(limiter.take('alone', 60)).toBeGreaterThanOrEqual(1);
  await limiter.close();
  await redis.close();
});

test('the next ten seconds begin anew', () => {
  let now = NOW;
  const limiter = createRateLimiter({ log: silentLog, now: () => now });
  for (let i = 0; i < 10; i++) expect(limiter.take('somebody', 60)).toBeUndefined();
  expect(limiter.take('somebody', 60)).toBe(10);
  now += 9_001;
  expect(limiter.take('somebody', 60)).toBe(1);
  now += 1_000;
  expect(limiter.take('somebody', 60)).toBeUndefined();
});
