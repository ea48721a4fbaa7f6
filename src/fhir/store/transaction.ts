/**
 * One database transaction: bulk writes with a statement for each type, the hooks of the types, and the outbox.
 * @see https://hl7.org/fhir/R4/http.html#trules
 */
import type { Resource } from '@medplum/fhirtypes';
import type pg from 'pg';
import type { Reply } from '../../platform/database/named-query.ts';
import { runNamed } from '../../platform/database/pool.ts';
import { compile } from '../../platform/database/sql.ts';
import { createReader, type StoreParts } from './reader.ts';
import {
  ConcurrentChange,
  type Change,
  type PreparedWrite,
  type RecordedChange,
  type Transaction,
} from './repository.ts';
import { mayWrite, notAllowed, type Principal, type Rows } from '../access.ts';
import { clientError, isBroken, isRetryable } from './sqlstate.ts';
import { keyRows, replaced, writeRows, type WriteStatements } from './statement.ts';

export interface TransactionParts extends StoreParts {
  readonly pool: pg.Pool;
  statements(type: string): WriteStatements;
  /** The error for a write that PostgreSQL refused. */
  refused(writes: readonly PreparedWrite[], error: unknown): unknown;
}

/** A create as it is recorded. */
export const recordedCreate = (
  { type, id, version, method, resource }: PreparedWrite,
  by: Principal,
): RecordedChange => ({ kind: 'create', type, id, version, method, after: resource, by });

const DONE = Promise.resolve();

/** Rows of each type, sorted by id: transactions that meet lock in the same order. */
function grouped<T extends { readonly type: string; readonly id: string }>(entries: readonly T[]): Map<string, T[]> {
  const groups = Map.groupBy(entries, (entry) => entry.type);
  for (const group of groups.values()) group.sort((a, b) => (a.id < b.id ? -1 : 1));
  return groups;
}

/** What went wrong with the session, whatever the work made of it. */
export interface Trouble {
  error?: unknown;
  /** A statement failed: PostgreSQL takes no further one before a rollback. */
  aborted: boolean;
}

/** The first failure, unless a later one decides what becomes of the transaction. */
export function note(trouble: Trouble, error: unknown): void {
  if (trouble.error === undefined || isRetryable(error) || isBroken(error)) trouble.error = error;
}

/** Nothing within the transaction can be mended any more: it must run again, or its connection is gone. */
const isLost = ({ error }: Trouble): boolean => error !== undefined && (isRetryable(error) || isBroken(error));

/** Statements that do not wait for one another leave together: a write to the socket costs more than a short statement. */
export function gather({ connection }: pg.ClientBase): void {
  const stream = connection?.stream;
  if (!stream || stream.writableCorked > 0) return;
  stream.cork();
  setImmediate(() => stream.uncork());
}

export function createTransaction(parts: TransactionParts, client: pg.ClientBase, trouble: Trouble): Transaction {
  // Statements are sent as they come, and run in this order: what does not need the reply of one before does not wait for it.
  const sent = async (send: () => Promise<Reply>, evenAborted = false): Promise<Reply> => {
    // The reason says more than that the transaction is aborted.
    if (trouble.aborted && !evenAborted) throw clientError(trouble.error);
    try {
      gather(client);
      return await send();
    } catch (error) {
      if (trouble.aborted && !evenAborted) throw clientError(trouble.error);
      note(trouble, error);
      trouble.aborted = true;
      throw error;
    }
  };
  const run = (text: string, values: readonly unknown[]): Promise<Reply> => sent(() => runNamed(client, text, values));
  const runForClient = async (text: string, values: readonly unknown[]): Promise<Reply['rows']> => {
    let rows: Reply['rows'];
    try {
      ({ rows } = await run(text, values));
    } catch (error) {
      throw clientError(error);
    }
    const keys = parts.content.ready(rows);
    if (keys) await keys;
    return rows;
  };
  const control = async (text: string, evenAborted = false): Promise<void> => {
    try {
      await sent(() => runNamed(client, text), evenAborted);
    } catch (error) {
      throw clientError(error);
    }
  };
  /** The record goes with the change: what it is about may wait for nothing. */
  const record = (changes: readonly RecordedChange[]): Promise<void> => {
    const statement = parts.recorder?.statement(changes);
    return statement ? runForClient(statement.text, statement.values).then(() => undefined) : DONE;
  };
  const reader = createReader(parts, runForClient);
  const hooked = (type: string): boolean => parts.resources.get(type)?.project !== undefined;

  /** Told later, as one. */
  let waiting: Change[] | undefined;
  let by: Principal | undefined;

  const project = async (changes: readonly Change[], { principal }: Pick<Rows, 'principal'>): Promise<void> => {
    if (changes.length === 0) return;
    if (waiting) {
      waiting.push(...changes);
      by = principal;
      return;
    }
    const first = (type: string): number => (parts.resources.get(type)?.projectsFirst ? 0 : 1);
    const groups = [...Map.groupBy(changes, (change) => change.type)].sort(([a], [b]) => first(a) - first(b));
    for (const [type, group] of groups) await parts.resources.get(type)?.project?.(tx, group, principal);
  };

  /** Runs a replacing statement and checks that every row was still at the version before. */
  const replace = async (
    type: string,
    text: string,
    rows: string,
    entries: readonly { readonly id: string }[],
  ): Promise<ReadonlyMap<string, Resource>> => {
    const done = await runForClient(text, [rows]);
    if (done.length !== entries.length) {
      const changed = new Set(done.map(([id]) => id));
      const missed = entries.find((e) => !changed.has(e.id)) ?? entries[0];
      throw new ConcurrentChange(`${type}/${missed?.id} was changed by another request`);
    }
    return new Map(
      hooked(type) || parts.recorder ? done.map((row) => [row[0] ?? '', replaced(parts.content, type, row)]) : [],
    );
  };

  /** Whoever may not write everything may write only what is, as it stands now, within the access. */
  const demandWithin = async (
    entries: readonly { readonly type: string; readonly id: string }[],
    access: Rows,
  ): Promise<void> => {
    const doubtful = entries.filter((e) => access.reach(e.type) !== 'all');
    if (doubtful.length === 0) return;
    const within = await reader.existing([...new Set(doubtful.map((e) => `${e.type}/${e.id}`))], access);
    const outside = doubtful.find((e) => !within.has(`${e.type}/${e.id}`));
    if (outside) throw notAllowed(outside.type, access.act);
  };

  /** The same of what is being written: judged before the statements, on the resource. */
  const demandAdmitted = (writes: readonly PreparedWrite[], access: Rows): void => {
    const outside = writes.find((w) => !mayWrite(w, access));
    if (outside) throw notAllowed(outside.type, access.act);
  };

  const tx: Transaction = {
    ...reader,

    async insert(writes, access) {
      demandAdmitted(writes, access);
      const keys = parts.content.prepare(writes);
      if (keys) await keys;
      const insertOf = async (type: string, group: readonly PreparedWrite[]): Promise<void> => {
        const statements = parts.statements(type);
        // An id that a client chose may have had versions: the new one must be the next. Asked after the insert, which
        // waited for whoever held the id.
        const chosen = group.filter((w) => w.method !== 'POST');
        const inserted = run(statements.insert, [writeRows(group, parts.content)]);
        const gaps = chosen.length > 0 ? runForClient(statements.gap, [keyRows(chosen)]) : undefined;
        gaps?.catch(() => undefined);
        try {
          await inserted;
        } catch (error) {
          throw parts.refused(group, error);
        }
        const [gap] = (await gaps) ?? [];
        if (gap) throw new ConcurrentChange(`${type}/${gap[0]} was changed by another request`);
      };
      const changes = writes
        .filter((w) => hooked(w.type))
        .map((w) => ({ kind: 'create', type: w.type, id: w.id, version: w.version, after: w.resource }) as const);
      // All of it is on its way before the first reply is back. What comes first in this list is told first.
      await inOrder([
        ...[...grouped(writes)].map(([type, group]) => insertOf(type, group)),
        record(writes.map((w) => recordedCreate(w, w.by ?? access.principal))),
        project(changes, access),
      ]);
    },

    async update(writes, before, access) {
      demandAdmitted(writes, access);
      const changes: Change[] = [];
      const recorded: RecordedChange[] = [];
      for (const [type, group] of grouped(writes)) {
        const after = group.map(({ id, resource }) => ({ id, after: resource }));
        await parts.resources.get(type)?.lock?.(tx, after);
        const keys = parts.content.prepare(group);
        if (keys) await keys;
        const old = await replace(type, parts.statements(type).update, writeRows(group, parts.content), group);
        for (const { id, version, method, resource } of group) {
          const was = before.get(`${type}/${id}`) ?? old.get(id);
          const change = {
            kind: 'update',
            type,
            id,
            version,
            after: resource,
            ...(was ? { before: was } : {}),
          } as const;
          recorded.push({ ...change, method, by: access.principal });
          if (hooked(type)) changes.push(change);
        }
      }
      await inOrder([record(recorded), project(changes, access)]);
    },

    async delete(entries, access) {
      await demandWithin(entries, access);
      const changes: Change[] = [];
      const recorded: RecordedChange[] = [];
      for (const [type, group] of grouped(entries)) {
        await parts.resources.get(type)?.lock?.(tx, group);
        const old = await replace(type, parts.statements(type).delete, keyRows(group), group);
        for (const { id, version } of group) {
          const was = old.get(id);
          const change = { kind: 'delete', type, id, version, ...(was ? { before: was } : {}) } as const;
          recorded.push({ ...change, method: 'DELETE', by: access.principal });
          if (hooked(type)) changes.push(change);
        }
      }
      await inOrder([record(recorded), project(changes, access)]);
    },

    async together(work) {
      if (waiting) return work();
      waiting = [];
      let changes: readonly Change[];
      try {
        const value = await work();
        changes = waiting;
        waiting = undefined;
        if (by) await project(changes, { principal: by });
        return value;
      } finally {
        waiting = undefined;
      }
    },

    async recordMany(changes) {
      if (changes.count === 0 || !parts.recorder) return;
      const { text, values } = parts.recorder.many(changes);
      await runForClient(text, values);
    },

    async outbox({ topic, payload }) {
      await runForClient('insert into outbox (topic, payload) values ($1, $2::jsonb)', [
        topic,
        JSON.stringify(payload),
      ]);
    },

    execute(statement) {
      const { text, values } = compile(statement);
      return runForClient(text, values);
    },

    async nested(work) {
      const before = trouble.error;
      await control('savepoint nested');
      try {
        const value = await work(tx);
        await control('release savepoint nested');
        return value;
      } catch (error) {
        if (isLost(trouble)) throw error;
        await control('rollback to savepoint nested', true);
        trouble.error = before;
        trouble.aborted = false;
        // It stands until it is released; an outer one of the same name would be hidden by it.
        await control('release savepoint nested');
        throw error;
      }
    },
  };
  return tx;
}

/** Waits for all, so that none goes on when the transaction is over; of several that failed, the first one says why. */
async function inOrder(works: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(works)).find((outcome) => outcome.status === 'rejected');
  if (failed) throw failed.reason;
}
