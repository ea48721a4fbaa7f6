/** The declaration of an operation: one file in `src/operations/`. @see https://hl7.org/fhir/R4/operations.html */
import type { Parameters, Resource } from '@medplum/fhirtypes';
import type { Act } from './access.ts';
import type { RequestContext } from './context.ts';
import type { Engine } from './engine.ts';

export interface OperationRequest {
  readonly type?: string;
  readonly id?: string;
  /** POST: the Parameters sent (a bare resource is put into the parameter that it stands for); GET: query parameters as Parameters of strings. */
  readonly parameters: Parameters;
  /** Query of the URL, decoded. */
  readonly query: readonly (readonly [string, string])[];
}

export interface OperationReply {
  readonly status: number;
  /** A resource, or JSON already written. */
  readonly body: Resource | string;
  /** `Type/id` of everything shown or changed, for audit; else the instance that the operation was called on. */
  readonly resources?: readonly string[];
}

export interface OperationDeclaration {
  /** Name after the `$`. */
  readonly code: string;
  /** Canonical URL of the OperationDefinition. */
  readonly url: string;
  readonly system: boolean;
  readonly type: boolean;
  readonly instance: boolean;
  /** Resource types; `undefined`: every served type. */
  readonly resourceTypes?: readonly string[];
  /** What it does with resources of the type that it is called on: each must be allowed. None: to be signed in is enough. */
  readonly needs: readonly Act[];
  /** Operations that change nothing may also be called by GET. */
  readonly affectsState: boolean;
  /** Anybody may call it, signed in or not: it tells no more than what is offered to all, and asks for itself about the rest. */
  readonly open?: true;
  /** The parameter that a bare resource stands for; `resource` unless told. */
  readonly bare?: string;
  handle(engine: Engine, ctx: RequestContext, request: OperationRequest): Promise<OperationReply>;
}
