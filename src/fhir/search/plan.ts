/**
 * Criteria to SQL. Access is a part of every plan: a scope cannot be made without one, and nothing is read without a scope.
 * @see https://hl7.org/fhir/R4/search.html
 */
import { or, raw, sql, type Sql } from '../../platform/database/sql.ts';
import type { Rows } from '../access.ts';
import { hiddenRefersTo } from './blind/reference.ts';
import type { ChainCondition, Condition, HasCondition, ParamCondition } from './criteria.ts';
import { NONE, type Meaning, type SqlCondition } from './kind.ts';
import { bounded } from './literal.ts';
import { columnsFor, scopeOf, selectFrom, type Place, type Scope } from './sql.ts';
import { isCanonical } from './type/reference.ts';
import { isScalar } from './values.ts';
import type { SearchParam } from '../definitions/registry.ts';

/** What a plan is made under. */
export interface PlanContext {
  readonly meaning: Meaning;
  readonly access: Rows;
}

/** A chain or `_has` whose inner matches are known by now. */
export interface ResolvedChain {
  readonly kind: 'resolved-chain';
  readonly param: SearchParam;
  /** `Type/id`, or canonical URLs. */
  readonly references: readonly string[];
}
export interface ResolvedIds {
  readonly kind: 'resolved-ids';
  readonly column: 'id' | 'url';
  readonly values: readonly string[];
}
/** A compartment: one of several parameters refers to its owner, or the row is the owner itself. */
export interface CompartmentCondition {
  readonly kind: 'compartment';
  readonly params: readonly SearchParam[];
  readonly self: boolean;
  readonly code: string;
  readonly id: string;
}

export type PlannedCondition = Condition | ResolvedChain | ResolvedIds | CompartmentCondition;

/** Rows of one type that match, or may match. */
export interface Plan {
  readonly scope: Scope;
  readonly where: readonly Sql[];
  /** Conditions that SQL only narrows: to be tested on each row's resource. */
  readonly recheck: readonly (ParamCondition | CompartmentCondition)[];
  /** Chains and `_has` that SQL only narrows: to be resolved before the plan is made again. */
  readonly unresolved: readonly (ChainCondition | HasCondition)[];
  /** Find all matching rows first, then sort: an index serves the conditions better than walking in order would. */
  readonly fenced: boolean;
}

/** Aliases of one statement: r for the rows sought, then a1, a2, … */
interface Aliases {
  next: number;
}

function missing(meaning: Meaning, scope: Place, { param, values }: ParamCondition): SqlCondition {
  const [value] = values;
  const isMissing = value?.kind === 'missing' && value.missing;
  if (param.code === '_id' || param.code === '_lastUpdated')
    return { sql: raw(isMissing ? 'false' : 'true'), exact: true };
  const columns = columnsFor(meaning, scope, param);
  if (param.type === 'composite') return UNDECIDED;
  const column = columns.column(param.type === 'special' ? 'latitude' : undefined);
  return { sql: sql`${column} is ${raw(isMissing ? 'null' : 'not null')}`, exact: true };
}

/** Conditions are shared by the searches that ask for the same: so is their SQL, under the alias of the rows sought. */
const written = new WeakMap<ParamCondition, SqlCondition>();

function paramSql(meaning: Meaning, scope: Place, condition: ParamCondition): SqlCondition {
  if (scope.alias !== 'r') return writeParam(meaning, scope, condition);
  let found = written.get(condition);
  if (!found) written.set(condition, (found = writeParam(meaning, scope, condition)));
  return found;
}

function writeParam(meaning: Meaning, scope: Place, condition: ParamCondition): SqlCondition {
  const { param, modifier, values } = condition;
  if (modifier === 'missing') return missing(meaning, scope, condition);
  const negated = modifier === 'not' || modifier === 'not-in';
  const kind = meaning.kindOf(param);
  const columns = columnsFor(meaning, scope, param);
  const found = kind.condition(
    columns,
    modifier === 'not' ? undefined : modifier === 'not-in' ? 'in' : modifier,
    values,
    meaning,
  );
  if (!negated) return found;
  return found.exact ? { sql: sql`(${found.sql}) is not true`, exact: true } : UNDECIDED;
}

/** Any row may match. */
const UNDECIDED: SqlCondition = { sql: raw('true'), exact: false };

/** Column that a canonical reference finds. Resources with such a URL speak of nobody: theirs is plain. */
const urlColumn = (context: PlanContext, scope: Scope): Sql => {
  const url = context.meaning.definitions.searchParams(scope.type).get('url');
  return url ? columnsFor(context.meaning, scope, url).column() : raw('null');
};

function chainSql(context: PlanContext, scope: Scope, condition: ChainCondition, aliases: Aliases): SqlCondition {
  const { param } = condition;
  if (context.access.veil(scope.type)?.hides(param) === 'all') return NONE;
  const columns = columnsFor(context.meaning, scope, param);
  // Tags join to nothing: what is referred to must be known first.
  if (columns.tag) return UNDECIDED;
  const canonical = isCanonical(param);
  let exact = true;
  const alternatives = condition.targets.map((target) => {
    const inner = scopeOf(context.access, target.type, `a${aliases.next++}`);
    const found = conditionSql(context, inner, target.condition, aliases);
    exact &&= found.exact;
    const what = canonical ? urlColumn(context, inner) : raw(`'${target.type}/' || ${inner.alias}.id`);
    const matches = selectFrom(inner, what, [found.sql]);
    const column = (param.paths[0]?.target === target.type ? columns.cover : undefined) ?? columns.column();
    if (!isScalar(param)) return sql`${column} && array(${matches})`;
    return canonical ? sql`split_part(${column}, '|', 1) in (${matches})` : sql`${column} in (${matches})`;
  });
  return { sql: or(alternatives), exact, fenced: true };
}

function hasSql(context: PlanContext, scope: Scope, condition: HasCondition, aliases: Aliases): SqlCondition {
  const { param } = condition;
  if (context.access.veil(condition.type)?.hides(param) === 'all') return NONE;
  if (context.meaning.blind.hides(param)) return UNDECIDED;
  const inner = scopeOf(context.access, condition.type, `a${aliases.next++}`);
  const found = conditionSql(context, inner, condition.condition, aliases);
  const scalar = isScalar(param);
  const column = columnsFor(context.meaning, inner, param).column();
  const value = scalar ? column : raw('v');
  const join = scalar ? {} : { join: sql`unnest(${column}) v` };
  if (isCanonical(param)) {
    const urls = selectFrom(inner, sql`split_part(${value}, '|', 1)`, [found.sql], join);
    return { sql: sql`${urlColumn(context, scope)} in (${urls})`, exact: found.exact, fenced: true };
  }
  const prefix = `${scope.type}/`;
  const ids = selectFrom(
    inner,
    sql`substr(${value}, ${raw(String(prefix.length + 1))})`,
    [sql`starts_with(${value}, ${raw(`'${prefix}'`)})`, found.sql],
    join,
  );
  return { sql: sql`${raw(scope.alias)}.id in (${ids})`, exact: found.exact, fenced: true };
}

function compartmentSql(meaning: Meaning, scope: Place, condition: CompartmentCondition): SqlCondition {
  const { code, id } = condition;
  const value = { kind: 'reference', type: code, id, version: undefined, url: undefined } as const;
  const parts = condition.params.map(
    (param) => meaning.kindOf(param).condition(columnsFor(meaning, scope, param), undefined, [value], meaning).sql,
  );
  if (condition.self) parts.push(sql`${raw(scope.alias)}.id = ${id}`);
  return { sql: or(parts), exact: true, fenced: true };
}

function resolvedSql(context: PlanContext, scope: Scope, { param, references }: ResolvedChain): SqlCondition {
  if (references.length === 0) return NONE;
  const columns = columnsFor(context.meaning, scope, param);
  if (columns.tag) return { sql: hiddenRefersTo(columns, references.map(bounded)), exact: true, fenced: true };
  const column = columns.cover ?? columns.column();
  const own = columns.cover ? sql` and ${columns.column()} is not null` : raw('');
  if (!isScalar(param)) return { sql: sql`(${column} && ${references}::text[]${own})`, exact: true, fenced: true };
  const text = isCanonical(param) ? sql`split_part(${column}, '|', 1)` : column;
  return { sql: sql`(${text} = any(${references}::text[])${own})`, exact: true, fenced: true };
}

/**
 * Of what may be hidden from whoever searches, columns only narrow: each candidate is tested on what is shown of it, so that a search tells no more
 * than a read. What is shown is a part of what is there: of what it holds the columns let nothing through too little, of what it lacks they would.
 */
function shownSql(context: PlanContext, scope: Scope, condition: ParamCondition): SqlCondition {
  const found = paramSql(context.meaning, scope, condition);
  const hides = context.access.veil(scope.type)?.hides(condition.param) ?? 'none';
  if (hides === 'none') return found;
  const { modifier } = condition;
  const lacks = modifier === 'missing' || modifier === 'not' || modifier === 'not-in';
  return { ...found, ...(lacks ? { sql: raw('true') } : {}), exact: false };
}

function conditionSql(context: PlanContext, scope: Scope, condition: PlannedCondition, aliases: Aliases): SqlCondition {
  switch (condition.kind) {
    case 'param':
      return shownSql(context, scope, condition);
    case 'chain':
      return chainSql(context, scope, condition, aliases);
    case 'has':
      return hasSql(context, scope, condition, aliases);
    case 'compartment': {
      const found = compartmentSql(context.meaning, scope, condition);
      const veil = context.access.veil(scope.type);
      return { ...found, exact: condition.params.every((p) => (veil?.hides(p) ?? 'none') === 'none') };
    }
    case 'resolved-chain':
      return resolvedSql(context, scope, condition);
    case 'resolved-ids': {
      const column = condition.column === 'id' ? raw(`${scope.alias}.id`) : urlColumn(context, scope);
      return { sql: sql`${column} = any(${condition.values}::text[])`, exact: true, fenced: true };
    }
    default:
      return condition satisfies never;
  }
}

/** A condition on the row's own columns, which needs no other table: what an access may be made of. */
export const ownSql = (
  meaning: Meaning,
  place: Place,
  condition: ParamCondition | CompartmentCondition,
): SqlCondition =>
  condition.kind === 'param' ? paramSql(meaning, place, condition) : compartmentSql(meaning, place, condition);

/** Plans the search of one type: all conditions hold. */
export function planOf(context: PlanContext, type: string, conditions: readonly PlannedCondition[]): Plan {
  const scope = scopeOf(context.access, type, 'r');
  const aliases: Aliases = { next: 1 };
  const where: Sql[] = [];
  const recheck: (ParamCondition | CompartmentCondition)[] = [];
  const unresolved: (ChainCondition | HasCondition)[] = [];
  let fenced = context.access.narrow(type);
  for (const condition of conditions) {
    const found = conditionSql(context, scope, condition, aliases);
    where.push(found.sql);
    fenced ||= found.fenced === true;
    if (found.exact) continue;
    if (condition.kind === 'param' || condition.kind === 'compartment') recheck.push(condition);
    else if (condition.kind === 'chain' || condition.kind === 'has') unresolved.push(condition);
  }
  return { scope, where, recheck, unresolved, fenced };
}
