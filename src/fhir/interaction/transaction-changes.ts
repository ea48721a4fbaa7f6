/**
 * The changes of a transaction: who gets which id, links between entries, versions made ready, and the few statements that write them.
 * @see https://hl7.org/fhir/R4/http.html#trules
 */
import type { Resource } from '@medplum/fhirtypes';
import type { Access } from '../access.ts';
import type { RequestContext } from '../context.ts';
import type { Engine } from '../engine.ts';
import { demandMatch, demandNone } from '../http/preconditions.ts';
import { FhirError, type Issue } from '../outcome.ts';
import type { PreparedWrite, Reader, StoredVersion, Transaction } from '../store/repository.ts';
import { breather } from '../breathe.ts';
import { inEntry } from './bundle-entry.ts';
import { linkResolver, rewriteLinks } from './bundle-references.ts';
import { applyTo, demandFits } from './patch.ts';
import type { DeleteEntry, TransactionPlan, WriteEntry } from './transaction-plan.ts';
import { demandOwnIds, nextVersion } from './update.ts';
import { demandLive, isLive, type LiveVersion } from './version.ts';
import { completed, danglingIssues, demandValid, keptTargets, missingError, targetsOf, withDangling } from './write.ts';

/** What became of each entry, by its index. */
export interface Applied {
  readonly written: Map<number, { readonly version: PreparedWrite | LiveVersion; readonly created: boolean }>;
  readonly deleted: Map<number, Deletion>;
}

export type Deletion = Parameters<Transaction['delete']>[0][number];

/** Changes ready for their statements. */
interface Ready {
  readonly deletes: readonly Deletion[];
  readonly creates: readonly PreparedWrite[];
  /** Updates of what was not there. */
  readonly inserts: readonly PreparedWrite[];
  readonly updates: readonly PreparedWrite[];
  readonly applied: Applied;
}

/** A write entry whose resource is known by id. */
export interface Identified {
  readonly entry: WriteEntry;
  readonly id: string;
  readonly before: StoredVersion | undefined;
}

type Links = ReadonlyMap<string, string>;

const NO_RESOURCES: ReadonlyMap<string, Resource> = new Map();
export const keyOf = (type: string, id: string): string => `${type}/${id}`;

/** Runs work on an entry; its errors name the entry. */
export function within<T>(index: number, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof FhirError ? inEntry(index, error) : error;
  }
}

export async function withinAsync<T>(index: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof FhirError ? inEntry(index, error) : error;
  }
}

export function deletionOf(
  ctx: RequestContext,
  entry: DeleteEntry,
  current: StoredVersion | undefined,
): Deletion | undefined {
  demandMatch(entry.request.header('if-match'), current);
  if (!isLive(current)) return undefined;
  return { type: entry.type, id: current.id, version: current.version + 1, lastUpdated: new Date(ctx.clock.now()) };
}

/** Preconditions of a write whose resource is known. */
export function identify(
  ctx: RequestContext,
  entry: WriteEntry,
  id: string,
  before: StoredVersion | undefined,
): Identified {
  if (entry.kind === 'patch') demandLive(before, entry.type, id);
  if (entry.kind !== 'create') {
    demandMatch(entry.request.header('if-match'), before);
    demandNone(entry.request.header('if-none-match'), before);
    if (before === undefined && id !== undefined && (entry.id !== undefined || entry.claimed !== undefined))
      demandOwnIds(ctx.access, entry.type, id);
  }
  return { entry, id, before };
}

/** The resource as it is to be stored, its links resolved; not yet known to be valid after a patch. */
function treeOf(engine: Engine, access: Access, { entry, before }: Identified, links: Links): unknown {
  let tree: unknown = entry.resource;
  if (entry.patch && isLive(before)) tree = applyTo(engine, access, before, entry.patch);
  if (tree === undefined) throw new Error('an entry without a resource was planned');
  return links.size === 0 ? tree : rewriteLinks(engine.definitions, tree, linkResolver(links, engine.baseUrl));
}

/**
 * Targets in the Bundle count as existing, those that it deletes do not.
 * @param invalid errors found before
 * @throws FhirError 422 with those and with all references that lead nowhere
 */
async function demandAllTargets(
  engine: Engine,
  ctx: RequestContext,
  reader: Reader,
  resources: readonly (readonly [index: number, resource: unknown, before: StoredVersion | undefined])[],
  own: ReadonlySet<string>,
  deleted: ReadonlySet<string>,
  invalid: readonly Issue[],
): Promise<void> {
  if (!engine.validateReferences) {
    if (invalid.length > 0) throw new FhirError(422, invalid);
    return;
  }
  const asked = new Set<string>();
  const found: {
    index: number;
    resource: unknown;
    before: StoredVersion | undefined;
    targets: string[];
    unresolved: boolean;
  }[] = [];
  const breathe = breather();
  for (const [index, resource, before] of resources) {
    const { targets, issues } = targetsOf(engine, resource);
    for (const { target } of targets) if (!own.has(target) && !deleted.has(target)) asked.add(target);
    found.push({ index, resource, before, targets: targets.map((t) => t.target), unresolved: issues.length > 0 });
    await breathe();
  }
  const existing = asked.size === 0 ? own : await reader.existing([...asked], ctx.access.to('refer'));
  const known = { has: (target: string): boolean => own.has(target) || (!deleted.has(target) && existing.has(target)) };
  const failures = found
    .filter(({ targets, unresolved }) => unresolved || targets.some((t) => !known.has(t)))
    .flatMap(({ index, resource, before }) => {
      const kept = keptTargets(engine, before);
      const here = {
        has: (target: string): boolean => known.has(target) || (!deleted.has(target) && kept.has(target)),
      };
      const issues = danglingIssues(engine, resource, here);
      // The only thing that is wrong may be that somebody else was first.
      const told =
        issues.length > 0 && invalid.length === 0 ? missingError(engine, resource as Resource, here) : undefined;
      if (told) throw inEntry(index, told);
      return issues.length === 0 ? [] : inEntry(index, new FhirError(422, issues)).issues;
    });
  if (invalid.length + failures.length > 0) throw withDangling(new FhirError(422, invalid), failures);
}

/** A patched resource; undefined when it is not valid, for which the reasons are noted. */
function validOrNoted(
  engine: Engine,
  { index, type }: WriteEntry,
  tree: unknown,
  invalid: Issue[],
): Resource | undefined {
  try {
    return demandValid(engine, type, tree);
  } catch (error) {
    if (!(error instanceof FhirError)) throw error;
    if (error.status !== 422) throw inEntry(index, error);
    invalid.push(...inEntry(index, error).issues);
    return undefined;
  }
}

/** Versions of all, with links resolved and references checked. */
export async function settleAll(
  engine: Engine,
  ctx: RequestContext,
  reader: Reader,
  identified: readonly Identified[],
  links: Links,
  own: ReadonlySet<string>,
  deleted: ReadonlySet<string>,
  applied: Applied,
): Promise<Pick<Ready, 'creates' | 'inserts' | 'updates'>> {
  const creates: PreparedWrite[] = [];
  const inserts: PreparedWrite[] = [];
  const updates: PreparedWrite[] = [];
  const resources: (readonly [number, unknown, StoredVersion | undefined])[] = [];
  const invalid: Issue[] = [];
  const breathe = breather();
  for (const item of identified) {
    const { entry, id, before } = item;
    const { index } = entry;
    const tree = within(index, () => treeOf(engine, ctx.access, item, links));
    resources.push([index, tree, before]);
    const resource = entry.patch ? validOrNoted(engine, entry, tree, invalid) : (tree as Resource);
    if (!resource) continue;
    const isPost =
      entry.kind === 'create' || (entry.id === undefined && entry.claimed === undefined && before === undefined);
    const write = nextVersion(
      engine,
      ctx,
      await completed(engine, ctx.access, reader, resource, before),
      id,
      before,
      isPost ? 'POST' : entry.kind === 'patch' ? 'PATCH' : 'PUT',
    );
    if (entry.patch) within(index, () => demandFits(engine, write));
    // An update may bring about the id that it names, but criteria name none.
    const creating = entry.kind === 'create' || entry.criteria !== undefined;
    (isLive(before) ? updates : creating ? creates : inserts).push(write);
    applied.written.set(index, { version: write, created: !isLive(before) });
    await breathe();
  }
  await demandAllTargets(engine, ctx, reader, resources, own, deleted, invalid);
  return { creates, inserts, updates };
}

/** Which text leads to which resource, and all resources that the Bundle writes. */
export function addressesOf(
  identified: readonly Identified[],
  found: readonly (readonly [WriteEntry, LiveVersion])[],
): { links: Map<string, string>; own: Set<string> } {
  const links = new Map<string, string>();
  const own = new Set<string>();
  const add = (entry: WriteEntry, id: string): void => {
    const address = keyOf(entry.type, id);
    own.add(address);
    for (const name of entry.names) if (name !== address) links.set(name, address);
  };
  for (const { entry, id } of identified) add(entry, id);
  for (const [entry, version] of found) add(entry, version.id);
  return { links, own };
}

export const newApplied = (): Applied => ({ written: new Map(), deleted: new Map() });

/**
 * Makes all changes ready, when no entry is conditional.
 * @param current versions of the resources that entries name
 */
export async function prepareChanges(
  engine: Engine,
  ctx: RequestContext,
  plan: TransactionPlan,
  current: ReadonlyMap<string, StoredVersion>,
): Promise<Ready> {
  const applied = newApplied();
  const deletes: Deletion[] = [];
  for (const entry of plan.deletes) {
    const deletion = within(entry.index, () => deletionOf(ctx, entry, current.get(keyOf(entry.type, entry.id ?? ''))));
    if (!deletion) continue;
    deletes.push(deletion);
    applied.deleted.set(entry.index, deletion);
  }
  const identified = plan.writes.map((entry) =>
    within(entry.index, () =>
      identify(
        ctx,
        entry,
        entry.id ?? '',
        entry.kind === 'create' ? undefined : current.get(keyOf(entry.type, entry.id ?? '')),
      ),
    ),
  );
  const { links, own } = addressesOf(identified, []);
  const deleted = new Set(deletes.map((d) => keyOf(d.type, d.id)));
  return {
    deletes,
    applied,
    ...(await settleAll(engine, ctx, engine.repository, identified, links, own, deleted, applied)),
  };
}

export async function writeAll(
  tx: Transaction,
  access: Access,
  { creates, inserts, updates }: Pick<Ready, 'creates' | 'inserts' | 'updates'>,
): Promise<void> {
  // A visit that is cancelled and one that is booked in its place are one change to the calendar.
  await tx.together(async () => {
    if (creates.length > 0) await tx.insert(creates, access.to('create'));
    if (inserts.length > 0) await tx.insert(inserts, access.to('update'));
    if (updates.length > 0) await tx.update(updates, NO_RESOURCES, access.to('update'));
  });
}

export async function runChanges(tx: Transaction, access: Access, ready: Ready): Promise<Applied> {
  if (ready.deletes.length > 0) await tx.delete(ready.deletes, access.to('delete'));
  await writeAll(tx, access, ready);
  return ready.applied;
}
