/**
 * A search understood: what `parse.ts` reads, `print.ts` writes back and `plan.ts` turns into SQL.
 * @see https://hl7.org/fhir/R4/search.html
 */
import type { SearchParam } from '../definitions/registry.ts';

export type Prefix = 'eq' | 'ne' | 'gt' | 'lt' | 'ge' | 'le' | 'sa' | 'eb' | 'ap';

/** `system` undefined: any or none; '': none. `code` '': any code of the system. */
export interface TokenValue {
  readonly kind: 'token';
  readonly system: string | undefined;
  readonly code: string;
}
/** Strings, URIs, value sets, texts. */
export interface TextValue {
  readonly kind: 'text';
  readonly text: string;
}
/** Milliseconds since the epoch, `high` excluded. */
export interface DateValue {
  readonly kind: 'date';
  readonly prefix: Prefix;
  readonly text: string;
  readonly low: number;
  readonly high: number;
}
export interface NumberValue {
  readonly kind: 'number';
  readonly prefix: Prefix;
  readonly text: string;
}
/** `system` and `code` undefined: any unit; '': not asked for. */
export interface QuantityValue {
  readonly kind: 'quantity';
  readonly prefix: Prefix;
  readonly text: string;
  readonly system: string | undefined;
  readonly code: string | undefined;
}
/** Either `url` (absolute, canonical) or `id`, with `type` where it was told. */
export interface ReferenceValue {
  readonly kind: 'reference';
  readonly type: string | undefined;
  readonly id: string | undefined;
  readonly version: string | undefined;
  readonly url: string | undefined;
}
/** `:of-type` of identifiers. */
export interface TypedIdentifierValue {
  readonly kind: 'of-type';
  readonly system: string;
  readonly code: string;
  readonly value: string;
}
export interface CompositeValue {
  readonly kind: 'composite';
  readonly parts: readonly Value[];
}
/** Degrees and kilometres; `parts` as they were written. */
export interface NearValue {
  readonly kind: 'near';
  readonly parts: readonly string[];
  readonly latitude: number;
  readonly longitude: number;
  readonly distanceKm: number;
}
/** `:missing` */
export interface MissingValue {
  readonly kind: 'missing';
  readonly missing: boolean;
}

export type Value =
  | TokenValue
  | TextValue
  | DateValue
  | NumberValue
  | QuantityValue
  | ReferenceValue
  | TypedIdentifierValue
  | CompositeValue
  | NearValue
  | MissingValue;

/** One of the values must match. A reference's `:Patient` is kept in the values, `modifier` is then undefined. */
export interface ParamCondition {
  readonly kind: 'param';
  readonly param: SearchParam;
  readonly modifier: string | undefined;
  readonly values: readonly Value[];
}

/** `actor:Practitioner.name=…`: the resource that is referred to meets the condition of its type. */
export interface ChainCondition {
  readonly kind: 'chain';
  readonly param: SearchParam;
  readonly narrowed: string | undefined;
  readonly targets: readonly { readonly type: string; readonly condition: Condition }[];
}

/** `_has:Appointment:patient:date=…`: a resource of `type` refers here and meets the condition. */
export interface HasCondition {
  readonly kind: 'has';
  readonly type: string;
  readonly param: SearchParam;
  readonly condition: Condition;
}

export type Condition = ParamCondition | ChainCondition | HasCondition;

export interface SortKey {
  readonly code: string;
  readonly descending: boolean;
}

export interface Include {
  readonly reverse: boolean;
  readonly iterate: boolean;
  /** Type whose references are followed; `*`: any. */
  readonly source: string;
  /** `*`: all of them. */
  readonly code: string;
  readonly target: string | undefined;
}

export type Summary = 'true' | 'text' | 'data' | 'count' | 'false';

/** How results are to be shown. Undefined: not asked for. */
export interface ResultOptions {
  readonly sort: readonly SortKey[];
  readonly count: number | undefined;
  readonly includes: readonly Include[];
  readonly summary: Summary | undefined;
  readonly elements: readonly string[];
  readonly total: 'accurate' | 'estimate' | 'none' | undefined;
  readonly cursor: string | undefined;
  /** `_format` and `_pretty` as sent: the renderer's, kept in links. */
  readonly rendering: readonly (readonly [string, string])[];
}

/** Conditions of each type that is searched; system-level searches have several types. */
export interface ParsedSearch {
  readonly types: readonly { readonly type: string; readonly conditions: readonly Condition[] }[];
  /** `_type`, as sent. */
  readonly typeFilter: readonly string[];
  readonly result: ResultOptions;
  /** What was left out, to be told to the client. */
  readonly ignored: readonly { readonly name: string; readonly why: string }[];
}
