/** Connections of their own for the statements of lanes: opened when needed, replaced when they break. */
import { DatabaseError, type Client } from 'pg';
import type { Reply } from './named-query.ts';
import { runNamed } from './pool.ts';

export interface LaneConnections {
  /** Runs a statement that only reads: it is sent again, once, when the connection breaks under it. */
  read(text: string, values: readonly unknown[]): Promise<Reply>;
  close(): Promise<void>;
}

type Open = () => Promise<Client>;

/** One connection; statements wait for one another. */
function laneConnection(open: Open) {
  let current: Promise<Client> | undefined;
  let tail: Promise<unknown> = Promise.resolve();
  let waiting = 0;

  const connect = (): Promise<Client> => {
    if (current) return current;
    const opening = open().then((client) => {
      client.once('end', () => {
        if (current === opening) current = undefined;
      });
      return client;
    });
    opening.catch(() => {
      if (current === opening) current = undefined;
    });
    current = opening;
    return opening;
  };

  const attempt = async (text: string, values: readonly unknown[]): Promise<Reply> => {
    const used = connect();
    try {
      return await runNamed(await used, text, values);
    } catch (error) {
      // 57P: PostgreSQL ends the session.
      if (error instanceof DatabaseError && !error.code?.startsWith('57P')) throw error;
      if (current === used) current = undefined;
      throw new BrokenConnection(error);
    }
  };

  const send = async (text: string, values: readonly unknown[]): Promise<Reply> => {
    try {
      return await attempt(text, values);
    } catch (error) {
      if (!(error instanceof BrokenConnection)) throw error;
    }
    return attempt(text, values).catch((error: unknown) => {
      throw error instanceof BrokenConnection ? error.reason : error;
    });
  };

  return {
    waiting: () => waiting,
    read(text: string, values: readonly unknown[]): Promise<Reply> {
      waiting++;
      const reply = (waiting === 1 ? send(text, values) : tail.then(() => send(text, values))).finally(() => waiting--);
      tail = reply.catch(() => undefined);
      return reply;
    },
    async close() {
      await tail;
      const client = await current?.catch(() => undefined);
      await client?.end();
    },
  };
}

class BrokenConnection extends Error {
  readonly reason: unknown;
  constructor(reason: unknown) {
    super('The connection broke');
    this.reason = reason;
  }
}

/**
 * @param open connects; errors of an idle connection must be handled by it
 * @param max connections at most; a further one is opened only while all others are busy
 */
export function laneConnections(open: Open, max: number): LaneConnections {
  const connections = Array.from({ length: max }, () => laneConnection(open));
  let closed = false;
  return {
    read(text, values) {
      if (closed) return Promise.reject(new Error('The lanes are closed'));
      const idlest = connections.reduce((best, c) => (c.waiting() < best.waiting() ? c : best));
      return idlest.read(text, values);
    },
    async close() {
      closed = true;
      await Promise.all(connections.map((c) => c.close()));
    },
  };
}
