/** Making an account; who may is decided by those who call it. */
import { randomBytes } from 'node:crypto';
import type { Run } from '../../platform/database/transaction.ts';
import { newId } from '../../platform/id.ts';
import type { AuthParts } from '../parts.ts';
import { refuse } from '../refusal.ts';
import { emailTag, type Role, type StaffKind } from './account.ts';

export interface NewAccount {
  /** Normalised and proven. */
  readonly email: string;
  readonly name: string;
  readonly roles: readonly Role[];
  readonly staffKinds?: readonly StaffKind[];
  readonly profiles?: readonly string[];
  /** Who made it: id of an account, `self`, `operator`, `demo`. */
  readonly by: string;
  readonly locale: string;
  readonly passwordHash: string | undefined;
  readonly mfaExempt?: boolean;
}

const LONGEST_NAME = 200;

/** A person's name as it is kept. @throws Refusal `name` when it is empty, too long, or holds control characters or halves of characters */
export function demandName(text: string): string {
  if (text.length > 2 * LONGEST_NAME || !text.isWellFormed()) throw refuse('name');
  const name = text.normalize('NFC').trim();
  if (name === '' || name.length > LONGEST_NAME || /[\p{Cc}\p{Co}\u202a-\u202e\u2066-\u2069]/u.test(name))
    throw refuse('name');
  return name;
}

/** A language tag, or English. */
export const localeOf = (text: string | undefined): string =>
  text !== undefined && /^[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*$/.test(text) ? text.slice(0, 35) : 'en';

/** @returns its id; undefined when the address has an account already */
export async function createAccount(run: Run, parts: AuthParts, account: NewAccount): Promise<string | undefined> {
  const id = newId(parts.clock.now());
  const { keys } = parts;
  const { rowCount } = await run(
    `insert into auth_account (id, email_tag, email_sealed, name_sealed, password_hash, roles, staff_kinds, status, locale, webauthn_user_id, mfa_exempt,
       password_changed_at, created_at)
     values ($1, $2, $3, $4, $5, $6, $7, 'active', $8, $9, $10, null, to_timestamp($11)) on conflict (email_tag) do nothing`,
    [
      id,
      emailTag(parts, account.email),
      keys.seal('auth_account.email_sealed', id, account.email),
      keys.seal('auth_account.name_sealed', id, account.name),
      account.passwordHash ?? null,
      account.roles,
      account.staffKinds ?? [],
      account.locale,
      randomBytes(32).toString('base64url'),
      account.mfaExempt ?? false,
      parts.clock.now() / 1000,
    ],
  );
  if (rowCount === 0) return undefined;
  for (const reference of account.profiles ?? []) await addProfile(run, id, reference, account.by);
  return id;
}

export async function addProfile(run: Run, accountId: string, reference: string, by: string): Promise<void> {
  await run(
    `insert into auth_profile (account_id, reference, linked_by) values ($1, $2, $3) on conflict (account_id, reference) do nothing`,
    [accountId, reference, by],
  );
}
