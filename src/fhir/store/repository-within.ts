/**
 * A repository within an open transaction: what handlers begin there becomes a part of it that may fail by itself, so that their retries and refusals
 * work as always. One connection serves all, so the parts take turns.
 * @see https://www.postgresql.org/docs/18/sql-savepoint.html
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { createTurns } from '../../platform/database/turns.ts';
import { errorIssue, FhirError } from '../outcome.ts';
import type { Isolation, Repository, Transaction } from './repository.ts';

export interface Within {
  readonly repository: Repository;
  /** A part asked for a stricter isolation than the transaction has: whatever was answered, all must run again under that. */
  readonly needsSerializable: () => boolean;
}

export function createWithin(tx: Transaction, isolation: Isolation): Within {
  const turns = createTurns(1);
  /** Set in what runs as a part: what it begins has its turn already. */
  const part = new AsyncLocalStorage<true>();
  let needsSerializable = false;

  const inTurn = async <T>(work: () => Promise<T>): Promise<T> => {
    if (needsSerializable)
      throw new FhirError(503, [errorIssue('transient', 'The request begins anew: send it again.')]);
    return work();
  };
  /** Reads by id cannot be refused; when one fails nevertheless, so does the transaction. */
  const alone = <T>(work: () => Promise<T>): Promise<T> =>
    part.getStore() ? inTurn(work) : turns(() => part.run(true, () => inTurn(work)));
  const nested = <T>(work: (tx: Transaction) => Promise<T>): Promise<T> => alone(() => tx.nested(work));

  const repository: Repository = {
    isWithin: true,
    read: (...of) => alone(() => tx.read(...of)),
    vread: (...of) => alone(() => tx.vread(...of)),
    existing: (...of) => alone(() => tx.existing(...of)),
    history: (...of) => nested(() => tx.history(...of)),
    historyTotal: (...of) => nested(() => tx.historyTotal(...of)),
    query: (statement) => nested(() => tx.query(statement)),
    decode: tx.decode,
    create: (write, access) => nested(() => tx.insert([write], access)),
    async transaction(wanted, work) {
      if (wanted === 'serializable' && isolation !== 'serializable') needsSerializable = true;
      return nested(work);
    },
  };
  return { repository, needsSerializable: () => needsSerializable };
}
