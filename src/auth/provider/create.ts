/** The authorization server: oidc-provider with our hooks, made anew when the signing keys change. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Provider, type AdapterPayload, type JWKS, type KoaContextWithOIDC } from 'oidc-provider';
import { errorFields } from '../../platform/log.ts';
import type { AuthEvent, ObserveAuth } from '../events.ts';
import { loadSigningKeys, signingVersion, type SigningKeys } from '../keys/signing.ts';
import type { AuthParts } from '../parts.ts';
import { createConfiguration } from './config.ts';
import { asideOf, createMiddleware, isPassing, type Asides } from './middleware.ts';
import type { ProviderPages } from './pages.ts';

/** What our pages and routes need of it. */
export interface AuthorizationServer {
  readonly parts: AuthParts;
  readonly observe: ObserveAuth;
  /** Changes with the keys: never keep it. */
  current(): Provider;
  /** @param request with its address below the mount: `/token` */
  handle(request: IncomingMessage, response: ServerResponse): void;
  /** Looks for changed keys now. */
  refreshKeys(): Promise<void>;
  close(): void;
}

export interface ServerParts {
  readonly parts: AuthParts;
  readonly observe: ObserveAuth;
  readonly pages: ProviderPages;
  /** Metadata of a client as the library knows them. */
  readonly findClient: (id: string) => Promise<AdapterPayload | undefined>;
}

/** How soon every process knows of a new key; it signs a day later. */
const KEYS_POLL_MS = 10_000;

function createProvider(server: ServerParts, keys: SigningKeys): Provider {
  const { parts, observe, pages } = server;
  const asides: Asides = new WeakMap();
  const jwks: JWKS = { keys: keys.keys.map((k) => k.jwk) };
  const provider = new Provider(parts.issuer, createConfiguration({ ...server, jwks }));
  // Only behind TLS; what it then believes is written over before the request comes here.
  provider.proxy = parts.issuer.startsWith('https:');
  provider.use(createMiddleware(parts, observe, pages, asides));
  provider.on('server_error', (ctx, error) => {
    asideOf(asides, ctx).failure = error;
    if (!isPassing(error)) parts.log.error('unexpected error of the authorization server', errorFields(error));
  });
  const record = (ctx: KoaContextWithOIDC, event: AuthEvent): void => {
    const recorded = observe(event);
    if (recorded) asideOf(asides, ctx).records.push(recorded);
  };
  provider.on('grant.revoked', (ctx, grantId) =>
    record(ctx, { kind: 'grant-revoked', grantId, reason: ctx.oidc.route === 'revocation' ? 'client' : 'replay' }),
  );
  const refused =
    (endpoint: 'authorization' | 'token' | 'introspection' | 'revocation') =>
    (ctx: KoaContextWithOIDC, error: Error): void =>
      record(ctx, {
        kind: 'refused',
        endpoint,
        ...(ctx.oidc.client ? { clientId: ctx.oidc.client.clientId } : {}),
        error: error.message,
      });
  provider.on('authorization.error', refused('authorization'));
  provider.on('grant.error', refused('token'));
  provider.on('introspection.error', refused('introspection'));
  provider.on('revocation.error', refused('revocation'));
  return provider;
}

export async function createAuthorizationServer(server: ServerParts): Promise<AuthorizationServer> {
  const { parts, observe } = server;
  let keys = await loadSigningKeys(parts);
  let provider = createProvider(server, keys);
  let callback = provider.callback();
  const refreshKeys = async (): Promise<void> => {
    if ((await signingVersion(parts)) === keys.version) return;
    keys = await loadSigningKeys(parts);
    provider = createProvider(server, keys);
    callback = provider.callback();
    parts.log.info('Signing keys changed', { count: keys.keys.length });
  };
  const timer = setInterval(() => {
    refreshKeys().catch((error: unknown) => parts.log.warn('Signing keys cannot be read', errorFields(error)));
  }, KEYS_POLL_MS);
  timer.unref();
  return {
    parts,
    observe,
    current: () => provider,
    handle: (request, response) => void callback(request, response),
    refreshKeys,
    close: () => clearInterval(timer),
  };
}
