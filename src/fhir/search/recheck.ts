/**
 * Candidates that SQL let through are decoded and tested on the resource itself: conditions that columns can only narrow, such
 * as units, exact spelling, or the tuples of a composite. Bounded by `limits.candidates`.
 * @see https://hl7.org/fhir/R4/search.html
 */
import { badRequest } from '../outcome.ts';
import type { ParamCondition, ReferenceValue } from './criteria.ts';
import type { Meaning } from './kind.ts';
import { hasTuple } from './type/composite.ts';
import type { CompartmentCondition } from './plan.ts';
import { asObject, listValues } from './values.ts';

/** Candidates that one search may still read. */
export interface Budget {
  left: number;
  readonly limit: number;
}

/** @throws FhirError 400 when the search has read too many candidates */
export function spendCandidates(budget: Budget, count: number): void {
  budget.left -= count;
  if (budget.left < 0) {
    throw badRequest(
      'too-costly',
      `More than ${budget.limit} resources would have to be looked at one by one: narrow the search by another parameter.`,
    );
  }
}

function holds(meaning: Meaning, { param, modifier, values }: ParamCondition, resource: unknown): boolean {
  if (modifier === 'missing') {
    const [value] = values;
    const isMissing =
      param.type === 'composite' ? !hasTuple(param, resource) : listValues(resource, param).length === 0;
    return isMissing === (value?.kind === 'missing' && value.missing);
  }
  const negated = modifier === 'not' || modifier === 'not-in';
  const readAs = modifier === 'not' ? undefined : modifier === 'not-in' ? 'in' : modifier;
  return meaning.kindOf(param).matches(param, listValues(resource, param), readAs, values, meaning) !== negated;
}

/** Whether a resource is in the compartment. */
export function isMember(
  meaning: Meaning,
  { params, self, code, id }: CompartmentCondition,
  resource: unknown,
): boolean {
  if (self && asObject(resource)?.['id'] === id) return true;
  const value: ReferenceValue = { kind: 'reference', type: code, id, version: undefined, url: undefined };
  return params.some((p) => meaning.kindOf(p).matches(p, listValues(resource, p), undefined, [value], meaning));
}

/** Conditions that a resource alone decides. */
export type Rechecked = ParamCondition | CompartmentCondition;

/** Whether a resource meets all conditions, judged on the resource alone. */
export const meetsAll = (meaning: Meaning, conditions: readonly Rechecked[], resource: unknown): boolean =>
  conditions.every((c) => (c.kind === 'compartment' ? isMember(meaning, c, resource) : holds(meaning, c, resource)));
