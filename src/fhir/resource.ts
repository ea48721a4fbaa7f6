/** The declaration of a resource type: one file in `src/resources/` is all that a type needs. */
import type { Resource } from '@medplum/fhirtypes';
import type { Principal } from './access.ts';
import type { FhirError, Issue } from './outcome.ts';
import type { Query } from './search/contract.ts';
import type { Change, Reader, Transaction } from './store/repository.ts';
import type { Withheld } from './store/withheld.ts';

/** Interactions that a type may have; all others are computed from these. */
export type TypeInteraction =
  'read' | 'vread' | 'update' | 'patch' | 'delete' | 'history-instance' | 'history-type' | 'create' | 'search-type';

export const ALL_INTERACTIONS: readonly TypeInteraction[] = [
  'read',
  'vread',
  'update',
  'patch',
  'delete',
  'history-instance',
  'history-type',
  'create',
  'search-type',
];
export const READ_ONLY: readonly TypeInteraction[] = [
  'read',
  'vread',
  'history-instance',
  'history-type',
  'search-type',
];

/** A composite index. `where` is literal SQL on the columns. */
export interface IndexDeclaration {
  readonly columns: readonly string[];
  readonly where?: string;
}

export interface ResourceDeclaration {
  readonly type: string;
  readonly interactions: readonly TypeInteraction[];
  /** What clients should know of the type besides (CapabilityStatement documentation). */
  readonly documentation?: string;
  /** Canonical URLs of profiles that the server supports for the type (CapabilityStatement supportedProfile). */
  readonly profiles: readonly string[];
  /** `sealed`: speaks of a person, content is encrypted; `plain` columns stay readable. */
  readonly sealed: false | { readonly plain: readonly string[] };
  readonly indexes: readonly IndexDeclaration[];
  /** Order of searches without `_sort`: parameter codes, `-` for descending; the id always follows. */
  readonly defaultSort: readonly string[];
  /** Every searchset tells the number of matches; otherwise only where it is known at no cost, or asked for by `_total`. */
  readonly total?: 'accurate';
  /** `ordinary`: a generated table. `relation`: a hand-made relation with the generated columns (partitioned audit). `definitions`: loaded from the build. */
  readonly storage: 'ordinary' | 'relation' | 'definitions';
  /** Holds content with a media type of its own (`contentType`, `data`): also served and taken raw. @see https://hl7.org/fhir/R4/binary.html#rest */
  readonly raw?: true;
  /** Whether a patch makes a change that must name the version it is made to (If-Match): between two readers of one state only one is right. */
  needsMatch?(before: Resource, after: Resource): boolean;
  /** What is not shown to somebody. Where they write the type nevertheless, `complete` puts it back. */
  withheld?(principal: Principal): readonly Withheld[];
  /** What whoever searches the type so should know besides. Pure, and quick: every search asks. */
  advise?(query: Query, now: number): readonly Issue[];
  /** Rules beyond structure, bindings, invariants and profiles. Pure. */
  check?(resource: Resource): readonly Issue[];
  /**
   * What the server fills in before a version is written over REST: additions only, each of which whoever writes could have said as well.
   * @param before the version that is replaced
   */
  complete?(
    reader: Pick<Reader, 'query' | 'decode'>,
    resource: Resource,
    before: Resource | undefined,
    by: Principal,
  ): Promise<Resource>;
  /** What it means that these references (`Type/id`) lead nowhere; undefined: a mistake, as everywhere. */
  missing?(resource: Resource, targets: readonly string[]): FhirError | undefined;
  /** Its changes are told before those of other types in the same transaction: they say how these are to be read. */
  readonly projectsFirst?: true;
  /**
   * Locks that must be had before rows of the type are replaced or deleted, where what follows from that asks for other rows too: whoever has the row and
   * waits for those would wait in a circle.
   */
  lock?(tx: Transaction, entries: readonly { readonly id: string; readonly after?: Resource }[]): Promise<void>;
  /**
   * What changes of the type do to other rows, and rules that need to know who makes which change of what: in the same transaction, after the
   * rows of the type are written. @throws FhirError where a change must not be: nothing of the transaction remains
   */
  project?(tx: Transaction, changes: readonly Change[], by: Principal): Promise<void>;
  /** Refuses a create at once that `project` would refuse: what it lets pass is judged all the same. @throws FhirError */
  foresee?(resource: Resource, by: Principal): Promise<void>;
  /** Creates of a type with `project` whose keys are equal may share a transaction: the hooks treat who makes them alike. undefined: it has its own. */
  sharesWith?(resource: Resource, by: Principal): string | undefined;
}

/** Fills in what most types share. */
export function defineResource(
  declaration: Pick<ResourceDeclaration, 'type' | 'sealed'> & Partial<ResourceDeclaration>,
): ResourceDeclaration {
  return {
    interactions: ALL_INTERACTIONS,
    profiles: [],
    indexes: [],
    defaultSort: [],
    storage: 'ordinary',
    ...declaration,
  };
}
