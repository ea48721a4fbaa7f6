/**
 * Entries of a batch or transaction as requests, and replies as entries.
 * @see https://hl7.org/fhir/R4/http.html#transaction
 */
import { STATUS_CODES } from 'node:http';
import type { ContextEvent, RequestContext } from '../context.ts';
import type { Engine } from '../engine.ts';
import { preferredReturn } from '../http/negotiate.ts';
import { etagOf } from '../http/preconditions.ts';
import { NO_BODY, type FhirRequest, type Method, type Reply, type Route } from '../http/request.ts';
import { parseQuery, splitPath } from '../http/url.ts';
import { badRequest, errorIssue, FhirError, toOutcome, type Issue } from '../outcome.ts';
import { relativeToBase } from '../own-base.ts';

/** Where a method and path lead. */
export interface Match {
  readonly route: Route;
  readonly target: Pick<FhirRequest, 'type' | 'id' | 'versionId' | 'compartmentType' | 'operation'>;
}

/** @throws FhirError 404, 405 */
export type MatchRoute = (method: Method, segments: readonly string[]) => Match;

export interface BundleEntry {
  readonly index: number;
  readonly fullUrl: string | undefined;
  readonly resource: unknown;
  /** The request, or why it is none. */
  readonly request: FhirRequest | FhirError;
  readonly route: Route | undefined;
}

const METHODS: ReadonlySet<unknown> = new Set<Method>(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']);
/** Headers that an entry may carry. */
const HEADERS: Readonly<Record<string, string>> = {
  'if-match': 'ifMatch',
  'if-none-match': 'ifNoneMatch',
  'if-modified-since': 'ifModifiedSince',
  'if-none-exist': 'ifNoneExist',
};

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The error, told of the entry that caused it. */
export function inEntry(index: number, error: FhirError): FhirError {
  const entry = `Bundle.entry[${index}]`;
  const place = (expression: string): string => {
    if (expression.startsWith('Bundle.entry[')) return expression;
    const rest = /^[A-Z][A-Za-z]*(?=$|[.[])/.exec(expression);
    if (rest) return `${entry}.resource${expression.slice(rest[0].length)}`;
    return expression === 'resourceType' ? `${entry}.resource.resourceType` : `${entry}.request`;
  };
  const issues = error.issues.map((issue): Issue => ({
    ...issue,
    expression: issue.expression?.map(place) ?? [entry],
  }));
  return new FhirError(error.status, issues, error.headers, error.contained);
}

/** Path and parameters of an entry's url, relative to the base. */
function splitEntryUrl(engine: Engine, url: string): { readonly path: string; readonly query: string } {
  const relative = relativeToBase(url, engine.baseUrl);
  if (/^[a-z][a-z0-9+.-]*:/i.test(relative))
    throw badRequest(
      'value',
      'The url leads to another server: write it relative to the base, such as Patient/1.',
      'http.url',
    );
  const mark = relative.indexOf('?');
  return mark === -1
    ? { path: relative, query: '' }
    : { path: relative.slice(0, mark), query: relative.slice(mark + 1) };
}

/** Replies to writes are minimal unless the client asks for more: a transaction of a thousand creates needs no echo. */
const preferOf = (outer: string | undefined): string =>
  preferredReturn(outer) ? (outer ?? '') : [outer, 'return=minimal'].filter(Boolean).join(', ');

function toRequest(
  engine: Engine,
  entry: Readonly<Record<string, unknown>>,
  prefer: string,
  match: MatchRoute,
): { request: FhirRequest; route: Route } {
  const { request, resource } = entry;
  if (!isObject(request)) throw badRequest('required', 'request is missing: add its method and url.', 'http.request');
  const { method, url } = request;
  if (!METHODS.has(method))
    throw badRequest('value', 'request.method must be GET, HEAD, POST, PUT, PATCH or DELETE.', 'http.method');
  if (typeof url !== 'string')
    throw badRequest(
      'required',
      'request.url is missing: write it relative to the base, such as Patient/1.',
      'http.url',
    );
  for (const name of Object.values(HEADERS)) {
    if (request[name] !== undefined && typeof request[name] !== 'string')
      throw badRequest('value', `request.${name} must be a string.`, `http.${name}`);
  }
  const { path, query } = splitEntryUrl(engine, url);
  const verb = method as Method;
  const { route, target } = match(verb, splitPath(path));
  if (verb === 'POST' && route.interaction === 'search-type' && resource !== undefined)
    throw badRequest(
      'not-supported',
      'A search in a Bundle takes its parameters from the url, not from a resource: write GET Patient?family=Chalmers.',
      'http.url',
    );
  return {
    route,
    request: {
      ...target,
      method: verb,
      query: parseQuery(query),
      body:
        resource === undefined || verb === 'GET' || verb === 'HEAD' || verb === 'DELETE'
          ? NO_BODY
          : { kind: 'tree', value: resource },
      header: (name) => {
        if (name === 'prefer') return prefer;
        // Within a Bundle everything is FHIR JSON, raw content too.
        if (name === 'accept') return 'application/fhir+json';
        const value = HEADERS[name] === undefined ? undefined : request[HEADERS[name]];
        return typeof value === 'string' ? value : undefined;
      },
    },
  };
}

/**
 * Reads the entries of a Bundle.
 * @throws FhirError 400 when the Bundle itself is malformed or too large
 */
export function readEntries(
  engine: Engine,
  bundle: Readonly<Record<string, unknown>>,
  outerPrefer: string | undefined,
  match: MatchRoute,
): readonly BundleEntry[] {
  const entries = bundle['entry'] ?? [];
  if (!Array.isArray(entries)) throw badRequest('structure', 'Bundle.entry must be an array.', 'Bundle.entry');
  const { bundleEntries } = engine.limits;
  if (entries.length > bundleEntries) {
    throw new FhirError(413, [
      {
        severity: 'error',
        code: 'too-costly',
        diagnostics: `The Bundle has ${entries.length} entries, at most ${bundleEntries} are taken: split it.`,
        expression: ['Bundle.entry'],
      },
    ]);
  }
  const prefer = preferOf(outerPrefer);
  return entries.map((entry: unknown, index): BundleEntry => {
    const known = isObject(entry) ? entry : {};
    const { fullUrl, resource } = known;
    const base = { index, fullUrl: typeof fullUrl === 'string' ? fullUrl : undefined, resource };
    try {
      if (!isObject(entry)) throw badRequest('structure', 'An entry must be an object.');
      if (fullUrl !== undefined && typeof fullUrl !== 'string')
        throw badRequest('value', 'fullUrl must be a string.', 'http.fullUrl');
      return { ...base, ...toRequest(engine, entry, prefer, match) };
    } catch (error) {
      if (!(error instanceof FhirError)) throw error;
      return { ...base, request: inEntry(index, error), route: undefined };
    }
  });
}

const line = (status: number): string => `${status} ${STATUS_CODES[status] ?? ''}`.trim();

/** A reply as an entry of the response Bundle. */
export function replyEntry(reply: Reply, method?: Method): string {
  const { status, version, headers = {}, body } = reply;
  const response: Record<string, unknown> = { status: line(status) };
  if (headers['Location'] !== undefined) response['location'] = headers['Location'];
  const etag = version ? etagOf(version.version) : headers['ETag'];
  if (etag !== undefined) response['etag'] = etag;
  if (version) response['lastModified'] = version.lastUpdated.toISOString();
  const text = JSON.stringify(response);
  if (typeof body !== 'string' || status === 304 || method === 'HEAD') return `{"response":${text}}`;
  // What a write says of itself is its outcome; what an operation returns is its result.
  if (version && body.startsWith('{"resourceType":"OperationOutcome"'))
    return `{"response":${text.slice(0, -1)},"outcome":${body}}}`;
  return `{"resource":${body},"response":${text}}`;
}

/** Counts the answers of a Bundle, which are held until the last one is there. */
export interface ReplyBudget {
  /** Whether the answer still fits; once one does not, the budget is spent. */
  take(answer: string): boolean;
  readonly isSpent: boolean;
}

export function replyBudget({ limits }: Engine): ReplyBudget {
  let left = limits.replyBytes;
  let isSpent = false;
  return {
    take(answer) {
      if (answer.length > left) isSpent = true;
      else left -= answer.length;
      return !isSpent;
    },
    get isSpent() {
      return isSpent;
    },
  };
}

/** An answer that does not fit into the reply any more. */
export const replyTooLarge = ({ limits }: Engine): FhirError =>
  new FhirError(413, [
    errorIssue(
      'too-costly',
      `The answers of one Bundle hold at most ${limits.replyBytes} bytes together: ask for this in another Bundle, by itself, or for less of it by _elements or _count.`,
    ),
  ]);

export const errorEntry = (error: FhirError): string =>
  JSON.stringify({ response: { status: line(error.status), outcome: toOutcome(error.issues, error.contained) } });

/** Events of an attempt that may be rolled back: told only when it counts. */
export function withBufferedEvents(ctx: RequestContext): {
  readonly ctx: RequestContext;
  /** Those so far. */
  readonly events: readonly ContextEvent[];
  release(): void;
} {
  const events: ContextEvent[] = [];
  return {
    events,
    ctx: {
      requestId: ctx.requestId,
      access: ctx.access,
      clock: ctx.clock,
      baseUrl: ctx.baseUrl,
      emit: (event) => void events.push(event),
    },
    release: () => events.forEach((event) => ctx.emit(event)),
  };
}

export const bundleReply = (type: 'batch-response' | 'transaction-response', entries: readonly string[]): Reply => ({
  status: 200,
  body: `{"resourceType":"Bundle","type":"${type}"${entries.length === 0 ? '' : `,"entry":[${entries.join(',')}]`}}`,
});
