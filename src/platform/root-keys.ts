/**
 * Root keys: the key-encryption keys that wrap every data key, from the environment or from a file. They stay behind this port: whoever wraps never sees
 * one, so that a key service can take its place.
 * @see https://csrc.nist.gov/pubs/sp/800/57/pt1/r5/final
 */
import { createHash, createSecretKey, hkdfSync, randomBytes, type KeyObject } from 'node:crypto';
import { chmod, readFile, rename, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { decrypt, encrypt, fromBase64 } from './aead.ts';
import { makeFolder } from './make-folder.ts';
import { StartError } from './start-error.ts';

export interface Wrapped {
  /** The root key that it is wrapped with. */
  readonly kek: string;
  readonly wrapped: string;
}

export interface RootKeys {
  /** Where they are, for a person. */
  readonly where: string;
  /** Names of the keys that are here, the current one first. */
  ids(): Promise<readonly string[]>;
  /** Wraps with the current key. @param bound what the data key belongs to: it unwraps nowhere else */
  wrap(keys: readonly { readonly bound: string; readonly key: Uint8Array }[]): Promise<readonly Wrapped[]>;
  /** @returns each as it was, or why it cannot be had: a root key is not here, or it was not wrapped so */
  unwrap(keys: readonly (Wrapped & { readonly bound: string })[]): Promise<readonly (Buffer | Error)[]>;
  /** Makes a new current key. @throws StartError where only the operator can */
  rotate(): Promise<string>;
  /** Forgets a key for good. @throws StartError where only the operator can, and for the current one */
  forget(id: string): Promise<void>;
}

const BYTES = 32;
const FILE = 'root.key';
/** How old what is known of the file may be when something is wrapped. */
const LOOK_MS = 1000;

interface RootKey {
  readonly id: string;
  readonly key: KeyObject;
  readonly text: string;
}

function parse(text: string, where: string): RootKey {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== BYTES || bytes.toString('base64') !== text)
    throw new StartError(`${where} must hold 32 random bytes in base64: make them with  openssl rand -base64 32`);
  const derive = (purpose: string): Buffer => Buffer.from(hkdfSync('sha256', bytes, 'kairos', purpose, BYTES));
  return {
    id: createHash('sha256').update(derive('key-id')).digest('base64url').slice(0, 8),
    key: createSecretKey(derive('wrap')),
    text,
  };
}

/** What is the same for all places that keys can be in. @param known the current one first @param wanted one that was not known lately */
function over(
  where: string,
  known: (wanted?: string) => Promise<readonly RootKey[]>,
  change: Pick<RootKeys, 'rotate' | 'forget'>,
): RootKeys {
  const missing = (id: string): StartError =>
    new StartError(
      `The root key ${id} is missing in ${where}: the database holds what only it opens. Put it back: ROOT_KEY, ROOT_KEY_ALSO, or its line in the file.`,
    );
  return {
    where,
    ids: async () => (await known()).map((k) => k.id),
    async wrap(keys) {
      const [current] = await known();
      if (!current) throw new StartError(`There is no root key in ${where}.`);
      return keys.map(({ bound, key }) => ({
        kek: current.id,
        wrapped: encrypt(current.key, `data_key|wrapped|${bound}|${current.id}`, key).toString('base64'),
      }));
    },
    async unwrap(keys) {
      const found = new Map<string, RootKey | undefined>();
      for (const { kek } of keys)
        if (!found.has(kek))
          found.set(
            kek,
            (await known(kek)).find((k) => k.id === kek),
          );
      return keys.map(({ kek, bound, wrapped }) => {
        const root = found.get(kek);
        if (!root) return missing(kek);
        try {
          return decrypt(root.key, `data_key|wrapped|${bound}|${kek}`, fromBase64(wrapped));
        } catch (error) {
          return new Error(
            `The data key ${bound.split('|', 1)[0] ?? ''} was changed in the database, or belongs elsewhere`,
            { cause: error },
          );
        }
      });
    },
    ...change,
  };
}

/** @param also further keys that open what was wrapped with them: the next or the last one, while keys are rotated */
export function givenRootKeys(current: string, also: readonly string[] = []): RootKeys {
  const keys = [parse(current, 'ROOT_KEY'), ...also.map((text) => parse(text, 'ROOT_KEY_ALSO'))];
  const byOperator = (): Promise<never> =>
    Promise.reject(
      new StartError(
        'The root key comes from the environment. Give every process the new one in ROOT_KEY_ALSO and restart it; then exchange the two (ROOT_KEY the new one, ROOT_KEY_ALSO the old one) and restart again; then run this command once more. docs/encryption.md says more.',
      ),
    );
  return over('the environment', () => Promise.resolve(keys), {
    rotate: async () => keys[0]?.id ?? byOperator(),
    forget: byOperator,
  });
}

/** The file of root keys, a line each, the current one first. */
const fileOf = (dataDir: string): string => path.join(dataDir, 'keys', FILE);

function fileRootKeys(file: string): RootKeys {
  let keys: readonly RootKey[] = [];
  let [lookedAt, changedAt] = [-Infinity, ''];
  const look = async (): Promise<void> => {
    const { mtimeMs, ino } = await stat(file);
    const version = `${mtimeMs} ${ino}`;
    lookedAt = performance.now();
    if (version === changedAt) return;
    const lines = (await readFile(file, 'utf8')).split('\n').map((line) => line.trim());
    keys = lines.filter((line) => line !== '').map((line) => parse(line, `Each line of ${file}`));
    if (keys.length === 0) throw new StartError(`The file ${file} holds no root key: put its copy back.`);
    changedAt = version;
  };
  const known = async (wanted?: string): Promise<readonly RootKey[]> => {
    const isFresh = performance.now() - lookedAt < LOOK_MS;
    // An old key that is known already cannot have become another one.
    if (wanted === undefined ? !isFresh : !keys.some((k) => k.id === wanted)) await look();
    return keys;
  };
  /** Whole, or not at all: a crash leaves the file as it was. */
  const write = async (lines: readonly string[]): Promise<void> => {
    const beside = `${file}.${process.pid}`;
    await writeFile(beside, `${lines.join('\n')}\n`, { mode: 0o600, flush: true });
    await rename(beside, file);
    await look();
  };
  return over(file, known, {
    async rotate() {
      await look();
      await write([randomBytes(BYTES).toString('base64'), ...keys.map((k) => k.text)]);
      return keys[0]?.id ?? '';
    },
    async forget(id) {
      await look();
      if (keys[0]?.id === id) throw new StartError(`${id} is the current root key: rotate first.`);
      await write(keys.filter((k) => k.id !== id).map((k) => k.text));
    },
  });
}

export interface RootKeySettings {
  /** In base64; undefined: a file of the data folder. */
  readonly rootKey: string | undefined;
  readonly rootKeysAlso: readonly string[];
  readonly dataDir: string;
  /** undefined: embedded. */
  readonly databaseUrl: string | undefined;
}

/**
 * The root keys of this process. With the embedded database, the first start makes the file.
 * @param say told when a file is made
 * @throws StartError when there is none, or it cannot be read
 */
export async function openRootKeys(settings: RootKeySettings, say?: (sentence: string) => void): Promise<RootKeys> {
  if (settings.rootKey !== undefined) return givenRootKeys(settings.rootKey, settings.rootKeysAlso);
  const file = fileOf(settings.dataDir);
  try {
    const isThere = await stat(file).then(
      () => true,
      () => false,
    );
    if (!isThere) {
      if (settings.databaseUrl !== undefined) {
        throw new StartError(
          `There is no root key, without which a database of your own is not filled: set ROOT_KEY to 32 random bytes in base64 (openssl rand -base64 32), the same in every process, or put them into ${file}. Keep a copy: whoever loses it loses the data.`,
        );
      }
      await makeFolder(path.dirname(file), 0o700);
      // Whoever comes first makes it; `wx` leaves another process's key alone.
      await writeFile(file, `${randomBytes(BYTES).toString('base64')}\n`, {
        mode: 0o600,
        flag: 'wx',
        flush: true,
      }).then(
        () =>
          say?.(
            `Made the root key of this installation: ${file}. Keep a copy elsewhere: whoever loses it loses the data, and whoever has it can read the data.`,
          ),
        (error: NodeJS.ErrnoException) => {
          if (error.code !== 'EEXIST') throw error;
        },
      );
    }
    await chmod(file, 0o600);
    const keys = fileRootKeys(file);
    await keys.ids();
    return keys;
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw new StartError(
      `The root key ${file} cannot be read or made (${(error as NodeJS.ErrnoException).code ?? 'unknown reason'}): check the rights on DATA_DIR, or set ROOT_KEY.`,
    );
  }
}
