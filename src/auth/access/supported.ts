/** Which scopes can be enforced exactly: only these are granted. */
import type { Engine } from '../../fhir/engine.ts';
import { exactConditions } from '../../fhir/search/own-condition.ts';
import { meaningOf } from '../../fhir/search/run.ts';
import type { Scope } from '../smart/scope.ts';

/** Types that are served, and filters by search parameters that SQL decides alone; none with `*`, whose types share hardly any. */
export function isSupported(engine: Engine, scope: Scope): boolean {
  if (scope.kind === 'plain') return true;
  if (scope.type === '*') return scope.filter.length === 0;
  if (!engine.resources.has(scope.type)) return false;
  return (
    scope.filter.length === 0 ||
    exactConditions(engine, meaningOf(engine, engine.clock.now()), scope.type, scope.filter) !== undefined
  );
}

/** The part of the list that can be granted. */
export const supportedScopes = (engine: Engine, scopes: readonly Scope[]): readonly Scope[] =>
  scopes.filter((scope) => isSupported(engine, scope));
