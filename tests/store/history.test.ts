/** History: https://hl7.org/fhir/R4/http.html#history */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { HistoryQuery, StoredVersion } from '../../src/fhir/store/repository.ts';
import { access, onlyStatus, openStore, remove, replaceWith, slot, write, type TestStore } from './open-store.ts';

let store: TestStore;
const second = (s: number): Date => new Date(Date.UTC(2031, 0, 1, 0, 0, s));

/** slot-0 … slot-4 created in the same millisecond; slot-1 updated twice, slot-2 deleted; one Basic among them. */
beforeAll(async () => {
  store = await openStore();
  const slots = [0, 1, 2, 3, 4].map((i) => write(slot(), { id: `slot-${i}`, lastUpdated: second(1), method: 'PUT' }));
  const basic = write(
    { resourceType: 'Basic', code: { text: 'x' } },
    { id: 'basic', lastUpdated: second(1), method: 'PUT' },
  );
  await store.repository.transaction('read committed', (tx) => tx.insert([...slots, basic], access));
  await replaceWith(store, 'slot-1', slot('busy'), second(2));
  await replaceWith(store, 'slot-1', slot('busy', 'later'), second(3));
  await remove(store, 'Slot', 'slot-2', second(4));
});
afterAll(() => store.close());

const name = (v: StoredVersion): string => `${v.type}/${v.id}/${v.version}`;
const list = async (query: Partial<HistoryQuery> = {}, as = access): Promise<string[]> =>
  (await store.repository.history({ count: 100, ...query }, as)).map(name);

async function paged(query: Partial<HistoryQuery>, count: number): Promise<string[]> {
  const all: string[] = [];
  for (let after: HistoryQuery['after']; ;) {
    const page = await store.repository.history({ ...query, count, ...(after ? { after } : {}) }, access);
    all.push(...page.map(name));
    const last = page.at(-1);
    if (!last || page.length < count) return all;
    after = last;
  }
}

describe('history (http.html#history)', () => {
  test('of a type: every version and deletion, newest first', async () => {
    expect(await list({ type: 'Slot' })).toEqual([
      'Slot/slot-2/2',
      'Slot/slot-1/3',
      'Slot/slot-1/2',
      'Slot/slot-4/1',
      'Slot/slot-3/1',
      'Slot/slot-2/1',
      'Slot/slot-1/1',
      'Slot/slot-0/1',
    ]);
    expect(await store.repository.historyTotal({ type: 'Slot' }, access)).toBe(8);
  });

  test('of the system: all types, AuditEvent and its like included', async () => {
    const all = await list();
    expect(all).toHaveLength(9);
    expect(all.at(-1)).toBe('Basic/basic/1');
    expect(await store.repository.historyTotal({}, access)).toBe(9);
  });

  test.each([1, 2, 3, 8])('pages of %i give each version once, in the same order', async (count) => {
    expect(await paged({ type: 'Slot' }, count)).toEqual(await list({ type: 'Slot' }));
    expect(await paged({}, count)).toEqual(await list());
    expect(await paged({ type: 'Slot', id: 'slot-1' }, count)).toEqual([
      'Slot/slot-1/3',
      'Slot/slot-1/2',
      'Slot/slot-1/1',
    ]);
  });

  test('_since keeps versions made at or after the instant', async () => {
    expect(await list({ since: second(3) })).toEqual(['Slot/slot-2/2', 'Slot/slot-1/3']);
    expect(await store.repository.historyTotal({ since: second(3) }, access)).toBe(2);
  });

  test('_at keeps versions that were current at some moment of the period', async () => {
    expect(
      await list({ type: 'Slot', id: 'slot-1', at: { from: second(2), to: new Date(second(2).getTime() + 1000) } }),
    ).toEqual(['Slot/slot-1/2']);
    expect(await list({ type: 'Slot', id: 'slot-1', at: { from: second(0), to: second(2) } })).toEqual([
      'Slot/slot-1/1',
    ]);
    expect(await list({ type: 'Slot', id: 'slot-2', at: { from: second(9), to: second(10) } })).toEqual([
      'Slot/slot-2/2',
    ]);
    expect(await list({ type: 'Slot', id: 'slot-1', at: { from: second(1), to: second(10) } })).toHaveLength(3);
  });

  test('security.md A1.7: a version is seen where the resource and the version are; of a deleted one nothing by whoever is limited', async () => {
    const busy = onlyStatus('busy');
    for (const query of [{}, { type: 'Slot' }, { type: 'Slot', id: 'slot-1' }]) {
      expect(await list(query, busy)).toEqual(['Slot/slot-1/3', 'Slot/slot-1/2']);
      expect(await list({ ...query, count: 1 }, busy)).toEqual(['Slot/slot-1/3']);
      expect(await store.repository.historyTotal(query, busy)).toBe(2);
    }
    expect(await list({ type: 'Slot', id: 'slot-2' }, onlyStatus('free'))).toEqual([]);
    expect(await store.repository.read('Slot', 'slot-2', onlyStatus('free'))).toBeUndefined();
    expect(await store.repository.vread('Slot', 'slot-1', 2, busy)).toBeDefined();
    expect(await store.repository.vread('Slot', 'slot-1', 1, busy)).toBeUndefined();
    expect(await store.repository.vread('Slot', 'slot-1', 1, onlyStatus('free'))).toBeUndefined();
  });

  test('whoever is limited gets full pages, although hidden versions stand between', async () => {
    for (let i = 0; i < 30; i++)
      await replaceWith(store, 'slot-3', slot(i % 3 === 0 ? 'busy' : 'free', String(i)), second(10 + i));
    await replaceWith(store, 'slot-3', slot('busy', 'now'), second(50));
    const query = { type: 'Slot', id: 'slot-3' };
    const page = await store.repository.history({ ...query, count: 8 }, onlyStatus('busy'));
    const rest = await store.repository.history(
      { ...query, count: 8, ...(page.at(-1) ? { after: page.at(-1) as StoredVersion } : {}) },
      onlyStatus('busy'),
    );
    expect([page.length, rest.length]).toEqual([8, 3]);
    expect([...page, ...rest].every((v) => v.content?.includes('"busy"'))).toBe(true);
  });

  test('a relation made by hand answers with nothing', async () => {
    expect(await list({ type: 'AuditEvent' })).toEqual([]);
    expect(await store.repository.read('AuditEvent', 'x', access)).toBeUndefined();
    expect(await store.repository.vread('AuditEvent', 'x', 1, access)).toBeUndefined();
  });
});
