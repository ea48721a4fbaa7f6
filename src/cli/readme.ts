/** `npm run readme`: writes into the pages what the code knows: the table of settings, and the policy of access. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { rowsTable, rulesTable, typesTable } from '../auth/access/print.ts';
import { configTable } from '../platform/config.ts';
import { projectFolder } from '../platform/paths.ts';
import { servedTypes } from './served-types.ts';

async function fill(page: string, sections: Readonly<Record<string, string>>): Promise<void> {
  const file = path.join(projectFolder, page);
  let text = await readFile(file, 'utf8');
  for (const [name, table] of Object.entries(sections)) {
    const section = new RegExp(`(<!-- ${name} -->)[\\s\\S]*(<!-- /${name} -->)`);
    text = text.replace(section, (_, open: string, close: string) => `${open}\n\n${table}\n\n${close}`);
  }
  await writeFile(file, text);
}

await fill('README.md', { configuration: configTable() });
await fill('docs/access.md', { rules: rulesTable(), rows: rowsTable(), types: typesTable(await servedTypes()) });
