/** AES-256-GCM with a random nonce, as every seal of Kairos uses it: nonce, ciphertext and tag in one. @see https://csrc.nist.gov/pubs/sp/800/38/d/final */
import { createCipheriv, createDecipheriv, randomFillSync, type KeyObject } from 'node:crypto';

const IV_BYTES = 12;
const TAG_BYTES = 16;

/** Random bytes for nonces, drawn in one go: a call for each costs more than the cipher. */
const pool = Buffer.alloc(IV_BYTES * 512);
let used = pool.length;

function nextIv(): Buffer {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const iv = Buffer.from(pool.subarray(used, used + IV_BYTES));
  used += IV_BYTES;
  return iv;
}

/** @param bound what the ciphertext belongs to (additional authenticated data): it opens nowhere else */
export function encrypt(key: KeyObject, bound: string, plain: string | Uint8Array): Buffer {
  const iv = nextIv();
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(bound));
  const bytes = typeof plain === 'string' ? cipher.update(plain, 'utf8') : cipher.update(plain);
  const last = cipher.final();
  return Buffer.concat([iv, bytes, last, cipher.getAuthTag()]);
}

/** @throws Error when the bytes were not encrypted with this key for this purpose, or were changed */
export function decrypt(key: KeyObject, bound: string, sealed: Buffer): Buffer {
  if (sealed.length < IV_BYTES + TAG_BYTES) throw new Error('It is too short to have been sealed');
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(bound));
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  const plain = decipher.update(sealed.subarray(IV_BYTES, -TAG_BYTES));
  // Says nothing, or that the tag does not fit: nothing of `plain` may be used before.
  decipher.final();
  return plain;
}

/** @throws Error when the text is not the one base64 form of its bytes: what was changed must not pass, even where it decodes to the same */
export function fromBase64(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw new Error('It is no base64');
  return bytes;
}
