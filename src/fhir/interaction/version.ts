/**
 * Replies that carry one version of a resource.
 * @see https://hl7.org/fhir/R4/http.html#versions
 */
import { errorIssue, FhirError, notFound } from '../outcome.ts';
import { etagOf } from '../http/preconditions.ts';
import type { Reply } from '../http/request.ts';
import type { StoredVersion } from '../store/repository.ts';

/** A version that has content. */
export type LiveVersion = StoredVersion & { readonly content: string };

export const isLive = (version: StoredVersion | undefined): version is LiveVersion => version?.content !== undefined;

/** ETag and Last-Modified of a version. */
export const versionHeaders = (version: Pick<StoredVersion, 'version' | 'lastUpdated'>): Record<string, string> => ({
  ETag: etagOf(version.version),
  'Last-Modified': version.lastUpdated.toUTCString(),
});

/** @throws FhirError 410 for a deletion, 404 for nothing */
export function demandLive(version: StoredVersion | undefined, type: string, id: string): LiveVersion {
  if (version === undefined) throw notFound(type, id);
  if (!isLive(version)) {
    throw new FhirError(410, [errorIssue('deleted', `${type}/${id} was deleted.`)], versionHeaders(version));
  }
  return version;
}

export const showVersion = (version: LiveVersion): Reply => ({
  status: 200,
  version,
  body: version.content,
});
