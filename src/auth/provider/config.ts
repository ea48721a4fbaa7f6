/** The settings of oidc-provider: what SMART asks of each hook. @see https://github.com/panva/node-oidc-provider/blob/main/docs/README.md */
import { errors, type AdapterPayload, type Client, type Configuration, type JWKS } from 'oidc-provider';
import { mayActFor } from '../access/acts-for.ts';
import { supportedScopes } from '../access/supported.ts';
import { accountById, fhirUserOf } from '../accounts/account.ts';
import type { ObserveAuth } from '../events.ts';
import type { AuthParts } from '../parts.ts';
import { registrationUrl } from '../smart/configuration.ts';
import { isOurAudience } from '../smart/audience.ts';
import { readContext, sessionLives } from '../smart/context.ts';
import { consumeLaunch, launchEncounter } from '../smart/launch.ts';
import { backendScopes, parseScopes, permits, scopeText, withoutNameless } from '../smart/scope.ts';
import { createAdapters } from './adapter.ts';
import {
  ACCESS_TOKEN_SECONDS,
  BACKEND_TOKEN_SECONDS,
  CODE_SECONDS,
  GRANT_MARGIN_SECONDS,
  ID_TOKEN_SECONDS,
  INTERACTION_SECONDS,
  OFFLINE_SECONDS,
  ONLINE_SECONDS,
  PROVIDER_SESSION_SECONDS,
} from './lifetimes.ts';
import type { ProviderPages } from './pages.ts';
import { createPolicy, type Context } from './policy.ts';

/** Properties of a client that the library does not know. */
export const CLIENT_PROPERTIES = ['smart_scope', 'smart_kind', 'smart_origins', 'smart_jku'] as const;

/** Scopes whose meaning the library knows. */
export const STATIC_SCOPES: readonly string[] = ['openid', 'fhirUser', 'profile', 'offline_access'];

export const property = (client: Client | undefined, name: (typeof CLIENT_PROPERTIES)[number]): string => {
  const value: unknown = client?.[name];
  return typeof value === 'string' ? value : '';
};

export const originsOfClient = (client: Client | undefined): readonly string[] =>
  property(client, 'smart_origins')
    .split(' ')
    .filter((origin) => origin !== '');

export interface ConfigParts {
  readonly parts: AuthParts;
  readonly observe: ObserveAuth;
  readonly pages: ProviderPages;
  readonly jwks: JWKS;
  readonly findClient: (id: string) => Promise<AdapterPayload | undefined>;
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** How far ahead an assertion may expire, with some seconds for clocks. */
const ASSERTION_SECONDS = 300;
const CLOCK_SECONDS = 15;
/** How far a client's clock may be ahead of ours. */
const AHEAD_SECONDS = 120;
const MAX_JTI = 512;

/** What cannot be had without a launch, or of this one, is not promised. */
async function scopesOfNothing(ctx: Context, client: Client, parts: AuthParts): Promise<readonly string[]> {
  const handle = ctx.oidc.params?.['launch'];
  if (handle === undefined) return ['launch', 'launch/encounter'];
  return (await launchEncounter(parts, text(handle), client.clientId)) === undefined ? ['launch/encounter'] : [];
}

/**
 * What is left of the requested scopes: what SMART knows and the client may have. Replaces the request's, since the library compares words.
 * @throws InvalidScope when nothing is left
 */
async function resourceScope(ctx: Context, client: Client, parts: AuthParts): Promise<string> {
  const { engine, fhirBase } = parts;
  const { params, route } = ctx.oidc;
  const grantType = text(params?.['grant_type']);
  if (route === 'token' && grantType !== 'client_credentials')
    return ctx.oidc.entities.Grant?.getResourceScope(fhirBase) ?? '';
  const allowed = parseScopes(property(client, 'smart_scope'));
  // Apps never send `prompt=consent`, without which the library has dropped `offline_access`; our consent page always asks.
  const requested = text(route === 'authorization' ? ctx.query['scope'] : params?.['scope']);
  const left =
    route === 'token'
      ? backendScopes(requested, allowed, property(client, 'smart_kind') === 'bulk')
      : permits(parseScopes(requested), allowed);
  const missing = route === 'token' ? [] : await scopesOfNothing(ctx, client, parts);
  const supported = supportedScopes(
    engine,
    left.filter(({ text: name }) => !missing.includes(name)),
  );
  const usable = withoutNameless(supported);
  if (usable.length === 0) throw new errors.InvalidScope('no scope was requested that can be granted', requested);
  const scope = scopeText(usable);
  if (params) params['scope'] = scope;
  return scope;
}

const isOffline = (scope: unknown): boolean => text(scope).split(' ').includes('offline_access');

export function createConfiguration({ parts, observe, pages, jwks, findClient }: ConfigParts): Configuration {
  const { fhirBase, issuer, keys } = parts;
  const secure = issuer.startsWith('https:');
  const named = (name: string): string => (secure ? `__Secure-${name}` : name);
  const cookie = { httpOnly: true, sameSite: 'lax', signed: true, secure, overwrite: true } as const;
  return {
    adapter: createAdapters(parts, observe, findClient),
    jwks,
    routes: {
      authorization: '/authorize',
      token: '/token',
      jwks: '/jwks',
      introspection: '/introspect',
      revocation: '/revoke',
      end_session: '/logout',
    },
    discovery: {
      userinfo_endpoint: `${issuer}/userinfo`,
      registration_endpoint: registrationUrl(parts),
      service_documentation: parts.publicUrl,
    },
    cookies: {
      names: { session: secure ? '__Host-op' : 'op', interaction: named('interaction'), resume: named('resume') },
      long: { ...cookie, path: '/' },
      short: cookie,
      keys: [Buffer.from(keys.derive('provider cookies')).toString('base64url')],
    },
    clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    enabledJWA: { clientAuthSigningAlgValues: ['RS384', 'ES384'], idTokenSigningAlgValues: ['RS256'] },
    extraClientMetadata: { properties: [...CLIENT_PROPERTIES] },
    responseTypes: ['code'],
    subjectTypes: ['public'],
    pkce: { required: () => true },
    allowOmittingSingleRegisteredRedirectUri: false,
    clockTolerance: CLOCK_SECONDS,
    scopes: [...STATIC_SCOPES],
    claims: { openid: ['sub'], fhirUser: ['fhirUser'], profile: ['fhirUser'] },
    features: {
      devInteractions: { enabled: false },
      dPoP: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      userinfo: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => fhirBase,
        useGrantedResource: () => true,
        async getResourceServerInfo(ctx, resource, client) {
          if (resource !== fhirBase) throw new errors.InvalidTarget();
          return {
            scope: await resourceScope(ctx, client, parts),
            audience: fhirBase,
            accessTokenFormat: 'opaque',
            accessTokenTTL:
              ctx.oidc.params?.['grant_type'] === 'client_credentials' ? BACKEND_TOKEN_SECONDS : ACCESS_TOKEN_SECONDS,
          };
        },
      },
      introspection: {
        enabled: true,
        // Systems and apps with a secret may ask about any token, public ones about their own.
        allowedPolicy: (_ctx, client, token) =>
          client.clientAuthMethod !== 'none' || token.clientId === client.clientId,
      },
      revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx, form) => pages.logout(ctx, form),
        postLogoutSuccessSource: (ctx) => pages.signedOut(ctx),
      },
    },
    extraParams: {
      aud(_ctx, value) {
        if (!isOurAudience(value, fhirBase))
          throw new errors.InvalidRequest(`aud must be the FHIR server's base URL, ${fhirBase}`);
      },
      async launch(_ctx, value, client) {
        if (value !== undefined && !(await consumeLaunch(parts, value, client.clientId)))
          throw new errors.InvalidRequest('launch is unknown, too old or was used');
      },
    },
    interactions: {
      policy: createPolicy(parts),
      // The cookie is good below this path only.
      url: (_ctx, interaction) => `${issuer}/interaction/${interaction.uid}/${interaction.prompt.name}`,
    },
    // The library would take the grant of the last launch of the same app, with its patient.
    async loadExistingGrant(ctx) {
      const grantId = ctx.oidc.result?.consent?.grantId;
      const grant = grantId === undefined ? undefined : await ctx.oidc.provider.Grant.find(grantId);
      // What the person left of the requested scopes, which may be narrower ones than were asked for.
      if (grant && ctx.oidc.params) ctx.oidc.params['scope'] = grant.getResourceScope(fhirBase);
      return grant;
    },
    async findAccount(_ctx, sub, token) {
      const account = await accountById(parts, sub);
      if (account?.status !== 'active') return undefined;
      if (token && 'grantId' in token && typeof token.grantId === 'string') {
        const granted = await readContext(parts, token.grantId);
        const uid = granted?.sessionUid;
        if (uid !== undefined && !(await sessionLives(parts, uid))) return undefined;
        // For whom the person may act no more nobody is told any more, nor whether there are such.
        if (token.kind === 'RefreshToken' && !(await mayActFor(parts, account, granted?.context.patient)))
          return undefined;
      }
      const profile = fhirUserOf(account);
      return {
        accountId: sub,
        claims: () => ({ sub, ...(profile === undefined ? {} : { fhirUser: `${fhirBase}/${profile}` }) }),
      };
    },
    async extraTokenClaims(_ctx, token) {
      if (token.kind !== 'AccessToken' || !('grantId' in token) || token.grantId === undefined) return undefined;
      const granted = await readContext(parts, token.grantId);
      return granted ? { ...granted.context } : undefined;
    },
    assertJwtClientAuthClaimsAndHeader(_ctx, claims, header, client) {
      const { aud, exp, sub } = claims;
      // Discovery says which one; the library would take the issuer's and any endpoint's URL too.
      const tokenUrl = `${issuer}/token`;
      if (aud !== tokenUrl && !(Array.isArray(aud) && aud.length === 1 && aud[0] === tokenUrl))
        throw new errors.InvalidClientAuth('aud must be the URL of the token endpoint');
      const { iat, jti } = claims;
      if (typeof iat === 'number' && iat > Date.now() / 1000 + AHEAD_SECONDS)
        throw new errors.InvalidClientAuth('iat must not be ahead');
      if (typeof jti === 'string' && jti.length > MAX_JTI)
        throw new errors.InvalidClientAuth(`jti must have ${MAX_JTI} characters at most`);
      // A token of another kind is no assertion. @see https://www.rfc-editor.org/rfc/rfc8725#section-3.11
      const { typ } = header;
      if (typ !== undefined && (typeof typ !== 'string' || typ.toUpperCase() !== 'JWT'))
        throw new errors.InvalidClientAuth('typ must be JWT');
      if (sub !== client.clientId) throw new errors.InvalidClientAuth('sub must be the client_id');
      if (typeof exp !== 'number' || exp > Date.now() / 1000 + ASSERTION_SECONDS + CLOCK_SECONDS)
        throw new errors.InvalidClientAuth('exp must be five minutes ahead at most');
      if (header['jku'] !== undefined && (header['jku'] || undefined) !== property(client, 'smart_jku'))
        throw new errors.InvalidClientAuth('jku must be the registered URL');
    },
    // Hanging on the library's session would end an app when the same one is launched again in the same browser.
    expiresWithSession: () => false,
    issueRefreshToken: (_ctx, client, source) =>
      client.grantTypeAllowed('refresh_token') &&
      (source.scopes.has('offline_access') || source.scopes.has('online_access')),
    rotateRefreshToken: (ctx) => ctx.oidc.client?.clientAuthMethod === 'none',
    clientBasedCORS: (_ctx, origin, client) => originsOfClient(client).includes(origin),
    ttl: {
      AccessToken: ACCESS_TOKEN_SECONDS,
      AuthorizationCode: CODE_SECONDS,
      ClientCredentials: BACKEND_TOKEN_SECONDS,
      IdToken: ID_TOKEN_SECONDS,
      Interaction: INTERACTION_SECONDS,
      Session: PROVIDER_SESSION_SECONDS,
      // Counted from the first token: rotation does not prolong it.
      RefreshToken: (_ctx, token) =>
        Math.max(1, (isOffline(token.scope) ? OFFLINE_SECONDS : ONLINE_SECONDS) - token.totalLifetime()),
      Grant: (_ctx, grant) =>
        (isOffline(grant.getResourceScope(fhirBase)) ? OFFLINE_SECONDS : ONLINE_SECONDS) + GRANT_MARGIN_SECONDS,
    },
    renderError: (ctx, out) => pages.error(ctx, out),
    fetch: () => Promise.reject(new Error('Nothing is fetched for the authorization server but keys, by us')),
  };
}
