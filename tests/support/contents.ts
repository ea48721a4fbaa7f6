/** What stands in `content` columns, past every door: read and written as the store does it. */
import type { Appointment, Resource } from '@medplum/fhirtypes';
import type { Kairos } from '../../src/compose.ts';
import { tableOf } from '../../src/fhir/store/layout.ts';

export type Stored = Pick<Kairos, 'pool' | 'store'>;

interface Content {
  readonly id: string;
  readonly version: number;
  readonly text: string;
}

/** Current contents of a type; of one resource where an id is given. */
export async function contentsOf({ pool, store }: Stored, type: string, id?: string): Promise<readonly Content[]> {
  const { rows } = await pool.query<string[]>({
    text: `select id, version, content from "${tableOf(type)}" where $1::text is null or id = $1 order by id`,
    values: [id ?? null],
    rowMode: 'array',
  });
  await store.content.ready(rows);
  return rows.map(([found = '', version, content = '']) => ({
    id: found,
    version: Number(version),
    text: store.content.decode(type, found, Number(version), content),
  }));
}

/** Puts another content in place of the current one, and nothing else. */
export async function rewrite(
  { pool, store }: Stored,
  type: string,
  id: string,
  change: (resource: Resource) => Resource,
): Promise<void> {
  const [current] = await contentsOf({ pool, store }, type, id);
  if (!current) throw new Error(`${type}/${id} is not there`);
  const resource = change(JSON.parse(current.text) as Resource);
  const write = { type, id, version: current.version, content: JSON.stringify(resource), resource };
  await store.content.prepare([write]);
  await pool.query(`update "${tableOf(type)}" set content = $2 where id = $1`, [id, store.content.encode(write)]);
}

/** What a held Appointment says of its end, set to an instant; the rows beside it are the caller's. */
export const setHoldExpires = (stored: Stored, id: string, at: string): Promise<void> =>
  rewrite(stored, 'Appointment', id, (held) => {
    for (const each of (held as Appointment).extension ?? [])
      if (each.url.endsWith('/hold-expires')) each.valueInstant = at;
    return held;
  });
