/**
 * Password hashes. What is hashed is a keyed digest of the password, so that nothing is cut off, NUL means nothing, and a stolen table is worth
 * nothing without the key. @see https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html
 */
import { createHmac } from 'node:crypto';
import { availableParallelism } from 'node:os';
import bcrypt from 'bcrypt';
import type { Keys } from '../../platform/keys.ts';
import { refuse } from '../refusal.ts';

export interface Passwords {
  /** @param password 256 characters at most, or it will never be right */
  hash(password: string): Promise<string>;
  /**
   * Takes as long whether or not there is a hash.
   * @param stored undefined: there is no such account, or it has no password
   * @throws Refusal `busy` when too many wait already
   */
  verify(password: string, stored: string | undefined): Promise<Verified>;
}

/** `outdated`: right, but it should be hashed anew. */
export type Verified = 'wrong' | 'right' | 'outdated';

export interface PasswordOptions {
  readonly keys: Keys;
  readonly hasher: 'bcrypt' | 'argon2id';
  /** Of bcrypt, as a power of two. */
  readonly cost?: number;
}

const COST = 12;
const LONGEST = 256;
const WAITING = 50;
/** OWASP's first choice. Its kind, argon2id, is the default of the library. */
const ARGON = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/** Hashing may fill the cores, but not the four threads that everything else of Node shares. */
const atOnce = (): number => Math.min(2 * availableParallelism(), 2);

/** Runs so many at once; so many more wait, others are refused. */
function turnstile(running: number, waiting: number): <T>(work: () => Promise<T>) => Promise<T> {
  let free = running;
  const queue: (() => void)[] = [];
  return async (work) => {
    if (free === 0) {
      if (queue.length >= waiting) throw refuse('busy', 5);
      // Whoever leaves hands over its place.
      await new Promise<void>((go) => queue.push(go));
    } else free--;
    try {
      return await work();
    } finally {
      const next = queue.shift();
      if (next) next();
      else free++;
    }
  };
}

const isBcrypt = (stored: string): boolean => stored.startsWith('bh1$');
const isArgon = (stored: string): boolean => stored.startsWith('ah1$');
const untagged = (stored: string): string => stored.slice('bh1$'.length);

/** Hashes of nothing anybody knows, for accounts that do not exist. */
const decoys = (cost: number) => ({
  bcrypt: `bh1$$2b$${String(cost).padStart(2, '0')}$${'C'.repeat(21)}u${'C'.repeat(31)}`,
  argon2id: `ah1$$argon2id$v=19$m=${ARGON.memoryCost},t=${ARGON.timeCost},p=${ARGON.parallelism}$${'A'.repeat(22)}$${'A'.repeat(43)}`,
});

export function createPasswords({ keys, hasher, cost = COST }: PasswordOptions): Passwords {
  const pepper = keys.derive('password pepper');
  const decoy = decoys(cost)[hasher];
  const turn = turnstile(atOnce(), WAITING);
  const digest = (password: string): string =>
    createHmac('sha256', pepper).update(password.normalize('NFKC')).digest('base64');
  const current =
    hasher === 'bcrypt'
      ? `bh1$$2b$${String(cost).padStart(2, '0')}$`
      : decoy.slice(0, decoy.indexOf('$', decoy.indexOf('p=')) + 1);

  return {
    hash: (password) =>
      turn(async () =>
        hasher === 'bcrypt'
          ? `bh1$${await bcrypt.hash(digest(password), cost)}`
          : `ah1$${await (await import('@node-rs/argon2')).hash(digest(password), ARGON)}`,
      ),
    verify: (password, stored) =>
      turn(async () => {
        // Longer ones are never accepted; what they would cost to fold is not paid either.
        const readable = password.length <= 2 * LONGEST && password.isWellFormed();
        const input = digest(readable ? password : '');
        const against = stored !== undefined && (isBcrypt(stored) || isArgon(stored)) ? stored : decoy;
        const right = isArgon(against)
          ? await (await import('@node-rs/argon2')).verify(untagged(against), input)
          : await bcrypt.compare(input, untagged(against));
        if (!right || !readable || against !== stored) return 'wrong';
        return against.startsWith(current) ? 'right' : 'outdated';
      }),
  };
}
