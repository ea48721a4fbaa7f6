/** Versions: https://hl7.org/fhir/R4/http.html#versions and https://hl7.org/fhir/R4/http.html#delete */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ConcurrentChange } from '../../src/fhir/store/repository.ts';
import { access, openStore, parsed, remove, replaceWith, slot, write, type TestStore } from './open-store.ts';

let store: TestStore;
beforeAll(async () => void (store = await openStore()));
afterAll(() => store.close());

describe('versions (http.html#versions)', () => {
  test('a create is read back as the text that was written, with meta first', async () => {
    const created = write({ ...slot(), meta: { tag: [{ code: 'x' }] } });
    await store.repository.create(created, access);
    const read = await store.repository.read('Slot', created.id, access);
    expect(read).toMatchObject({ type: 'Slot', id: created.id, version: 1, method: 'POST', content: created.content });
    expect(read?.lastUpdated.getTime()).toBe(created.lastUpdated.getTime());
    expect(Object.keys(parsed(read)).slice(0, 3)).toEqual(['resourceType', 'id', 'meta']);
    expect(parsed(read)['meta']).toEqual({
      versionId: '1',
      lastUpdated: created.lastUpdated.toISOString(),
      tag: [{ code: 'x' }],
    });
  });

  test('concurrent updates lose nothing and leave no gap', async () => {
    const { repository } = store;
    const created = write({ ...slot(), comment: '0' } as never);
    await repository.create(created, access);
    const increment = async (): Promise<void> => {
      for (;;) {
        const current = await repository.read('Slot', created.id, access);
        const count = Number(parsed(current)['comment']) + 1;
        const next = write(slot('free', String(count)), {
          id: created.id,
          version: (current?.version ?? 0) + 1,
          method: 'PUT',
        });
        try {
          await repository.transaction('read committed', (tx) => tx.update([next], new Map(), access));
          return;
        } catch (error) {
          if (!(error instanceof ConcurrentChange)) throw error;
        }
      }
    };
    await Promise.all(Array.from({ length: 40 }, increment));
    const last = await repository.read('Slot', created.id, access);
    expect([last?.version, parsed(last)['comment']]).toEqual([41, '40']);
    const history = await repository.history({ type: 'Slot', id: created.id, count: 100 }, access);
    expect(history.map((v) => v.version)).toEqual(Array.from({ length: 41 }, (_, i) => 41 - i));
    expect(history.map((v) => parsed(v)['comment'])).toEqual(Array.from({ length: 41 }, (_, i) => String(40 - i)));
    expect(await repository.historyTotal({ type: 'Slot', id: created.id }, access)).toBe(41);
  });

  test('an update of another version than the next is refused and writes nothing', async () => {
    const created = write(slot());
    await store.repository.create(created, access);
    for (const version of [1, 3]) {
      const stale = write(slot('busy'), { id: created.id, version, method: 'PUT' });
      await expect(
        store.repository.transaction('read committed', (tx) => tx.update([stale], new Map(), access)),
      ).rejects.toThrow(ConcurrentChange);
    }
    expect(await store.repository.historyTotal({ type: 'Slot', id: created.id }, access)).toBe(1);
  });

  test('a version is read by its number, whether current, superseded or a deletion; others are unknown', async () => {
    const created = write(slot('free', 'one'));
    await store.repository.create(created, access);
    await replaceWith(store, created.id, slot('free', 'two'));
    await remove(store, 'Slot', created.id);
    const at = (version: number) => store.repository.vread('Slot', created.id, version, access);
    expect(parsed(await at(1))['comment']).toBe('one');
    expect(parsed(await at(2))['comment']).toBe('two');
    expect(await at(3)).toMatchObject({ method: 'DELETE', content: undefined });
    expect(await Promise.all([0, 4, -1, 2 ** 40, Number.NaN].map(at))).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe('delete (http.html#delete)', () => {
  test('a deleted resource is read as a deletion, and its versions go on when it comes back', async () => {
    const { repository } = store;
    const created = write(slot('free', 'one'), { id: 'comes-back', method: 'PUT' });
    await repository.create(created, access);
    await remove(store, 'Slot', 'comes-back');
    expect(await repository.read('Slot', 'comes-back', access)).toMatchObject({
      version: 2,
      method: 'DELETE',
      content: undefined,
    });
    expect(await repository.existing(['Slot/comes-back'], access)).toEqual(new Set());

    const again = write(slot('free', 'again'), { id: 'comes-back', version: 3, method: 'PUT' });
    await repository.create(again, access);
    expect(parsed(await repository.read('Slot', 'comes-back', access))['comment']).toBe('again');
    const history = await repository.history({ type: 'Slot', id: 'comes-back', count: 10 }, access);
    expect(history.map((v) => [v.version, v.method])).toEqual([
      [3, 'PUT'],
      [2, 'DELETE'],
      [1, 'PUT'],
    ]);
  });

  test('a deleted id does not begin at version 1 again', async () => {
    const created = write(slot(), { id: 'no-restart', method: 'PUT' });
    await store.repository.create(created, access);
    await remove(store, 'Slot', 'no-restart');
    await expect(store.repository.create(write(slot(), { id: 'no-restart', method: 'PUT' }), access)).rejects.toThrow(
      ConcurrentChange,
    );
    expect(await store.repository.read('Slot', 'no-restart', access)).toMatchObject({ version: 2, method: 'DELETE' });
  });

  test('of deletes at the same time one wins', async () => {
    const created = write(slot());
    await store.repository.create(created, access);
    const entry = { type: 'Slot', id: created.id, version: 2, lastUpdated: new Date() };
    const outcomes = await Promise.allSettled(
      Array.from({ length: 5 }, () =>
        store.repository.transaction('read committed', (tx) => tx.delete([entry], access)),
      ),
    );
    expect(outcomes.filter((o) => o.status === 'fulfilled')).toHaveLength(1);
    expect(outcomes.filter((o) => o.status === 'rejected' && o.reason instanceof ConcurrentChange)).toHaveLength(4);
  });

  test('of clients that choose the same id at the same time one creates it, the others may look again', async () => {
    const attempts = Array.from({ length: 5 }, () =>
      store.repository.create(write(slot(), { id: 'chosen', method: 'PUT' }), access),
    );
    const outcomes = await Promise.allSettled(attempts);
    expect(outcomes.filter((o) => o.status === 'fulfilled')).toHaveLength(1);
    expect(outcomes.filter((o) => o.status === 'rejected' && o.reason instanceof ConcurrentChange)).toHaveLength(4);
    expect(await store.repository.historyTotal({ type: 'Slot', id: 'chosen' }, access)).toBe(1);
  });
});
