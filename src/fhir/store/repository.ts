/** The store's contract: versioned resources as bytes, written and read under an access. */
import type { Resource } from '@medplum/fhirtypes';
import type { Sql } from '../../platform/database/sql.ts';
import type { Principal, Rows } from '../access.ts';

/** A stored version. `content` is the JSON exactly as it is served; a deletion has none. */
export interface StoredVersion {
  readonly type: string;
  readonly id: string;
  readonly version: number;
  readonly lastUpdated: Date;
  readonly content: string | undefined;
  /** How this version came to be. */
  readonly method: 'POST' | 'PUT' | 'PATCH' | 'DELETE';
}

/** A resource ready to be written: validated, with id and meta set, columns extracted, serialised. */
export interface PreparedWrite {
  readonly type: string;
  readonly id: string;
  readonly version: number;
  readonly lastUpdated: Date;
  readonly content: string;
  /** Values in the order of `columnsOf(type)`. */
  readonly columns: readonly unknown[];
  readonly method: 'POST' | 'PUT' | 'PATCH';
  readonly resource: Resource;
  /** Whose it is, where it is written together with those of others. */
  readonly by?: Principal;
}

/** One change inside a transaction, as hooks see it. */
export interface Change {
  readonly kind: 'create' | 'update' | 'delete';
  readonly type: string;
  readonly id: string;
  readonly version: number;
  readonly before?: Resource;
  readonly after?: Resource;
}

/** A change for the record: by whom, and the resource before and after as far as they are known. */
export interface RecordedChange extends Change {
  readonly method: StoredVersion['method'];
  readonly by: Principal;
}

/** As many changes of a type as one statement makes. */
export interface ChangedMany {
  readonly kind: Change['kind'];
  readonly type: string;
  readonly count: number;
  readonly by: Principal;
}

/** Keeps the record of changes, in the transaction that makes them. */
export interface Recorder {
  /** One statement that adds it. It is sent with those of the change: when it fails, nothing of the change remains. */
  statement(
    changes: readonly RecordedChange[],
  ): { readonly text: string; readonly values: readonly unknown[] } | undefined;
  /** The same as the beginning of the statement that makes the change, whose last parameter it is: `with …`. */
  readonly prefix: (parameter: string) => string;
  rows(changes: readonly RecordedChange[]): string;
  /** As `statement`. */
  many(changes: ChangedMany): { readonly text: string; readonly values: readonly unknown[] };
}

/** A side effect to run after commit: a worker takes it from the outbox table. */
interface OutboxMessage {
  readonly topic: string;
  /** Ids only, never personal data. */
  readonly payload: Readonly<Record<string, unknown>>;
}

export interface HistoryQuery {
  readonly type?: string;
  readonly id?: string;
  readonly since?: Date;
  readonly at?: { readonly from: Date; readonly to: Date };
  readonly count: number;
  /** Stop after the version with which the contents reach so many bytes. */
  readonly bytes?: number;
  /** Continue after this position (last_updated, type, id, version), newest first. */
  readonly after?: { readonly lastUpdated: Date; readonly type: string; readonly id: string; readonly version: number };
}

/** Reads outside a transaction. */
export interface Reader {
  /** Current version, a deletion included; undefined when there never was one that this access may see. Concurrent reads share statements. */
  read(type: string, id: string, access: Rows): Promise<StoredVersion | undefined>;
  vread(type: string, id: string, version: number, access: Rows): Promise<StoredVersion | undefined>;
  history(query: HistoryQuery, access: Rows): Promise<readonly StoredVersion[]>;
  /** Number of versions that the query (without count and after) finds. */
  historyTotal(query: Omit<HistoryQuery, 'count' | 'after'>, access: Rows): Promise<number>;
  /** Of `Type/id` references, those that have a current version. */
  existing(references: readonly string[], access: Rows): Promise<ReadonlySet<string>>;
  /** Runs a read-only statement; named by its text. Rows are arrays. */
  query(statement: Sql): Promise<readonly (readonly unknown[])[]>;
  /** The text of a resource, from what a statement found in its `content` column. */
  decode(type: string, id: string, version: number, stored: string): string;
}

export interface Transaction extends Reader {
  /**
   * Inserts new resources, of any types; one that comes back after a deletion continues its versions.
   * @throws FhirError 403 when one of them is not within the access as it was written
   * @throws ConcurrentChange when another request gave a chosen id (method PUT) a version meanwhile
   * @throws FhirError 409 when an id of ours (method POST) is taken
   */
  insert(writes: readonly PreparedWrite[], access: Rows): Promise<void>;
  /**
   * Replaces current versions, which must be `version - 1`. Hooks see what `before` holds by `Type/id`, or else the stored resource.
   * @throws ConcurrentChange otherwise
   * @throws FhirError 403 when one of them is not within the access as it was written
   */
  update(writes: readonly PreparedWrite[], before: ReadonlyMap<string, Resource>, access: Rows): Promise<void>;
  /**
   * Deletes current versions; each becomes a deletion in the history with `version`.
   * @throws FhirError 403 when one of them is not within the access
   */
  delete(
    entries: readonly {
      readonly type: string;
      readonly id: string;
      readonly version: number;
      readonly lastUpdated: Date;
    }[],
    access: Rows,
  ): Promise<void>;
  /** Changes that are one to the hooks of the types: they are told of all of them at once, when the work is done. */
  together<T>(work: () => Promise<T>): Promise<T>;
  /** Records changes that statements of one's own make to many resources of a type, as one. */
  recordMany(changes: ChangedMany): Promise<void>;
  outbox(message: OutboxMessage): Promise<void>;
  /** Any statement, in this transaction. Rows are arrays. */
  execute(statement: Sql): Promise<readonly (readonly unknown[])[]>;
  /**
   * Runs a part that may fail by itself (a savepoint): when it throws, what it did is undone and the transaction goes on. Parts may hold parts, but not
   * run beside one another.
   */
  nested<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
}

export type Isolation = 'read committed' | 'serializable';

/** The row changed between reading and writing it: read again, then retry or answer 409/412. */
export class ConcurrentChange extends Error {}

export interface Repository extends Reader {
  /** Everything runs in one transaction that is open already: nothing is gained by asking for several things at once, and what is locked stays so. */
  readonly isWithin?: true;
  /**
   * Creates one resource with a new id of ours; concurrent creates share a statement where the type has no hooks and nothing limits the access.
   * @throws FhirError 403 when it is not within the access as it was written
   */
  create(write: PreparedWrite, access: Rows): Promise<void>;
  /**
   * Runs in one database transaction; retried on serialization failures and deadlocks (so `work` may run more than once).
   * `work` must not begin another: it would wait for its own turn. Nor should it read past `tx`: that may be another connection.
   * @throws FhirError 503 `transient` when the retries are used up
   */
  transaction<T>(isolation: Isolation, work: (tx: Transaction) => Promise<T>): Promise<T>;
}
