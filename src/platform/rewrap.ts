/** Wraps data keys anew with the current root key, a page at a time: whoever is interrupted goes on where it was. The keys themselves stay. */
import { boundOf, type RunForKeys } from './data-keys.ts';
import type { RootKeys } from './root-keys.ts';

const PAGE = 500;

export interface KeyCount {
  readonly kek: string;
  readonly kind: string;
  readonly live: number;
  readonly retired: number;
}

/** Data keys by what they are wrapped with. */
export async function countKeys(run: RunForKeys): Promise<readonly KeyCount[]> {
  const { rows } = await run(
    `select kek, kind, count(*) filter (where retired_at is null), count(*) filter (where retired_at is not null)
     from data_key group by kek, kind order by kek, kind`,
    [],
  );
  return rows.map(([kek, kind, live, retired]) => ({
    kek: kek ?? '',
    kind: kind ?? '',
    live: Number(live),
    retired: Number(retired),
  }));
}

/**
 * @param tell how many are done so far
 * @returns how many were wrapped anew
 * @throws Error when one of them cannot be unwrapped: nothing of it is changed
 */
export async function rewrap(run: RunForKeys, roots: RootKeys, tell: (done: number) => void): Promise<number> {
  const [current = ''] = await roots.ids();
  for (let done = 0; ;) {
    const { rows } = await run(
      `select id, kind, subject, kek, wrapped from data_key where kek <> $1 order by kek, id limit ${PAGE}`,
      [current],
    );
    if (rows.length === 0) return done;
    const old = rows.map((row) => {
      const [id = '', kind = '', subject = '', kek = '', wrapped = ''] = row.map((v) => v ?? '');
      return { id, kek, wrapped, bound: boundOf(id, { kind, subject }) };
    });
    const plain = (await roots.unwrap(old)).map((key, i) => {
      if (key instanceof Error) throw key;
      return { bound: old[i]?.bound ?? '', key };
    });
    const fresh = (await roots.wrap(plain)).map((w, i) => ({ id: old[i]?.id, was: old[i]?.wrapped, ...w }));
    for (const { key } of plain) key.fill(0);
    await run(
      `update data_key k set kek = f.kek, wrapped = f.wrapped from json_to_recordset($1::json) as f(id text, was text, kek text, wrapped text)
       where k.id = f.id and k.wrapped = f.was`,
      [JSON.stringify(fresh)],
    );
    tell((done += rows.length));
  }
}
