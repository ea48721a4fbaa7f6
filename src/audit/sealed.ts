/** Rows and seals as they are read to be hashed. */
import type { Row } from '../platform/database/named-query.ts';
import { AUDIT_COLUMNS } from './row.ts';

/** Runs a statement; values come back as PostgreSQL prints them. */
export type Read = (text: string, values?: readonly unknown[]) => Promise<readonly Row[]>;

const PAGE = 5_000;
/** The key of a row comes first. */
const ROW = ['xid', ...AUDIT_COLUMNS.map(([name]) => name)].map((name) => `a.${name}`).join(', ');

/** Where a row stands among all: by transaction, then by id. */
export const idOf = (row: Row | undefined): string => row?.[1] ?? '';

/** Rows of transactions from one (included) to another (not included), in order. */
export async function* rowsBetween(read: Read, from: string, to: string): AsyncGenerator<Row> {
  let [xid, id] = [from, ''];
  for (;;) {
    const rows = await read(
      `select ${ROW} from audit_log a where (a.xid, a.id) > ($1::xid8, $2) and a.xid < $3::xid8 order by a.xid, a.id limit ${PAGE}`,
      [xid, id, to],
    );
    yield* rows;
    const last = rows.at(-1);
    if (rows.length < PAGE || !last) return;
    [xid, id] = [last[0] ?? '', idOf(last)];
  }
}
