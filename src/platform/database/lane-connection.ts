/** A connection of one's own for the statements of lanes, opened at first use and replaced when it breaks. */
import pg from 'pg';
import { runNamed, type Reply } from './pool.ts';

export interface LaneConnection {
  /** Runs a statement that only reads: it is sent again, once, when the connection breaks under it. */
  read(text: string, values: readonly unknown[]): Promise<Reply>;
  close(): Promise<void>;
}

/** @param open connects; errors of an idle connection must be handled by it */
export function laneConnection(open: () => Promise<pg.Client>): LaneConnection {
  let current: Promise<pg.Client> | undefined;
  let closed = false;

  const connect = (): Promise<pg.Client> => {
    if (closed) return Promise.reject(new Error('Connection terminated'));
    if (current) return current;
    const opening = open().then((client) => {
      client.on('end', () => {
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

  const once = async (text: string, values: readonly unknown[]): Promise<Reply> => runNamed(await connect(), text, values);

  return {
    async read(text, values) {
      try {
        return await once(text, values);
      } catch (error) {
        if (error instanceof pg.DatabaseError && !error.code?.startsWith('57P')) throw error;
        current = undefined;
        return once(text, values);
      }
    },
    async close() {
      closed = true;
      const client = await current?.catch(() => undefined);
      await client?.end();
    },
  };
}
