/** Who asks, and what of it they may see: an SQL predicate that no query can be planned without. */
import { raw, type Sql } from '../platform/database/sql.ts';

/** `system` principals (import, seed, bench, worker) act for the installation itself. */
export interface Principal {
  readonly kind: 'anonymous' | 'user' | 'system';
  readonly name: string;
}

export type Interaction =
  | 'read'
  | 'vread'
  | 'update'
  | 'patch'
  | 'delete'
  | 'history-instance'
  | 'history-type'
  | 'create'
  | 'search-type'
  | 'transaction'
  | 'batch'
  | 'search-system'
  | 'history-system'
  | 'capabilities'
  | 'operation';

declare const predicate: unique symbol;
/** SQL that came from an Access; nothing else can stand in its place. */
export type AccessPredicate = Sql & { readonly [predicate]: true };

export interface Access {
  readonly principal: Principal;
  /** Equal keys mean equal predicates: reads may then share one statement. */
  readonly key: string;
  /** Throws FhirError 403 when the interaction is not allowed on the type at all. */
  demand(interaction: Interaction, type?: string): void;
  /** Rows of `type` that may be seen, as a condition on the table alias. Applied at every alias. */
  rows(type: string, alias: string): AccessPredicate;
}

/** Sees and may do everything; until identity stands, every principal has it (loopback only). */
export const grantAll = (principal: Principal): Access => ({
  principal,
  key: 'all',
  demand: () => undefined,
  rows: () => raw('true') as AccessPredicate,
});
