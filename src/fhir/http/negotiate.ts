/**
 * Which form a client sends and wants: Accept, `_format`, `_pretty`, `_summary`, Prefer.
 * @see https://hl7.org/fhir/R4/http.html#mime-type
 */
import { badRequest, errorIssue, FhirError } from '../outcome.ts';
import type { Query } from '../search/contract.ts';
import { parameter } from './url.ts';

export const FHIR_JSON = 'application/fhir+json; charset=utf-8';

const JSON_TYPES: ReadonlySet<string> = new Set([
  'application/fhir+json',
  'application/json',
  'text/json',
  'json',
  'application/json+fhir',
]);
const ANY_TYPES: ReadonlySet<string> = new Set(['*/*', 'application/*', '*']);

/** A media type in lower case, without parameters. */
export const mediaTypeOf = (value: string): string => (value.split(';')[0] ?? '').trim().toLowerCase();

const versionOf = (value: string): string | undefined => /;\s*fhirversion\s*=\s*"?([\d.]+)"?/i.exec(value)?.[1];

const isR4 = (version: string | undefined): boolean =>
  version === undefined || version === '4.0' || version === '4.0.1';

const notAcceptable = (diagnostics: string, expression: string): FhirError =>
  new FhirError(406, [errorIssue('not-supported', diagnostics, expression)]);

/** Ranges of an Accept header, those with q=0 left out. */
export const acceptedTypes = (accept: string): readonly string[] =>
  accept.split(',').filter((range) => !/;\s*q\s*=\s*0(?:\.0*)?\s*(?:;|$)/i.test(range));

/** @throws FhirError 406 when the client takes no FHIR JSON */
export function demandJson(accept: string | undefined, query: Query): void {
  const format = query.length === 0 ? undefined : parameter(query, '_format');
  if (format !== undefined && format !== '') {
    // An unencoded `+` arrives as a space.
    if (JSON_TYPES.has(mediaTypeOf(format).replace(' ', '+')) && isR4(versionOf(format))) return;
    throw notAcceptable(`_format=${format.slice(0, 100)} is not served: use _format=json.`, '_format');
  }
  if (accept === undefined || accept === '*/*' || accept === '' || accept === 'application/fhir+json') return;
  for (const range of acceptedTypes(accept)) {
    const type = mediaTypeOf(range);
    if ((JSON_TYPES.has(type) && isR4(versionOf(range))) || ANY_TYPES.has(type)) return;
  }
  throw notAcceptable('Only FHIR R4 JSON is served: send Accept: application/fhir+json.', 'http.Accept');
}

/** `_pretty`. @throws FhirError 400 */
export function wantsPretty(query: Query): boolean {
  if (query.length === 0) return false;
  const pretty = parameter(query, '_pretty');
  if (pretty === undefined || pretty === 'false') return false;
  if (pretty === 'true' || pretty === '') return true;
  throw badRequest('value', `_pretty=${pretty.slice(0, 40)} is neither true nor false.`, '_pretty');
}

const SUMMARIES: ReadonlySet<string> = new Set(['true', 'text', 'data', 'count', 'false', '']);

/** `_summary`, whatever the interaction makes of it. @throws FhirError 400 */
export function demandSummary(query: Query): void {
  if (query.length === 0) return;
  const summary = parameter(query, '_summary');
  if (summary === undefined || SUMMARIES.has(summary)) return;
  throw badRequest('value', `_summary=${summary.slice(0, 40)} is none of true, text, data, count, false.`, '_summary');
}

/** @throws FhirError 415 when the body is not FHIR JSON */
export function demandJsonBody(contentType: string | undefined): void {
  if (contentType === 'application/fhir+json') return;
  if (contentType !== undefined && JSON_TYPES.has(mediaTypeOf(contentType)) && isR4(versionOf(contentType))) {
    const charset = /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(contentType)?.[1]?.toLowerCase();
    if (charset === undefined || charset === 'utf-8' || charset === 'utf8') return;
    throw unsupported(`The charset ${charset} is not read: send UTF-8.`);
  }
  throw unsupported(
    contentType === undefined
      ? 'Content-Type is missing: send Content-Type: application/fhir+json.'
      : `${mediaTypeOf(contentType) || 'An empty Content-Type'} is not read here: send Content-Type: application/fhir+json.`,
  );
}

export const unsupported = (diagnostics: string, headers: Readonly<Record<string, string>> = {}): FhirError =>
  new FhirError(415, [errorIssue('not-supported', diagnostics, 'http.Content-Type')], headers);

export type ReturnPreference = 'minimal' | 'representation' | 'OperationOutcome';

/** `Prefer: return=…`; unknown preferences are ignored (RFC 7240). */
export function preferredReturn(prefer: string | undefined): ReturnPreference | undefined {
  if (prefer === undefined) return undefined;
  const value = /(?:^|[,;\s])return\s*=\s*"?(minimal|representation|OperationOutcome)/i
    .exec(prefer)?.[1]
    ?.toLowerCase();
  return value === 'minimal' || value === 'representation'
    ? value
    : value === 'operationoutcome'
      ? 'OperationOutcome'
      : undefined;
}

/** `Prefer: handling=strict`. */
export const strictHandling = (prefer: string | undefined): boolean =>
  prefer !== undefined && /(?:^|[,;\s])handling\s*=\s*"?strict/i.test(prefer);
