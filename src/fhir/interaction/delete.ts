/** `DELETE [base]/[type]/[id]`, repeatable, and `DELETE [base]/[type]?criteria`. @see https://hl7.org/fhir/R4/http.html#delete */
import { demandMatch, etagOf } from '../http/preconditions.ts';
import type { Handler } from '../http/request.ts';
import { onlyMatch } from './criteria.ts';
import { isLive } from './version.ts';
import { demandUnseen, retryOnChange } from './write.ts';

export const remove: Handler = async (engine, ctx, request) => {
  const type = request.type ?? '';
  const id = request.id ?? '';
  const ifMatch = request.header('if-match');
  ctx.access.demand('delete', type);
  const version = await retryOnChange(ifMatch !== undefined, async () => {
    const current = await engine.repository.read(type, id, ctx.access.to('delete'));
    if (current === undefined) await demandUnseen(engine.repository, ctx.access, 'delete', type, id);
    demandMatch(ifMatch, current);
    if (!isLive(current)) return current?.version;
    const next = current.version + 1;
    const lastUpdated = new Date(ctx.clock.now());
    await engine.repository.transaction('read committed', (tx) =>
      tx.delete([{ type, id, version: next, lastUpdated }], ctx.access.to('delete')),
    );
    ctx.emit({ interaction: 'delete', type, resources: [`${type}/${id}`], outcome: 'success' });
    return next;
  });
  return { status: 204, ...(version === undefined ? {} : { headers: { ETag: etagOf(version) } }) };
};

export const conditionalRemove: Handler = async (engine, ctx, request) => {
  const type = request.type ?? '';
  const ifMatch = request.header('if-match');
  ctx.access.demand('delete', type);
  const deleted = await retryOnChange(ifMatch !== undefined, () =>
    engine.repository.transaction('serializable', async (tx) => {
      const match = await onlyMatch(engine, ctx, tx, type, request.query, 'delete');
      if (!match) return undefined;
      demandMatch(ifMatch, match);
      const version = match.version + 1;
      await tx.delete(
        [{ type, id: match.id, version, lastUpdated: new Date(ctx.clock.now()) }],
        ctx.access.to('delete'),
      );
      return { id: match.id, version };
    }),
  );
  if (!deleted) return { status: 204 };
  ctx.emit({ interaction: 'delete', type, resources: [`${type}/${deleted.id}`], outcome: 'success' });
  return { status: 204, headers: { ETag: etagOf(deleted.version) } };
};
