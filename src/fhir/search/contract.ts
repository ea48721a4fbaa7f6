/** What the rest of the core asks of search. */
import type { RequestContext, Shown } from '../context.ts';
import type { Engine } from '../engine.ts';
import type { Reader, StoredVersion } from '../store/repository.ts';

/** Query parameters, decoded, in the order sent. */
export type Query = readonly (readonly [name: string, value: string])[];

export interface SearchTarget {
  /** undefined: whole system (`_type` may narrow it). */
  readonly type?: string;
  /** `Patient/123/Appointment` or `Patient/123/*` (type undefined). */
  readonly compartment?: { readonly code: string; readonly id: string };
}

export interface SearchReply {
  /** The searchset Bundle as JSON text. */
  readonly body: string;
  /** `Type/id` of everything shown, for audit. */
  readonly resources: readonly string[];
  /** The same with their text. */
  readonly shown: readonly Shown[];
}

/** Runs a search and writes the Bundle. `strict`: `Prefer: handling=strict`. @throws FhirError 400 */
export type Search = (
  engine: Engine,
  ctx: RequestContext,
  target: SearchTarget,
  query: Query,
  options: { readonly strict: boolean },
) => Promise<SearchReply>;

/**
 * Criteria of conditional interactions: at most `limit` matches, seen through `reader` (a transaction's own rows included).
 * @throws FhirError 412 when there are no usable criteria, 400 when a parameter is unknown or bad
 */
export type MatchCriteria = (
  engine: Engine,
  ctx: RequestContext,
  reader: Reader,
  type: string,
  query: Query,
  limit: number,
) => Promise<readonly StoredVersion[]>;
