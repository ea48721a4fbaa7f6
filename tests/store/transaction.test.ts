/** Transactions: https://hl7.org/fhir/R4/http.html#trules */
import type { Resource } from '@medplum/fhirtypes';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { badRequest } from '../../src/fhir/outcome.ts';
import { defineResource } from '../../src/fhir/resource.ts';
import type { Change, Repository, Transaction } from '../../src/fhir/store/repository.ts';
import { createWithin } from '../../src/fhir/store/repository-within.ts';
import { sql } from '../../src/platform/database/sql.ts';
import { access, identifierTag, openStore, parsed, slot, write, type TestStore } from './open-store.ts';

let store: TestStore;
let hook: (tx: Transaction, change: Change) => Promise<void> = () => Promise.resolve();

beforeAll(async () => {
  store = await openStore([
    defineResource({
      type: 'Schedule',
      sealed: false,
      project: async (tx, changes) => {
        for (const change of changes) await hook(tx, change);
      },
    }),
  ]);
});
afterAll(() => store.close());
beforeEach(() => void (hook = () => Promise.resolve()));

const schedule = (comment = ''): Resource => ({
  resourceType: 'Schedule',
  actor: [{ reference: 'Practitioner/1' }],
  comment,
});
const counts = async (): Promise<string> =>
  JSON.stringify(
    await store.repository.query(
      sql`select (select count(*) from slot), (select count(*) from slot_history), (select count(*) from schedule), (select count(*) from outbox)`,
    ),
  );

describe('transactions (http.html#trules)', () => {
  test('creates of several types are all there, and seen inside before the end', async () => {
    const writes = [
      ...Array.from({ length: 60 }, () => write(slot())),
      ...Array.from({ length: 40 }, () => write({ resourceType: 'Basic', code: { text: 'b' } })),
    ];
    const references = writes.map((w) => `${w.type}/${w.id}`);
    await store.repository.transaction('read committed', async (tx) => {
      await tx.insert(writes, access);
      expect(await tx.existing(references, access)).toEqual(new Set(references));
      expect(await store.repository.existing(references, access)).toEqual(new Set());
    });
    expect(await store.repository.existing(references, access)).toEqual(new Set(references));
  });

  test('a failure leaves nothing behind', async () => {
    const kept = write(slot());
    await store.repository.create(kept, access);
    const before = await counts();
    const work = store.repository.transaction('read committed', async (tx) => {
      await tx.insert([write(slot()), write(schedule())], access);
      await tx.update([write(slot('busy'), { id: kept.id, version: 2, method: 'PUT' })], new Map(), access);
      await tx.outbox({ topic: 'test', payload: {} });
      throw badRequest('invalid', 'no');
    });
    await expect(work).rejects.toMatchObject({ status: 400 });
    expect(await counts()).toBe(before);
  });

  test('an id twice in one transaction is a conflict', async () => {
    const once = write(slot());
    await expect(
      store.repository.transaction('read committed', (tx) => tx.insert([once, once], access)),
    ).rejects.toMatchObject({ status: 409 });
  });

  test('work that swallows a failure of the database is not taken for done', async () => {
    const before = await counts();
    const work = store.repository.transaction('read committed', async (tx) => {
      await tx.insert([write(slot())], access);
      await tx.execute(sql`select 1 / ${0}::integer`).catch(() => undefined);
    });
    await expect(work).rejects.toMatchObject({ status: 400 });
    expect(await counts()).toBe(before);
  });

  test('serializable: of processes that create under one condition at the same time one creates, the other finds it', async () => {
    let [attempts, meet] = [0, (): void => undefined];
    const both = new Promise<void>((resolve) => (meet = resolve));
    const conditional = (repository: Repository): Promise<boolean> =>
      repository.transaction('serializable', async (tx) => {
        const found = await tx.query(sql`select id from basic where content like ${'%only once%'}`);
        if (++attempts === 2) meet();
        await both;
        if (found.length > 0) return false;
        await tx.insert([write({ resourceType: 'Basic', code: { text: 'only once' } })], access);
        return true;
      });
    const created = await Promise.all([store.repository, store.sibling].map(conditional));
    expect([created.filter(Boolean).length, attempts]).toEqual([1, 3]);
  });

  test('serializable: conditional creates of different resources do not fail one another', async () => {
    const attempts = Array.from({ length: 60 }, (_, i) =>
      store.repository.transaction('serializable', async (tx) => {
        const found = await tx.query(
          sql`select id from patient where identifier @> array[${identifierTag(`urn:x|${i}`)}]::uuid[]`,
        );
        if (found.length === 0)
          await tx.insert(
            [write({ resourceType: 'Patient', identifier: [{ system: 'urn:x', value: String(i) }] })],
            access,
          );
      }),
    );
    await Promise.all(attempts);
    expect(await store.repository.query(sql`select count(*) from patient`)).toEqual([['60']]);
  });

  test('a deadlock is resolved by running the loser again', async () => {
    const [a, b] = [write(slot()), write(slot())];
    await store.repository.transaction('read committed', (tx) => tx.insert([a, b], access));
    const lock = (tx: Transaction, id: string) => tx.execute(sql`select id from slot where id = ${id} for update`);
    let meet: () => void = () => undefined;
    let waiting = 0;
    const both = new Promise<void>((resolve) => (meet = resolve));
    const take = (first: string, second: string) =>
      store.repository.transaction('read committed', async (tx) => {
        await lock(tx, first);
        if (++waiting === 2) meet();
        await both;
        await lock(tx, second);
      });
    await Promise.all([take(a.id, b.id), take(b.id, a.id)]);
    expect(waiting).toBe(3);
  });

  test('a transaction that loses every time ends with 503 and Retry-After', async () => {
    let tries = 0;
    const work = store.repository.transaction('serializable', async (tx) => {
      tries++;
      await tx.execute(sql`do $$ begin raise exception using errcode = '40001', message = 'lost'; end $$`);
    });
    await expect(work).rejects.toMatchObject({ status: 503, headers: { 'Retry-After': '1' } });
    expect(tries).toBe(6);
  });
});

describe('parts that may fail by themselves', () => {
  const divide = (tx: Transaction): Promise<unknown> => tx.execute(sql`select 1 / ${0}::integer`);
  const found = (ids: readonly string[]): Promise<ReadonlySet<string>> =>
    store.repository.existing(
      ids.map((id) => `Slot/${id}`),
      access,
    );

  test('what a part did is undone when it throws, and the transaction goes on', async () => {
    const [before, inside, deeper, after] = [write(slot()), write(slot()), write(slot()), write(slot())];
    await store.repository.transaction('read committed', async (tx) => {
      await tx.insert([before], access);
      const part = tx.nested(async () => {
        await tx.insert([inside], access);
        await expect(tx.nested(divide)).rejects.toMatchObject({ status: 400 });
        await tx.nested(() => tx.insert([deeper], access));
        throw badRequest('invalid', 'no');
      });
      await expect(part).rejects.toMatchObject({ status: 400, message: 'no' });
      expect(await tx.nested((same) => same.existing([`Slot/${inside.id}`], access))).toEqual(new Set());
      await tx.insert([after], access);
    });
    expect(await found([before.id, inside.id, deeper.id, after.id])).toEqual(
      new Set([`Slot/${before.id}`, `Slot/${after.id}`]),
    );
  });

  test('a part that swallows a failure of the database fails with it', async () => {
    const kept = write(slot());
    await store.repository.transaction('read committed', async (tx) => {
      await tx.insert([kept], access);
      const part = tx.nested(() => divide(tx).catch(() => undefined));
      await expect(part).rejects.toMatchObject({ status: 400 });
    });
    expect((await found([kept.id])).size).toBe(1);
  });

  test('after a failure outside of parts every statement says why, and nothing is committed', async () => {
    const lost = write(slot());
    const work = store.repository.transaction('read committed', async (tx) => {
      await tx.insert([lost], access);
      await divide(tx).catch(() => undefined);
      await expect(tx.nested(() => tx.execute(sql`select 1`))).rejects.toMatchObject({ status: 400 });
      await expect(tx.existing([`Slot/${lost.id}`], access)).rejects.toMatchObject({ status: 400 });
    });
    await expect(work).rejects.toMatchObject({ status: 400 });
    expect((await found([lost.id])).size).toBe(0);
  });

  test('a part that lost against another transaction makes all run again, whatever became of its error', async () => {
    let tries = 0;
    const kept = write(slot());
    await store.repository.transaction('serializable', async (tx) => {
      await tx.insert([kept], access);
      if (++tries > 2) return;
      await tx
        .nested(() => tx.execute(sql`do $$ begin raise exception using errcode = '40001', message = 'lost'; end $$`))
        .catch(() => undefined);
      await tx.nested(() => tx.execute(sql`select 1`)).catch(() => undefined);
    });
    expect([tries, (await found([kept.id])).size]).toEqual([3, 1]);
  });
});

describe('a repository within a transaction', () => {
  test('parts that begin at the same time do not disturb one another; reads in a part need no turn', async () => {
    const writes = Array.from({ length: 20 }, () => write(slot()));
    await store.repository.transaction('read committed', async (tx) => {
      const { repository } = createWithin(tx, 'read committed');
      const done = await Promise.allSettled([
        ...writes.map((w, i) =>
          repository.transaction('read committed', async (part) => {
            await part.insert([w], access);
            if (i % 2 === 0) await repository.query(sql`select 1 / ${0}::integer`);
            expect((await repository.read('Slot', w.id, access))?.id).toBe(w.id);
          }),
        ),
        repository.query(sql`select 1 / ${0}::integer`),
        ...writes.map((w) => repository.create(w, access)),
      ]);
      const outcomes = done.map((d) => d.status === 'fulfilled');
      // Of each slot one of the two was made: the part, or the create after one that failed.
      expect(outcomes.slice(0, 20)).toEqual(writes.map((_, i) => i % 2 === 1));
      expect(outcomes.slice(20)).toEqual([false, ...writes.map((_, i) => i % 2 === 0)]);
    });
    const references = writes.map((w) => `Slot/${w.id}`);
    expect(await store.repository.existing(references, access)).toEqual(new Set(references));
  });

  test('asks for a stricter transaction where a part needs it, and does nothing more', async () => {
    await store.repository.transaction('read committed', async (tx) => {
      const { repository, needsSerializable } = createWithin(tx, 'read committed');
      expect(needsSerializable()).toBe(false);
      const [first, second] = await Promise.allSettled([
        repository.transaction('serializable', () => Promise.resolve()),
        repository.create(write(slot()), access),
      ]);
      expect([first.status, second.status, needsSerializable()]).toEqual(['rejected', 'rejected', true]);
    });
    await store.repository.transaction('serializable', async (tx) => {
      const { repository, needsSerializable } = createWithin(tx, 'serializable');
      await repository.transaction('serializable', () => Promise.resolve());
      await repository.transaction('read committed', () => Promise.resolve());
      expect(needsSerializable()).toBe(false);
    });
  });
});

describe('hooks of a type, and the outbox', () => {
  test('see every change with what was before and after, in the transaction', async () => {
    const seen: Change[] = [];
    hook = async (tx, change) => {
      seen.push(change);
      await tx.outbox({ topic: `schedule.${change.kind}`, payload: { id: change.id, version: change.version } });
    };
    const created = write(schedule('one'));
    await store.repository.create(created, access);
    const next = write(schedule('two'), { id: created.id, version: 2, method: 'PUT' });
    await store.repository.transaction('read committed', (tx) => tx.update([next], new Map(), access));
    await store.repository.transaction('read committed', (tx) =>
      tx.delete([{ type: 'Schedule', id: created.id, version: 3, lastUpdated: new Date() }], access),
    );
    expect(
      seen.map((c) => [
        c.kind,
        c.version,
        c.before && 'comment' in c.before && c.before.comment,
        c.after && 'comment' in c.after && c.after.comment,
      ]),
    ).toEqual([
      ['create', 1, undefined, 'one'],
      ['update', 2, 'one', 'two'],
      ['delete', 3, 'two', undefined],
    ]);
    const rows = await store.repository.query(
      sql`select topic, payload->>'version', status from outbox where payload->>'id' = ${created.id} order by id`,
    );
    expect(rows).toEqual([
      ['schedule.create', '1', 'pending'],
      ['schedule.update', '2', 'pending'],
      ['schedule.delete', '3', 'pending'],
    ]);
  });

  test('a hook that throws rolls all back, a plain create included', async () => {
    hook = async (tx) => {
      await tx.outbox({ topic: 'never', payload: {} });
      throw badRequest('business-rule', 'the hook says no');
    };
    const before = await counts();
    const refused = write(schedule());
    await expect(store.repository.create(refused, access)).rejects.toMatchObject({
      status: 400,
      message: 'the hook says no',
    });
    await expect(
      store.repository.transaction('read committed', (tx) => tx.insert([write(slot()), refused], access)),
    ).rejects.toMatchObject({ status: 400 });
    expect(await counts()).toBe(before);
  });

  test('a row of the outbox comes with the change or not at all', async () => {
    const created = write(slot('free', 'outbox'));
    await store.repository.transaction('read committed', async (tx) => {
      await tx.insert([created], access);
      await tx.outbox({ topic: 'slot.created', payload: { id: created.id } });
      expect(await store.repository.query(sql`select 1 from outbox where topic = 'slot.created'`)).toEqual([]);
    });
    expect(parsed(await store.repository.read('Slot', created.id, access))['comment']).toBe('outbox');
    expect(await store.repository.query(sql`select payload->>'id' from outbox where topic = 'slot.created'`)).toEqual([
      [created.id],
    ]);
  });
});
