/** The repository on PostgreSQL: joins the lanes, the reads and the transactions. */
import type pg from 'pg';
import type { Row } from '../../platform/database/named-query.ts';
import { createPipelines } from '../../platform/database/pipelines.ts';
import { mayWrite } from '../access.ts';
import { errorIssue, FhirError } from '../outcome.ts';
import type { ResourceDeclaration } from '../resource.ts';
import { plainContent, type ContentCodec } from './content.ts';
import { createCreateLanes } from './create-lane.ts';
import type { Layout } from './layout.ts';
import { createReadLanes } from './read-lane.ts';
import { createReader, type Run } from './reader.ts';
import { ConcurrentChange, type PreparedWrite, type Recorder, type Repository } from './repository.ts';
import { clientError, takenId } from './sqlstate.ts';
import { writeStatements, type WriteStatements } from './statement.ts';
import { createTurns } from '../../platform/database/turns.ts';
import { createSharedCreates } from './shared-create.ts';
import { runTransaction } from './run-transaction.ts';
import type { TransactionParts } from './transaction.ts';

export interface RepositoryOptions {
  /** Searches, transactions and creates. */
  readonly pool: pg.Pool;
  /** Opens a connection for the lanes of reads, as `openClient` does. */
  openClient(): Promise<pg.Client>;
  readonly resources: ReadonlyMap<string, ResourceDeclaration>;
  readonly layout: Layout;
  readonly content?: ContentCodec;
  readonly recorder?: Recorder;
}

export interface PostgresRepository extends Repository {
  /** Ends the connections of the lanes; the pool is its owner's. */
  close(): Promise<void>;
}

function refused(writes: readonly PreparedWrite[], error: unknown): unknown {
  const taken = takenId(error);
  const write = writes.find((w) => w.id === taken);
  if (!write) return clientError(error);
  // The id was free when the request looked: it can look again, and update.
  if (write.method !== 'POST') return new ConcurrentChange(`${write.type}/${write.id} was created by another request`);
  return new FhirError(409, [
    errorIssue('duplicate', `${write.type}/${write.id} exists already: send the request again.`),
  ]);
}

/**
 * Serializable transactions that run at a time. PostgreSQL remembers what a search read from a GIN index for the index as a
 * whole, so two of them that search and insert are in each other's way even when they concern different resources: 50 at
 * once failed every eighth for good. Taking turns is as fast, and the retries are left to those of other processes.
 */
const SERIALIZABLE_AT_ONCE = 1;

export function createRepository(options: RepositoryOptions): PostgresRepository {
  const { pool, resources, layout, content = plainContent, recorder } = options;
  const prepared = new Map<string, WriteStatements>();
  const statements = (type: string): WriteStatements => {
    let known = prepared.get(type);
    if (!known) {
      if (!resources.has(type) || resources.get(type)?.storage === 'relation')
        throw new Error(`${type} cannot be written`);
      prepared.set(type, (known = writeStatements(layout, type)));
    }
    return known;
  };
  const parts: TransactionParts = {
    resources,
    layout,
    content,
    pool,
    statements,
    refused,
    ...(recorder ? { recorder } : {}),
  };
  const searches = createPipelines(() => options.openClient(), 2, 6);
  const run: Run = async (text, values) => {
    let rows: readonly Row[];
    try {
      ({ rows } = await searches.read(text, values));
    } catch (error) {
      throw clientError(error);
    }
    const keys = content.ready(rows);
    if (keys) await keys;
    return rows;
  };
  const turns = createTurns(SERIALIZABLE_AT_ONCE);
  const lanes = createReadLanes(parts, () => options.openClient());
  const create = createCreateLanes(parts, pool, statements, (write, error) => refused([write], error));

  const createShared = createSharedCreates(parts);

  return {
    ...createReader(parts, run),
    read: lanes.read,
    existing: lanes.existing,
    close: async () => void (await Promise.all([lanes.close(), searches.close()])),
    async create(write, access) {
      const { project, foresee, sharesWith } = resources.get(write.type) ?? {};
      const isPlain = write.method === 'POST' && access.reach(write.type) === 'all';
      if (isPlain && !project) return create({ write, by: access.principal });
      // Of what they may not write, nobody is told more than that.
      if (mayWrite(write, access)) await foresee?.(write.resource, access.principal);
      const keys = content.prepare([write]);
      if (keys) await keys;
      const key = isPlain ? sharesWith?.(write.resource, access.principal) : undefined;
      return key === undefined
        ? runTransaction(parts, 'read committed', (tx) => tx.insert([write], access))
        : createShared(`${write.type} ${key}`, { write, access });
    },
    transaction: (isolation, work) =>
      isolation === 'serializable'
        ? turns(() => runTransaction(parts, isolation, work))
        : runTransaction(parts, isolation, work),
  };
}
