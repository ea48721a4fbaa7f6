/**
 * Who asks, and what of it they may do: for each act an SQL predicate that no query can be planned, and no row written, without.
 * @see https://hl7.org/fhir/R4/security.html#access
 */
import { raw, type Sql } from '../platform/database/sql.ts';
import type { SearchParam } from './definitions/registry.ts';
import { errorIssue, FhirError } from './outcome.ts';

/** `system` principals (import, seed, bench, worker, backend services) act for the installation itself. */
export interface Principal {
  readonly kind: 'anonymous' | 'user' | 'system';
  readonly name: string;
  /** Account of a user. */
  readonly account?: string;
  /** Roles of that account. */
  readonly roles?: readonly string[];
  /** Client through which they act. */
  readonly client?: string;
  /** `Patient/1` that the launch is about. */
  readonly patient?: string;
  /** `Practitioner/1`: the resource that the person is. */
  readonly person?: string;
  /** The request by which they act; none where nobody waits for a reply. */
  readonly origin?: Origin;
}

/** A request that may change something, for the record of what it changes. */
export interface Origin {
  readonly requestId: string;
  /** The client's network. */
  readonly address?: string;
  /** Code of the operation that makes the changes. */
  readonly operation?: string;
  /** `Type/id` of changes whose record went with them. */
  readonly recorded: Set<string>;
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

/**
 * What may be allowed by itself. `get`: to read the current version by its id, and nothing that leads further: all that may be read,
 * and oneself. `refer`: to be named by a reference, which tells no more than that it exists.
 */
export type Act = 'create' | 'read' | 'get' | 'update' | 'delete' | 'search' | 'refer';

export const ACTS: readonly Act[] = ['create', 'read', 'get', 'update', 'delete', 'search', 'refer'];

/** How many rows of a type: none at all, those that the predicate says, or all. */
export type Reach = 'none' | 'some' | 'all';

declare const predicate: unique symbol;
/** SQL that came from an Access; nothing else can stand in its place. */
export type AccessPredicate = Sql & { readonly [predicate]: true };

/** For those who make an Access. */
export const accessPredicate = (sql: Sql): AccessPredicate => sql as AccessPredicate;

/** How resources are shown to somebody who may not see all that is in them. Whatever is answered is made of what is shown. */
export interface Veil {
  /** What a search parameter reads is hidden in none of the type's resources, in some, or in all. */
  hides(param: SearchParam): 'none' | 'some' | 'all';
  /** The text of a resource as it may be seen: the same text where there is nothing to hide. */
  shown(text: string): string;
}

/** Rows that one act is allowed on. */
export interface Rows {
  readonly act: Act;
  readonly principal: Principal;
  reach(type: string): Reach;
  /** Equal keys mean equal predicates on the type: reads may then share one statement. */
  key(type: string): string;
  /** Rows of `type`, as a condition on the table alias. Applied at every alias. */
  rows(type: string, alias: string): AccessPredicate;
  /** The rows are few and found by an index: better all found first, then sorted. */
  narrow(type: string): boolean;
  /** The same judged on a resource: for old versions, which have no columns. */
  admits(type: string, resource: unknown): boolean;
  /** What of these rows is shown; undefined: all that is in them. */
  veil(type: string): Veil | undefined;
}

export interface Access {
  readonly principal: Principal;
  /** Equal keys mean equal predicates for every act and type. */
  readonly key: string;
  /**
   * @param acts what an operation does with resources of its type; all of them must be allowed
   * @param id of the one resource that is read
   * @throws FhirError 401 when signing in may help, 403 when the interaction is not allowed on the type at all
   */
  demand(interaction: Interaction, type?: string, acts?: readonly Act[], id?: string): void;
  to(act: Act): Rows;
}

const everything = (act: Act, principal: Principal): Rows => ({
  act,
  principal,
  reach: () => 'all',
  key: () => 'all',
  rows: () => accessPredicate(raw('true')),
  narrow: () => false,
  admits: () => true,
  veil: () => undefined,
});

const nothing = (act: Act, principal: Principal): Rows => ({
  act,
  principal,
  reach: () => 'none',
  key: () => 'none',
  rows: () => accessPredicate(raw('false')),
  narrow: () => false,
  admits: () => false,
  veil: () => undefined,
});

/** The same rows, whole: for what judges by all that is in them, and answers with no more than is shown. */
export const unveiled = (rows: Rows): Rows => ({ ...rows, veil: () => undefined });

type ByAct = Readonly<Record<Act, Rows>>;

const byAct = (rows: (act: Act, principal: Principal) => Rows, principal: Principal): ByAct => ({
  create: rows('create', principal),
  read: rows('read', principal),
  get: rows('get', principal),
  update: rows('update', principal),
  delete: rows('delete', principal),
  search: rows('search', principal),
  refer: rows('refer', principal),
});

/** Sees and may do everything. */
export function grantAll(principal: Principal): Access {
  const rows = byAct(everything, principal);
  return { principal, key: 'all', demand: () => undefined, to: (act) => rows[act] };
}

/** The same access, by a certain request: what is written under it is recorded as that request's. */
export function actingBy(access: Access, origin: Origin): Access {
  const principal: Principal = { ...access.principal, origin };
  const acts = new Map<Act, Rows>();
  return {
    principal,
    key: access.key,
    demand: (...of) => access.demand(...of),
    to(act) {
      let rows = acts.get(act);
      if (!rows) acts.set(act, (rows = { ...access.to(act), principal }));
      return rows;
    },
  };
}

const STRANGER: Principal = { kind: 'anonymous', name: 'nobody' };
const NOTHING = byAct(nothing, STRANGER);

/** Nobody yet: stands in the place of an access that was refused. */
export const NOBODY: Access = {
  principal: STRANGER,
  key: 'none',
  demand() {
    throw new FhirError(403, [errorIssue('forbidden', 'This is not allowed.')]);
  },
  to: (act) => NOTHING[act],
};

/** What must be allowed for an interaction; undefined: the interaction looks after what it does, part by part. */
const ACT_OF: Readonly<Record<Interaction, Act | undefined>> = {
  read: 'get',
  vread: 'read',
  'history-instance': 'read',
  'search-type': 'search',
  'history-type': 'search',
  'search-system': 'search',
  'history-system': 'search',
  create: 'create',
  update: 'update',
  patch: 'update',
  delete: 'delete',
  transaction: undefined,
  batch: undefined,
  capabilities: undefined,
  operation: undefined,
};

export const actOf = (interaction: Interaction): Act | undefined => ACT_OF[interaction];

/** Whether a version is, as it is to be written, within the rows. */
export const mayWrite = (
  { type, resource }: { readonly type: string; readonly resource: unknown },
  rows: Rows,
): boolean => rows.reach(type) === 'all' || rows.admits(type, resource);

/** A written resource that the writer may not write so, or a row that is not theirs to change. */
export const notAllowed = (type: string, act: Act): FhirError =>
  new FhirError(403, [
    errorIssue(
      'forbidden',
      `To ${act} this ${type} as it is sent is not allowed: it would be outside of what you may ${act}.`,
    ),
  ]);
