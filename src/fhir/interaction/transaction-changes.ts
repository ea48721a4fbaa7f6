/**
 * The changes of a transaction: who gets which id, links between entries, versions made ready, and the few statements that write them.
 * @see https://hl7.org/fhir/R4/http.html#trules
 */
import type { Resource } from '@medplum/fhirtypes';
import { newId } from '../../platform/id.ts';
import type { RequestContext } from '../context.ts';
import type { Engine } from '../engine.ts';
import { demandMatch, demandNone } from '../http/preconditions.ts';
import { parseQuery } from '../http/url.ts';
import { parseJson } from '../json.ts';
import { badRequest, errorIssue, FhirError } from '../outcome.ts';
import type { PreparedWrite, Reader, StoredVersion, Transaction } from '../store/repository.ts';
import { breather } from '../breathe.ts';
import { inEntry } from './bundle-entry.ts';
import { rewriteLinks } from './bundle-references.ts';
import { onlyMatch } from './criteria.ts';
import { applyPatch } from './json-patch.ts';
import { demandMatched } from './patch.ts';
import type { ChangeEntry, DeleteEntry, TransactionPlan, WriteEntry } from './transaction-plan.ts';
import { demandOwnIds, nextVersion } from './update.ts';
import { demandLive, isLive, type LiveVersion } from './version.ts';
import { danglingIssues, demandValid, targetsOf } from './write.ts';

/** What became of each entry, by its index. */
export interface Applied {
  readonly written: Map<number, { readonly version: PreparedWrite | LiveVersion; readonly created: boolean }>;
  readonly deleted: Map<number, Deletion>;
}

type Deletion = Parameters<Transaction['delete']>[0][number];

/** Changes ready for their statements. */
interface Ready {
  readonly deletes: readonly Deletion[];
  readonly inserts: readonly PreparedWrite[];
  readonly updates: readonly PreparedWrite[];
  readonly applied: Applied;
}

/** A write entry whose resource is known by id. */
interface Identified {
  readonly entry: WriteEntry;
  readonly id: string;
  readonly before: StoredVersion | undefined;
}

type Links = ReadonlyMap<string, string>;

const NO_RESOURCES: ReadonlyMap<string, Resource> = new Map();
const keyOf = (type: string, id: string): string => `${type}/${id}`;

/** Runs work on an entry; its errors name the entry. */
function within<T>(index: number, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof FhirError ? inEntry(index, error) : error;
  }
}

async function withinAsync<T>(index: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof FhirError ? inEntry(index, error) : error;
  }
}

function deletionOf(ctx: RequestContext, entry: DeleteEntry, current: StoredVersion | undefined): Deletion | undefined {
  demandMatch(entry.request.header('if-match'), current);
  if (!isLive(current)) return undefined;
  return { type: entry.type, id: current.id, version: current.version + 1, lastUpdated: new Date(ctx.clock.now()) };
}

/** Preconditions of a write whose resource is known. */
function identify(ctx: RequestContext, entry: WriteEntry, id: string, before: StoredVersion | undefined): Identified {
  if (entry.kind === 'patch') demandLive(before, entry.type, id);
  if (entry.kind !== 'create') {
    demandMatch(entry.request.header('if-match'), before);
    demandNone(entry.request.header('if-none-match'), before);
    if (before === undefined && id !== undefined && (entry.id !== undefined || entry.claimed !== undefined))
      demandOwnIds(ctx.access, entry.type, id);
  }
  return { entry, id, before };
}

/** The resource as it is to be stored, its links resolved. */
function resourceOf(engine: Engine, { entry, before }: Identified, links: Links): Resource {
  let resource = entry.resource;
  if (entry.patch && isLive(before)) {
    const tree = parseJson(before.content, { maxDepth: Number.MAX_SAFE_INTEGER }).value;
    applyPatch(tree, entry.patch, engine.limits.jsonDepth);
    resource = demandValid(engine, entry.type, tree);
  }
  if (!resource) throw new Error('an entry without a resource was planned');
  return links.size === 0 ? resource : rewriteLinks(engine.definitions, resource, (link) => links.get(link));
}

/** Targets in the Bundle count as existing, those that it deletes do not. @throws FhirError 422 */
async function demandAllTargets(
  engine: Engine,
  ctx: RequestContext,
  reader: Reader,
  resources: readonly (readonly [index: number, resource: Resource])[],
  own: ReadonlySet<string>,
  deleted: ReadonlySet<string>,
): Promise<void> {
  if (!engine.validateReferences) return;
  const asked = new Set<string>();
  const found = resources.map(([index, resource]) => {
    const { targets, issues } = targetsOf(engine, resource);
    for (const { target } of targets) if (!own.has(target) && !deleted.has(target)) asked.add(target);
    return { index, resource, targets, unresolved: issues.length > 0 };
  });
  const existing = asked.size === 0 ? own : await reader.existing([...asked], ctx.access);
  const known = { has: (target: string): boolean => own.has(target) || (!deleted.has(target) && existing.has(target)) };
  const failures = found
    .filter(({ targets, unresolved }) => unresolved || targets.some((t) => !known.has(t.target)))
    .flatMap(
      ({ index, resource }) => inEntry(index, new FhirError(422, danglingIssues(engine, resource, known))).issues,
    );
  if (failures.length > 0) throw new FhirError(422, failures);
}

/** Versions of all, with links resolved and references checked. */
async function settleAll(
  engine: Engine,
  ctx: RequestContext,
  reader: Reader,
  identified: readonly Identified[],
  links: Links,
  own: ReadonlySet<string>,
  deleted: ReadonlySet<string>,
  applied: Applied,
): Promise<Pick<Ready, 'inserts' | 'updates'>> {
  const inserts: PreparedWrite[] = [];
  const updates: PreparedWrite[] = [];
  const resources: (readonly [number, Resource])[] = [];
  const breathe = breather();
  for (const item of identified) {
    const { entry, id, before } = item;
    const { index } = entry;
    const resource = within(index, () => resourceOf(engine, item, links));
    const isPost =
      entry.kind === 'create' || (entry.id === undefined && entry.claimed === undefined && before === undefined);
    const write = nextVersion(
      engine,
      ctx,
      resource,
      id,
      before,
      isPost ? 'POST' : entry.kind === 'patch' ? 'PATCH' : 'PUT',
    );
    resources.push([index, resource]);
    (isLive(before) ? updates : inserts).push(write);
    applied.written.set(index, { version: write, created: !isLive(before) });
    await breathe();
  }
  await demandAllTargets(engine, ctx, reader, resources, own, deleted);
  return { inserts, updates };
}

/** Which text leads to which resource, and all resources that the Bundle writes. */
function addressesOf(
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

const newApplied = (): Applied => ({ written: new Map(), deleted: new Map() });

/**
 * Makes all changes ready, when no entry is conditional.
 * @param current versions of the resources that entries name
 */
async function prepare(
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

async function write(tx: Transaction, changes: Pick<Ready, 'inserts' | 'updates'>): Promise<void> {
  if (changes.inserts.length > 0) await tx.insert(changes.inserts);
  if (changes.updates.length > 0) await tx.update(changes.updates, NO_RESOURCES);
}

async function run(tx: Transaction, ready: Ready): Promise<Applied> {
  if (ready.deletes.length > 0) await tx.delete(ready.deletes);
  await write(tx, ready);
  return ready.applied;
}

/** Criteria may lead two entries to one resource. @throws FhirError 400 */
function demandNoOverlap(entries: readonly (readonly [ChangeEntry, string])[]): void {
  const seen = new Map<string, number>();
  for (const [{ index, type }, id] of entries) {
    const other = seen.get(keyOf(type, id));
    if (other !== undefined) {
      throw new FhirError(400, [
        errorIssue(
          'duplicate',
          `Entry ${other} is about ${type}/${id} as well: one entry for each resource.`,
          `Bundle.entry[${index}]`,
        ),
      ]);
    }
    seen.set(keyOf(type, id), index);
  }
}

/** The write that criteria lead to, or the version that a conditional create found. */
async function identifyByCriteria(
  engine: Engine,
  ctx: RequestContext,
  tx: Transaction,
  entry: WriteEntry,
): Promise<Identified | LiveVersion> {
  const { type, kind, claimed } = entry;
  const match = await onlyMatch(engine, ctx, tx, type, entry.criteria ?? []);
  if (kind === 'create') return match ?? identify(ctx, entry, newId(ctx.clock.now()), undefined);
  if (kind === 'patch') return identify(ctx, entry, demandMatched(match, type).id, match);
  if (match) {
    if (claimed !== undefined && claimed !== match.id) {
      throw badRequest(
        'invalid',
        `The criteria match ${type}/${match.id}, the body has the id ${claimed.slice(0, 64)}: make them agree.`,
        `${type}.id`,
      );
    }
    return identify(ctx, entry, match.id, match);
  }
  if (claimed === undefined) return identify(ctx, entry, newId(ctx.clock.now()), undefined);
  const before = await tx.read(type, claimed, ctx.access);
  if (isLive(before))
    throw new FhirError(409, [
      errorIssue(
        'duplicate',
        `${type}/${claimed} exists, but does not match the criteria: correct the id or the criteria.`,
        `${type}.id`,
      ),
    ]);
  return identify(ctx, entry, claimed, before);
}

/** What a reference such as `Patient?identifier=sys|1` means now. @throws FhirError 412, 422 */
async function resolveReference(
  engine: Engine,
  ctx: RequestContext,
  tx: Transaction,
  reference: string,
): Promise<string> {
  const mark = reference.indexOf('?');
  const type = reference.slice(0, mark);
  if (!engine.resources.has(type))
    throw new FhirError(422, [
      errorIssue('not-supported', `${type} is not served here: a conditional reference must name a served type.`),
    ]);
  const match = await onlyMatch(engine, ctx, tx, type, parseQuery(reference.slice(mark + 1)));
  if (!match)
    throw new FhirError(422, [
      errorIssue(
        'not-found',
        `The conditional reference to ${type} matches nothing: create the resource first, or correct the criteria.`,
      ),
    ]);
  return keyOf(type, match.id);
}

/** Resolves criteria and conditional references inside the transaction, and writes. Conditional references see what the Bundle wrote. */
async function resolve(
  engine: Engine,
  ctx: RequestContext,
  tx: Transaction,
  plan: TransactionPlan,
  current: ReadonlyMap<string, StoredVersion>,
): Promise<Applied> {
  const applied = newApplied();
  const deletes: Deletion[] = [];
  for (const entry of plan.deletes) {
    const version = entry.criteria
      ? await withinAsync(entry.index, () => onlyMatch(engine, ctx, tx, entry.type, entry.criteria ?? []))
      : current.get(keyOf(entry.type, entry.id ?? ''));
    const deletion = within(entry.index, () => deletionOf(ctx, entry, version));
    if (!deletion) continue;
    deletes.push(deletion);
    applied.deleted.set(entry.index, deletion);
  }
  const deletedByIndex = plan.deletes.flatMap((e) => {
    const d = applied.deleted.get(e.index);
    return d ? [[e, d.id] as const] : [];
  });
  demandNoOverlap(deletedByIndex);
  if (deletes.length > 0) await tx.delete(deletes);

  const identified: Identified[] = [];
  const found: (readonly [WriteEntry, LiveVersion])[] = [];
  for (const entry of plan.writes) {
    const known = await withinAsync(entry.index, async () =>
      entry.criteria
        ? identifyByCriteria(engine, ctx, tx, entry)
        : identify(
            ctx,
            entry,
            entry.id ?? '',
            entry.kind === 'create' ? undefined : current.get(keyOf(entry.type, entry.id ?? '')),
          ),
    );
    if ('entry' in known) identified.push(known);
    else {
      found.push([entry, known]);
      applied.written.set(entry.index, { version: known, created: false });
    }
  }
  demandNoOverlap([...deletedByIndex, ...identified.map((i) => [i.entry, i.id] as const)]);
  const { links, own } = addressesOf(identified, found);
  const deleted = new Set(deletes.map((d) => keyOf(d.type, d.id)));

  const plain = identified.filter((i) => i.entry.conditionalReferences.size === 0);
  await write(tx, await settleAll(engine, ctx, tx, plain, links, own, deleted, applied));
  const later = identified.filter((i) => i.entry.conditionalReferences.size > 0);
  for (const { entry } of later) {
    for (const reference of entry.conditionalReferences) {
      if (!links.has(reference))
        links.set(reference, await withinAsync(entry.index, () => resolveReference(engine, ctx, tx, reference)));
    }
  }
  await write(tx, await settleAll(engine, ctx, tx, later, links, own, deleted, applied));
  return applied;
}

/** `prepare` then `run`; or, with conditions, `resolve`. */
export const applyChanges = { prepare, run, resolve };
