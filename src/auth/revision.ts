/**
 * Tells when something that tokens stand on may have changed, in any process: one connection hears the notifications of the triggers, which come
 * with each commit, and asks for the revision so often that a dead connection is known before anybody relies on it.
 * @see https://www.postgresql.org/docs/18/sql-notify.html
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { errorFields, type Log } from '../platform/log.ts';

export interface Revision {
  /** Raised by every change: what was read under another number must not be used. undefined: nobody knows just now. */
  current(): number | undefined;
  close(): Promise<void>;
}

const CHANNEL = 'auth_revision';
const POLL_MS = 300;
/** Since the last answer. Revocations are in effect within a second, everywhere. */
const TRUSTED_MS = 900;
const RETRY_MS = 300;
/** A connection that does not answer is given up. */
const ANSWER_MS = 3_000;

const POLL = {
  text: 'select last_value, is_called from auth_revision',
  rowMode: 'array' as const,
  query_timeout: ANSWER_MS,
};

/** @param open connects; errors of an idle connection must be handled by it */
export function watchRevision(open: () => Promise<pg.Client>, log: Log): Revision {
  let number = 0;
  /** When the last poll that was answered began, by the monotonic clock. */
  let knownAt = -Infinity;
  let seen: string | undefined;
  let client: pg.Client | undefined;
  const closing = new AbortController();
  const { signal } = closing;
  const pause = (ms: number): Promise<unknown> => sleep(ms, undefined, { signal, ref: false }).catch(() => undefined);

  const ask = async (connection: pg.Client): Promise<void> => {
    const asked = performance.now();
    const { rows } = await connection.query<[string, string]>(POLL);
    const value = rows[0]?.join(' ');
    if (value !== seen) {
      seen = value;
      number++;
    }
    knownAt = asked;
  };

  /** Until the connection breaks. */
  const listen = async (): Promise<void> => {
    const connection = await open();
    client = connection;
    try {
      connection.on('notification', () => number++);
      await connection.query(`listen ${CHANNEL}`);
      // Nobody knows what was notified before.
      number++;
      while (!signal.aborted) {
        await ask(connection);
        await pause(POLL_MS);
      }
    } finally {
      knownAt = -Infinity;
      client = undefined;
      // Not waited for: whoever did not answer may not say farewell either.
      connection.end().catch(() => undefined);
    }
  };

  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        await listen();
      } catch (error) {
        if (!signal.aborted) log.debug('The revision of identity is not known', errorFields(error));
      }
      await pause(RETRY_MS);
    }
  };
  let running: Promise<void> | undefined;

  return {
    current() {
      // Commands that open everything, but check no token, need no connection.
      if (!signal.aborted) running ??= run();
      return performance.now() - knownAt <= TRUSTED_MS ? number : undefined;
    },
    async close() {
      closing.abort();
      await client?.end().catch(() => undefined);
      await running;
    },
  };
}
