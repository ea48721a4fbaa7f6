/**
 * Transactions with conditions: criteria and conditional references are resolved inside the transaction, which is serializable.
 * @see https://hl7.org/fhir/R4/http.html#trules
 */
import { newId } from '../../platform/id.ts';
import type { RequestContext } from '../context.ts';
import type { Engine } from '../engine.ts';
import { parseQuery } from '../http/url.ts';
import { badRequest, errorIssue, FhirError } from '../outcome.ts';
import type { StoredVersion, Transaction } from '../store/repository.ts';
import { collectReferences } from '../validation/references.ts';
import { onlyMatch } from './criteria.ts';
import { demandMatched } from './patch.ts';
import {
  addressesOf,
  deletionOf,
  identify,
  keyOf,
  newApplied,
  settleAll,
  within,
  withinAsync,
  writeAll,
  type Applied,
  type Deletion,
  type Identified,
} from './transaction-changes.ts';
import type { ChangeEntry, TransactionPlan, WriteEntry } from './transaction-plan.ts';
import { isLive, type LiveVersion } from './version.ts';

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
  const match = await onlyMatch(engine, ctx, tx, type, entry.criteria ?? [], kind === 'create' ? 'create' : 'update');
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
  ctx.access.demand('create', type);
  if (claimed === undefined) return identify(ctx, entry, newId(ctx.clock.now()), undefined);
  const before = await tx.read(type, claimed, ctx.access.to('update'));
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
  const match = await onlyMatch(engine, ctx, tx, type, parseQuery(reference.slice(mark + 1)), 'refer');
  if (!match)
    throw new FhirError(422, [
      errorIssue(
        'not-found',
        `The conditional reference to ${type} matches nothing: create the resource first, or correct the criteria.`,
      ),
    ]);
  return keyOf(type, match.id);
}

/** The same, with the element that holds the reference. */
async function resolveIn(
  engine: Engine,
  ctx: RequestContext,
  tx: Transaction,
  entry: WriteEntry,
  reference: string,
): Promise<string> {
  try {
    return await resolveReference(engine, ctx, tx, reference);
  } catch (error) {
    if (!(error instanceof FhirError)) throw error;
    const found = collectReferences(entry.resource, engine.definitions).find((r) => r.reference === reference);
    if (!found) throw error;
    const issues = error.issues.map((issue) => ({ ...issue, expression: [found.expression] }));
    throw new FhirError(error.status, issues, error.headers);
  }
}

/** Resolves criteria and conditional references inside the transaction, and writes. Conditional references see what the Bundle wrote. */
export async function resolveChanges(
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
      ? await withinAsync(entry.index, () => onlyMatch(engine, ctx, tx, entry.type, entry.criteria ?? [], 'delete'))
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
  if (deletes.length > 0) await tx.delete(deletes, ctx.access.to('delete'));

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
  await writeAll(tx, ctx.access, await settleAll(engine, ctx, tx, plain, links, own, deleted, applied));
  const later = identified.filter((i) => i.entry.conditionalReferences.size > 0);
  for (const { entry } of later) {
    for (const reference of entry.conditionalReferences) {
      if (!links.has(reference))
        links.set(reference, await withinAsync(entry.index, () => resolveIn(engine, ctx, tx, entry, reference)));
    }
  }
  await writeAll(tx, ctx.access, await settleAll(engine, ctx, tx, later, links, own, deleted, applied));
  return applied;
}
