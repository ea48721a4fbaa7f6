/**
 * A statement that is prepared once on a connection, and from then on only bound and executed: rows come as the texts that PostgreSQL prints, so nobody
 * needs their description, which would cost both sides a part of every short statement.
 * @see https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
 */
import pg from 'pg';
import utils from 'pg/lib/utils.js';

/** A value as PostgreSQL prints it. */
export type Row = readonly (string | null)[];

export interface Reply {
  readonly rows: readonly Row[];
  readonly rowCount: number;
  /** `SELECT`, `COMMIT`; `ROLLBACK` when a commit came too late. */
  readonly command: string;
}

// What pg's connections offer to the queries that it calls, beyond its published types.
declare module 'pg' {
  interface ClientBase {
    readonly connection?: Connection;
  }
  interface Connection {
    readonly parsedStatements: Record<string, string>;
    readonly submittedNamedStatements: Record<string, string>;
    parse(statement: { readonly name: string; readonly text: string }): void;
    bind(portal: {
      readonly statement: string;
      readonly values: readonly unknown[];
      readonly valueMapper: (value: unknown) => unknown;
    }): void;
    execute(portal: object): void;
    close(what: { readonly type: 'S'; readonly name: string }): void;
    sync(): void;
  }
}

const WHOLE = {};

/** Texts need no preparation. */
const written = (value: unknown): unknown => (typeof value === 'string' ? value : utils.prepareValue(value));

/** pg hands the messages about the statement to the methods `handle…`. */
export class NamedQuery extends pg.Query {
  readonly name: string;
  readonly text: string;
  readonly reply: Promise<Reply>;
  readonly #values: readonly unknown[];
  readonly #rows: Row[] = [];
  #tag = '';
  #resolve: (reply: Reply) => void = () => undefined;
  #reject: (reason: unknown) => void = () => undefined;

  constructor(name: string, text: string, values: readonly unknown[]) {
    super(text);
    this.name = name;
    this.text = text;
    this.#values = values;
    this.reply = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Whoever asked hears of it; a connection that breaks first must not end the process.
    this.reply.catch(() => undefined);
  }

  override submit = (connection: pg.Connection): void => {
    const { name, text } = this;
    connection.stream.cork();
    try {
      if (connection.parsedStatements[name] === undefined && connection.submittedNamedStatements[name] === undefined) {
        connection.parse({ name, text });
        connection.submittedNamedStatements[name] = text;
      }
      try {
        connection.bind({ statement: name, values: this.#values, valueMapper: written });
        connection.execute(WHOLE);
      } catch (error) {
        // A value that cannot be written: what was begun is taken back.
        connection.close({ type: 'S', name });
        this.handleError(error);
      }
      connection.sync();
    } finally {
      connection.stream.uncork();
    }
  };

  handleDataRow({ fields }: { readonly fields: Row }): void {
    this.#rows.push(fields);
  }

  handleCommandComplete({ text }: { readonly text: string }): void {
    this.#tag = text;
  }

  handleEmptyQuery(): void {
    this.#tag = '';
  }

  handleError(error: unknown): void {
    this.#reject(error);
  }

  handleReadyForQuery(): void {
    const parts = this.#tag.split(' ');
    this.#resolve({ rows: this.#rows, rowCount: Number(parts.at(-1)) || 0, command: parts[0] ?? '' });
  }
}
