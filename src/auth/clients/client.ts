/**
 * A registered client: an app that people use, or a system that acts for itself; and the rules that its registration must keep.
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#register-app-with-ehr
 */
import { createPublicKey, type AsymmetricKeyDetails } from 'node:crypto';
import { parseScope, type Scope } from '../smart/scope.ts';

/** `bulk`: a system that only reads; `bootstrap`: the system of the environment's settings. */
export type ClientKind = 'app' | 'backend' | 'bulk' | 'bootstrap';

export const AUTH_METHODS = ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'] as const;
export type AuthMethod = (typeof AUTH_METHODS)[number];

/** A public key as RFC 7517 writes it. */
export type PublicJwk = Readonly<Record<string, unknown>>;
export interface PublicJwks {
  readonly keys: readonly PublicJwk[];
}

/** What a registration says; stored as it is. */
export interface ClientMetadata {
  readonly name: string;
  readonly auth: AuthMethod;
  readonly redirectUris: readonly string[];
  readonly postLogoutRedirectUris: readonly string[];
  /** Scopes that it may be granted at most. */
  readonly scope: string;
  /** Where an EHR launch opens it. */
  readonly launchUrl?: string;
  readonly jwks?: PublicJwks;
  readonly jwksUri?: string;
  readonly logoUri?: string;
  readonly policyUri?: string;
  readonly tosUri?: string;
}

export interface Client extends ClientMetadata {
  readonly clientId: string;
  readonly kind: ClientKind;
  readonly createdBy: string;
  readonly createdAt: string;
  readonly disabled: boolean;
}

/** A registration that cannot be accepted. @see https://www.rfc-editor.org/rfc/rfc7591#section-3.2.2 */
export class ClientError extends Error {
  readonly code: 'invalid_redirect_uri' | 'invalid_client_metadata';
  constructor(message: string, code: ClientError['code'] = 'invalid_client_metadata') {
    super(message);
    this.name = 'ClientError';
    this.code = code;
  }
}

export const CLIENT_ID = /^[\w.-]{1,64}$/;
const MAX_URIS = 20;
const MAX_URI = 2000;
const MAX_KEYS = 20;
const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);
const SCRIPTING = /^(?:javascript|vbscript|data|blob|file|about|ftp|wss?):$/;
/** Controls, and what is invisible or turns the direction of writing. */
const UNSAFE_NAME = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

/** Others are not written into a URI but encoded; the database could not hold some. @see https://www.rfc-editor.org/rfc/rfc3986#section-2 */
const URI_CHARACTERS = /^[!-~]+$/;
const parseUri = (text: string): URL | null =>
  text.length <= MAX_URI && URI_CHARACTERS.test(text) ? URL.parse(text) : null;

const isWeb = (url: URL): boolean => url.protocol === 'https:' || url.protocol === 'http:';

/** https, or http on this machine. */
function demandWebUri(text: string, name: string): void {
  const url = parseUri(text);
  const secure = url?.protocol === 'https:' || (url?.protocol === 'http:' && LOOPBACK.has(url.hostname));
  if (!url || !secure || url.username !== '' || url.password !== '' || url.hash !== '')
    throw new ClientError(`${name} must be an https URL (http on localhost) without user name and fragment.`);
}

/** @see https://www.rfc-editor.org/rfc/rfc8252#section-7 */
function demandRedirectUri(text: string): void {
  const refuse = (why: string): never => {
    throw new ClientError(`A redirect URI ${why}.`, 'invalid_redirect_uri');
  };
  const url = parseUri(text);
  if (!url || /[\s*\\]/.test(text)) return refuse('must be an absolute URL without wildcards');
  if (text.includes('#')) refuse('must not have a fragment');
  if (url.username !== '' || url.password !== '') refuse('must not have a user name');
  if (SCRIPTING.test(url.protocol)) refuse('must not have this scheme');
  if (url.protocol === 'http:' && !LOOPBACK.has(url.hostname)) refuse('may be http on localhost only: use https');
  // Browsers fold them into another address than was registered.
  if (/\/(?:\.|%2e){1,2}(?:[/?]|$)/i.test(text)) refuse('must not have a segment . or ..');
}

const RSA_BITS = 2048;

/** Strength of a key that can be used, whose point lies on its curve; undefined: it is none. */
function detailsOf(jwk: Readonly<Record<string, unknown>>): AsymmetricKeyDetails | undefined {
  try {
    return createPublicKey({ key: { ...jwk }, format: 'jwk' }).asymmetricKeyDetails;
  } catch {
    return undefined;
  }
}

/** Whether a key can check RS384 or ES384. */
function demandKey(key: unknown): void {
  if (typeof key !== 'object' || key === null) throw new ClientError('jwks.keys must hold objects.');
  const jwk = key as Record<string, unknown>;
  const { d, k, kid, alg } = jwk;
  if (d !== undefined || k !== undefined)
    throw new ClientError('jwks must hold public keys only: never send a private or symmetric one.');
  if (kid !== undefined && (typeof kid !== 'string' || !/^[!-~]{1,200}$/.test(kid)))
    throw new ClientError('The kid of a key must be text.');
  if (alg !== undefined && alg !== 'RS384' && alg !== 'ES384')
    throw new ClientError('The alg of a key must be RS384 or ES384.');
  const { modulusLength = 0, namedCurve } = detailsOf(jwk) ?? {};
  if (modulusLength < RSA_BITS && namedCurve !== 'secp384r1')
    throw new ClientError('A key must be RSA of 2048 bits or more (RS384), or on the curve P-384 (ES384).');
}

/** @throws ClientError when it is no set of public keys for RS384 or ES384 */
export function demandJwks(jwks: unknown): asserts jwks is PublicJwks {
  const keys: unknown = typeof jwks === 'object' && jwks !== null && 'keys' in jwks ? jwks.keys : undefined;
  if (!Array.isArray(keys) || keys.length === 0 || keys.length > MAX_KEYS)
    throw new ClientError(`jwks must have keys, ${MAX_KEYS} at most.`);
  for (const key of keys) demandKey(key);
}

function demandScopes(kind: ClientKind, text: string): void {
  const parts = text.split(' ').filter((part) => part !== '');
  if (parts.length === 0) throw new ClientError('scope must name at least one scope.');
  for (const part of parts) {
    const scope = parseScope(part);
    if (!scope) throw new ClientError(`scope ${part.slice(0, 100)} is not a SMART scope.`);
    if (!fits(kind, scope)) throw new ClientError(`scope ${part.slice(0, 100)} is not for a client of kind ${kind}.`);
  }
}

/** People's scopes are for apps, the system's for systems; a bulk client only reads. */
function fits(kind: ClientKind, scope: Scope): boolean {
  const isSystem = scope.kind === 'resource' && scope.level === 'system';
  if (kind === 'app') return !isSystem;
  if (!isSystem) return false;
  return kind !== 'bulk' || [...scope.letters].every((letter) => letter === 'r' || letter === 's');
}

function demandKeys({ auth, jwks, jwksUri }: ClientMetadata): void {
  if (auth !== 'private_key_jwt') {
    if (jwks !== undefined || jwksUri !== undefined)
      throw new ClientError('jwks and jwks_uri are for private_key_jwt.');
    return;
  }
  if ((jwks === undefined) === (jwksUri === undefined))
    throw new ClientError('private_key_jwt needs either jwks or jwks_uri.');
  if (jwks !== undefined) demandJwks(jwks);
  if (jwksUri !== undefined) demandWebUri(jwksUri, 'jwks_uri');
}

/** @throws ClientError naming what is wrong with a registration */
export function checkClient(kind: ClientKind, metadata: ClientMetadata): void {
  const { name, auth, redirectUris, postLogoutRedirectUris } = metadata;
  if (name.trim() === '' || name.length > 200 || UNSAFE_NAME.test(name))
    throw new ClientError('client_name must have 1 to 200 visible characters.');
  if (!AUTH_METHODS.includes(auth))
    throw new ClientError(`token_endpoint_auth_method must be one of ${AUTH_METHODS.join(', ')}.`);
  demandScopes(kind, metadata.scope);
  demandKeys(metadata);
  if (kind === 'app') {
    if (redirectUris.length === 0 || redirectUris.length > MAX_URIS)
      throw new ClientError(`An app needs redirect_uris, ${MAX_URIS} at most.`, 'invalid_redirect_uri');
  } else {
    if (redirectUris.length > 0) throw new ClientError('A system has no redirect_uris.', 'invalid_redirect_uri');
    if (auth === 'none') throw new ClientError('A system must authenticate: it needs a secret or keys.');
  }
  if (postLogoutRedirectUris.length > MAX_URIS)
    throw new ClientError(`post_logout_redirect_uris may be ${MAX_URIS} at most.`);
  for (const uri of [...redirectUris, ...postLogoutRedirectUris]) demandRedirectUri(uri);
  for (const [uri, label] of [
    [metadata.launchUrl, 'launch_url'],
    [metadata.logoUri, 'logo_uri'],
    [metadata.policyUri, 'policy_uri'],
    [metadata.tosUri, 'tos_uri'],
  ] as const)
    if (uri !== undefined) demandWebUri(uri, label);
}

/** An app may refresh when it may have a refresh token at all. */
export function grantTypesOf({ kind, scope }: Pick<Client, 'kind' | 'scope'>): readonly string[] {
  if (kind !== 'app') return ['client_credentials'];
  const refreshes = /(?:^| )(?:offline|online)_access(?: |$)/.test(scope);
  return refreshes ? ['authorization_code', 'refresh_token'] : ['authorization_code'];
}

/** Origins whose scripts may call the token endpoint and FHIR for it. */
export const originsOf = ({ redirectUris }: ClientMetadata): readonly string[] => [
  ...new Set(
    redirectUris.flatMap((uri) => {
      const url = URL.parse(uri);
      return url && isWeb(url) ? [url.origin] : [];
    }),
  ),
];

/** Apps of a device come back through a scheme of their own. */
export const isNative = ({ redirectUris }: ClientMetadata): boolean =>
  redirectUris.some((uri) => {
    const url = URL.parse(uri);
    return url !== null && !isWeb(url);
  });
