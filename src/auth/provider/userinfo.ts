/**
 * UserInfo: the library answers it only for tokens without an audience, and ours are for FHIR.
 * @see https://openid.net/specs/openid-connect-core-1_0.html#UserInfo
 */
import { secretHash } from '../../platform/keys.ts';
import { poolNamed } from '../../platform/database/pool.ts';
import { accountById, fhirUserOf } from '../accounts/account.ts';
import { property } from './config.ts';
import { sessionLives } from '../smart/context.ts';
import type { AuthorizationServer } from './create.ts';

export interface JsonReply {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;
}

const challenge = (status: number, error: string): JsonReply => ({
  status,
  body: { error },
  headers: { 'WWW-Authenticate': `Bearer error="${error}"` },
});

/** The account and scope of an access token of a person; undefined: it is none that is good now. */
async function tokenOf(
  { parts }: AuthorizationServer,
  token: string,
): Promise<{ readonly accountId: string; readonly clientId: string; readonly scopes: readonly string[] } | undefined> {
  const { rows } = await poolNamed(
    parts.pool,
    `select t.account_id, t.client_id, t.payload ->> 'scope', c.session_uid from auth_oidc t
     join auth_oidc g on g.model = 'Grant' and g.id_hash = t.grant_id
     join auth_smart_context c on c.grant_id = t.grant_id
     join auth_client k on k.client_id = t.client_id and k.disabled_at is null
     where t.model = 'AccessToken' and t.id_hash = $1 and t.expires_at > now()`,
    [secretHash(token)],
  );
  const [row] = rows;
  if (!row) return undefined;
  const sessionUid = row[3] ?? undefined;
  if (sessionUid !== undefined && !(await sessionLives(parts, sessionUid))) return undefined;
  return { accountId: row[0] ?? '', clientId: row[1] ?? '', scopes: (row[2] ?? '').split(' ') };
}

/** @param authorization the header; `origin` of the script that asks */
export async function userinfo(
  server: AuthorizationServer,
  authorization: string | undefined,
  origin: string | undefined,
): Promise<JsonReply> {
  const token = /^Bearer ([A-Za-z0-9_-]{20,200})$/i.exec(authorization ?? '')?.[1];
  if (token === undefined) {
    if (authorization !== undefined) return challenge(401, 'invalid_token');
    return { status: 401, body: { error: 'invalid_request' }, headers: { 'WWW-Authenticate': 'Bearer' } };
  }
  const found = await tokenOf(server, token);
  const account = found && (await accountById(server.parts, found.accountId));
  if (!found || account?.status !== 'active') return challenge(401, 'invalid_token');
  if (!found.scopes.includes('openid')) return challenge(403, 'insufficient_scope');
  const client = await server.current().Client.find(found.clientId);
  const isRegistered = origin !== undefined && property(client, 'smart_origins').split(' ').includes(origin);
  const profile = fhirUserOf(account);
  const tellsProfile = profile !== undefined && found.scopes.some((s) => s === 'fhirUser' || s === 'profile');
  return {
    status: 200,
    body: {
      sub: account.id,
      ...(tellsProfile ? { fhirUser: `${server.parts.fhirBase}/${profile}` } : {}),
    },
    headers: isRegistered ? { 'Access-Control-Allow-Origin': origin } : {},
  };
}
