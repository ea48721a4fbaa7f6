/** The types that are served: one file of `src/resources/` for each. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';

export const servedTypes = async (): Promise<string[]> =>
  (await readdir(new URL('../resources/', import.meta.url))).map((name) => path.basename(name, '.ts')).sort();
