/** Reads and creates that share statements: each request gets its own answer. https://hl7.org/fhir/R4/http.html#read */
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '../../src/platform/id.ts';
import { access, onlyStatus, openStore, remove, slot, write, type TestStore } from './open-store.ts';

let store: TestStore;
beforeAll(async () => void (store = await openStore()));
afterAll(() => store.close());

/** Ends every connection of the application, as a restart of PostgreSQL would. */
async function killConnections(): Promise<void> {
  const client = new Client(store.database.superuser);
  await client.connect();
  await client.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
  );
  await client.end();
}

describe('batched reads (http.html#read)', () => {
  test('500 reads at once: present, deleted and unknown ids each get their own answer', async () => {
    const { repository } = store;
    const writes = Array.from({ length: 40 }, (_, i) => write(slot('free', String(i))));
    await Promise.all(writes.map((w) => repository.create(w, access)));
    const gone = writes.slice(0, 10);
    await Promise.all(gone.map((w) => remove(store, 'Slot', w.id)));
    const asked = Array.from({ length: 500 }, (_, i) => (i % 3 === 0 ? newId() : (writes[i % 40]?.id ?? '')));
    const answers = await Promise.all(asked.map((id) => repository.read('Slot', id, access)));
    const expected = asked.map((id) => {
      const written = writes.find((w) => w.id === id);
      if (!written) return undefined;
      return gone.includes(written)
        ? { id, version: 2, method: 'DELETE', content: undefined }
        : { id, version: 1, method: 'POST', content: written.content };
    });
    const seen = answers.map((v) => v && { id: v.id, version: v.version, method: v.method, content: v.content });
    expect(seen).toEqual(expected);
  });

  test('accesses of different keys never share an answer', async () => {
    const [free, busy] = [write(slot('free')), write(slot('busy'))];
    await Promise.all([free, busy].map((w) => store.repository.create(w, access)));
    const reads = [free, busy].flatMap((w) =>
      [access, onlyStatus('free'), onlyStatus('busy')].map((a) => store.repository.read('Slot', w.id, a)),
    );
    expect((await Promise.all(reads)).map((v) => v !== undefined)).toEqual([true, true, false, true, false, true]);
    const references = [`Slot/${free.id}`, `Slot/${busy.id}`, 'Slot/none', 'Unserved/1', 'nonsense', ''];
    expect(await store.repository.existing(references, onlyStatus('busy'))).toEqual(new Set([`Slot/${busy.id}`]));
    expect(await store.repository.existing(references, access)).toEqual(
      new Set([`Slot/${free.id}`, `Slot/${busy.id}`]),
    );
    await remove(store, 'Slot', free.id);
    expect(await store.repository.read('Slot', free.id, onlyStatus('free'))).toBeUndefined();
  });

  test('reads go on after the database has dropped every connection', async () => {
    const created = write(slot());
    await store.repository.create(created, access);
    await killConnections();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => store.repository.read('Slot', created.id, access)),
    );
    expect(answers.every((a) => a?.id === created.id)).toBe(true);
    expect(await store.repository.existing([`Slot/${created.id}`], access)).toEqual(new Set([`Slot/${created.id}`]));
  });
});

describe('batched creates (http.html#create)', () => {
  test('one that the database refuses fails alone', async () => {
    const { repository } = store;
    const taken = write(slot());
    await repository.create(taken, access);
    const good = Array.from({ length: 30 }, () => write(slot()));
    const twin = { ...write(slot('busy')), id: good[3]?.id ?? '' };
    const start = store.layout.columns('Slot').findIndex((c) => c.name === 'start');
    const bad = write(slot());
    const broken = { ...bad, columns: bad.columns.map((c, i) => (i === start ? 'not a date' : c)) };
    const all = [...good.slice(0, 10), write(slot('busy'), { id: taken.id }), broken, ...good.slice(10), twin];
    const outcomes = await Promise.allSettled(all.map((w) => repository.create(w, access)));
    const failures = all.flatMap((w, i) => {
      const outcome = outcomes[i];
      return outcome?.status === 'rejected' ? [[w, outcome.reason] as const] : [];
    });
    expect(failures.map(([w]) => w.id)).toEqual([taken.id, broken.id, twin.id]);
    expect(failures.map(([, reason]) => (reason as { status: number }).status)).toEqual([409, 400, 409]);
    const stored = await Promise.all(good.map((w) => repository.read('Slot', w.id, access)));
    expect(stored.map((s) => s?.content)).toEqual(good.map((w) => w.content));
  });

  test('writes go on after the database has dropped every connection; what it interrupts gets 503', async () => {
    const { repository } = store;
    const interrupted = repository
      .transaction('read committed', async (tx) => {
        await tx.insert([write(slot())], access);
        await killConnections();
        await tx.insert([write(slot())], access);
      })
      .catch((error: unknown) => error);
    expect(await interrupted).toMatchObject({ status: 503, headers: { 'Retry-After': '1' } });
    const created = write(slot());
    await repository.create(created, access);
    expect(await repository.read('Slot', created.id, access)).toBeDefined();
  });
});
