/**
 * Writes many resources with their own ids: the way of import and seed, in as few statements as the store allows.
 * @see https://hl7.org/fhir/R4/http.html#upsert
 */
import type { Resource } from '@medplum/fhirtypes';
import type { RequestContext } from '../context.ts';
import type { Engine } from '../engine.ts';
import { FhirError } from '../outcome.ts';
import type { PreparedWrite, StoredVersion } from '../store/repository.ts';
import { isLive } from './version.ts';
import { retryOnChange, settle } from './write.ts';

/** What became of a resource. */
export type StoreOutcome = 'created' | 'updated' | 'unchanged' | FhirError;

export interface StoreAllOptions {
  /** A resource that exists: `replace` it when it differs, or `keep` it as it is. */
  readonly existing: 'replace' | 'keep';
}

const keyOf = (resource: Resource): string => `${resource.resourceType}/${resource.id}`;

/** The versions to be written over `current`, and what that makes of each resource. */
function planWrites(
  engine: Engine,
  resources: readonly Resource[],
  current: readonly (StoredVersion | undefined)[],
  now: Date,
  options: StoreAllOptions,
): { readonly outcomes: StoreOutcome[]; readonly inserts: PreparedWrite[]; readonly updates: PreparedWrite[] } {
  const inserts: PreparedWrite[] = [];
  const updates: PreparedWrite[] = [];
  const outcomes = resources.map((resource, i): StoreOutcome => {
    const id = resource.id ?? '';
    const there = current[i];
    if (!isLive(there)) {
      inserts.push(
        settle(engine, resource, { id, version: (there?.version ?? 0) + 1, lastUpdated: now, method: 'PUT' }),
      );
      return 'created';
    }
    if (options.existing === 'keep') return 'unchanged';
    // Written as the version that is there, an equal resource gives equal text.
    const same = settle(engine, resource, {
      id,
      version: there.version,
      lastUpdated: there.lastUpdated,
      method: 'PUT',
    });
    if (same.content === there.content) return 'unchanged';
    updates.push(settle(engine, resource, { id, version: there.version + 1, lastUpdated: now, method: 'PUT' }));
    return 'updated';
  });
  return { outcomes, inserts, updates };
}

async function storeTogether(
  engine: Engine,
  ctx: RequestContext,
  resources: readonly Resource[],
  options: StoreAllOptions,
): Promise<StoreOutcome[]> {
  return retryOnChange(false, async () => {
    const current = await Promise.all(
      resources.map((r) => engine.repository.read(r.resourceType, r.id ?? '', ctx.access.to('update'))),
    );
    const { outcomes, inserts, updates } = planWrites(engine, resources, current, new Date(ctx.clock.now()), options);
    if (inserts.length + updates.length > 0) {
      await engine.repository.transaction('read committed', async (tx) => {
        await tx.together(async () => {
          if (inserts.length > 0) await tx.insert(inserts, ctx.access.to('update'));
          if (updates.length > 0) await tx.update(updates, new Map(), ctx.access.to('update'));
        });
      });
    }
    return outcomes;
  });
}

/**
 * @param resources valid, each with an id, no two with the same; their references are the caller's concern
 * @returns one outcome for each, in order; a refused resource does not keep others from being written
 */
export async function storeAll(
  engine: Engine,
  ctx: RequestContext,
  resources: readonly Resource[],
  options: StoreAllOptions,
): Promise<readonly StoreOutcome[]> {
  ctx.access.demand('update');
  let outcomes: readonly StoreOutcome[];
  try {
    outcomes = await storeTogether(engine, ctx, resources, options);
  } catch (error) {
    if (!(error instanceof FhirError) || error.status >= 500) throw error;
    if (resources.length === 1) return [error];
    // One of them cannot be written: alone, each shows whether it is the one.
    const alone: StoreOutcome[] = [];
    for (const resource of resources) alone.push(...(await storeAll(engine, ctx, [resource], options)));
    return alone;
  }
  for (const [interaction, outcome] of [
    ['create', 'created'],
    ['update', 'updated'],
  ] as const) {
    const written = resources.filter((_, i) => outcomes[i] === outcome).map(keyOf);
    if (written.length > 0) ctx.emit({ interaction, resources: written, outcome: 'success' });
  }
  return outcomes;
}
