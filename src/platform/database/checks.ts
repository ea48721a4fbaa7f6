/**
 * Checks written in SQL: a file of statements under titles (`-- I1: nobody is in two places`), each of which gives the ids of what breaks a rule. All of
 * them see the same snapshot. @see https://www.postgresql.org/docs/18/transaction-iso.html#XACT-REPEATABLE-READ
 */
import { readFile } from 'node:fs/promises';
import pg from 'pg';

export interface CheckResult {
  /** `I1 guard` */
  readonly name: string;
  /** The rule, in words. */
  readonly title: string;
  /** What breaks it; the first thousand. */
  readonly found: readonly string[];
}

const TITLE = /^-- ([A-Z]\d+(?: [a-z]+)?): (.+)$/;
const MOST = 1_000;

interface Part {
  readonly name: string;
  readonly title: string;
  /** What is done before the check itself. */
  readonly preparation: string;
  readonly statement: string;
}

/** Whatever stands between the end of a check and the next title prepares the next. */
function partsOf(text: string): Part[] {
  const parts: Part[] = [];
  let open: { name: string; title: string; preparation: string; lines: string[] } | undefined;
  let waiting: string[] = [];
  for (const line of text.split('\n')) {
    const [, name, title] = TITLE.exec(line) ?? [];
    if (name !== undefined && title !== undefined) {
      open = { name, title, preparation: waiting.join('\n'), lines: [] };
      waiting = [];
    } else if (!open) waiting.push(line);
    else {
      open.lines.push(line);
      if (!line.trimEnd().endsWith(';')) continue;
      const { lines, ...rest } = open;
      parts.push({ ...rest, statement: lines.join('\n') });
      open = undefined;
    }
  }
  return parts;
}

/** Runs the checks of a file. Nothing of it stays in the database. @param prepare in the same snapshot @throws when a statement fails, naming the check */
export async function runChecks(
  connection: pg.ClientConfig,
  file: string,
  prepare?: (client: pg.Client) => Promise<void>,
): Promise<readonly CheckResult[]> {
  const parts = partsOf(await readFile(file, 'utf8'));
  const client = new pg.Client({ ...connection, application_name: 'kairos doctor' });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query('begin isolation level repeatable read');
    await prepare?.(client);
    const results: CheckResult[] = [];
    for (const { name, title, preparation, statement } of parts) {
      try {
        if (preparation.trim() !== '') await client.query(preparation);
        const { rows } = await client.query<string[]>({ text: statement, rowMode: 'array' });
        results.push({ name, title, found: rows.slice(0, MOST).map(([id]) => String(id)) });
      } catch (error) {
        throw new Error(`Check ${name} could not be run`, { cause: error });
      }
    }
    return results;
  } finally {
    await client.query('rollback').catch(() => undefined);
    await client.end();
  }
}
