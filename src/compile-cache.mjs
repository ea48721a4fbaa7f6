/**
 * What V8 makes of a module is kept beside the build: starts take half the time, and TypeScript's types are stripped once, by a compiler that the
 * process then need not load (20 MB). Given to Node.js by `--import`. @see https://nodejs.org/docs/latest-v24.x/api/module.html#module-compile-cache
 */
import { enableCompileCache, getCompileCacheDir } from 'node:module';
import { fileURLToPath } from 'node:url';

enableCompileCache?.({ directory: fileURLToPath(new URL('../.build/compiled', import.meta.url)), portable: true });
// Processes that this one starts use it as well.
const directory = getCompileCacheDir?.();
if (directory !== undefined) {
  process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('../.build/compiled', import.meta.url));
  process.env.NODE_COMPILE_CACHE_PORTABLE ??= '1';
}
