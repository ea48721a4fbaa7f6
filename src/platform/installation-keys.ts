/**
 * The keys of an installation besides those of resources: one secret that tags and signatures are derived from, the same for good; and the keys that
 * accounts, tokens and kept replies are sealed with, of which a rotation makes a new one. All lie in `data_key`, wrapped by a root key.
 */
import { randomBytes } from 'node:crypto';
import { boundOf, newKeyId, type RunForKeys, type Scope } from './data-keys.ts';
import { createKeys, type Keys, type SealKey } from './keys.ts';
import type { RootKeys } from './root-keys.ts';
import { StartError } from './start-error.ts';

const INSTALLATION: Scope = { kind: 'installation', subject: '' };
/** What `*_sealed` columns are sealed with. */
export const SECRETS: Scope = { kind: 'secrets', subject: '' };

const KEY_BYTES = 32;
/** How often a process looks for new keys. */
const LOOK_MS = 2000;
/** A new key seals nothing before every process has surely found it. */
export const SETTLED_S = 10;

export interface InstallationKeys {
  readonly keys: Keys;
  close(): void;
}

const ADD = `insert into data_key (id, kind, subject, kek, wrapped) values ($1, $2, $3, $4, $5) on conflict (id) do nothing`;

/** A key for good, unless its id is taken. */
export async function addKey(run: RunForKeys, roots: RootKeys, id: string, scope: Scope): Promise<void> {
  const [wrapped] = await roots.wrap([{ bound: boundOf(id, scope), key: randomBytes(KEY_BYTES) }]);
  await run(ADD, [id, scope.kind, scope.subject, wrapped?.kek, wrapped?.wrapped]);
}

interface Found extends SealKey {
  /** For sealing. */
  readonly isCurrent: boolean;
}

/** @throws StartError when a root key is missing, or is another one */
export async function openInstallationKeys(run: RunForKeys, roots: RootKeys): Promise<InstallationKeys> {
  const load = async ({ kind, subject }: Scope, known: ReadonlyMap<string, SealKey>): Promise<readonly Found[]> => {
    // The newest that is settled comes first; until there is one, the oldest.
    const { rows } = await run(
      `select id, kek, wrapped, retired_at is null from data_key where kind = $1 and subject = $2
       order by retired_at is not null, created_at > now() - interval '${SETTLED_S} s',
         case when created_at > now() - interval '${SETTLED_S} s' then created_at - now() else now() - created_at end, id`,
      [kind, subject],
    );
    const missing = rows.filter(([id]) => !known.has(id ?? ''));
    const keys = await roots.unwrap(
      missing.map(([id, kek, wrapped]) => ({
        kek: kek ?? '',
        wrapped: wrapped ?? '',
        bound: boundOf(id ?? '', { kind, subject }),
      })),
    );
    const found = new Map(known);
    missing.forEach(([id], i) => {
      const key = keys[i];
      if (key instanceof Error) throw key;
      if (key) found.set(id ?? '', { id: id ?? '', key });
    });
    return rows.flatMap(([id, , , live]) => {
      const key = found.get(id ?? '');
      return key ? [{ ...key, isCurrent: live === 't' }] : [];
    });
  };

  await addKey(run, roots, 'installation', INSTALLATION);
  const [root, ...others] = await load(INSTALLATION, new Map()).catch((error: unknown) => {
    throw new StartError(
      `The root key is not the one that this database was filled with: set ROOT_KEY to it, or put its file back into DATA_DIR/keys. (${error instanceof Error ? error.message : 'unknown reason'})`,
    );
  });
  if (!root || others.length > 0)
    throw new StartError('The table data_key does not hold one installation key: restore it.');

  let seals: readonly Found[] = [];
  let byId: ReadonlyMap<string, SealKey> = new Map();
  const look = async (): Promise<void> => {
    seals = await load(SECRETS, byId);
    byId = new Map(seals.map((s) => [s.id, s]));
  };
  await look();
  if (!seals[0]?.isCurrent) {
    await addKey(run, roots, newKeyId(), SECRETS);
    await look();
  }
  const timer = setInterval(() => void look().catch(() => undefined), LOOK_MS);
  timer.unref();
  const keys = createKeys(root.key, {
    current() {
      const [current] = seals;
      if (!current?.isCurrent) throw new Error('There is no key to seal with');
      return current;
    },
    byId: (id) => byId.get(id),
  });
  return { keys, close: () => clearInterval(timer) };
}
