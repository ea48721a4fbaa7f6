/**
 * Dynamic registration, for those who hold the initial access token: metadata of RFC 7591, with SMART scopes. Nothing that it names is fetched.
 * @see https://www.rfc-editor.org/rfc/rfc7591
 */
import { timingSafeEqual } from 'node:crypto';
import { secretHash } from '../../platform/keys.ts';
import type { AuthParts } from '../parts.ts';
import { AUTH_METHODS, ClientError, demandJwks, grantTypesOf, type AuthMethod } from './client.ts';
import { parseScope } from '../smart/scope.ts';
import { registerClient, type NewClient } from './registry.ts';

export interface RegistrationReply {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

const isToken = (given: string | undefined, wanted: string): boolean =>
  given !== undefined && timingSafeEqual(Buffer.from(secretHash(given)), Buffer.from(secretHash(wanted)));

type Fields = Readonly<Record<string, unknown>>;

function text(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') throw new ClientError(`${name} must be text.`);
  return value;
}

function texts(fields: Fields, name: string): readonly string[] {
  const value = fields[name] ?? [];
  if (!Array.isArray(value) || value.length > 100 || !value.every((v) => typeof v === 'string'))
    throw new ClientError(`${name} must be an array of texts.`);
  return value;
}

function methodOf(fields: Fields): AuthMethod {
  const given = text(fields, 'token_endpoint_auth_method') ?? 'client_secret_basic';
  const method = AUTH_METHODS.find((m) => m === given);
  if (!method) throw new ClientError(`token_endpoint_auth_method must be one of ${AUTH_METHODS.join(', ')}.`);
  return method;
}

/** What we would have to fetch, or would act against our rules. */
const REFUSED = [
  'sector_identifier_uri',
  'request_uris',
  'software_statement',
  'backchannel_logout_uri',
  'client_secret',
];
/** Of apps only: a system acts without a person, so an administrator registers it. */
const GRANTS = ['authorization_code', 'refresh_token'];

function optional<K extends string>(name: K, value: string | undefined): { readonly [P in K]?: string } {
  return (value === undefined ? {} : { [name]: value }) as { readonly [P in K]?: string };
}

/** Everything that was registered, as it is. @see https://www.rfc-editor.org/rfc/rfc7591#section-3.2.1 */
const told = (client: NewClient): Fields => ({
  client_name: client.name,
  redirect_uris: client.redirectUris,
  post_logout_redirect_uris: client.postLogoutRedirectUris,
  token_endpoint_auth_method: client.auth,
  grant_types: grantTypesOf(client),
  response_types: ['code'],
  scope: client.scope,
  ...optional('initiate_login_uri', client.launchUrl),
  ...(client.jwks === undefined ? {} : { jwks: client.jwks }),
  ...optional('jwks_uri', client.jwksUri),
  ...optional('logo_uri', client.logoUri),
  ...optional('policy_uri', client.policyUri),
  ...optional('tos_uri', client.tosUri),
});

/** @throws ClientError */
function read(fields: Fields): NewClient {
  for (const name of REFUSED) if (fields[name] !== undefined) throw new ClientError(`${name} is not supported.`);
  const grants = fields['grant_types'] === undefined ? ['authorization_code'] : texts(fields, 'grant_types');
  if (grants.some((grant) => !GRANTS.includes(grant)))
    throw new ClientError(`grant_types may be ${GRANTS.join(', ')}.`);
  if (!grants.includes('authorization_code'))
    throw new ClientError('grant_types must hold authorization_code: a refresh token comes of nothing else.');
  const responses = texts(fields, 'response_types');
  if (responses.some((type) => type !== 'code')) throw new ClientError('response_types may be code.');
  const jwks = fields['jwks'];
  if (jwks !== undefined) demandJwks(jwks);
  return {
    kind: 'app',
    name: text(fields, 'client_name') ?? '',
    auth: methodOf(fields),
    redirectUris: texts(fields, 'redirect_uris'),
    postLogoutRedirectUris: texts(fields, 'post_logout_redirect_uris'),
    scope: text(fields, 'scope') ?? '',
    ...(jwks === undefined ? {} : { jwks }),
    ...optional('jwksUri', text(fields, 'jwks_uri')),
    ...optional('launchUrl', text(fields, 'initiate_login_uri')),
    ...optional('logoUri', text(fields, 'logo_uri')),
    ...optional('policyUri', text(fields, 'policy_uri')),
    ...optional('tosUri', text(fields, 'tos_uri')),
  };
}

/** An app of others may work with more than is served here: what is not is left out, and the reply tells what was taken. */
function servedPart({ engine }: AuthParts, client: NewClient): NewClient {
  const served = (word: string): boolean => {
    const scope = parseScope(word);
    return scope?.kind !== 'resource' || scope.type === '*' || engine.resources.has(scope.type);
  };
  const scope = client.scope.split(' ').filter(served).join(' ');
  if (scope === '' && client.scope !== '') throw new ClientError('scope names nothing that is served here.');
  return { ...client, scope };
}

const refused = (status: number, error: string, description?: string): RegistrationReply => ({
  status,
  body: { error, ...(description === undefined ? {} : { error_description: description }) },
});

/** @param body JSON as it was sent */
export async function registerDynamically(
  parts: AuthParts,
  authorization: string | undefined,
  body: string,
): Promise<RegistrationReply> {
  const wanted = parts.settings.registrationToken;
  if (wanted === undefined) return refused(404, 'not_found');
  if (!isToken(/^Bearer (\S{1,1000})$/i.exec(authorization ?? '')?.[1], wanted)) return refused(401, 'invalid_token');
  try {
    const fields: unknown = JSON.parse(body);
    if (typeof fields !== 'object' || fields === null || Array.isArray(fields))
      throw new ClientError('The body must be a JSON object.');
    const client = servedPart(parts, read({ ...fields }));
    const { clientId, secret } = await registerClient(parts, client, 'registration');
    return {
      status: 201,
      body: {
        client_id: clientId,
        client_id_issued_at: Math.floor(parts.clock.now() / 1000),
        ...(secret === undefined ? {} : { client_secret: secret, client_secret_expires_at: 0 }),
        ...told(client),
      },
    };
  } catch (error) {
    if (error instanceof SyntaxError) return refused(400, 'invalid_client_metadata', 'The body is not JSON.');
    if (error instanceof ClientError) return refused(400, error.code, error.message);
    throw error;
  }
}
