/** Puts the demo clinic into a database: what is missing of it is added, what is there stays as it is. */
import type { Resource } from '@medplum/fhirtypes';
import { grantAll } from '../fhir/access.ts';
import type { ContextEvent, RequestContext } from '../fhir/context.ts';
import type { Engine } from '../fhir/engine.ts';
import { storeAll } from '../fhir/interaction/store-all.ts';
import { FhirError } from '../fhir/outcome.ts';
import { newId } from '../platform/id.ts';
import { DEFAULT_SEED, demoClinic } from './clinic.ts';

export interface SeedOptions {
  readonly seed?: number;
  /** `YYYY-MM-DD`; the engine's clock tells unless given. */
  readonly today?: string;
  readonly emit?: (event: ContextEvent) => void;
}

const STORED_AT_ONCE = 1000;

/** @returns how many resources were added, and how many were there before */
export async function seedDemo(
  engine: Engine,
  options: SeedOptions = {},
): Promise<{ readonly created: number; readonly unchanged: number }> {
  const {
    seed = DEFAULT_SEED,
    today = new Date(engine.clock.now()).toISOString().slice(0, 10),
    emit = () => undefined,
  } = options;
  const ctx: RequestContext = {
    requestId: newId(),
    access: grantAll({ kind: 'system', name: 'seed' }),
    clock: engine.clock,
    emit,
    baseUrl: engine.baseUrl,
  };
  const total = { created: 0, unchanged: 0 };
  const store = async (batch: readonly Resource[]): Promise<void> => {
    for (const outcome of await storeAll(engine, ctx, batch, { existing: 'keep' })) {
      if (outcome instanceof FhirError) throw outcome;
      total[outcome === 'created' ? 'created' : 'unchanged']++;
    }
  };
  const { world, calendar } = demoClinic(seed, today, engine.clock.now());
  for (const part of [world, calendar]) {
    let batch: Resource[] = [];
    let before: Promise<void> = Promise.resolve();
    for (const resource of part) {
      if (batch.push(resource) < STORED_AT_ONCE) continue;
      // One batch is made while the one before is written, and no more: order keeps references whole for whoever reads meanwhile.
      await before;
      before = store(batch);
      before.catch(() => undefined);
      batch = [];
    }
    await before;
    await store(batch);
  }
  return total;
}
