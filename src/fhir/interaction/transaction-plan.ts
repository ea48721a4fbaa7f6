/**
 * What a transaction will do, judged before it begins: entries by kind, resources valid, no two on one resource.
 * @see https://hl7.org/fhir/R4/http.html#trules
 */
import type { Resource } from '@medplum/fhirtypes';
import { newId } from '../../platform/id.ts';
import type { RequestContext } from '../context.ts';
import type { Engine } from '../engine.ts';
import type { FhirRequest, Route } from '../http/request.ts';
import { badRequest, errorIssue, FhirError, type Issue } from '../outcome.ts';
import type { Query } from '../search/contract.ts';
import { breather } from '../breathe.ts';
import { inEntry, type BundleEntry } from './bundle-entry.ts';
import { conditionalReferences, namesOf } from './bundle-references.ts';
import { noneExistCriteria } from './create.ts';
import { criteriaOf } from './criteria.ts';
import { readPatch, type Patch } from './patch.ts';
import { planFailure } from './transaction-failure.ts';
import { demandSameId } from './update.ts';
import { claimedId, demandUsableId, demandValid } from './write.ts';

interface EntryBase {
  readonly index: number;
  readonly request: FhirRequest;
  readonly type: string;
  /** Texts by which other entries refer to it. */
  readonly names: readonly string[];
}

export interface DeleteEntry extends EntryBase {
  readonly kind: 'delete';
  readonly id: string | undefined;
  readonly criteria: Query | undefined;
}

/** A create, update or patch. `id` undefined: the criteria tell. */
export interface WriteEntry extends EntryBase {
  readonly kind: 'create' | 'update' | 'patch';
  readonly id: string | undefined;
  /** Id in the body of a conditional update. */
  readonly claimed: string | undefined;
  readonly criteria: Query | undefined;
  /** Valid; undefined for a patch. */
  readonly resource: Resource | undefined;
  readonly patch: Patch | undefined;
  readonly conditionalReferences: ReadonlySet<string>;
}

interface ReadEntry {
  readonly kind: 'read';
  readonly index: number;
  readonly request: FhirRequest;
  readonly route: Route;
}

export type ChangeEntry = DeleteEntry | WriteEntry;

export interface TransactionPlan {
  readonly deletes: readonly DeleteEntry[];
  readonly writes: readonly WriteEntry[];
  readonly reads: readonly ReadEntry[];
  /** Some entry asks what exists: then the answer must still hold at the commit. */
  readonly conditional: boolean;
}

async function planWrite(
  engine: Engine,
  ctx: RequestContext,
  entry: BundleEntry,
  request: FhirRequest,
  kind: WriteEntry['kind'],
): Promise<WriteEntry> {
  const type = request.type ?? '';
  ctx.access.demand(kind, type);
  const ifNoneExist = kind === 'create' ? request.header('if-none-exist') : undefined;
  const criteria =
    ifNoneExist !== undefined
      ? noneExistCriteria(ifNoneExist)
      : kind !== 'create' && request.id === undefined
        ? criteriaOf(request.query)
        : undefined;
  if (entry.resource === undefined) throw badRequest('required', 'The entry has no resource: add it.', type);
  const patch = kind === 'patch' ? await readPatch(engine, request) : undefined;
  const claimed = kind === 'update' ? claimedId(entry.resource) : undefined;
  demandUsableId(type, claimed);
  const resource = patch ? undefined : demandValid(engine, type, entry.resource);
  if (kind === 'update' && request.id !== undefined) demandSameId(entry.resource, type, request.id);
  return {
    kind,
    index: entry.index,
    request,
    type,
    names: namesOf(entry.fullUrl),
    id: kind === 'create' ? (criteria ? undefined : newId(ctx.clock.now())) : request.id,
    claimed,
    criteria,
    resource,
    patch,
    conditionalReferences: conditionalReferences(entry.resource),
  };
}

const planDelete = (ctx: RequestContext, entry: BundleEntry, request: FhirRequest): DeleteEntry => {
  const type = request.type ?? '';
  ctx.access.demand('delete', type);
  const criteria = request.id === undefined ? criteriaOf(request.query) : undefined;
  return { kind: 'delete', index: entry.index, request, type, names: namesOf(entry.fullUrl), id: request.id, criteria };
};

/** Everything that can be judged without the database. @throws FhirError with the errors of all entries */
export async function planTransaction(
  engine: Engine,
  ctx: RequestContext,
  entries: readonly BundleEntry[],
): Promise<TransactionPlan> {
  const deletes: DeleteEntry[] = [];
  const writes: WriteEntry[] = [];
  const reads: ReadEntry[] = [];
  const failures: FhirError[] = [];
  const breathe = breather();
  for (const entry of entries) {
    const { index, request, route } = entry;
    try {
      if (!('method' in request) || !route) throw request;
      const { interaction } = route;
      if (interaction === 'create' || interaction === 'update' || interaction === 'patch') {
        writes.push(await planWrite(engine, ctx, entry, request, interaction));
      } else if (interaction === 'delete') {
        deletes.push(planDelete(ctx, entry, request));
      } else if (interaction === 'batch' || interaction === 'transaction') {
        throw badRequest('not-supported', 'A Bundle cannot hold another to be run: send it by itself.', 'http.url');
      } else {
        reads.push({ kind: 'read', index, request, route });
      }
    } catch (error) {
      if (!(error instanceof FhirError)) throw error;
      failures.push(inEntry(index, error));
    }
    await breathe();
  }
  if (failures.length > 0) throw await planFailure(engine, ctx, entries, failures);
  demandDistinct([...deletes, ...writes]);
  const conditional =
    [...deletes, ...writes].some((e) => e.criteria !== undefined) ||
    writes.some((w) => w.conditionalReferences.size > 0);
  return { deletes, writes, reads, conditional };
}

/** Two entries on one resource have no order that would be right. @throws FhirError 400 */
function demandDistinct(entries: readonly ChangeEntry[]): void {
  const seen = new Map<string, number>();
  const issues: Issue[] = [];
  const claim = (key: string, index: number, diagnostics: (other: number) => string): void => {
    const other = seen.get(key);
    if (other !== undefined) issues.push(errorIssue('duplicate', diagnostics(other), `Bundle.entry[${index}]`));
    seen.set(key, index);
  };
  for (const { index, type, id, kind, criteria: query, names } of entries) {
    if (id !== undefined)
      claim(
        `id ${type}/${id}`,
        index,
        (other) => `Entry ${other} is about ${type}/${id} as well: one entry for each resource.`,
      );
    const criteria = criteriaOf(query ?? []).map((pair) => JSON.stringify(pair));
    // Of two alike neither sees what the other makes: both would create.
    if (criteria.length > 0)
      claim(
        `criteria ${type}?${criteria.sort().join('&')}`,
        index,
        (other) => `Entry ${other} has the same criteria, in its url or ifNoneExist: keep one of them.`,
      );
    if (names[0] !== undefined && kind !== 'delete')
      claim(`url ${names[0]}`, index, (other) => `Entry ${other} has the same fullUrl: give each its own.`);
  }
  if (issues.length > 0) throw new FhirError(400, issues);
}
