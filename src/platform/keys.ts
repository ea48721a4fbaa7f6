/**
 * The key port: everything that is sealed, tagged or signed with a symmetric key goes through it, but for contents of resources, which have data keys of
 * their own. @see https://csrc.nist.gov/pubs/sp/800/38/d/final
 */
import { createHash, createHmac, createSecretKey, hkdfSync, randomBytes, type KeyObject } from 'node:crypto';
import { decrypt, encrypt } from './aead.ts';

export interface Keys {
  /**
   * Encrypts with AES-256-GCM. @param purpose names the key, `table.column`
   * @param bound what the ciphertext belongs to (row id): it opens nowhere else
   */
  seal(purpose: string, bound: string, plain: string): string;
  /** @throws Error when it was not sealed with this key, for this purpose and row */
  open(purpose: string, bound: string, sealed: string): string;
  /** A keyed tag of 128 bits, for equality searches on what is sealed. The caller normalises. */
  tag(purpose: string, value: string): string;
  /** 32 bytes for one purpose, the same in every process of an installation. */
  derive(purpose: string): Uint8Array;
}

/** A key that values are sealed with, by a name that stands in each of them. */
export interface SealKey {
  readonly id: string;
  /** 32 bytes */
  readonly key: Uint8Array;
}

export interface SealKeys {
  current(): SealKey;
  byId(id: string): SealKey | undefined;
}

const VERSION = 'v1';
const KEY_BYTES = 32;

/** SHA-256 in base64url: how secrets of 128 bits or more are stored that are only compared. */
export const secretHash = (secret: string): string => createHash('sha256').update(secret).digest('base64url');

/** 256 random bits in base64url. */
export const newSecret = (): string => randomBytes(32).toString('base64url');

const derivedFrom = (root: Uint8Array, purpose: string): Buffer =>
  Buffer.from(hkdfSync('sha256', root, 'kairos', purpose, KEY_BYTES));

/** Only the root itself. */
function rootAlone(root: Uint8Array): SealKeys {
  const id = createHash('sha256').update(derivedFrom(root, 'key-id')).digest('base64url').slice(0, 8);
  const only = { id, key: root };
  return { current: () => only, byId: (asked) => (asked === id ? only : undefined) };
}

/** The key that a sealed value names. */
export const sealedWith = (sealed: string): string => sealed.split('.', 2)[1] ?? '';

/**
 * @param root 32 bytes, from which tags and derived keys are made
 * @param seals what values are sealed with; unset: the root
 */
export function createKeys(root: Uint8Array, seals: SealKeys = rootAlone(root)): Keys {
  const derived = new Map<string, Buffer>();
  const derive = (purpose: string): Buffer => {
    let key = derived.get(purpose);
    if (!key) derived.set(purpose, (key = derivedFrom(root, purpose)));
    return key;
  };
  const tagKeys = new Map<string, KeyObject>();
  const sealKeys = new Map<string, KeyObject>();
  const sealKey = ({ id, key }: SealKey, purpose: string): KeyObject => {
    const name = `${id} ${purpose}`;
    let known = sealKeys.get(name);
    if (!known) sealKeys.set(name, (known = createSecretKey(derivedFrom(key, `seal ${purpose}`))));
    return known;
  };
  const additional = (purpose: string, bound: string, id: string): string => `${purpose}|${bound}|${VERSION}|${id}`;
  return {
    seal(purpose, bound, plain) {
      const key = seals.current();
      const sealed = encrypt(sealKey(key, purpose), additional(purpose, bound, key.id), plain);
      return `${VERSION}.${key.id}.${sealed.toString('base64url')}`;
    },
    open(purpose, bound, sealed) {
      const [version, id = '', text = ''] = sealed.split('.');
      const key = version === VERSION ? seals.byId(id) : undefined;
      if (!key) throw new Error(`A value of ${purpose} was sealed with another key`);
      const bytes = Buffer.from(text, 'base64url');
      try {
        if (bytes.toString('base64url') !== text) throw new Error('It is no base64url');
        return decrypt(sealKey(key, purpose), additional(purpose, bound, id), bytes).toString('utf8');
      } catch (error) {
        throw new Error(`A value of ${purpose} was changed in the database, or belongs elsewhere`, { cause: error });
      }
    },
    tag(purpose, value) {
      let key = tagKeys.get(purpose);
      if (!key) tagKeys.set(purpose, (key = createSecretKey(derive(`tag ${purpose}`))));
      return createHmac('sha256', key).update(value).digest().subarray(0, 16).toString('base64url');
    },
    derive: (purpose) => new Uint8Array(derive(purpose)),
  };
}
