/** What people have granted to apps: the list of connected apps, and ending a grant with every token that hangs on it. */
import { poolNamed } from '../../platform/database/pool.ts';
import { parseScopes, type Scope } from '../smart/scope.ts';
import type { AuthParts } from '../parts.ts';

export interface ConnectedApp {
  readonly grantId: string;
  readonly clientId: string;
  readonly clientName: string;
  readonly scopes: readonly Scope[];
  /** Id of the Patient in context. */
  readonly patient: string | undefined;
  /** It may come back without the person (`offline_access`). */
  readonly offline: boolean;
  readonly grantedAt: string;
  /** Of its newest token. */
  readonly lastUsedAt: string | undefined;
}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

/** Apps that still hold something: tokens, or a code that can become tokens. */
export async function listGrants({ pool, fhirBase }: AuthParts, accountId: string): Promise<readonly ConnectedApp[]> {
  const { rows } = await poolNamed(
    pool,
    `select c.grant_id, c.client_id, k.metadata ->> 'name', g.payload -> 'resources' ->> $2, c.context ->> 'patient', c.created_at, max(coalesce(t.last_used_at, to_timestamp((t.payload ->> 'iat')::float8)))
     from auth_smart_context c
     join auth_oidc g on g.model = 'Grant' and g.id_hash = c.grant_id and g.expires_at > now()
     join auth_client k on k.client_id = c.client_id and k.disabled_at is null
     join auth_oidc t on t.grant_id = c.grant_id and t.consumed_at is null and t.expires_at > now()
     where c.account_id = $1
     group by 1, 2, 3, 4, 5, 6 order by c.created_at desc`,
    [accountId, fhirBase],
  );
  return rows.map(([grantId, clientId, clientName, scope, patient, grantedAt, usedAt]) => {
    const scopes = parseScopes(scope ?? '');
    return {
      grantId: grantId ?? '',
      clientId: clientId ?? '',
      clientName: clientName ?? '',
      scopes,
      patient: text(patient),
      offline: scopes.some((s) => s.text === 'offline_access'),
      grantedAt: grantedAt ?? '',
      lastUsedAt: text(usedAt),
    };
  });
}

/** Ends a grant and all its tokens. @returns false when there was none */
export async function revokeGrant({ pool }: Pick<AuthParts, 'pool'>, grantId: string): Promise<boolean> {
  const { rowCount } = await poolNamed(
    pool,
    `with context as (delete from auth_smart_context where grant_id = $1)
     delete from auth_oidc where grant_id = $1 or (model = 'Grant' and id_hash = $1)`,
    [grantId],
  );
  return rowCount > 0;
}

/**
 * Disconnects the app of a grant of this account, from the page of connected apps: an app that was let in twice is out altogether.
 * @returns false when the account has no such grant
 */
export async function revokeGrantOf(parts: AuthParts, accountId: string, grantId: string): Promise<boolean> {
  const { rows } = await poolNamed(
    parts.pool,
    `select o.grant_id from auth_smart_context c
     join auth_smart_context o on o.account_id = c.account_id and o.client_id = c.client_id
     where c.grant_id = $1 and c.account_id = $2`,
    [grantId, accountId],
  );
  let ended = false;
  for (const [each] of rows) ended = (await revokeGrant(parts, each ?? '')) || ended;
  return ended;
}
