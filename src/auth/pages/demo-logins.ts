/** The accounts of the demo clinic, as far as they may be shown to whoever comes by: never their passwords. */
import { poolNamed } from '../../platform/database/pool.ts';
import { accountById, type Account } from '../accounts/account.ts';
import { isDemoHere } from '../mfa/policy.ts';
import type { AuthParts } from '../parts.ts';

/** Those that still have the password that was made for them; none where the server is no demo on this machine. */
export async function demoAccounts(parts: AuthParts): Promise<readonly Account[]> {
  if (!isDemoHere(parts)) return [];
  const { rows } = await poolNamed(
    parts.pool,
    `select id from auth_account where mfa_exempt and password_changed_at is null and status = 'active' order by id limit 12`,
  );
  const accounts = await Promise.all(rows.map(([id]) => accountById(parts, id ?? '')));
  return accounts.filter((account) => account !== undefined);
}
