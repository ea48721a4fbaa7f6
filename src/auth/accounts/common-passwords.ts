/**
 * Passwords that many people have: a Bloom filter of the 100 000 most frequent ones and of all known ones of 12 characters or more, made by
 * `src/cli/common-passwords.ts`. It says "common" of a few in ten thousand others too. @see https://pages.nist.gov/800-63-4/sp800-63b.html#passwordver
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

export const BITS_PER_ENTRY = 16;
const PROBES = 11;

export const FILTER_FILE = new URL('common-passwords.bin', import.meta.url);

/** No entry is longer; so longer texts are not asked of the filter, which would call some of them common by chance. */
export const LONGEST_ENTRY = 64;

/** The bits that stand for a text. @param bits size of the filter */
function* probes(text: string, bits: number): Generator<number> {
  const digest = createHash('sha256').update(text).digest();
  for (let i = 0; i < PROBES; i++)
    yield Number((digest.readBigUInt64BE(0) + BigInt(i) * digest.readBigUInt64BE(8)) % BigInt(bits));
}

export function addTo(filter: Uint8Array, text: string): void {
  for (const bit of probes(text, filter.length * 8)) filter[bit >> 3] = (filter[bit >> 3] ?? 0) | (1 << (bit & 7));
}

const isIn = (filter: Uint8Array, text: string): boolean =>
  probes(text, filter.length * 8).every((bit) => ((filter[bit >> 3] ?? 0) & (1 << (bit & 7))) !== 0);

/** Whether a text in lower case is a common password. */
export type IsCommon = (text: string) => boolean;

/** Reads the filter: 290 kB, not worth keeping for the few passwords that are chosen in a day. */
export async function loadCommonPasswords(): Promise<IsCommon> {
  const filter = new Uint8Array(await readFile(FILTER_FILE));
  return (text) => text.length <= LONGEST_ENTRY && isIn(filter, text);
}
