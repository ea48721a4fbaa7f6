/** Replies are bounded: pages end early, the rest is refused. https://hl7.org/fhir/R4/http.html#paging */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestServer, type TestServer } from '../../support/server.ts';
import { client, type Answer, type Send } from '../client.ts';

const REPLY_BYTES = 40_000;
const PATIENTS = 12;

let server: TestServer;
let send: Send;
const large = (id: string, family = 'Large'): object => ({
  resourceType: 'Patient',
  id,
  name: [{ family, given: ['x'.repeat(9000)] }],
});
beforeAll(async () => {
  server = await createTestServer({ env: { LIMIT_REPLY_BYTES: String(REPLY_BYTES) } });
  send = client(server);
  for (let i = 0; i < PATIENTS; i++) await send('PUT', `Patient/p${i}`, large(`p${i}`));
  for (let i = 0; i < PATIENTS; i++) {
    await send('PUT', `RelatedPerson/r${i}`, {
      resourceType: 'RelatedPerson',
      id: `r${i}`,
      patient: { reference: `Patient/p${i}` },
    });
  }
});
afterAll(() => server.close());

interface Shown {
  readonly link?: readonly { readonly relation: string; readonly url: string }[];
  readonly entry?: readonly {
    readonly fullUrl?: string;
    readonly resource?: { readonly id: string };
    readonly response?: {
      readonly status: string;
      readonly outcome?: { readonly issue: readonly { readonly code: string }[] };
    };
  }[];
}
const shown = (answer: Answer): Shown => answer.body as unknown as Shown;

/** All pages: the ids of each. */
async function pages(start: string): Promise<string[][]> {
  const all: string[][] = [];
  for (let url: string | undefined = start; url !== undefined && all.length < 50;) {
    const answer = await send('GET', url);
    expect(answer.status).toBe(200);
    const { entry = [], link = [] } = shown(answer);
    all.push(entry.map((e) => e.fullUrl?.split('/').at(-1) ?? ''));
    // Around each resource stand its address and how it came to be; one alone may be as large as it is.
    if (entry.length > 1) expect(answer.text.length).toBeLessThan(REPLY_BYTES + 1000 + 500 * entry.length);
    url = link.find((l) => l.relation === 'next')?.url.replace(/^.*\/fhir\/R4\/?/, '');
  }
  return all;
}
const IDS = Array.from({ length: PATIENTS }, (_, i) => `p${i}`).sort();
const get = (url: string): object => ({ request: { method: 'GET', url } });
const bundle = (type: string, entry: readonly object[]): Promise<Answer> =>
  send('POST', '', { resourceType: 'Bundle', type, entry });

describe('a page ends where the reply becomes too large, and the next one goes on', () => {
  test.each([
    'Patient',
    'Patient?_count=1000',
    'Patient?_sort=-_lastUpdated&_count=1000',
    'Patient?family:exact=Large&_count=1000',
    'Patient?_elements=gender&_sort=family&_count=1000',
    '?_type=Patient,Schedule&_count=1000',
    'Patient/_history?_count=1000',
    'Patient/_history',
    '_history?_count=300',
  ])('%s', async (url) => {
    const all = await pages(url);
    expect(all.length).toBeGreaterThan(2);
    expect(
      all
        .flat()
        .filter((id) => /^p\d+$/.test(id))
        .sort(),
    ).toEqual(IDS);
  });

  test('what changes between the pages of a sorted search is met once', async () => {
    const first = shown(await send('GET', 'Patient?_sort=family,_id&_count=1000'));
    await send('PUT', 'Patient/p9', large('p9', 'Aaa'));
    const next = first.link?.find((l) => l.relation === 'next')?.url.replace(/^.*\/fhir\/R4\/?/, '') ?? '';
    const rest = await pages(next);
    const before = (first.entry ?? []).map((e) => e.fullUrl?.split('/').at(-1) ?? '');
    expect([...before, ...rest.flat()].sort()).toEqual(IDS);
    await send('PUT', 'Patient/p9', large('p9'));
  });

  test('the total counts all matches, not those shown', async () => {
    const { body } = await send('GET', 'Patient?_total=accurate&_count=1000');
    expect(body['total']).toBe(PATIENTS);
  });
});

describe('what cannot be shown in part is refused with 413', () => {
  const codeOf = (answer: Answer): unknown => (answer.body as { issue?: { code: string }[] }).issue?.[0]?.code;

  test('included resources; fewer matches fit', async () => {
    const refused = await send('GET', 'RelatedPerson?_include=RelatedPerson:patient&_count=1000');
    expect([refused.status, codeOf(refused)]).toEqual([413, 'too-costly']);
    expect((await send('GET', 'RelatedPerson?_include=RelatedPerson:patient&_count=3')).status).toBe(200);
  });

  test('entries of a batch beyond the limit; those before are answered', async () => {
    const answer = await bundle(
      'batch',
      Array.from({ length: 60 }, () => get('Patient/p1')),
    );
    const statuses = (shown(answer).entry ?? []).map((e) => e.response?.status.slice(0, 3));
    expect(statuses.filter((s) => s === '200')).toHaveLength(4);
    expect(statuses.filter((s) => s === '413')).toHaveLength(56);
    expect(shown(answer).entry?.at(-1)?.response?.outcome?.issue[0]?.code).toBe('too-costly');
  });

  test('a write of a batch that has happened is told, without the resource', async () => {
    const entry = Array.from({ length: 6 }, (_, i) => ({
      resource: large(`w${i}`, 'Written'),
      request: { method: 'PUT', url: `Patient/w${i}` },
    }));
    const answer = await send(
      'POST',
      '',
      { resourceType: 'Bundle', type: 'batch', entry },
      { prefer: 'return=representation' },
    );
    const all = shown(answer).entry ?? [];
    expect(all.map((e) => e.response?.status)).toEqual(all.map(() => '201 Created'));
    expect(all.filter((e) => e.resource)).toHaveLength(4);
    for (let i = 0; i < 6; i++) await send('DELETE', `Patient/w${i}`);
  });

  test('a transaction whose reads hold more: nothing of it happens', async () => {
    const create = {
      resource: { resourceType: 'Patient', id: 'never' },
      request: { method: 'PUT', url: 'Patient/never' },
    };
    const answer = await bundle('transaction', [create, ...Array.from({ length: 6 }, () => get('Patient/p1'))]);
    expect([answer.status, codeOf(answer)]).toEqual([413, 'too-costly']);
    expect((await send('GET', 'Patient/never')).status).toBe(404);
  });
});

test('_pretty of a large Bundle is the same JSON, in lines', async () => {
  const other = await createTestServer();
  try {
    const ask = client(other);
    for (let i = 0; i < 4; i++) {
      await ask('PUT', `Patient/p${i}`, {
        resourceType: 'Patient',
        id: `p${i}`,
        name: [{ text: 'y\n"entry": []'.repeat(8000) }],
      });
    }
    const text = async (url: string): Promise<string> => (await other.request(`/fhir/R4/${url}`)).text();
    const bundled = await text('Patient?_sort=_id');
    const pretty = await text('Patient?_sort=_id&_pretty=true');
    expect(bundled.length).toBeGreaterThan(262_144);
    const content = (json: string): unknown => (JSON.parse(json) as { entry: unknown }).entry;
    expect(content(pretty)).toEqual(content(bundled));
    expect(pretty).toBe(JSON.stringify(JSON.parse(pretty), null, 2));
  } finally {
    await other.close();
  }
});
