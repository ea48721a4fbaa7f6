/**
 * Which requests an Idempotency-Key counts for, whose the key is, and what makes two requests the same.
 * @see https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header-07#section-2.4
 */
import { createHash } from 'node:crypto';
import type { Principal } from '../access.ts';
import { breather } from '../breathe.ts';
import type { RequestContext } from '../context.ts';
import type { Engine } from '../engine.ts';
import { changesState } from '../interaction/operation.ts';
import type { Isolation } from '../store/repository.ts';
import { receivedBody } from './body.ts';
import { idempotencyKeyOf } from './idempotency-key.ts';
import type { FhirRequest, Route } from './request.ts';

/** Path and query string as they stand in the first line of the request. */
export interface Address {
  readonly path: string;
  readonly search: string;
}

/** A request with a key, its body received. */
export interface KeyedRequest {
  readonly route: Route;
  readonly ctx: RequestContext;
  readonly request: FhirRequest;
  /** Of the key, in the database. */
  readonly name: string;
  /** Equal ones mean the same request. */
  readonly sameness: string;
  /** What it needs as far as its head tells; entries of a Bundle may need more. */
  readonly isolation: Isolation;
}

const EFFECTS: ReadonlySet<string> = new Set(['create', 'update', 'patch', 'delete', 'transaction']);

const hasEffect = (engine: Engine, { interaction }: Route, request: FhirRequest): boolean =>
  interaction === 'operation' ? request.method === 'POST' && changesState(engine, request) : EFFECTS.has(interaction);

/** Nobody finds, or learns of, another's keys. */
const scopeOf = ({ kind, name, account, client }: Principal): readonly string[] => [
  kind,
  client ?? '',
  account ?? name,
];

/** Criteria are judged where nothing can come between. */
const isConditional = ({ method, id, header }: FhirRequest): boolean =>
  header('if-none-exist') !== undefined || (method !== 'POST' && id === undefined);

/** Headers that change what a request does, or what it is answered. */
const COUNTED_HEADERS = [
  'content-type',
  'if-match',
  'if-none-exist',
  'if-none-match',
  'prefer',
  'x-security-context',
] as const;

const PIECE_BYTES = 1_048_576;

async function digestOf({ method, header }: FhirRequest, address: Address, bytes: Uint8Array): Promise<string> {
  const digest = createHash('sha256');
  const headers = COUNTED_HEADERS.map((name) => header(name) ?? null);
  digest.update(`${JSON.stringify([method, address.path, address.search, headers])}\n`);
  const breathe = breather();
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    digest.update(bytes.subarray(at, at + PIECE_BYTES));
    await breathe();
  }
  return digest.digest('base64url');
}

/**
 * The request with its key; undefined where a key means nothing: there is none, nothing can change, or nobody is known (who is refused anyway).
 * @throws FhirError 400 for what is no key, and all that reading a body may end with
 */
export async function keyedRequest(
  engine: Engine,
  route: Route,
  ctx: RequestContext,
  request: FhirRequest,
  address: Address,
): Promise<KeyedRequest | undefined> {
  const header = request.header('idempotency-key');
  const { principal } = ctx.access;
  if (header === undefined || principal.kind === 'anonymous' || !hasEffect(engine, route, request)) return undefined;
  const { keptReplies, limits } = engine;
  const key = idempotencyKeyOf(header);
  const { body } = request;
  // Before a connection is taken: whoever sends slowly waits for himself alone.
  const bytes =
    body.kind === 'stream'
      ? await body.read(route.interaction === 'transaction' ? limits.bundleBytes : limits.resourceBytes)
      : new Uint8Array();
  return {
    route,
    ctx,
    request: body.kind === 'stream' ? { ...request, body: receivedBody(body.contentType, bytes) } : request,
    name: keptReplies.nameOf(scopeOf(principal), key),
    sameness: keptReplies.requestOf(await digestOf(request, address, bytes)),
    isolation: isConditional(request) && route.interaction !== 'operation' ? 'serializable' : 'read committed',
  };
}
