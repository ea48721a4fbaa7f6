/** `GET [base]/[type]/[id]`: the current version, as bytes of the store. @see https://hl7.org/fhir/R4/http.html#read */
import { notModified } from '../http/preconditions.ts';
import type { Handler } from '../http/request.ts';
import { subsetOf } from './subset.ts';
import { demandLive, showVersion } from './version.ts';

export const read: Handler = async (engine, ctx, request) => {
  const type = request.type ?? '';
  const id = request.id ?? '';
  ctx.access.demand('read', type, [], id);
  const version = demandLive(await engine.repository.read(type, id, ctx.access.to('get')), type, id);
  ctx.emit({ interaction: 'read', type, resources: [`${type}/${id}`], shown: [version], outcome: 'success' });
  if (notModified(request, version)) return { status: 304, version };
  return subsetOf(engine, request.query, type, showVersion(version));
};
