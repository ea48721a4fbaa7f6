/** Whole Kairos servers on sockets, in this process: as many as wanted on one database. */
import { listen, safeHeaders, type Listener } from '../../src/compose-http.ts';
import { openKairos, type Kairos, type OpenOptions } from '../../src/compose.ts';
import { loadConfig, type Environment } from '../../src/platform/config.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { TEST_ROOT_KEY } from './root-key.ts';

export interface IdentityServer {
  readonly kairos: Kairos;
  /** Where it listens. */
  readonly listens: string;
  /** Its PUBLIC_URL. */
  readonly origin: string;
  readonly issuer: string;
  readonly fhirBase: string;
  readonly database: TestDatabase;
  close(): Promise<void>;
}

export interface IdentityServerOptions extends Pick<OpenOptions, 'auth' | 'clock'> {
  readonly env?: Environment;
  /** Another server's: it stays when this one is closed. */
  readonly database?: TestDatabase;
}

/** Of the bcrypt hashes in tests. */
const COST = 4;

export async function startIdentityServer(options: IdentityServerOptions = {}): Promise<IdentityServer> {
  const roles = options.database ?? (await createTestDatabase());
  const listener: Listener = await listen('127.0.0.1', 0);
  const origin = `http://localhost:${listener.port}`;
  const kairos = await openKairos(
    loadConfig({
      LOG_LEVEL: 'error',
      DEMO: 'off',
      ROOT_KEY: TEST_ROOT_KEY,
      PUBLIC_URL: origin,
      PORT: String(listener.port),
      OUTBOUND_PRIVATE: 'on',
      RATE_LIMIT: 'off',
      ...options.env,
    }),
    {
      passwordCost: COST,
      ...(options.clock ? { clock: options.clock } : {}),
      ...(options.auth ? { auth: options.auth } : {}),
      database: {
        roles,
        embedded: true,
        joined: true,
        claim: () => Promise.resolve(true),
        onLost: () => undefined,
        close: () => (options.database ? Promise.resolve() : roles.drop()),
      },
    },
  );
  listener.serve(
    (request, env) => kairos.app.fetch(request, env),
    { issuer: kairos.identity.issuer, handle: kairos.oauth },
    safeHeaders(kairos.identity.publicUrl),
  );
  return {
    kairos,
    listens: origin,
    origin: kairos.identity.publicUrl,
    issuer: kairos.identity.issuer,
    fhirBase: kairos.identity.fhirBase,
    database: roles,
    async close() {
      listener.cut();
      await listener.drain(1000);
      await kairos.close();
    },
  };
}

/** Two processes of one installation: the same database, the same public address (the first one's). */
export async function startTwoIdentityServers(
  options: IdentityServerOptions = {},
): Promise<readonly [IdentityServer, IdentityServer]> {
  const first = await startIdentityServer(options);
  const second = await startIdentityServer({
    ...options,
    env: { ...options.env, PUBLIC_URL: options.env?.['PUBLIC_URL'] ?? first.origin },
    database: first.database,
  });
  return [first, second];
}
