/**
 * Rows that an access may see. The history has no columns of search: SQL judges an old version by its resource as it is now, and
 * what SQL lets through is judged again by the version's own content. Deletions are shown only where nothing limits the type's rows.
 */
import { id, raw, sql, type Sql } from '../../platform/database/sql.ts';
import type { Rows } from '../access.ts';
import { tableOf } from './layout.ts';
import type { StoredVersion } from './repository.ts';

/** Condition on the alias `r` of a type's table. */
export const currentVisible = (type: string, access: Rows): Sql => access.rows(type, 'r');

/** Condition on the alias `h` of a type's history table. */
export function historyVisible(type: string, access: Rows): Sql {
  if (access.reach(type) === 'all') return raw('true');
  return sql`h.content is not null and exists (select from ${id(tableOf(type))} r where r.id = h.id and ${access.rows(type, 'r')})`;
}

/** Whether a version that SQL let through may be shown: with the current one, it must itself be what the access covers. */
export const versionVisible = ({ type, content }: StoredVersion, access: Rows): boolean =>
  access.reach(type) === 'all' || (content !== undefined && access.admits(type, JSON.parse(content)));
