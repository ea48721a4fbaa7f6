/**
 * Creates of types with hooks that share a transaction: those that came while the last one ran are written together, so that its messages and its
 * commit are paid for once. When one of them fails, or waits for somebody, each is written again in a transaction of its own.
 * @see https://www.postgresql.org/docs/18/runtime-config-client.html#GUC-LOCK-TIMEOUT
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createLanes } from '../../platform/database/lane.ts';
import { sql } from '../../platform/database/sql.ts';
import type { Rows } from '../access.ts';
import type { PreparedWrite } from './repository.ts';
import { runTransaction, tryTransaction } from './run-transaction.ts';
import type { TransactionParts } from './transaction.ts';

interface Create {
  readonly write: PreparedWrite;
  readonly access: Rows;
}

const BATCH = 20;
/** One is written while the next is made ready. */
const AT_ONCE = 2;
/** How long whoever holds what one of them needs may hold up the others. */
const PATIENCE_MS = 20;
/** Creates after a shared transaction that failed, each of which has its own: where many want the same, sharing is in vain. */
const ALONE_AFTER_FAILURE = 48;

/** Waits for what runs, but not for long. */
async function waitAWhile(running: Promise<void>): Promise<void> {
  const patience = new AbortController();
  const ended = running.catch(() => undefined).finally(() => patience.abort());
  await Promise.race([ended, sleep(PATIENCE_MS, undefined, { signal: patience.signal }).catch(() => undefined)]);
}

/** @returns writes what may share, by a key under which the hooks treat all alike */
export function createSharedCreates(parts: TransactionParts): (key: string, create: Create) => Promise<void> {
  const lanes = createLanes<Create, { readonly rest: Promise<void> }>({
    cap: BATCH,
    key: ({ write }) => write.id,
    atOnce: AT_ONCE,
  });
  const settled = { rest: Promise.resolve() };
  let alone = 0;

  const one = ({ write, access }: Create): Promise<void> =>
    runTransaction(parts, 'read committed', (tx) => tx.insert([write], access));

  /** @returns whether all are done; else none is */
  const together = async (creates: readonly Create[], { access }: Create): Promise<boolean> => {
    const writes = creates.map((c) => ({ ...c.write, by: c.access.principal }));
    const done = await tryTransaction(parts, async (tx) => {
      await Promise.all([
        tx.execute(sql`select set_config('lock_timeout', ${`${PATIENCE_MS}ms`}, true)`),
        tx.insert(writes, access),
      ]);
    });
    return done !== undefined;
  };

  const batch = async (creates: readonly Create[]): Promise<readonly { readonly rest: Promise<void> }[]> => {
    const [first, second] = creates;
    if (first && second) {
      if (await together(creates, first)) return creates.map(() => settled);
      alone = ALONE_AFTER_FAILURE;
      return creates.map((create) => ({ rest: one(create) }));
    }
    const all = creates.map((create) => ({ rest: one(create) }));
    await Promise.all(all.map(({ rest }) => waitAWhile(rest)));
    return all;
  };

  return async (key, create) => {
    if (alone > 0) {
      alone--;
      return one(create);
    }
    const { rest } = await lanes(key, batch)(create);
    return rest;
  };
}
