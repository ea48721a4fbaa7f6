/**
 * Remote providers as they describe themselves: the document is fetched through the guarded fetch, held to what it may point to, and
 * remembered for a while. @see https://www.rfc-editor.org/rfc/rfc8414#section-3
 */
import * as oidc from 'openid-client';
import type { Clock } from '../../platform/clock.ts';
import { OutboundError, type OutboundFetch } from '../../platform/outbound.ts';
import { failure, FederationFailure } from './failure.ts';

export interface Remote {
  /** Of the configuration. */
  readonly clientId: string;
  readonly clientSecret: string | undefined;
  /** An issuer, or the address of its document itself. */
  readonly discovery: string;
}

const REMEMBERED_MS = 600_000;
const TIMEOUT_SECONDS = 10;
/** Never HMAC or none: keys come from the issuer's JWK set. */
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
const texts = (value: unknown): readonly string[] | undefined =>
  Array.isArray(value) ? value.filter((v) => typeof v === 'string') : undefined;

/**
 * An endpoint that the document may name: any host by https, as the issuer itself says so; by http (a clinic's own network) only the host that
 * the document came from.
 */
function safeEndpoint(document: URL, value: unknown): string | undefined {
  const given = text(value);
  if (given === undefined) return undefined;
  const url = URL.canParse(given) ? new URL(given) : undefined;
  if (!url || url.username + url.password + url.hash !== '') throw failure('unsafe');
  const sameOrigin = url.origin === document.origin;
  if (document.protocol === 'https:' ? url.protocol !== 'https:' : !sameOrigin) throw failure('unsafe');
  return given;
}

function demandEndpoint(document: URL, value: unknown): string {
  const endpoint = safeEndpoint(document, value);
  if (endpoint === undefined) throw failure('unsafe');
  return endpoint;
}

/** Of the document only what is used, and checked. */
function serverOf(document: URL, found: oidc.ServerMetadata): oidc.ServerMetadata {
  const methods = texts(found.token_endpoint_auth_methods_supported);
  const challenges = texts(found.code_challenge_methods_supported);
  if (challenges !== undefined && !challenges.includes('S256')) throw failure('unsafe');
  const algorithms = texts(found.id_token_signing_alg_values_supported)?.filter((a) => ALGORITHMS.includes(a));
  const revocation = safeEndpoint(document, found.revocation_endpoint);
  return {
    issuer: found.issuer,
    authorization_endpoint: demandEndpoint(document, found.authorization_endpoint),
    token_endpoint: demandEndpoint(document, found.token_endpoint),
    jwks_uri: demandEndpoint(document, found.jwks_uri),
    ...(revocation === undefined ? {} : { revocation_endpoint: revocation }),
    // Without a word, any that a key of the issuer may have.
    id_token_signing_alg_values_supported: algorithms?.length ? algorithms : ALGORITHMS,
    ...(methods === undefined ? {} : { token_endpoint_auth_methods_supported: [...methods] }),
    authorization_response_iss_parameter_supported: found.authorization_response_iss_parameter_supported === true,
  };
}

function authenticationOf(secret: string | undefined, server: oidc.ServerMetadata): oidc.ClientAuth {
  if (secret === undefined) return oidc.None();
  const methods = server.token_endpoint_auth_methods_supported;
  return methods === undefined || methods.includes('client_secret_basic')
    ? oidc.ClientSecretBasic(secret)
    : oidc.ClientSecretPost(secret);
}

/** The library wraps what the fetch threw. */
function outboundError(error: unknown): OutboundError | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++)
    if (at instanceof OutboundError) return at;
  return undefined;
}

/** It did not answer, or not as somebody who is well. */
const TRANSPORT: readonly (string | undefined)[] = ['OAUTH_TIMEOUT', 'OAUTH_ABORT', 'OAUTH_RESPONSE_IS_NOT_CONFORM'];

/** What our page says of an error of the library or of the fetch. */
export function toFailure(error: unknown): FederationFailure {
  if (error instanceof FederationFailure) return error;
  if (error instanceof oidc.AuthorizationResponseError || error instanceof oidc.ResponseBodyError)
    return failure('refused', error);
  const outbound = outboundError(error);
  if (outbound)
    return failure(outbound.code === 'timeout' || outbound.code === 'unreachable' ? 'unreachable' : 'unsafe', error);
  if (error instanceof oidc.ClientError)
    return failure(TRANSPORT.includes(error.code) ? 'unreachable' : 'unsafe', error);
  if (error instanceof oidc.WWWAuthenticateChallengeError) return failure('refused', error);
  // The library's own word for an argument that cannot be: a document or answer of the wrong shape.
  if (error instanceof TypeError) return failure('unsafe', error);
  throw error;
}

/** Fetches what the library asks for. It marks requests `redirect: manual`; the guard follows none anyway. */
const fetchFor =
  (fetch: OutboundFetch): oidc.CustomFetch =>
  (url, { method, headers, body, signal }) =>
    fetch(url, {
      method,
      headers,
      ...(body === undefined || body === null ? {} : { body: String(body) }),
      ...(signal === undefined ? {} : { signal }),
    });

async function discover(
  { discovery, clientId, clientSecret }: Remote,
  fetch: OutboundFetch,
): Promise<oidc.Configuration> {
  const document = new URL(discovery);
  const insecure = document.protocol === 'http:';
  const execute = insecure ? [oidc.allowInsecureRequests] : [];
  try {
    const customFetch = fetchFor(fetch);
    const options = { [oidc.customFetch]: customFetch, timeout: TIMEOUT_SECONDS, execute };
    const found = (await oidc.discovery(document, clientId, undefined, oidc.None(), options)).serverMetadata();
    const server = serverOf(document, found);
    const configuration = new oidc.Configuration(server, clientId, {}, authenticationOf(clientSecret, server));
    configuration[oidc.customFetch] = customFetch;
    configuration.timeout = TIMEOUT_SECONDS;
    if (insecure) oidc.allowInsecureRequests(configuration);
    // Also what comes straight from the token endpoint is believed by its signature only.
    oidc.enableNonRepudiationChecks(configuration);
    return configuration;
  } catch (error) {
    throw toFailure(error);
  }
}

export interface Remotes {
  readonly fetch: OutboundFetch;
  /** @throws FederationFailure `unreachable`, `unsafe` */
  configurationOf(remote: Remote): Promise<oidc.Configuration>;
}

/** Remembers one configuration for each remote; as many as the settings name. */
export function createRemotes(clock: Clock, fetch: OutboundFetch): Remotes {
  const known = new Map<string, { readonly until: number; readonly found: Promise<oidc.Configuration> }>();
  return {
    fetch,
    configurationOf(remote) {
      const key = `${remote.discovery} ${remote.clientId}`;
      const before = known.get(key);
      if (before && before.until > clock.now()) return before.found;
      const found = discover(remote, fetch);
      known.set(key, { until: clock.now() + REMEMBERED_MS, found });
      // What failed is asked again by the next one.
      found.catch(() => known.get(key)?.found === found && known.delete(key));
      return found;
    },
  };
}
