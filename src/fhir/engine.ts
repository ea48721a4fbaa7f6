/** The parts of the FHIR core, joined once by the composition root and handed to interactions and operations. */
import type { Clock } from '../platform/clock.ts';
import type { Definitions } from './definitions/registry.ts';
import type { Issue } from './outcome.ts';
import type { OperationDeclaration } from './operation.ts';
import type { ResourceDeclaration } from './resource.ts';
import type { Blind } from './search/blind/blind.ts';
import type { KeptReplies } from './store/kept-reply.ts';
import type { Repository } from './store/repository.ts';

export interface ValidationOptions {
  /** Profile URLs to hold the resource against, besides those in meta.profile. */
  readonly profiles?: readonly string[];
  /** Also report what is only advised (warnings, dom-6, extensible bindings). */
  readonly advice?: boolean;
}

/** Pure: structure, formats, bindings, invariants, profiles; every error at once. Empty when valid. Accepts any JSON value. */
export interface Validator {
  validate(resource: unknown, options?: ValidationOptions): readonly Issue[];
}

/** A code of a value set or code system. */
export interface Concept {
  readonly system: string;
  readonly code: string;
  readonly display?: string;
  /** Only groups other codes; not to be used in data. */
  readonly abstract?: boolean;
  /** Deprecated or retired. */
  readonly inactive?: boolean;
}

/** A code system whose concepts are at hand. */
export interface CodeSystemSummary {
  readonly url: string;
  readonly id?: string;
  readonly version?: string;
  readonly name: string;
  /** `false`: a fragment or example; codes beyond those listed may exist. */
  readonly complete: boolean;
}

export interface ValueSetSummary {
  readonly url: string;
  readonly id?: string;
  readonly version?: string;
}

/** Enumerable value sets and code systems that the served types use. */
export interface Terminology {
  /** undefined: not known, or not enumerable (SNOMED CT, UCUM, BCP-47 …). */
  expand(valueSetUrl: string): readonly Concept[] | undefined;
  /** undefined: cannot be told. `system` undefined: any system of the value set. */
  contains(valueSetUrl: string, system: string | undefined, code: string): boolean | undefined;
  /** undefined: unknown or not enumerable system; null: no such code. */
  lookup(system: string, code: string): Concept | null | undefined;
  /** The code and its descendants (`below`) or ancestors (`above`); undefined when the system cannot be enumerated. */
  subsumed(system: string, code: string, direction: 'below' | 'above'): readonly string[] | undefined;
  /** Next codes up and down; undefined when the code is not known. */
  relatives(
    system: string,
    code: string,
  ): { readonly parents: readonly string[]; readonly children: readonly string[] } | undefined;
  /** Required binding of an element of type code: its only system, if there is one. */
  systemOf(valueSetUrl: string): string | undefined;
  /** `opaque`: known by name, but cannot be enumerated; undefined: unknown. */
  codeSystem(system: string): CodeSystemSummary | 'opaque' | undefined;
  /** undefined: unknown. */
  valueSet(valueSetUrl: string): ValueSetSummary | undefined;
  /** Canonical URLs of the enumerable code systems. */
  readonly codeSystemUrls: readonly string[];
}

export interface EngineLimits {
  readonly resourceBytes: number;
  readonly bundleBytes: number;
  readonly bundleEntries: number;
  /** Resources in one reply, together; counted as characters of their JSON. */
  readonly replyBytes: number;
  readonly jsonDepth: number;
  /** Objects, arrays and scalars in one resource. */
  readonly resourceValues: number;
  readonly pageSize: number;
  readonly maxPageSize: number;
  /** Values in one OR list, and parameters in one search. */
  readonly searchValues: number;
  /** Included resources in one page. */
  readonly includes: number;
  /** Candidates that a search may read to re-check a condition that SQL cannot decide. */
  readonly candidates: number;
}

/** Endpoints of the authorization server, by the names of the extension `oauth-uris`. */
export type OAuthUris = readonly (readonly [name: string, url: string])[];

export interface Engine {
  readonly definitions: Definitions;
  readonly resources: ReadonlyMap<string, ResourceDeclaration>;
  readonly operations: readonly OperationDeclaration[];
  /** Which search columns hold tags, and of what. */
  readonly blind: Blind;
  readonly repository: Repository;
  readonly validator: Validator;
  readonly terminology: Terminology;
  readonly limits: EngineLimits;
  readonly clock: Clock;
  /** Base URL without trailing slash, `http://localhost:8080/fhir/R4`. */
  readonly baseUrl: string;
  readonly validateReferences: boolean;
  /** Where tokens are had. */
  readonly oauthUris?: OAuthUris;
  /** Replies that are given again to who repeats a request under its Idempotency-Key. */
  readonly keptReplies: KeptReplies;
  /** Signs page links. */
  readonly cursorKey: Uint8Array;
}
