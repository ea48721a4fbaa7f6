/**
 * The key port: everything that is sealed, tagged or signed with a symmetric key goes through it. Today one root key in a file or in the environment;
 * a key service can take its place. @see https://csrc.nist.gov/pubs/sp/800/38/d/final
 */
import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { makeFolder } from './make-folder.ts';
import { StartError } from './start-error.ts';

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

const VERSION = 'v1';
const IV_BYTES = 12;
const TAG_BYTES = 16;
const ROOT_BYTES = 32;

/** SHA-256 in base64url: how secrets of 128 bits or more are stored that are only compared. */
export const secretHash = (secret: string): string => createHash('sha256').update(secret).digest('base64url');

/** 256 random bits in base64url. */
export const newSecret = (): string => randomBytes(32).toString('base64url');

/** @param root 32 bytes */
export function createKeys(root: Uint8Array): Keys {
  const derived = new Map<string, Buffer>();
  const derive = (purpose: string): Buffer => {
    let key = derived.get(purpose);
    if (!key) derived.set(purpose, (key = Buffer.from(hkdfSync('sha256', root, 'kairos', purpose, ROOT_BYTES))));
    return key;
  };
  const keyId = createHash('sha256').update(derive('key-id')).digest('base64url').slice(0, 8);
  const additional = (purpose: string, bound: string): Buffer => Buffer.from(`${purpose}|${bound}|${VERSION}|${keyId}`);
  return {
    seal(purpose, bound, plain) {
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv('aes-256-gcm', derive(`seal ${purpose}`), iv);
      cipher.setAAD(additional(purpose, bound));
      const sealed = Buffer.concat([iv, cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()]);
      return `${VERSION}.${keyId}.${sealed.toString('base64url')}`;
    },
    open(purpose, bound, sealed) {
      const [version, id, text] = sealed.split('.');
      if (version !== VERSION || id !== keyId || text === undefined)
        throw new Error(`A value of ${purpose} was sealed with another key`);
      const bytes = Buffer.from(text, 'base64url');
      if (bytes.length < IV_BYTES + TAG_BYTES)
        throw new Error(`A value of ${purpose} is too short to have been sealed`);
      const decipher = createDecipheriv('aes-256-gcm', derive(`seal ${purpose}`), bytes.subarray(0, IV_BYTES), {
        authTagLength: TAG_BYTES,
      });
      decipher.setAAD(additional(purpose, bound));
      decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
      return decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
    },
    tag: (purpose, value) =>
      createHmac('sha256', derive(`tag ${purpose}`))
        .update(value)
        .digest()
        .subarray(0, 16)
        .toString('base64url'),
    derive: (purpose) => new Uint8Array(derive(purpose)),
  };
}

const FILE = 'root.key';

function parseRoot(text: string, where: string): Uint8Array {
  const bytes = Buffer.from(text.trim(), 'base64');
  if (bytes.length !== ROOT_BYTES)
    throw new StartError(`${where} must hold 32 random bytes in base64: make them with  openssl rand -base64 32`);
  return bytes;
}

/**
 * The root key: given, or in a file of the data folder that is made at the first start.
 * @throws StartError when it cannot be read or made
 */
export async function loadRootKey(given: string | undefined, dataDir: string): Promise<Uint8Array> {
  if (given !== undefined) return parseRoot(given, 'ROOT_KEY');
  const folder = path.join(dataDir, 'keys');
  const file = path.join(folder, FILE);
  try {
    await makeFolder(folder, 0o700);
    // Whoever comes first makes it; `wx` leaves another process's key alone.
    await writeFile(file, `${randomBytes(ROOT_BYTES).toString('base64')}\n`, { mode: 0o600, flag: 'wx' }).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      },
    );
    await chmod(file, 0o600);
    return parseRoot(await readFile(file, 'utf8'), `The file ${file}`);
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw new StartError(
      `The root key ${file} cannot be read or made (${(error as NodeJS.ErrnoException).code ?? 'unknown reason'}): check the rights on DATA_DIR, or set ROOT_KEY.`,
    );
  }
}
