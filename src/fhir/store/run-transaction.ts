/**
 * Runs transactions: begins, commits, and runs one again that met another.
 * @see https://www.postgresql.org/docs/18/mvcc-serialization-failure-handling.html
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Reply } from '../../platform/database/named-query.ts';
import { runNamed } from '../../platform/database/pool.ts';
import type { Isolation, Transaction } from './repository.ts';
import { clientError, isBroken, isRetryable } from './sqlstate.ts';
import { createTransaction, gather, note, type TransactionParts, type Trouble } from './transaction.ts';

const RETRIES = 5;

type Outcome<T> = { readonly done: true; readonly value: T } | { readonly done: false; readonly error: unknown };

/** One attempt. The connection goes back to the pool unless it broke. */
async function attempt<T>(
  parts: TransactionParts,
  begin: string,
  work: (tx: Transaction) => Promise<T>,
  trouble: Trouble,
): Promise<Outcome<T>> {
  let client: pg.PoolClient;
  try {
    client = await parts.pool.connect();
  } catch (error) {
    return { done: false, error: clientError(error) };
  }
  // A connection that breaks while the work is busy elsewhere must not end the process.
  const onError = (error: Error): void => note(trouble, error);
  client.on('error', onError);
  let broken = false;
  const send = async (text: string): Promise<Reply | undefined> => {
    try {
      return await runNamed(client, text);
    } catch (error) {
      broken ||= isBroken(error);
      note(trouble, error);
      return undefined;
    }
  };
  try {
    // Not waited for: when it fails, so does all that follows.
    gather(client);
    const begun = send(begin);
    const value = await work(createTransaction(parts, client, trouble));
    await begun;
    const committed = await send('commit');
    // After a failure that the work swallowed, `commit` answers ROLLBACK.
    if (committed?.command === 'COMMIT') return { done: true, value };
    return { done: false, error: clientError(trouble.error) };
  } catch (error) {
    broken ||= trouble.error !== undefined && isBroken(trouble.error);
    if (!broken) await send('rollback');
    return { done: false, error };
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}

/**
 * Runs it once, with nothing left of it when it fails.
 * @returns undefined: it was rolled back, for whatever reason
 * @throws FhirError 503 when the connection broke, so that nobody knows
 */
export async function tryTransaction<T>(
  parts: TransactionParts,
  work: (tx: Transaction) => Promise<T>,
): Promise<{ readonly value: T } | undefined> {
  const trouble: Trouble = { aborted: false };
  const outcome = await attempt(parts, 'begin isolation level read committed', work, trouble);
  if (outcome.done) return outcome;
  if (trouble.error !== undefined && isBroken(trouble.error)) throw clientError(trouble.error);
  return undefined;
}

export async function runTransaction<T>(
  parts: TransactionParts,
  isolation: Isolation,
  work: (tx: Transaction) => Promise<T>,
): Promise<T> {
  for (let tries = 0; ; tries++) {
    const trouble: Trouble = { aborted: false };
    const outcome = await attempt(parts, `begin isolation level ${isolation}`, work, trouble);
    if (outcome.done) return outcome.value;
    if (!isRetryable(trouble.error)) throw outcome.error;
    if (tries === RETRIES) throw clientError(trouble.error);
    await sleep(Math.random() * 5 * 2 ** tries);
  }
}
