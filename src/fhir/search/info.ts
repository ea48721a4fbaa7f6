/**
 * What the CapabilityStatement says of search: modifiers and comparators of parameters, includes of types.
 * @see https://hl7.org/fhir/R4/capabilitystatement.html
 */
import type { SearchParam } from '../definitions/registry.ts';
import type { Engine } from '../engine.ts';
import { kindOf } from './kinds.ts';

/** Modifiers by the codes of http://hl7.org/fhir/search-modifier-code (`type` stands for `:Patient` and its like). */
export const servedModifiers = (param: SearchParam): string[] => [
  'missing',
  ...kindOf(param)
    .modifiers(param)
    .map((m) => (m === 'of-type' ? 'ofType' : m)),
];

/** Prefixes of values. */
export const servedComparators = (param: SearchParam): string[] => [...kindOf(param).comparators];

/** Parameters of a type that refer to resources. */
export function referenceParams(engine: Pick<Engine, 'definitions'>, type: string): SearchParam[] {
  return [...engine.definitions.searchParams(type).values()].filter((p) => p.type === 'reference');
}

/** Served types that a reference parameter may lead to. */
export const servedTargets = (engine: Pick<Engine, 'resources'>, param: SearchParam): string[] =>
  param.targets.filter((t) => engine.resources.has(t));

/** `Appointment:patient` and its like, as `_include` takes them. */
export const includesOf = (engine: Engine, type: string): string[] =>
  referenceParams(engine, type)
    .filter((p) => servedTargets(engine, p).length > 0)
    .map((p) => `${type}:${p.code}`);

/** References from any type to this one, as `_revinclude` takes them. */
export const revIncludesOf = (engine: Engine, type: string): string[] =>
  [...engine.resources.keys()].sort().flatMap((source) =>
    referenceParams(engine, source)
      .filter((p) => p.targets.includes(type))
      .map((p) => `${source}:${p.code}`),
  );
