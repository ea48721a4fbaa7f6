/**
 * Conditions that a row's own columns decide exactly: what an access is made of. Each can be judged in SQL, and on a resource.
 * @see https://hl7.org/fhir/R4/compartmentdefinition.html
 */
import { raw, sql, type Sql } from '../../platform/database/sql.ts';
import type { SearchParam } from '../definitions/registry.ts';
import type { Engine } from '../engine.ts';
import { grantAll } from '../access.ts';
import { FhirError } from '../outcome.ts';
import type { ParamCondition } from './criteria.ts';
import type { Query } from './contract.ts';
import { compartmentParams } from './compartment.ts';
import type { Meaning } from './kind.ts';
import { parseSearch } from './parse.ts';
import { ownSql, type CompartmentCondition } from './plan.ts';
import { isMember, meetsAll } from './recheck.ts';
import { columnsFor, scopeOf, selectFrom, type Place } from './sql.ts';
import { localReference } from './type/reference.ts';
import { asObject, asString, eachValue, isScalar } from './values.ts';

/** The row is in nobody's compartment of these codes, but for those excepted. */
export interface ImpersonalCondition {
  readonly kind: 'impersonal';
  readonly params: readonly SearchParam[];
  readonly codes: readonly string[];
  /** `Patient/1` */
  readonly except: readonly string[];
}

/**
 * The row is of somebody who is named in a row of another type that meets conditions: a patient who has been seen. Asked of the database at every alias,
 * as the other rows are then; on a resource it is judged by those who were named when the access was made.
 */
export interface KnownByCondition {
  readonly kind: 'known-by';
  /** Whose the row is: its own reference, or what the parameter holds. */
  readonly owner: SearchParam | 'self';
  /** `Patient` */
  readonly code: string;
  readonly through: {
    readonly type: string;
    readonly param: SearchParam;
    readonly conditions: readonly ParamCondition[];
  };
  /** Who was named so: `Patient/1`. */
  readonly known: ReadonlySet<string>;
}

/** @returns undefined where the parameters are not there: the type has no such owner */
export function knownBy(
  engine: Pick<Engine, 'definitions'>,
  code: string,
  type: string,
  through: { readonly type: string; readonly conditions: readonly ParamCondition[] },
  known: ReadonlySet<string>,
): KnownByCondition | undefined {
  const named = code.toLowerCase();
  const owner = type === code ? 'self' : engine.definitions.searchParams(type).get(named);
  const param = engine.definitions.searchParams(through.type).get(named);
  return owner && param && { kind: 'known-by', owner, code, through: { ...through, param }, known };
}

export type OwnCondition = ParamCondition | CompartmentCondition | ImpersonalCondition | KnownByCondition;

/** Membership in `Patient/1`; undefined: resources of the type never belong to such a compartment. */
export function membership(
  engine: Pick<Engine, 'definitions'>,
  code: string,
  id: string,
  type: string,
): CompartmentCondition | undefined {
  const params = compartmentParams(engine, code, type);
  return params && { kind: 'compartment', params, self: type === code, code, id };
}

/** No reference that would put the resource into a compartment. @param except those into whose compartments it may */
export function impersonal(
  engine: Pick<Engine, 'definitions'>,
  codes: readonly string[],
  type: string,
  except: readonly string[] = [],
): ImpersonalCondition {
  const params = new Set(codes.flatMap((code) => compartmentParams(engine, code, type) ?? []));
  return { kind: 'impersonal', params: [...params], codes, except };
}

const approximate = (condition: ParamCondition): boolean =>
  condition.param.type === 'date' && condition.values.some((v) => 'prefix' in v && v.prefix === 'ap');

/**
 * Search parameters as conditions.
 * @returns undefined where one of them is unknown or badly written, speaks of the reply, follows references, or cannot be decided by SQL alone
 */
export function exactConditions(
  engine: Pick<Engine, 'definitions' | 'resources' | 'limits'>,
  meaning: Meaning,
  type: string,
  query: Query,
): readonly ParamCondition[] | undefined {
  try {
    const { types } = parseSearch(engine, meaning, [type], query, { strict: 'always', typeFilter: false });
    const conditions = (types[0]?.conditions ?? []).filter((c): c is ParamCondition => c.kind === 'param');
    const exact = conditions.every((c) => !approximate(c) && ownSql(meaning, { type, alias: 'r' }, c).exact);
    return exact && conditions.length === query.length ? conditions : undefined;
  } catch (error) {
    if (error instanceof FhirError) return undefined;
    throw error;
  }
}

function impersonalSql(meaning: Meaning, place: Place, { params, codes, except }: ImpersonalCondition): Sql[] {
  const leads = (reference: Sql, code: string): Sql => {
    const any = sql`starts_with(${reference}, ${raw(`'${code}/'`)})`;
    return except.length === 0 ? any : sql`(${any} and ${reference} <> all(${except}::text[]))`;
  };
  return params.flatMap((param) => {
    const { column: columnOf, tag } = columnsFor(meaning, place, param);
    // Tags have no beginning that could be looked at.
    if (tag) throw new Error(`${param.resourceType}.${param.code} decides who sees the row: list it as plain`);
    const column = columnOf();
    return codes.map((code) =>
      isScalar(param)
        ? sql`${leads(column, code)} is not true`
        : sql`not exists (select from unnest(${column}) v where ${leads(raw('v'), code)})`,
    );
  });
}

/** Which rows the condition itself looks at is no question of who asks: it says what they may see. */
const RULE = grantAll({ kind: 'system', name: 'access' }).to('read');

/** A reference column as an array. */
const listed = (column: Sql, param: SearchParam): Sql => (isScalar(param) ? sql`array[${column}]` : column);

/** References to those whom rows name that meet the conditions. @param what of each, `v` */
export function namedSql(
  meaning: Meaning,
  type: string,
  param: SearchParam,
  conditions: readonly ParamCondition[],
  alias = 'r',
  what = raw('v'),
): Sql {
  const scope = scopeOf(RULE, type, alias);
  const named = listed(columnsFor(meaning, scope, param).column(), param);
  const where = conditions.map((c) => ownSql(meaning, scope, c).sql);
  return selectFrom(scope, sql`distinct ${what}`, where, { join: sql`unnest(${named}) v` });
}

/**
 * One row is asked about by a look at the rows that name its owner (EXISTS, by their index). @param many of many rows it is cheaper to list once who is
 * named, and to find the rows by that
 */
function knownBySql(meaning: Meaning, place: Place, condition: KnownByCondition, many: boolean): Sql {
  const { owner, code, through } = condition;
  const inner = scopeOf(RULE, through.type, `${place.alias}k`);
  const column = owner === 'self' ? undefined : columnsFor(meaning, place, owner);
  if (many) {
    const what = column ? raw('v') : sql`substr(v, ${raw(String(code.length + 2))})`;
    const named = namedSql(meaning, through.type, through.param, through.conditions, `${place.alias}k`, what);
    if (!column || owner === 'self') return sql`${raw(place.alias)}.id = any(array(${named}))`;
    const indexed = column.cover ?? column.column();
    return isScalar(owner) ? sql`${indexed} = any(array(${named}))` : sql`${indexed} && array(${named})`;
  }
  const owners =
    !column || owner === 'self'
      ? sql`array[${raw(`'${code}/' || ${place.alias}.id`)}]`
      : listed(column.column(), owner);
  // The cover holds the same references, and has the index.
  const columns = columnsFor(meaning, inner, through.param);
  const named = listed(columns.cover ?? columns.column(), through.param);
  const conditions = through.conditions.map((c) => ownSql(meaning, inner, c).sql);
  return sql`exists (${selectFrom(inner, raw('1'), [sql`${named} && ${owners}`, ...conditions])})`;
}

/** All of them hold, on the alias of the type's table. @param many many rows are looked at */
export const conditionsSql = (
  meaning: Meaning,
  place: Place,
  conditions: readonly OwnCondition[],
  many = false,
): Sql[] =>
  conditions.flatMap((c) => {
    if (c.kind === 'impersonal') return impersonalSql(meaning, place, c);
    return [c.kind === 'known-by' ? knownBySql(meaning, place, c, many) : ownSql(meaning, place, c).sql];
  });

function isOfKnown(meaning: Meaning, { owner, code, known }: KnownByCondition, resource: unknown): boolean {
  if (owner === 'self') return known.has(`${code}/${asString(asObject(resource)?.['id']) ?? ''}`);
  let found = false;
  eachValue(resource, owner, (value) => {
    found ||= known.has(localReference(asString(asObject(value)?.['reference']) ?? '', meaning.baseUrl));
  });
  return found;
}

function isImpersonal(meaning: Meaning, { params, codes, except }: ImpersonalCondition, resource: unknown): boolean {
  let personal = false;
  for (const param of params) {
    eachValue(resource, param, (value) => {
      const local = localReference(asString(asObject(value)?.['reference']) ?? '', meaning.baseUrl);
      personal ||= !except.includes(local) && codes.some((code) => local.startsWith(`${code}/`));
    });
  }
  return !personal;
}

/** Whether all of them hold, judged on the resource. */
export const conditionsHold = (meaning: Meaning, conditions: readonly OwnCondition[], resource: unknown): boolean =>
  conditions.every((c) =>
    c.kind === 'impersonal'
      ? isImpersonal(meaning, c, resource)
      : c.kind === 'compartment'
        ? isMember(meaning, c, resource)
        : c.kind === 'known-by'
          ? isOfKnown(meaning, c, resource)
          : meetsAll(meaning, [c], resource),
  );
