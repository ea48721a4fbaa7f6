/** What one search runs with, from the engine and the request. */
import type { RequestContext } from '../context.ts';
import type { Engine } from '../engine.ts';
import type { Reader } from '../store/repository.ts';
import { hiddenKindOf } from './blind/kinds.ts';
import type { KnownCondition, Meaning } from './kind.ts';
import { kindOf } from './kinds.ts';
import type { Run } from './matches.ts';

const known = new WeakMap<Engine, Map<string, KnownCondition>>();

function knownOf(engine: Engine): Map<string, KnownCondition> {
  let conditions = known.get(engine);
  if (!conditions) known.set(engine, (conditions = new Map()));
  return conditions;
}

export const meaningOf = (engine: Engine, nowMs: number): Meaning => ({
  definitions: engine.definitions,
  blind: engine.blind,
  terminology: engine.terminology,
  baseUrl: engine.baseUrl,
  nowMs,
  known: knownOf(engine),
  kindOf: (param) => (engine.blind.hides(param) ? hiddenKindOf(param) : kindOf(param)),
});

/** @param reader a transaction's own rows are seen through it */
export const runOf = (engine: Engine, ctx: RequestContext, reader: Reader): Run => ({
  engine,
  access: ctx.access.to('search'),
  reader,
  meaning: meaningOf(engine, ctx.clock.now()),
  budget: { left: engine.limits.candidates, limit: engine.limits.candidates },
});
