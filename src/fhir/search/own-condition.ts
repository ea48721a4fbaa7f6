/**
 * Conditions that a row's own columns decide exactly: what an access is made of. Each can be judged in SQL, and on a resource.
 * @see https://hl7.org/fhir/R4/compartmentdefinition.html
 */
import { raw, sql, type Sql } from '../../platform/database/sql.ts';
import type { SearchParam } from '../definitions/registry.ts';
import type { Engine } from '../engine.ts';
import { FhirError } from '../outcome.ts';
import type { ParamCondition, ReferenceValue } from './criteria.ts';
import type { Query } from './contract.ts';
import { compartmentParams } from './compartment.ts';
import type { Meaning } from './kind.ts';
import { parseSearch } from './parse.ts';
import { ownSql, type CompartmentCondition } from './plan.ts';
import { meetsAll } from './recheck.ts';
import { columnsFor, type Place } from './sql.ts';
import { localReference } from './type/reference.ts';
import { asObject, asString, eachValue, isScalar, listValues } from './values.ts';

/** The row is in nobody's compartment of these codes, but for those excepted. */
export interface ImpersonalCondition {
  readonly kind: 'impersonal';
  readonly params: readonly SearchParam[];
  readonly codes: readonly string[];
  /** `Patient/1` */
  readonly except: readonly string[];
}

export type OwnCondition = ParamCondition | CompartmentCondition | ImpersonalCondition;

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

/** All of them hold, on the alias of the type's table. */
export const conditionsSql = (meaning: Meaning, place: Place, conditions: readonly OwnCondition[]): Sql[] =>
  conditions.flatMap((c) =>
    c.kind === 'impersonal' ? impersonalSql(meaning, place, c) : [ownSql(meaning, place, c).sql],
  );

function isMember(meaning: Meaning, { params, self, code, id }: CompartmentCondition, resource: unknown): boolean {
  if (self && asObject(resource)?.['id'] === id) return true;
  const value: ReferenceValue = { kind: 'reference', type: code, id, version: undefined, url: undefined };
  return params.some((p) => meaning.kindOf(p).matches(p, listValues(resource, p), undefined, [value], meaning));
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
        : meetsAll(meaning, [c], resource),
  );
