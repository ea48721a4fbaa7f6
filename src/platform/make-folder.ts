/** A folder with those above it. @see https://nodejs.org/docs/latest-v24.x/api/fs.html#fspromisesmkdirpath-options */
import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';

/**
 * As `mkdir` with `recursive`, which never ends where a folder stands in which none can be made, as in /proc.
 * @throws the error of the first folder that cannot be made
 */
export async function makeFolder(folder: string, mode?: number): Promise<void> {
  const missing: string[] = [];
  for (let at = path.resolve(folder); !(await exists(at)); at = path.dirname(at)) {
    missing.push(at);
    if (at === path.dirname(at)) break;
  }
  for (const at of missing.reverse()) {
    await mkdir(at, mode).catch(async (error: NodeJS.ErrnoException) => {
      // Another process was first; or a link leads nowhere.
      if (error.code !== 'EEXIST' || !(await exists(at))) throw error;
    });
  }
}

const exists = (at: string): Promise<boolean> =>
  stat(at).then(
    (found) => {
      if (found.isDirectory()) return true;
      throw Object.assign(new Error(`${at} is no folder`), { code: 'ENOTDIR' });
    },
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
