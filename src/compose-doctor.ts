/** The checks of the calendar, on contents that can be read: SQL alone sees ciphertext. Nothing of it stays in the database; its temporary files are plain (docs/encryption.md). */
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { openContents, type ContentRow, type Contents } from './compose-contents.ts';
import { historyTableOf, tableOf } from './fhir/store/layout.ts';
import { runChecks, type CheckResult } from './platform/database/checks.ts';
import type { RootKeys } from './platform/root-keys.ts';

const INVARIANTS = fileURLToPath(new URL('cli/invariants.sql', import.meta.url));
/** What the checks read from inside, of the types whose content is sealed. */
const TABLES = [
  ['Appointment', tableOf('Appointment')],
  ['Appointment', historyTableOf('Appointment')],
  ['Encounter', tableOf('Encounter')],
] as const;
const PAGE = 500;

/** A table of the session by the same name, which stands before the real one. */
async function openTable(client: pg.Client, type: string, table: string, contents: Contents): Promise<void> {
  const name = client.escapeIdentifier(table);
  await client.query(`create temp table ${name} (like public.${name} including all) on commit drop`);
  const { rows: columns } = await client.query<{ name: string }>(
    `select quote_ident(attname) as name from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped and attname <> 'content'`,
    [`public.${name}`],
  );
  const names = columns.map((c) => c.name).join(', ');
  const others = columns.map((c) => `r.${c.name}`).join(', ');
  for (let after = ['', '0']; ;) {
    const { rows } = await client.query<[string, string, string | null]>({
      text: `select id, version::text, content from public.${name} where (id, version) > ($1 collate "C", $2::integer) order by id, version limit ${PAGE}`,
      values: after,
      rowMode: 'array',
    });
    const last: ContentRow | undefined = rows.at(-1);
    if (!last) break;
    const texts = await contents.decode(type, rows);
    await client.query(
      `insert into pg_temp.${name} (${names}, content) select ${others}, u.content
       from json_to_recordset($1::json) as u(id text, version integer, content text)
       join public.${name} r on r.id = u.id and r.version = u.version`,
      [JSON.stringify(rows.map(([id, version], i) => ({ id, version, content: texts[i] ?? null })))],
    );
    after = [last[0], last[1]];
  }
  await client.query(`analyze pg_temp.${name}`);
}

/**
 * @param app as the application role
 * @returns what each check found
 * @throws UnreadableContent when a content cannot be opened
 */
export async function checkInvariants(app: pg.ClientConfig, roots: RootKeys): Promise<readonly CheckResult[]> {
  const contents = await openContents(
    app,
    roots,
    TABLES.map(([type]) => type),
  );
  try {
    return await runChecks(app, INVARIANTS, async (client) => {
      for (const [type, table] of TABLES) await openTable(client, type, table, contents);
    });
  } finally {
    await contents.close();
  }
}
