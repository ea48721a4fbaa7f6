/** Compartment search: `Patient/1/Appointment`, `Patient/1/*`. @see https://hl7.org/fhir/R4/compartmentdefinition.html */
import type { Engine } from '../engine.ts';
import type { SearchParam } from '../definitions/registry.ts';
import { errorIssue, FhirError } from '../outcome.ts';
import type { CompartmentCondition } from './plan.ts';

/** Served types that belong to a compartment. @throws FhirError 404 when there is no such compartment */
export function compartmentTypes(engine: Engine, code: string): string[] {
  const compartment = engine.definitions.compartments.get(code);
  if (!compartment) {
    const known = [...engine.definitions.compartments.keys()].join(', ');
    throw new FhirError(404, [
      errorIssue('not-supported', `There is no compartment of ${code.slice(0, 64)}; there are those of ${known}.`),
    ]);
  }
  return Object.keys(compartment.resources)
    .filter((t) => engine.resources.has(t))
    .sort();
}

/** Parameters whose references put a resource into a compartment; undefined: the type does not belong there. */
export function compartmentParams(
  engine: Pick<Engine, 'definitions'>,
  code: string,
  type: string,
): readonly SearchParam[] | undefined {
  const codes = engine.definitions.compartments.get(code)?.resources[type];
  const params = engine.definitions.searchParams(type);
  return codes?.flatMap((c) => params.get(c) ?? []);
}

/** @throws FhirError 404 when the type does not belong to the compartment */
export function compartmentCondition(engine: Engine, code: string, id: string, type: string): CompartmentCondition {
  const params = compartmentParams(engine, code, type);
  if (!params) {
    throw new FhirError(404, [
      errorIssue('not-supported', `${type} does not belong to the compartment of ${code}: search ${type} itself.`),
    ]);
  }
  return {
    kind: 'compartment',
    params,
    // The owner is in its own compartment, whether the definition says `{def}` or nothing of it.
    self: type === code,
    code,
    id,
  };
}
