/** Browsers that an account was used from before: tries from there have a budget of their own. */
import { poolNamed } from '../../platform/database/pool.ts';
import { newSecret, secretHash } from '../../platform/keys.ts';
import type { AuthParts } from '../parts.ts';
import { cookieValue, setCookie } from './cookies.ts';

const DAYS = 180;
const SECONDS = DAYS * 86_400;

/** Hash of the device in the cookies if the account knows it. */
export async function knownDevice(
  parts: AuthParts,
  accountId: string | undefined,
  cookieHeader: string | undefined,
): Promise<string | undefined> {
  const secret = cookieValue(parts, cookieHeader, 'device');
  if (secret === undefined) return undefined;
  const hash = secretHash(secret);
  const { rows } = await poolNamed(
    parts.pool,
    `select 1 from auth_known_device where account_id = $1 and hash = $2 and expires_at > to_timestamp($3)`,
    [accountId ?? '', hash, parts.clock.now() / 1000],
  );
  return rows.length > 0 ? hash : undefined;
}

export interface Remembered {
  /** Set-Cookie value. */
  readonly cookie: string;
  /** The account was used from other devices before, and never from this one. */
  readonly isNew: boolean;
}

/** After a sign-in that was complete. */
export async function rememberDevice(
  parts: AuthParts,
  accountId: string,
  cookieHeader: string | undefined,
): Promise<Remembered> {
  const secret = cookieValue(parts, cookieHeader, 'device') ?? newSecret();
  const { rows } = await poolNamed(
    parts.pool,
    `with others as (select count(*) filter (where hash <> $2) as other, count(*) filter (where hash = $2) as same
                     from auth_known_device where account_id = $1 and expires_at > to_timestamp($3)),
          kept as (insert into auth_known_device (account_id, hash, expires_at)
                   values ($1, $2, to_timestamp($3) + make_interval(secs => $4))
                   on conflict (account_id, hash) do update set expires_at = excluded.expires_at)
     select other > 0 and same = 0 from others`,
    [accountId, secretHash(secret), parts.clock.now() / 1000, SECONDS],
  );
  return { cookie: setCookie(parts, 'device', secret, SECONDS), isNew: rows[0]?.[0] === 't' };
}
