/**
 * ETags and conditional headers.
 * @see https://hl7.org/fhir/R4/http.html#concurrency
 * @see https://www.rfc-editor.org/rfc/rfc9110#name-conditional-requests
 */
import { badRequest, errorIssue, FhirError } from '../outcome.ts';
import type { StoredVersion } from '../store/repository.ts';
import type { FhirRequest } from './request.ts';

export const etagOf = (version: number): string => `W/"${version}"`;

const TAG = /^\s*(?:W\/)?"([\x21\x23-\x7e]{1,64})"\s*$/;

/** Tags of a header; `*` stands alone. @throws FhirError 400 when malformed */
function tags(value: string, header: string): readonly string[] | '*' {
  if (value.trim() === '*') return '*';
  return value.split(',').map((part) => {
    const tag = TAG.exec(part)?.[1];
    if (tag === undefined)
      throw badRequest('value', `${header} must be an entity tag such as W/"3", or *.`, `http.${header}`);
    return tag;
  });
}

/** Checks If-Match against the current version. @throws FhirError 400 malformed, 412 stale */
export function demandMatch(value: string | undefined, current: StoredVersion | undefined): void {
  if (value === undefined) return;
  const wanted = tags(value, 'If-Match');
  const live = current?.content === undefined ? undefined : current;
  if (live && (wanted === '*' || wanted.includes(String(live.version)))) return;
  throw new FhirError(412, [
    errorIssue(
      'conflict',
      live
        ? `If-Match names version ${value}, the current one is ${etagOf(live.version)}: read the resource again and repeat the change on it.`
        : 'If-Match is given, but there is no current version: leave If-Match out to create one.',
      'http.If-Match',
    ),
  ]);
}

/** `If-None-Match: *` on a write: nothing may exist yet. @throws FhirError 412 */
export function demandNone(value: string | undefined, current: StoredVersion | undefined): void {
  if (value === undefined) return;
  const unwanted = tags(value, 'If-None-Match');
  if (current?.content === undefined) return;
  if (unwanted === '*' || unwanted.includes(String(current.version))) {
    throw new FhirError(412, [
      errorIssue('conflict', 'If-None-Match is given, and the resource exists.', 'http.If-None-Match'),
    ]);
  }
}

/** True when the client's copy is still good (304). If-None-Match goes before If-Modified-Since. */
export function notModified(request: FhirRequest, version: StoredVersion): boolean {
  const ifNoneMatch = request.header('if-none-match');
  if (ifNoneMatch !== undefined) {
    const known = tags(ifNoneMatch, 'If-None-Match');
    return known === '*' || known.includes(String(version.version));
  }
  const since = request.header('if-modified-since');
  if (since === undefined) return false;
  const at = Date.parse(since);
  // HTTP dates have whole seconds. A bad date is ignored (RFC 9110 13.1.3).
  return !Number.isNaN(at) && Math.floor(version.lastUpdated.getTime() / 1000) * 1000 <= at;
}
