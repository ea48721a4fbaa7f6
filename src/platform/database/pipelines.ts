/**
 * Few connections on which reading statements follow one another without waiting for replies: under load many share one write to the socket,
 * which costs more than the statement. A connection whose reply is overdue is left alone, so that a slow search holds up few others.
 * @see https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
 */
import { DatabaseError, type Client } from 'pg';
import type { Reply } from './named-query.ts';
import { runNamed } from './pool.ts';

export interface Pipelines {
  /** Runs a statement that only reads: it is sent again, twice at most, when the connection breaks under it. */
  read(text: string, values: readonly unknown[]): Promise<Reply>;
  close(): Promise<void>;
}

interface Line {
  client: Promise<Client> | undefined;
  /** What is written to it now waits for the end of the turn. */
  corked: boolean;
  underWay: number;
  /** When the last reply came, or when the oldest statement was sent to an idle line; ms. */
  since: number;
}

/** A statement that is not answered within this time is slow. */
const OVERDUE_MS = 10;

/** Statements of requests that came in together leave together. */
function gather(line: Line, client: Client): void {
  if (line.corked) return;
  const { stream } = client.connection;
  line.corked = true;
  stream.cork();
  setImmediate(() => {
    line.corked = false;
    stream.uncork();
  });
}

/** Whether another connection could answer. 57P: PostgreSQL ends the session. */
const isBroken = (error: unknown): boolean =>
  !(error instanceof DatabaseError) || error.code?.startsWith('57P0') === true;

/**
 * @param open connects with `pipeline: true`; errors of an idle connection must be handled by it
 * @param usual connections that share the load while none is slow
 * @param max connections at most
 */
export function createPipelines(open: () => Promise<Client>, usual: number, max: number): Pipelines {
  const lines: readonly Line[] = Array.from({ length: max }, () => ({
    client: undefined,
    corked: false,
    underWay: 0,
    since: 0,
  }));
  let closed = false;

  const choose = (now: number): Line => {
    let best: Line | undefined;
    let least: Line | undefined;
    for (let i = 0; i < lines.length; i++) {
      const line = lines[i];
      if (!line) continue;
      if (!least || line.underWay < least.underWay) least = line;
      if (line.underWay > 0 && now - line.since > OVERDUE_MS) continue;
      if (!best || line.underWay < best.underWay) best = line;
      // Further connections are for when the usual ones are slow.
      if (i + 1 >= usual && best) break;
    }
    const line = best ?? least;
    if (!line) throw new Error('There is no connection to choose');
    return line;
  };

  const connect = (line: Line): Promise<Client> => {
    if (line.client) return line.client;
    const opening = open().then((client) => {
      client.once('end', () => {
        if (line.client === opening) line.client = undefined;
      });
      return client;
    });
    opening.catch(() => {
      if (line.client === opening) line.client = undefined;
    });
    line.client = opening;
    return opening;
  };

  const send = async (text: string, values: readonly unknown[]): Promise<Reply> => {
    const now = performance.now();
    const line = choose(now);
    if (line.underWay++ === 0) line.since = now;
    const used = connect(line);
    try {
      const client = await used;
      gather(line, client);
      return await runNamed(client, text, values);
    } catch (error) {
      if (isBroken(error) && line.client === used) line.client = undefined;
      throw error;
    } finally {
      line.underWay--;
      line.since = performance.now();
    }
  };

  return {
    async read(text, values) {
      if (closed) throw new Error('The connections are closed');
      // The line that it is sent again on may be about to break for the same reason.
      for (let again = 0; again < 2; again++) {
        try {
          return await send(text, values);
        } catch (error) {
          if (!isBroken(error)) throw error;
        }
      }
      return send(text, values);
    },
    async close() {
      closed = true;
      await Promise.all(lines.map(async ({ client }) => (await client?.catch(() => undefined))?.end()));
    },
  };
}
