/** `npm run readme`: writes the table of settings into the README, from the schema that reads them. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { configTable } from '../platform/config.ts';
import { projectFolder } from '../platform/paths.ts';

const file = path.join(projectFolder, 'README.md');
const text = await readFile(file, 'utf8');
await writeFile(
  file,
  text.replace(
    /(<!-- configuration -->)[\s\S]*(<!-- \/configuration -->)/,
    (_, open: string, close: string) => `${open}\n\n${configTable()}\n\n${close}`,
  ),
);
