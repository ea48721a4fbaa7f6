/** Ciphertext that was moved or changed in the database is refused, and never read as something else: security.md C6. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { client, type Answer, type Send } from '../http/client.ts';
import { createTestServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let send: Send;
beforeAll(async () => {
  server = await createTestServer({ env: { LOG_LEVEL: 'silent' } });
  send = client(server);
  for (const id of ['a', 'b', 'c']) {
    for (const family of ['First', 'Second', 'Third'])
      await send('PUT', `Patient/${id}`, { resourceType: 'Patient', id, name: [{ family: `${family}-${id}` }] });
    await send('PUT', `Basic/${id}`, { resourceType: 'Basic', id, code: { text: `secret-${id}` } });
  }
});
afterAll(() => server.close());

const sql = async (text: string, values: readonly unknown[] = []): Promise<readonly Record<string, unknown>[]> =>
  (await server.kairos.pool.query<Record<string, unknown>>(text, [...values])).rows;

/** Where a content stands. */
interface Place {
  readonly type: 'Patient' | 'Basic';
  readonly table: string;
  readonly id: string;
  readonly version: number;
}

const places: readonly Place[] = ['a', 'b', 'c'].flatMap((id): Place[] => [
  { type: 'Patient', table: 'patient_history', id, version: 1 },
  { type: 'Patient', table: 'patient_history', id, version: 2 },
  { type: 'Patient', table: 'patient', id, version: 3 },
  { type: 'Basic', table: 'basic', id, version: 1 },
]);

const contentAt = async ({ table, id, version }: Place): Promise<string> =>
  String((await sql(`select content from ${table} where id = $1 and version = $2`, [id, version]))[0]?.['content']);
const put = ({ table, id, version }: Place, content: string): Promise<unknown> =>
  sql(`update ${table} set content = $3 where id = $1 and version = $2`, [id, version, content]);

/** All ways to see what is there. */
const looks = ({ type, table, id, version }: Place): readonly string[] => [
  `${type}/${id}/_history/${version}`,
  `${type}/${id}/_history`,
  ...(table.endsWith('_history') ? [] : [`${type}/${id}`, `${type}?_id=${id}`]),
];

const nothingLeaks = ({ status, text, body }: Answer): void => {
  expect(status).toBe(500);
  expect(body['resourceType']).toBe('OperationOutcome');
  expect(text).not.toMatch(/First|Second|Third|secret|v1\.|cannot be opened/);
};

const position = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
const at = (text: string, where: number): number => Math.floor(text.length * where);

type Change = (content: string, other: string, where: number) => string;
const CHANGES: Readonly<Record<string, Change>> = {
  'swapped with another row, version or table': (_content, other) => other,
  'one character flipped': (content, _other, where) => {
    const i = at(content, where);
    return `${content.slice(0, i)}${content[i] === 'A' ? 'B' : 'A'}${content.slice(i + 1)}`;
  },
  'one character left out': (content, _other, where) =>
    content.slice(0, at(content, where)) + content.slice(at(content, where) + 1),
  truncated: (content, _other, where) => content.slice(0, at(content, where)),
  lengthened: (content, other) => content + other.slice(-4),
  'under the key of another': (content, other) => content.slice(0, 3) + other.slice(3, 13) + content.slice(13),
  'the end of another': (content, other, where) =>
    content.slice(0, at(content, where)) + other.slice(at(content, where)),
  'white space in between': (content, _other, where) =>
    `${content.slice(0, at(content, where))} ${content.slice(at(content, where))}`,
  'written in clear': () => '{"resourceType":"Patient","id":"a","name":[{"family":"Forged"}]}',
};

describe('a content that is', () => {
  test.each(Object.entries(CHANGES))('%s is refused, and its neighbours are not', async (_name, change) => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...places),
        fc.constantFrom(...places),
        position,
        async (place, otherPlace, where) => {
          fc.pre(place !== otherPlace);
          const [content, other] = [await contentAt(place), await contentAt(otherPlace)];
          const changed = change(content, other, where);
          fc.pre(changed !== content);
          await put(place, changed);
          try {
            for (const look of looks(place)) nothingLeaks(await send('GET', look));
            const neighbour = places.find((p) => p.id !== place.id && !p.table.endsWith('_history'));
            // At the same time, so that both share a statement.
            const [bad, good] = await Promise.all([
              send('GET', looks(place).at(-1) ?? ''),
              send('GET', `${neighbour?.type}/${neighbour?.id}`),
            ]);
            expect([bad?.status, good?.status]).toEqual([500, 200]);
          } finally {
            await put(place, content);
          }
        },
      ),
      { numRuns: 25 },
    );
  });
});

describe('a data key that was', () => {
  const keys = (): Promise<readonly Record<string, unknown>[]> =>
    sql(
      `select id, wrapped from data_key where kind = 'subject' and subject in ('Patient/a', 'Patient/b') order by subject`,
    );
  /** As a process reads it that has it not in memory. */
  const fresh = async (path: string): Promise<number> => {
    const other = await createTestServer({ env: { LOG_LEVEL: 'silent' }, roles: server.kairos.roles });
    try {
      return (await client(other)('GET', path)).status;
    } finally {
      await other.close();
    }
  };

  test.each([
    ['exchanged with that of another subject', (_own: string, other: string) => other],
    ['changed', (own: string) => `${own[0] === 'A' ? 'B' : 'A'}${own.slice(1)}`],
    ['cut', (own: string) => own.slice(0, 20)],
  ])('%s opens nothing', async (_name, change) => {
    const [own, other] = await keys();
    const [id, wrapped] = [own?.['id'], String(own?.['wrapped'])];
    await sql('update data_key set wrapped = $2 where id = $1', [id, change(wrapped, String(other?.['wrapped']))]);
    expect([await fresh('Patient/a'), await fresh('Patient/b')]).toEqual([500, 200]);
    await sql('update data_key set wrapped = $2 where id = $1', [id, wrapped]);
    expect(await fresh('Patient/a')).toBe(200);
  });

  test('deleted leaves nothing to read of its subject, and everything of others', async () => {
    await sql(`delete from data_key where subject = 'Patient/c'`);
    expect([await fresh('Patient/c'), await fresh('Patient/c/_history/1'), await fresh('Patient/b')]).toEqual([
      500, 500, 200,
    ]);
  });
});

test('secrets of accounts open in no other row, column or version of the text', () => {
  const { keys } = server.kairos;
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), position, (plain, where) => {
      const sealed = keys.seal('auth_account.name_sealed', 'one', plain);
      expect(keys.open('auth_account.name_sealed', 'one', sealed)).toBe(plain);
      expect(() => keys.open('auth_account.name_sealed', 'two', sealed)).toThrow(
        /changed in the database|sealed with another key/,
      );
      expect(() => keys.open('auth_account.email_sealed', 'one', sealed)).toThrow(
        /changed in the database|sealed with another key/,
      );
      const i = at(sealed, where);
      const flipped = `${sealed.slice(0, i)}${sealed[i] === 'A' ? 'B' : 'A'}${sealed.slice(i + 1)}`;
      expect(() => keys.open('auth_account.name_sealed', 'one', flipped)).toThrow(
        /changed in the database|sealed with another key/,
      );
      expect(() => keys.open('auth_account.name_sealed', 'one', sealed.slice(0, i))).toThrow(
        /changed in the database|sealed with another key/,
      );
    }),
    { numRuns: 500 },
  );
});
