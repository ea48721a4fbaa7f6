/** The clients that are registered, in PostgreSQL; secrets sealed. Nothing is cached: a change holds from the next request on. */
import { randomBytes } from 'node:crypto';
import type { Row } from '../../platform/database/named-query.ts';
import { poolNamed } from '../../platform/database/pool.ts';
import { newSecret } from '../../platform/keys.ts';
import { StartError } from '../../platform/start-error.ts';
import type { AuthParts } from '../parts.ts';
import { parseScopes } from '../smart/scope.ts';
import {
  checkClient,
  CLIENT_ID,
  ClientError,
  originsOf,
  type Client,
  type ClientKind,
  type ClientMetadata,
} from './client.ts';

const COLUMNS = `client_id, kind, metadata, created_by, created_at, disabled_at`;
const SECRET = 'auth_client.secret_sealed';

function fromRow([clientId, kind, metadata, createdBy, createdAt, disabledAt]: Row): Client {
  return {
    // Written by registerClient alone, after checkClient.
    ...(JSON.parse(metadata ?? '{}') as ClientMetadata),
    clientId: clientId ?? '',
    kind: kind as ClientKind,
    createdBy: createdBy ?? '',
    createdAt: createdAt ?? '',
    disabled: disabledAt !== null,
  };
}

/** Disabled ones too. */
export async function listClients({ pool }: AuthParts): Promise<readonly Client[]> {
  const { rows } = await poolNamed(pool, `select ${COLUMNS} from auth_client order by created_at, client_id`);
  return rows.map(fromRow);
}

/** undefined: unknown or disabled. */
export async function findClient({ pool }: AuthParts, clientId: string): Promise<Client | undefined> {
  if (!CLIENT_ID.test(clientId)) return undefined;
  const { rows } = await poolNamed(
    pool,
    `select ${COLUMNS} from auth_client where client_id = $1 and disabled_at is null`,
    [clientId],
  );
  return rows[0] && fromRow(rows[0]);
}

/** With its secret, as the token endpoint compares it. undefined: unknown or disabled. */
export async function findClientSecret(
  { pool, keys }: AuthParts,
  clientId: string,
): Promise<{ readonly client: Client; readonly secret: string | undefined } | undefined> {
  if (!CLIENT_ID.test(clientId)) return undefined;
  const { rows } = await poolNamed(
    pool,
    `select ${COLUMNS}, secret_sealed from auth_client where client_id = $1 and disabled_at is null`,
    [clientId],
  );
  const [row] = rows;
  if (!row) return undefined;
  const sealed = row[6] ?? undefined;
  return { client: fromRow(row), secret: sealed === undefined ? undefined : keys.open(SECRET, clientId, sealed) };
}

const hasSecret = ({ auth }: ClientMetadata): boolean =>
  auth === 'client_secret_basic' || auth === 'client_secret_post';

/** What no text in the database can hold, as JSON writes it. */
const UNSTORABLE = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/i;

/** @throws ClientError naming the types of scopes that nobody could ever use here */
function demandServed({ engine }: Pick<AuthParts, 'engine'>, scope: string): void {
  const types = parseScopes(scope).flatMap((s) => (s.kind === 'resource' && s.type !== '*' ? [s.type] : []));
  const missing = [...new Set(types)].filter((type) => !engine.resources.has(type));
  if (missing.length > 0)
    throw new ClientError(`scope names what is not served here: ${missing.slice(0, 10).join(', ').slice(0, 200)}.`);
}

export interface NewClient extends ClientMetadata {
  readonly kind: ClientKind;
  /** Made when it is not given. */
  readonly clientId?: string;
}

/**
 * @param createdBy account id, `cli`, `registration`
 * @returns the secret once, for those who have one
 * @throws ClientError when something in it is not acceptable
 */
export async function registerClient(
  parts: AuthParts,
  { kind, clientId: wanted, ...metadata }: NewClient,
  createdBy: string,
): Promise<{ readonly clientId: string; readonly secret: string | undefined }> {
  const { pool, keys } = parts;
  checkClient(kind, metadata);
  demandServed(parts, metadata.scope);
  const clientId = wanted ?? randomBytes(12).toString('hex');
  if (!CLIENT_ID.test(clientId))
    throw new ClientError('client_id must have 1 to 64 letters, digits, dots, hyphens and underscores.');
  const secret = hasSecret(metadata) ? newSecret() : undefined;
  const stored = JSON.stringify({ ...metadata, origins: originsOf(metadata) });
  if (UNSTORABLE.test(stored)) throw new ClientError('A text holds the character NUL, or half a character.');
  const { rowCount } = await poolNamed(
    pool,
    `insert into auth_client (client_id, metadata, secret_sealed, kind, created_by) values ($1, $2, $3, $4, $5) on conflict do nothing`,
    [clientId, stored, secret === undefined ? null : keys.seal(SECRET, clientId, secret), kind, createdBy],
  );
  if (rowCount === 0) throw new ClientError(`There is a client ${clientId} already.`);
  return { clientId, secret };
}

/** Ends at once whatever was granted to it. @returns false when there is no such client that is enabled */
export async function disableClient({ pool }: AuthParts, clientId: string): Promise<boolean> {
  const { rows } = await poolNamed(
    pool,
    `with disabled as (update auth_client set disabled_at = now(), updated_at = now() where client_id = $1 and disabled_at is null returning client_id),
      tokens as (delete from auth_oidc where client_id in (select client_id from disabled)),
      contexts as (delete from auth_smart_context where client_id in (select client_id from disabled))
     select client_id from disabled`,
    [clientId],
  );
  return rows.length === 1;
}

/** @returns false when there is no such client that is disabled */
export async function enableClient({ pool }: AuthParts, clientId: string): Promise<boolean> {
  const { rowCount } = await poolNamed(
    pool,
    `update auth_client set disabled_at = null, updated_at = now() where client_id = $1 and disabled_at is not null`,
    [clientId],
  );
  return rowCount === 1;
}

/** A new secret in place of the old, which is refused from now on. @throws ClientError when it has none */
export async function rotateSecret(parts: AuthParts, clientId: string): Promise<string> {
  const client = await findClient(parts, clientId);
  if (!client || !hasSecret(client)) throw new ClientError(`There is no client ${clientId} with a secret.`);
  if (client.kind === 'bootstrap') throw new ClientError('This secret stands in the environment: change it there.');
  const secret = newSecret();
  await poolNamed(
    parts.pool,
    `update auth_client set secret_sealed = $2, updated_at = now() where client_id = $1 and disabled_at is null`,
    [clientId, parts.keys.seal(SECRET, clientId, secret)],
  );
  return secret;
}

/** Whether scripts of this origin belong to some client that is enabled. */
export async function isRegisteredOrigin({ pool }: AuthParts, origin: string): Promise<boolean> {
  if (origin.length > 300 || !URL.canParse(origin)) return false;
  const { rows } = await poolNamed(
    pool,
    `select exists (select from auth_client where disabled_at is null and jsonb_exists(metadata -> 'origins', $1))`,
    [origin],
  );
  return rows[0]?.[0] === 't';
}

/** The system client that the settings ask for; its secret and scopes follow them at each start. */
export async function bootstrapClient(parts: AuthParts): Promise<void> {
  const { bootstrap } = parts.settings;
  if (!bootstrap) return;
  const { clientId, clientSecret, scopes } = bootstrap;
  const metadata: ClientMetadata = {
    name: 'System client of the environment',
    auth: 'client_secret_basic',
    redirectUris: [],
    postLogoutRedirectUris: [],
    scope: scopes,
  };
  try {
    checkClient('bootstrap', metadata);
    demandServed(parts, scopes);
  } catch (error) {
    throw error instanceof ClientError ? new StartError(`BOOTSTRAP_CLIENT_SCOPES: ${error.message}`) : error;
  }
  const known = await findClientSecret(parts, clientId);
  if (known?.client.kind === 'bootstrap' && known.secret === clientSecret && known.client.scope === scopes) return;
  const { rowCount } = await poolNamed(
    parts.pool,
    `insert into auth_client (client_id, metadata, secret_sealed, kind, created_by) values ($1, $2, $3, 'bootstrap', 'environment')
     on conflict (client_id) do update set metadata = excluded.metadata, secret_sealed = excluded.secret_sealed, disabled_at = null, updated_at = now()
       where auth_client.kind = 'bootstrap'`,
    [clientId, JSON.stringify({ ...metadata, origins: [] }), parts.keys.seal(SECRET, clientId, clientSecret)],
  );
  if (rowCount === 0)
    throw new StartError(`BOOTSTRAP_CLIENT_ID must be another: a client ${clientId} was registered already.`);
}
