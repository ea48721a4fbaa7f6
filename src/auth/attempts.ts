/**
 * Limits on guessing. Every try is written down before it is made, in one statement that refuses it when the window is full, so that parallel tries
 * in any number of processes count. @see https://pages.nist.gov/800-63-4/sp800-63b.html#throttle
 */
import { poolNamed } from '../platform/database/pool.ts';
import { giveBackCounted, takeCounted } from './attempt-count.ts';
import type { AuthParts } from './parts.ts';
import { refuse } from './refusal.ts';

export interface Budget {
  /** What is counted, and of whom: kept as a keyed tag. */
  readonly key: readonly string[];
  /** The account that it belongs to. */
  readonly who?: string;
  readonly limit: number;
  readonly seconds: number;
}

type Parts = Pick<AuthParts, 'pool' | 'keys' | 'clock'>;

/** Up to here each try is remembered with its time; more are counted, so that a try costs the same however many came before it. */
const REMEMBERED = 100;

const MINUTES = 60;
const HOURS = 3_600;

/** Budgets of one account, whatever the source, begin alike: so that they can be forgotten together. */
const prefixOf = ({ keys }: Parts, what: string, who: string): string =>
  `${keys.tag('auth_attempt.who', JSON.stringify([what, who]))}.`;

const tagOf = (parts: Parts, { key, who }: Budget): string =>
  `${who === undefined ? '' : prefixOf(parts, key[0] ?? '', who)}${parts.keys.tag('auth_attempt.key', JSON.stringify(key))}`;

/** @returns seconds until there is room; undefined: there was, and it is taken */
async function takeOne(parts: Parts, budget: Budget, now: number): Promise<number | undefined> {
  const tag = tagOf(parts, budget);
  if (budget.limit > REMEMBERED) return takeCounted(parts, tag, budget, now);
  const { rowCount } = await poolNamed(
    parts.pool,
    `insert into auth_attempt as a (key, times, expires_at) values ($1, array[to_timestamp($2)], to_timestamp($2) + make_interval(secs => $3))
     on conflict (key) do update
       set times = array(select t from unnest(a.times) t where t > to_timestamp($2) - make_interval(secs => $3) order by t) || to_timestamp($2),
           expires_at = excluded.expires_at
       where (select count(*) from unnest(a.times) t where t > to_timestamp($2) - make_interval(secs => $3)) < $4`,
    [tag, now, budget.seconds, budget.limit],
  );
  if (rowCount > 0) return undefined;
  const { rows } = await poolNamed(
    parts.pool,
    `select extract(epoch from min(t)) from auth_attempt, unnest(times) t where key = $1 and t > to_timestamp($2) - make_interval(secs => $3)`,
    [tag, now, budget.seconds],
  );
  const oldest = rows[0]?.[0];
  return oldest === null || oldest === undefined ? 1 : Math.max(1, Math.ceil(Number(oldest) + budget.seconds - now));
}

/** Takes back one try that was counted at `now`. */
async function giveBack(parts: Parts, budget: Budget, now: number): Promise<void> {
  const tag = tagOf(parts, budget);
  if (budget.limit > REMEMBERED) return giveBackCounted(parts, tag, budget, now);
  await poolNamed(
    parts.pool,
    `update auth_attempt set times = times[:array_position(times, to_timestamp($2)) - 1] || times[array_position(times, to_timestamp($2)) + 1:]
     where key = $1 and array_position(times, to_timestamp($2)) is not null`,
    [tag, now],
  );
}

export interface Spent {
  /** It was no guess: it counts no longer. */
  refund(): Promise<void>;
}

/**
 * Counts one try against all these budgets.
 * @throws Refusal `limited` with the time to wait, and then counts against none
 */
export async function spend(parts: Parts, budgets: readonly Budget[]): Promise<Spent> {
  const now = parts.clock.now() / 1000;
  const taken: Budget[] = [];
  const refund = async (): Promise<void> => {
    for (const budget of taken.splice(0)) await giveBack(parts, budget, now);
  };
  for (const budget of budgets) {
    const wait = await takeOne(parts, budget, now);
    if (wait !== undefined) {
      await refund();
      throw refuse('limited', wait);
    }
    taken.push(budget);
  }
  return { refund };
}

/** Where a try comes from. */
export interface Origin {
  /** Address of the client (`clientAddress`). */
  readonly source: string;
  /** Hash of the device that the account was used from before (`knownDevice`); undefined: a stranger's. */
  readonly device?: string | undefined;
}

/**
 * Budgets of a guess at a secret of an account. A device that is known has one of its own, so that strangers cannot lock out who uses it.
 * @param who id of the account, or tag of the address that was typed
 */
export function guessBudgets(what: string, who: string, { source, device }: Origin): readonly Budget[] {
  if (device !== undefined) {
    return [
      { key: [what, 'device', who, device], who, limit: 5, seconds: 15 * MINUTES },
      { key: [what, 'device, day', who, device], who, limit: 100, seconds: 24 * HOURS },
    ];
  }
  return [
    { key: [what, 'account and source', who, source], who, limit: 5, seconds: 15 * MINUTES },
    // Many accounts from one place: whoever shares an address with a clinic must still get in, so it is wide; good sign-ins are not counted.
    { key: [what, 'source', source], limit: 50, seconds: 15 * MINUTES },
    { key: [what, 'account, day', who], who, limit: 100, seconds: 24 * HOURS },
  ];
}

/** Counts a guess. @throws Refusal `limited` */
export const spendGuess = (parts: Parts, what: string, who: string, from: Origin): Promise<Spent> =>
  spend(parts, guessBudgets(what, who, from));

/** Counts a letter to an address that anybody may ask for. @param address tag of the address */
export const letterBudgets = (what: string, address: string): readonly Budget[] => [
  { key: [what, 'address', address], limit: 3, seconds: HOURS },
  { key: [what, 'address, day', address], limit: 10, seconds: 24 * HOURS },
];

/**
 * Counts a link to a new password. A browser that the account is used from has a budget of its own, and nobody can use up alone what other sources have:
 * strangers cannot keep such letters from the owner. @param address tag of the address
 */
export function resetBudgets(address: string, { source, device }: Origin): readonly Budget[] {
  const what = 'reset';
  if (device !== undefined) {
    return [
      { key: [what, 'device', address, device], limit: 3, seconds: HOURS },
      { key: [what, 'device, day', address, device], limit: 10, seconds: 24 * HOURS },
    ];
  }
  return [
    { key: [what, 'address and source', address, source], limit: 3, seconds: HOURS },
    { key: [what, 'address and source, day', address, source], limit: 5, seconds: 24 * HOURS },
    { key: [what, 'address', address], limit: 6, seconds: HOURS },
    { key: [what, 'address, day', address], limit: 15, seconds: 24 * HOURS },
  ];
}

/** Counts who asks for letters. */
export const askerBudget = (what: string, source: string): Budget => ({
  key: [what, 'asker', source],
  limit: 20,
  seconds: HOURS,
});

/** `npm run accounts -- unlock`: forgets the tries that count against an account. */
export async function forgetGuesses(parts: Parts, who: readonly string[]): Promise<void> {
  const prefixes = GUESSED.flatMap((what) => who.map((w) => prefixOf(parts, what, w)));
  await poolNamed(
    parts.pool,
    `delete from auth_attempt where exists (select from unnest($1::text[]) p where starts_with(key, p))`,
    [prefixes],
  );
}

export const GUESSED = ['password', 'second factor', 'patient code'] as const;
