/** A clinic's own OpenID Connect provider: a real one, that lets in whom a test says. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Provider, type Configuration } from 'oidc-provider';

export interface Person {
  readonly subject: string;
  readonly name?: string;
  readonly email?: string;
  readonly amr?: readonly string[];
  readonly acr?: string;
}

export interface OpenidProvider {
  readonly issuer: string;
  /** Requests that came. */
  readonly seen: string[];
  /** Who signs in next; undefined: they cancel. */
  letIn(person: Person | undefined): void;
  /** It no longer answers, or does again. */
  pause(isPaused: boolean): void;
  close(): Promise<void>;
}

export const UPSTREAM_CLIENT = { id: 'kairos', secret: 'upstream-secret-of-kairos' } as const;

/** @param redirectUris where its one client may be sent back to */
export async function startOpenidProvider(redirectUris: () => readonly string[]): Promise<OpenidProvider> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://localhost:${(server.address() as AddressInfo).port}`;
  let person: Person | undefined;
  let isPaused = false;
  const seen: string[] = [];
  const people = new Map<string, Person>();
  const configuration: Configuration = {
    claims: { openid: ['sub', 'amr', 'acr', 'auth_time'], profile: ['name'], email: ['email', 'email_verified'] },
    conformIdTokenClaims: false,
    features: { devInteractions: { enabled: false } },
    cookies: { keys: ['test'] },
    ttl: { AccessToken: 600, AuthorizationCode: 60, IdToken: 600, Interaction: 600, Session: 600, Grant: 600 },
    pkce: { required: () => true },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: people.get(id)?.name, email: people.get(id)?.email, email_verified: true }),
    }),
    async loadExistingGrant(ctx) {
      const { client, session, provider } = ctx.oidc;
      if (!client || session?.accountId === undefined) return undefined;
      const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope('openid profile email');
      await grant.save();
      return grant;
    },
  };
  let provider: Provider | undefined;
  const get = (): Provider =>
    (provider ??= new Provider(issuer, {
      ...configuration,
      clients: [
        {
          client_id: UPSTREAM_CLIENT.id,
          client_secret: UPSTREAM_CLIENT.secret,
          redirect_uris: [...redirectUris()],
          response_types: ['code'],
          grant_types: ['authorization_code'],
        },
      ],
    }));
  server.on('request', (request, response) => {
    seen.push(`${request.method} ${request.url?.split('?')[0]}`);
    if (isPaused) {
      response.destroy();
      return;
    }
    if (!request.url?.startsWith('/interaction/')) {
      void get().callback()(request, response);
      return;
    }
    if (person) people.set(person.subject, person);
    void get().interactionFinished(
      request,
      response,
      person
        ? {
            login: {
              accountId: person.subject,
              ...(person.amr ? { amr: [...person.amr] } : {}),
              ...(person.acr === undefined ? {} : { acr: person.acr }),
            },
          }
        : { error: 'access_denied' },
    );
  });
  return {
    issuer,
    seen,
    letIn: (next) => void (person = next),
    pause: (next) => void (isPaused = next),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
