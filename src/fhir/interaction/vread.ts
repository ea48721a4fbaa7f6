/** `GET [base]/[type]/[id]/_history/[vid]`: one version. @see https://hl7.org/fhir/R4/http.html#vread */
import { notModified } from '../http/preconditions.ts';
import type { Handler } from '../http/request.ts';
import { errorIssue, FhirError } from '../outcome.ts';
import { subsetOf } from './subset.ts';
import { demandLive, showVersion } from './version.ts';

/** Largest `integer` of PostgreSQL: no version is above it. */
const MAX_VERSION = 2_147_483_647;

export const vread: Handler = async (engine, ctx, request) => {
  const type = request.type ?? '';
  const id = request.id ?? '';
  ctx.access.demand('vread', type);
  const number = /^[1-9]\d{0,9}$/.test(request.versionId ?? '') ? Number(request.versionId) : 0;
  const found =
    number > 0 && number <= MAX_VERSION
      ? await engine.repository.vread(type, id, number, ctx.access.to('read'))
      : undefined;
  if (found === undefined) {
    throw new FhirError(404, [
      errorIssue(
        'not-found',
        `${type}/${id} has no version ${(request.versionId ?? '').slice(0, 64)}: see its _history.`,
      ),
    ]);
  }
  const version = demandLive(found, type, id);
  ctx.emit({
    interaction: 'vread',
    type,
    resources: [`${type}/${id}/_history/${number}`],
    shown: [version],
    outcome: 'success',
  });
  if (notModified(request, version)) return { status: 304, version };
  return subsetOf(engine, request.query, type, showVersion(version));
};
