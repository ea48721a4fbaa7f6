/**
 * What interactions see of HTTP: a request already routed, and a reply not yet rendered. Entries of a Bundle take the same shape.
 * @see https://hl7.org/fhir/R4/http.html
 */
import type { Interaction } from '../access.ts';
import type { RequestContext } from '../context.ts';
import type { Engine } from '../engine.ts';
import type { Query } from '../search/contract.ts';
import type { StoredVersion } from '../store/repository.ts';

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** What was sent: bytes still to be read from a socket, or the tree that a Bundle entry held. */
export type Body =
  | { readonly kind: 'none' }
  | {
      readonly kind: 'stream';
      readonly contentType: string | undefined;
      /** The bytes are here, and whoever sent them has had to wait for its turn. */
      readonly received?: true;
      /** @throws FhirError 413 above the limit, 408 when it comes too slowly */
      read(limitBytes: number): Promise<Uint8Array>;
    }
  | { readonly kind: 'tree'; readonly value: unknown };

export interface FhirRequest {
  readonly method: Method;
  /** Resource type of the path; undefined on system level. */
  readonly type: string | undefined;
  readonly id: string | undefined;
  readonly versionId: string | undefined;
  /** `Appointment` of `Patient/1/Appointment`, or `*`. */
  readonly compartmentType: string | undefined;
  /** Name after the `$`. */
  readonly operation: string | undefined;
  /** Decoded parameters of the URL. */
  readonly query: Query;
  /** @param name in lower case */
  header(name: string): string | undefined;
  readonly body: Body;
}

/** What a request that came to nothing was about, for its event. */
export const targetOf = ({ type, id }: Pick<FhirRequest, 'type' | 'id'>): { type?: string; target?: string } => ({
  ...(type === undefined ? {} : { type }),
  ...(type === undefined || id === undefined ? {} : { target: `${type}/${id}` }),
});

export interface Reply {
  readonly status: number;
  /** The version that the reply is about: becomes ETag and Last-Modified. */
  readonly version?: Pick<StoredVersion, 'version' | 'lastUpdated'>;
  /** Names in their usual spelling; Content-Type is FHIR JSON unless given. */
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON text of a resource, or bytes of a Binary. */
  readonly body?: string | Uint8Array;
}

export type Handler = (engine: Engine, ctx: RequestContext, request: FhirRequest) => Promise<Reply>;

/** A path and method that the server serves. */
export interface Route {
  readonly interaction: Interaction;
  readonly handle: Handler;
  /** The handler itself looks at Accept: the reply may be other than FHIR JSON, or a form says what it shall be. */
  readonly negotiates?: boolean;
}

export const NO_BODY: Body = { kind: 'none' };
