/** Clients as the library of the authorization server knows them. @see https://openid.net/specs/openid-connect-registration-1_0.html#ClientMetadata */
import { decodeProtectedHeader } from 'jose';
import { Provider, type AdapterPayload, type JWKS } from 'oidc-provider';
import type { AuthParts } from '../parts.ts';
import { grantTypesOf, isNative, originsOf, type Client, type PublicJwks } from './client.ts';
import type { ClientKeys } from './keys.ts';
import { findClientSecret } from './registry.ts';

/** The `kid` of the assertion that the present request authenticates with; `null`: it has none. */
function wantedKid(): string | undefined | null {
  const assertion = Provider.ctx?.oidc?.params?.['client_assertion'];
  if (typeof assertion !== 'string') return null;
  try {
    return decodeProtectedHeader(assertion).kid;
  } catch {
    return null;
  }
}

/** The library would fetch keys by itself, and not again when an unknown one is used: it gets them from us. */
async function keysOf({ jwks, jwksUri }: Client, keys: ClientKeys): Promise<PublicJwks | undefined> {
  if (jwks) return jwks;
  if (jwksUri === undefined) return undefined;
  const kid = wantedKid();
  return kid === null ? { keys: [] } : keys.keysAt(jwksUri, kid);
}

function toMetadata(client: Client, secret: string | undefined, jwks: PublicJwks | undefined): AdapterPayload {
  const isApp = client.kind === 'app';
  return {
    client_id: client.clientId,
    client_name: client.name,
    ...(secret === undefined ? {} : { client_secret: secret }),
    ...(jwks === undefined ? {} : { jwks: jwks as JWKS }),
    token_endpoint_auth_method: client.auth,
    application_type: isNative(client) ? 'native' : 'web',
    grant_types: grantTypesOf(client),
    response_types: isApp ? ['code'] : [],
    response_modes: isApp ? ['query'] : [],
    redirect_uris: client.redirectUris,
    post_logout_redirect_uris: client.postLogoutRedirectUris,
    ...(client.logoUri === undefined ? {} : { logo_uri: client.logoUri }),
    ...(client.policyUri === undefined ? {} : { policy_uri: client.policyUri }),
    ...(client.tosUri === undefined ? {} : { tos_uri: client.tosUri }),
    smart_scope: client.scope,
    smart_kind: client.kind,
    smart_origins: originsOf(client).join(' '),
    smart_jku: client.jwksUri ?? '',
  };
}

/** How the library finds a client: anew for each request. */
export const createClientFinder =
  (parts: AuthParts, keys: ClientKeys) =>
  async (clientId: string): Promise<AdapterPayload | undefined> => {
    const found = await findClientSecret(parts, clientId);
    return found && toMetadata(found.client, found.secret, await keysOf(found.client, keys));
  };
