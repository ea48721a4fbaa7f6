/** Random and damaged requests to every interaction: each is answered with a 4xx at most, and none stops the server. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { randomFrom, randomValue, type Random } from '../../support/random-resource.ts';
import { createTestServer, type TestServer } from '../../support/server.ts';
import { client, type Send } from '../client.ts';

let server: TestServer;
let send: Send;
let types: readonly string[];
beforeAll(async () => {
  server = await createTestServer({ env: { VALIDATE_REFERENCES: 'off' } });
  send = client(server);
  types = [...server.engine.resources.values()].filter((r) => r.interactions.includes('create')).map((r) => r.type);
});
afterAll(() => server.close());

const SEED = 20_261_122;

const EVIL: readonly unknown[] = [
  null,
  '',
  ' ',
  'x'.repeat(9000),
  'é\u2028😀',
  1e300,
  -0,
  1e-300,
  true,
  [],
  {},
  [[]],
  [null],
  '0000',
  '9999-12-31',
  '0001-01-01',
  '1973-02-30',
  '2020-01-01T25:00:00Z',
  'Patient/1',
  '#x',
  'urn:uuid:1',
  'http://[',
  'Patient?x=1',
  { reference: 5 },
  { extension: [{ url: 'x' }] },
  '\t',
  99_999_999_999,
  { resourceType: 'Patient' },
  '-1',
  '9'.repeat(60),
  '__proto__',
  '2020-06-15T10:00:00.123456789+14:00',
];
const VALUES: readonly string[] = [
  '1',
  'a,b',
  'x|y',
  '|',
  'a|',
  '|a',
  '$',
  'a$b',
  'ge2020',
  'ap1',
  '2020-01-01T00:00:00+05:30',
  '1e400',
  '5.4|http://u|mg',
  '%',
  '\\',
  '\\,',
  'Patient/1',
  'http://x/Patient/1|2',
  '',
  ',,,',
  "' or 1=1",
  '😀',
  '-91|0',
  '1|2|1e99|mi',
  'x'.repeat(5000),
  '9999-12-31',
  '0001',
  'lt1e-400',
  '9'.repeat(24),
];
const MODIFIERS = [
  '',
  '',
  ':exact',
  ':contains',
  ':missing',
  ':not',
  ':text',
  ':in',
  ':below',
  ':above',
  ':identifier',
  ':Patient',
  ':of-type',
  ':x',
  '.name',
  ':Patient.name',
  '.',
];
const RESULTS = [
  '_sort=-_id',
  '_count=0',
  '_count=1e9',
  '_count=-1',
  '_include=*',
  '_revinclude=*',
  '_include:iterate=*',
  '_summary=count',
  '_elements=id',
  '_total=accurate',
  '_cursor=a.b',
  '_type=Patient',
];

const pick = <T>(random: Random, from: readonly T[]): T => {
  const value = from[Math.floor(random() * from.length)];
  if (value === undefined) throw new Error('nothing to pick from');
  return value;
};

/** A copy with some of its values replaced, dropped or renamed. */
function damaged(random: Random, value: unknown, depth = 0): unknown {
  if (depth > 0 && random() < 0.03) return EVIL[Math.floor(random() * EVIL.length)];
  if (Array.isArray(value)) return value.map((item) => damaged(random, item, depth + 1));
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(() => random() > 0.02);
  return Object.fromEntries(
    kept.map(([key, item]) => [random() < 0.01 ? `_${key}` : key, damaged(random, item, depth + 1)]),
  );
}

const resource = (random: Random): object =>
  randomValue(server.engine.definitions, pick(random, types), { random, density: 0.2, depth: 3 });

function pointer(random: Random, value: unknown): string {
  let path = '';
  for (let at = value; typeof at === 'object' && at !== null && random() < 0.85;) {
    const keys = Object.keys(at);
    if (keys.length === 0) break;
    const key = pick(random, keys);
    path += `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    at = (at as Record<string, unknown>)[key];
  }
  return random() < 0.1 ? path + pick(random, ['/-', '/x', '/0', '/99', '~', '//']) : path;
}

/** Runs requests and returns those answered with a 5xx. */
async function failures(
  count: number,
  request: (random: Random) => Promise<{ status: number; text: string }>,
): Promise<string[]> {
  const random = randomFrom(SEED);
  const failed: string[] = [];
  for (let i = 0; i < count; i++) {
    const { status, text } = await request(random);
    if (status >= 500 || text.includes('"code":"exception"')) failed.push(`${i}: ${status} ${text.slice(0, 300)}`);
  }
  return failed;
}

test('creates of damaged resources', async () => {
  expect(
    await failures(600, (random) => {
      const sent = resource(random) as { resourceType: string };
      return send('POST', sent.resourceType, { ...(damaged(random, sent) as object), resourceType: sent.resourceType });
    }),
  ).toEqual([]);
});

test('patches with random pointers', async () => {
  const { body } = await send('POST', 'Patient', {
    resourceType: 'Patient',
    name: [{ given: ['a', 'b'], family: 'c' }],
    link: [{ other: { display: 'x' }, type: 'seealso' }],
  });
  expect(
    await failures(300, (random) => {
      const operation = (): object => ({
        op: pick(random, ['add', 'remove', 'replace', 'move', 'copy', 'test', 'bad']),
        path: pointer(random, body),
        from: pointer(random, body),
        value: EVIL[Math.floor(random() * EVIL.length)],
      });
      return send('PATCH', `Patient/${String(body['id'])}`, [operation(), operation()]);
    }),
  ).toEqual([]);
});

test('searches with random parameters, modifiers and values', async () => {
  expect(
    await failures(800, (random) => {
      const type = pick(random, types);
      const code = pick(random, [...server.engine.definitions.searchParams(type).keys()]);
      const first = `${encodeURIComponent(code + pick(random, MODIFIERS))}=${encodeURIComponent(pick(random, VALUES))}`;
      const query = random() < 0.5 ? first : `${first}&${pick(random, RESULTS)}`;
      const path = pick(random, [
        `${type}?${query}`,
        `?${query}`,
        `Patient/1/${type}?${query}`,
        `${type}/_history?_since=${encodeURIComponent(pick(random, VALUES))}`,
      ]);
      return random() < 0.1 ? send('DELETE', `${type}?${first}`) : send('GET', path);
    }),
  ).toEqual([]);
});

test('damaged Bundles', async () => {
  expect(
    await failures(150, (random) => {
      const entry = Array.from({ length: 4 }, () => {
        const sent = resource(random) as { resourceType: string };
        const request = pick(random, [
          { method: 'POST', url: sent.resourceType },
          { method: 'GET', url: `${sent.resourceType}?_count=1` },
          { method: 'DELETE', url: 'Patient/1' },
          { method: 'PUT', url: `${sent.resourceType}?_id=1` },
          { method: 'POST', url: sent.resourceType, ifNoneExist: '_id=1' },
          { method: 'PATCH', url: 'Patient/1' },
          { method: 'POST', url: `${sent.resourceType}/$validate` },
        ]);
        return {
          fullUrl: pick(random, ['urn:uuid:1', 'urn:uuid:2', 'http://x/Patient/1', '']),
          resource: sent,
          request,
        };
      });
      return send('POST', '', {
        ...(damaged(random, { entry }) as object),
        resourceType: 'Bundle',
        type: pick(random, ['batch', 'transaction']),
      });
    }),
  ).toEqual([]);
});
