/**
 * Hashes of rows, of many rows as one root, and of seals, each of which holds the one before.
 * @see https://www.rfc-editor.org/rfc/rfc6962#section-2.1
 */
import { createHash, createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import type { Row } from '../platform/database/named-query.ts';
import type { Keys } from '../platform/keys.ts';

export const HASH_BYTES = 32;

const sha256 = (...parts: readonly (string | Uint8Array)[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** Of a row as PostgreSQL prints it, every column. */
export const leafOf = (row: Row): Buffer => sha256('\0', JSON.stringify(row));

/** @param leaves one after the other */
export function rootOf(leaves: Buffer): Buffer {
  let level = leaves;
  if (level.length === 0) return sha256('');
  while (level.length > HASH_BYTES) {
    const next: Buffer[] = [];
    for (let at = 0; at < level.length; at += 2 * HASH_BYTES) {
      const pair = level.subarray(at, at + 2 * HASH_BYTES);
      next.push(pair.length === HASH_BYTES ? pair : sha256('\x01', pair));
    }
    level = Buffer.concat(next);
  }
  return level;
}

export interface SealText {
  readonly n: string;
  readonly fromXid: string;
  readonly toXid: string;
  readonly count: string;
  readonly root: string;
  /** Hash of the seal before; of the first, zeros. */
  readonly prev: string;
  readonly sealedAt: string;
}

export const FIRST = '0'.repeat(2 * HASH_BYTES);

export const sealHash = ({ n, fromXid, toXid, count, root, prev, sealedAt }: SealText): Buffer =>
  sha256(JSON.stringify([n, fromXid, toXid, count, root, prev, sealedAt]));

/** Of PKCS #8 for Ed25519; the seed follows. @see https://www.rfc-editor.org/rfc/rfc8410#section-7 */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');

export interface SealKey {
  sign(hash: Buffer): Buffer;
  verifies(hash: Buffer, signature: Buffer): boolean;
  /** In PEM, for those who check without our keys. */
  readonly publicKey: string;
}

export function sealKey(keys: Pick<Keys, 'derive'>): SealKey {
  const der = Buffer.concat([PKCS8, keys.derive('audit seals')]);
  const key: KeyObject = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const open = createPublicKey(key);
  return {
    sign: (hash) => sign(null, hash, key),
    verifies: (hash, signature) => verify(null, hash, open, signature),
    publicKey: open.export({ type: 'spki', format: 'pem' }).toString(),
  };
}
