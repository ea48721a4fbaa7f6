/** What accompanies one request through the house: who asks, when, and what must be recorded of it. */
import type { Clock } from '../platform/clock.ts';
import type { Access, Interaction } from './access.ts';
import type { StoredVersion } from './store/repository.ts';

/** A version that was shown, as it was shown. */
export type Shown = Pick<StoredVersion, 'type' | 'id' | 'content'>;

/** Something that happened to resources; the audit domain makes AuditEvents of these. */
export interface ContextEvent {
  readonly interaction: Interaction;
  readonly operation?: string;
  readonly type?: string;
  /** `Type/id` of every resource that was shown or changed. */
  readonly resources?: readonly string[];
  /** The same with their text, where it is at hand: whom they are about is read from it. */
  readonly shown?: readonly Shown[];
  /** `Type/id` that was asked for, where it came to nothing. */
  readonly target?: string;
  /** Raw query of a search. */
  readonly query?: string;
  readonly outcome: 'success' | 'denied' | 'failure';
  /** A reply was given again under its Idempotency-Key: what it tells of was shown, and happened before. */
  readonly replayed?: true;
}

export interface RequestContext {
  readonly requestId: string;
  readonly access: Access;
  readonly clock: Clock;
  /** Records an event. The reply is released only after every observer has accepted it. */
  emit(event: ContextEvent): void;
  /** Base URL without trailing slash, `http://localhost:8080/fhir/R4`. */
  readonly baseUrl: string;
  /** The versions of its instance that an operation may change, as If-Match names them. */
  readonly ifMatch?: string;
}
