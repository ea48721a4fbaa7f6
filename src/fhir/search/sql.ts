/**
 * The only place that writes `from <table>`: rows of a type are read under an alias whose access predicate is part of the
 * statement, and there is no way to name a table without one.
 */
import { and, id, raw, sql, type Sql } from '../../platform/database/sql.ts';
import type { AccessPredicate, Rows } from '../access.ts';
import type { SearchParam } from '../definitions/registry.ts';
import { tableOf } from '../store/layout.ts';
import type { ColumnSource } from './blind/blind.ts';
import { columnName, coverOf, REFERENCE_IDENTIFIER } from './columns.ts';
import type { ColumnAccess } from './kind.ts';

/** An alias of a type's table. */
export interface Place {
  readonly type: string;
  readonly alias: string;
}

/** Rows of a type that may be seen, under an alias. */
export interface Scope extends Place {
  readonly table: Sql;
  readonly visible: AccessPredicate;
}

export const scopeOf = (access: Rows, type: string, alias: string): Scope => ({
  type,
  alias,
  table: id(tableOf(type)),
  visible: access.rows(type, alias),
});

/** `select … from …`: the visible rows that meet all conditions. */
export function selectFrom(
  scope: Scope,
  what: Sql,
  conditions: readonly Sql[],
  more: { readonly join?: Sql; readonly tail?: Sql } = {},
): Sql {
  const join = more.join ? sql`, ${more.join}` : raw('');
  return sql`select ${what} from ${scope.table} ${raw(scope.alias)}${join} where ${and([...conditions, scope.visible])}${more.tail ?? raw('')}`;
}

interface Names {
  readonly own: string;
  readonly cover: string | undefined;
}

const names = new WeakMap<ColumnSource['blind'], WeakMap<SearchParam, Names>>();

function namesOf(source: ColumnSource, param: SearchParam): Names {
  let ofBlind = names.get(source.blind);
  if (!ofBlind) names.set(source.blind, (ofBlind = new WeakMap()));
  let found = ofBlind.get(param);
  if (!found) {
    const cover = coverOf(source, param);
    found = { own: columnName(param), cover: cover && columnName(cover) };
    ofBlind.set(param, found);
  }
  return found;
}

const quoted = (scope: Place, name: string): Sql => raw(`${scope.alias}."${name}"`);

/** The columns of a parameter under a scope's alias. */
export function columnsFor(source: ColumnSource, scope: Place, param: SearchParam): ColumnAccess {
  const { own, cover } = namesOf(source, param);
  const { blind } = source;
  const { resourceType } = param;
  const hidden = blind.hides(param);
  return {
    param,
    column(suffix) {
      if (param.code === '_id') return raw(`${scope.alias}.id`);
      if (param.code === '_lastUpdated') return raw(`${scope.alias}.last_updated`);
      return quoted(scope, suffix === undefined ? own : columnName(param, suffix));
    },
    cover: cover === undefined ? undefined : quoted(scope, cover),
    of: (other) => columnsFor(source, scope, other),
    referenceIdentifier: quoted(scope, REFERENCE_IDENTIFIER),
    tag: hidden ? blind.tagger(resourceType, own) : undefined,
    coverTag: hidden && cover !== undefined ? blind.tagger(resourceType, cover) : undefined,
    identifierTag: blind.seals(resourceType) ? blind.tagger(resourceType, REFERENCE_IDENTIFIER) : undefined,
  };
}
