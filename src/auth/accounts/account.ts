/** Accounts: one login for a person, with roles and the FHIR resources that speak of them. @see docs/accounts.md */
import type { Reply } from '../../platform/database/named-query.ts';
import { poolNamed } from '../../platform/database/pool.ts';
import type { Run } from '../../platform/database/transaction.ts';
import type { AuthParts } from '../parts.ts';
import { normaliseEmail } from './email.ts';

export const ROLES = ['patient', 'physician', 'staff', 'admin', 'privacy-officer'] as const;
export type Role = (typeof ROLES)[number];

export const STAFF_KINDS = ['front-desk', 'billing'] as const;
export type StaffKind = (typeof STAFF_KINDS)[number];

export const STATUSES = ['active', 'disabled'] as const;

export interface Account {
  readonly id: string;
  readonly email: string;
  readonly name: string;
  readonly roles: readonly Role[];
  readonly staffKinds: readonly StaffKind[];
  readonly status: (typeof STATUSES)[number];
  /** BCP 47: the language of its mail. */
  readonly locale: string;
  /** `Patient/1`, `Practitioner/2`: whom it speaks for. */
  readonly profiles: readonly string[];
  readonly hasPassword: boolean;
}

const isOneOf =
  <T extends string>(list: readonly T[]) =>
  (text: unknown): text is T =>
    list.some((item) => item === text);

export const isRole = isOneOf(ROLES);
export const isStaffKind = isOneOf(STAFF_KINDS);
const isStatus = isOneOf(STATUSES);

/** JSON array of texts, as `to_json` writes it. */
function texts(json: string | null | undefined): readonly string[] {
  const value: unknown = JSON.parse(json ?? '[]');
  return Array.isArray(value) ? value.filter((v) => typeof v === 'string') : [];
}

const COLUMNS = `a.id, a.email_sealed, a.name_sealed, to_json(a.roles), to_json(a.staff_kinds), a.status, a.locale,
  (select json_agg(p.reference order by p.created_at, p.reference) from auth_profile p where p.account_id = a.id),
  a.password_hash is not null`;

function toAccount({ keys }: Pick<AuthParts, 'keys'>, row: Reply['rows'][number]): Account {
  const id = row[0] ?? '';
  return {
    id,
    email: keys.open('auth_account.email_sealed', id, row[1] ?? ''),
    name: keys.open('auth_account.name_sealed', id, row[2] ?? ''),
    roles: texts(row[3]).filter(isRole),
    staffKinds: texts(row[4]).filter(isStaffKind),
    status: isStatus(row[5]) ? row[5] : 'disabled',
    locale: row[6] ?? 'en',
    profiles: texts(row[7]),
    hasPassword: row[8] === 't',
  };
}

/** Under which an account is found by its address. @param email normalised */
export const emailTag = ({ keys }: Pick<AuthParts, 'keys'>, email: string): string =>
  keys.tag('auth_account.email', email);

/** Ids of rows as they may come from a URL or a form: the database takes no NUL. */
export const isRowId = (text: string): boolean => /^[\w.:-]{1,1024}$/.test(text);

/** The account whatever its status; undefined: there is none. */
export async function accountById(parts: AuthParts, id: string): Promise<Account | undefined> {
  if (!isRowId(id)) return undefined;
  const { rows } = await poolNamed(parts.pool, `select ${COLUMNS} from auth_account a where a.id = $1`, [id]);
  return rows[0] && toAccount(parts, rows[0]);
}

/** The account as it is now, for this transaction alone: ways in and factors are taken away one after another. */
export async function lockAccount(run: Run, parts: AuthParts, id: string): Promise<Account | undefined> {
  const { rows } = await run(`select ${COLUMNS} from auth_account a where a.id = $1 for update`, [id]);
  return rows[0] && toAccount(parts, rows[0]);
}

/** @param email as it was typed */
export async function accountByEmail(parts: AuthParts, email: string): Promise<Account | undefined> {
  const normalised = normaliseEmail(email);
  if (normalised === undefined) return undefined;
  const { rows } = await poolNamed(parts.pool, `select ${COLUMNS} from auth_account a where a.email_tag = $1`, [
    emailTag(parts, normalised),
  ]);
  return rows[0] && toAccount(parts, rows[0]);
}

/** A page of all accounts, oldest first. @param after id of the last one of the page before */
export async function listAccounts(parts: AuthParts, after = '', count = 100): Promise<readonly Account[]> {
  const { rows } = await poolNamed(
    parts.pool,
    `select ${COLUMNS} from auth_account a where a.id > $1 order by a.id limit $2`,
    [after, count],
  );
  return rows.map((row) => toAccount(parts, row));
}

/**
 * The one resource that apps are told as `fhirUser`: who works here is that first.
 * @see https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html#scopes-for-requesting-identity-data
 */
export function fhirUserOf({ profiles }: Pick<Account, 'profiles'>): string | undefined {
  for (const type of ['Practitioner', 'Patient', 'RelatedPerson']) {
    const found = profiles.find((p) => p.startsWith(`${type}/`));
    if (found !== undefined) return found;
  }
  return undefined;
}
