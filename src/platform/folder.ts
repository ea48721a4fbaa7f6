/** A folder as a registry: every file in it is one capability, found by its presence. */
import { readdir } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import path from 'node:path';

/**
 * Imports every `.ts` file of a folder, in name order, and returns their default exports.
 * @param folder absolute path
 * @throws if a file has no default export
 */
export async function loadFolder<T>(folder: string): Promise<T[]> {
  const names = (await readdir(folder)).filter((n) => n.endsWith('.ts') && !n.endsWith('.test.ts')).sort();
  return Promise.all(
    names.map(async (name) => {
      const module = (await import(pathToFileURL(path.join(folder, name)).href)) as { default?: T };
      if (module.default === undefined) throw new Error(`${path.join(folder, name)} has no default export`);
      return module.default;
    }),
  );
}
