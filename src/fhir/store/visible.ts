/**
 * Rows that an access may see. The history has no columns of search, so an old version is judged by its resource as it is
 * now; versions of a deleted resource are shown only where nothing limits the type's rows.
 */
import { compile, id, raw, sql, type Sql } from '../../platform/database/sql.ts';
import type { Access } from '../access.ts';
import { tableOf } from './layout.ts';

/** Condition on the alias `r` of a type's table. */
export const currentVisible = (type: string, access: Access): Sql => access.rows(type, 'r');

/** Condition on the alias `h` of a type's history table. */
export function historyVisible(type: string, access: Access): Sql {
  const rows = access.rows(type, 'r');
  if (compile(rows).text === 'true') return raw('true');
  return sql`exists (select from ${id(tableOf(type))} r where r.id = h.id and ${rows})`;
}
