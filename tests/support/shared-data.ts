/** Published examples that lie beside the repository, where they do; they are not part of it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { parseJson } from '../../src/fhir/json.ts';

const folder = fileURLToPath(new URL('../../../shared/data/', import.meta.url));

/** Whether the folder is there; a test that needs it says so when it is not. */
export function hasSharedData(name: string): boolean {
  const found = existsSync(folder + name);
  if (!found) console.warn(`${folder}${name} is not there: the tests on these published examples are left out.`);
  return found;
}

export interface Example {
  readonly file: string;
  readonly resource: Record<string, unknown>;
}

const parse = (file: string, bytes: Uint8Array): Example => ({
  file,
  resource: parseJson(bytes, { maxDepth: 64 }).value as Record<string, unknown>,
});

/** The 158 files of R4. */
export const r4Examples = (): Example[] =>
  readdirSync(`${folder}r4-examples`)
    .filter((n) => n.endsWith('.json'))
    .map((n) => parse(n, readFileSync(`${folder}r4-examples/${n}`)));

/** Files of a .tgz below a path. @see https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html (ustar) */
function* untar(bytes: Buffer): Generator<{ name: string; content: Buffer }> {
  for (let at = 0; at + 512 <= bytes.length && bytes[at] !== 0;) {
    const name = bytes.toString('utf8', at, at + 100).replace(/\0.*$/s, '');
    const size = Number.parseInt(bytes.toString('ascii', at + 124, at + 136), 8);
    yield { name, content: bytes.subarray(at + 512, at + 512 + size) };
    at += 512 + Math.ceil(size / 512) * 512;
  }
}

/** Examples of the US Core 7.0.0 package. */
export const usCoreExamples = (): Example[] =>
  [...untar(gunzipSync(readFileSync(`${folder}us-core/us-core-7.0.0.tgz`)))]
    .filter((f) => /^package\/example\/.*\.json$/.test(f.name))
    .map((f) => parse(f.name, f.content));
