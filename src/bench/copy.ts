/** COPY … FROM STDIN over a `pg` connection: the quickest way in for the benchmark's population. @see https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-COPY */
import { once } from 'node:events';
import pg from 'pg';

/** The few parts of pg's Connection that a COPY speaks to. */
interface Wire {
  readonly stream: NodeJS.WritableStream & { readonly writableNeedDrain?: boolean };
  query(text: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
  sendCopyFail(reason: string): void;
}

const SPECIAL = /[\\\n\r\t]/g;
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** A row in COPY's text format. */
export const copyRow = (values: readonly (string | null)[]): string =>
  `${values.map((v) => (v === null ? '\\N' : v.replace(SPECIAL, (c) => ESCAPES[c] ?? c))).join('\t')}\n`;

/**
 * Sends chunks of rows into a table, as quickly as the server takes them.
 * @returns rows written
 */
export async function copyInto(
  client: pg.Client,
  table: string,
  columns: readonly string[],
  chunks: Iterable<string>,
): Promise<number> {
  const names = columns.map((c) => client.escapeIdentifier(c)).join(', ');
  return new Promise<number>((resolve, reject) => {
    let rows = 0;
    const send = async (wire: Wire): Promise<void> => {
      for (const chunk of chunks) {
        wire.sendCopyFromChunk(Buffer.from(chunk));
        // Also lets errors of the server in between.
        if (wire.stream.writableNeedDrain) await once(wire.stream, 'drain');
      }
      wire.endCopyFrom();
    };
    // What pg asks of a query object that speaks to the wire itself.
    const submittable = {
      submit: (wire: Wire) => wire.query(`copy ${client.escapeIdentifier(table)} (${names}) from stdin`),
      handleCopyInResponse: (wire: Wire) => {
        send(wire).catch((error: unknown) => {
          wire.sendCopyFail('the sender failed');
          reject(error instanceof Error ? error : new Error(String(error)));
        });
      },
      handleCommandComplete: (message: { readonly text: string }) => {
        rows = Number(message.text.split(' ')[1] ?? 0);
      },
      handleReadyForQuery: () => resolve(rows),
      handleError: (error: Error) => reject(error),
    };
    client.query(submittable as unknown as pg.Submittable);
  });
}
