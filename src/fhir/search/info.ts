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

/** What tags cannot decide, by the type of parameter. */
const UNDECIDED: Readonly<Record<SearchParam['type'], string>> = {
  string: 'Every search of it but for :missing',
  token: 'The modifier :text',
  reference: 'A version in a value, a chain or _has over it',
  date: 'A bound of hours and minutes, or a period that a bound cuts',
  number: 'A comparator other than eq',
  quantity: 'A comparator other than eq, a unit',
  uri: 'A :below of more than 32 levels',
  composite: 'Every search of it',
  special: 'Every search of it',
};

/** How far searches of a parameter go whose values are not stored in readable form; undefined where they are. */
export const hiddenNote = (
  { blind, limits }: Pick<Engine, 'blind' | 'limits'>,
  param: SearchParam,
): string | undefined =>
  blind.hides(param)
    ? `Stored as keyed tags. ${UNDECIDED[param.type]} is decided on the resources that the other criteria leave, and _sort by it reads all matches: more than ${limits.candidates} of them are refused as too-costly.`
    : undefined;

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
