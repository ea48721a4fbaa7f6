/** `PUT [base]/[type]/[id]`, and `PUT [base]/[type]?criteria`. @see https://hl7.org/fhir/R4/http.html#update */
import type { Resource } from '@medplum/fhirtypes';
import { newId } from '../../platform/id.ts';
import type { Access } from '../access.ts';
import type { RequestContext } from '../context.ts';
import type { Engine } from '../engine.ts';
import { readJson } from '../http/body.ts';
import { demandMatch, demandNone } from '../http/preconditions.ts';
import type { FhirRequest, Handler, Reply } from '../http/request.ts';
import { badRequest, errorIssue, FhirError } from '../outcome.ts';
import type { PreparedWrite, StoredVersion, Transaction } from '../store/repository.ts';
import { onlyMatch } from './criteria.ts';
import { isLive } from './version.ts';
import {
  claimedId,
  completed,
  demandStorable,
  demandUnseen,
  demandUsableId,
  replyToWrite,
  retryOnChange,
  settle,
} from './write.ts';

const NONE: ReadonlyMap<string, Resource> = new Map();

/** New ids are ours to give, except to those who act for the installation. @throws FhirError 405 */
export function demandOwnIds(access: Access, type: string, id: string): void {
  // Whoever sees some of the rows would learn by it that an id is taken.
  if (access.principal.kind === 'system' && access.to('update').reach(type) === 'all') return;
  throw new FhirError(
    405,
    [
      errorIssue(
        'not-supported',
        `${type}/${id} does not exist, and clients cannot choose ids: create it by POST ${type}.`,
      ),
    ],
    { Allow: 'GET, HEAD, DELETE' },
  );
}

/** The version that follows the current one, whatever that is. */
export function nextVersion(
  engine: Engine,
  ctx: RequestContext,
  resource: Resource,
  id: string,
  current: StoredVersion | undefined,
  method: PreparedWrite['method'],
): PreparedWrite {
  return settle(engine, resource, {
    id,
    version: (current?.version ?? 0) + 1,
    lastUpdated: new Date(ctx.clock.now()),
    method,
  });
}

/**
 * Writes a version over a current one, or where there is none.
 * @param absent act that a new resource needs: an update may bring about the id that it names, but criteria name none
 * @throws ConcurrentChange, FhirError 403
 */
export const put = (
  tx: Transaction,
  access: Access,
  write: PreparedWrite,
  current: StoredVersion | undefined,
  absent: 'create' | 'update' = 'update',
): Promise<void> =>
  isLive(current) ? tx.update([write], NONE, access.to('update')) : tx.insert([write], access.to(absent));

function done(
  engine: Engine,
  ctx: RequestContext,
  request: FhirRequest,
  write: PreparedWrite,
  current: StoredVersion | undefined,
): Reply {
  ctx.emit({ interaction: 'update', type: write.type, resources: [`${write.type}/${write.id}`], outcome: 'success' });
  return replyToWrite(engine, ctx.access, request, isLive(current) ? 200 : 201, write);
}

/** @throws FhirError 400 */
export function demandSameId(tree: unknown, type: string, id: string): void {
  const claimed = claimedId(tree);
  if (claimed === id) return;
  throw badRequest(
    claimed === undefined ? 'required' : 'invalid',
    claimed === undefined
      ? `The body has no id: add "id": "${id}".`
      : `The body has the id ${claimed.slice(0, 64)}, the address ${id}: make them equal.`,
    `${type}.id`,
  );
}

export const update: Handler = async (engine, ctx, request) => {
  const type = request.type ?? '';
  const id = request.id ?? '';
  ctx.access.demand('update', type);
  const tree = await readJson(engine, request);
  const readCurrent = async (): Promise<StoredVersion | undefined> => {
    const current = await engine.repository.read(type, id, ctx.access.to('update'));
    if (current === undefined) await demandUnseen(engine.repository, ctx.access, 'update', type, id);
    return current;
  };
  const resource = await demandStorable(engine, ctx.access, engine.repository, type, tree, readCurrent);
  demandSameId(tree, type, id);
  const ifMatch = request.header('if-match');
  return retryOnChange(ifMatch !== undefined, async () => {
    const current = await readCurrent();
    demandMatch(ifMatch, current);
    demandNone(request.header('if-none-match'), current);
    if (current === undefined) demandOwnIds(ctx.access, type, id);
    const whole = await completed(engine, ctx.access, engine.repository, resource, current);
    const write = nextVersion(engine, ctx, whole, id, current, 'PUT');
    await engine.repository.transaction('read committed', (tx) => put(tx, ctx.access, write, current));
    return done(engine, ctx, request, write, current);
  });
};

export const conditionalUpdate: Handler = async (engine, ctx, request) => {
  const type = request.type ?? '';
  ctx.access.demand('update', type);
  const tree = await readJson(engine, request);
  const claimed = claimedId(tree);
  demandUsableId(type, claimed);
  const resource = await demandStorable(engine, ctx.access, engine.repository, type, tree);
  const ifMatch = request.header('if-match');
  const { write, current } = await retryOnChange(ifMatch !== undefined, () =>
    engine.repository.transaction('serializable', async (tx) => {
      const match = await onlyMatch(engine, ctx, tx, type, request.query, 'update');
      if (match && claimed !== undefined && claimed !== match.id) demandSameId(tree, type, match.id);
      demandMatch(ifMatch, match);
      demandNone(request.header('if-none-match'), match);
      if (!match) ctx.access.demand('create', type);
      if (!match && claimed !== undefined) demandOwnIds(ctx.access, type, claimed);
      const id = match?.id ?? claimed ?? newId(ctx.clock.now());
      const before = match ?? (claimed === undefined ? undefined : await tx.read(type, id, ctx.access.to('update')));
      if (!match && isLive(before)) {
        throw new FhirError(409, [
          errorIssue(
            'duplicate',
            `${type}/${id} exists, but does not match the criteria: correct the id or the criteria.`,
            `${type}.id`,
          ),
        ]);
      }
      const whole = await completed(engine, ctx.access, tx, resource, before);
      const next = nextVersion(engine, ctx, whole, id, before, before ? 'PUT' : 'POST');
      await put(tx, ctx.access, next, before, 'create');
      return { write: next, current: before };
    }),
  );
  return done(engine, ctx, request, write, current);
};
