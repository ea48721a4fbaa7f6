/** Joins the parts into one Kairos: what the server, the commands and the tests have in common. */
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { buildApp, type AppParts } from './app.ts';
import { createAudit, type Audit } from './compose-audit.ts';
import { createPasswords } from './auth/accounts/password.ts';
import { clientAddress } from './auth/client-address.ts';
import type { AuthParts } from './auth/parts.ts';
import { oauthUris } from './auth/smart/oauth-uris.ts';
import { openIdentity, type Identity, type IdentityOptions } from './compose-auth.ts';
import type { Authorize } from './compose-http.ts';
import { createJobs, type Jobs } from './compose-jobs.ts';
import { openProcessKeys, type ProcessKeys } from './compose-keys.ts';
import { createLimits, type Limits } from './compose-limits.ts';
import { loadDefinitions } from './fhir/definitions/registry.ts';
import { loadConformance } from './fhir/conformance/load.ts';
import type { Engine } from './fhir/engine.ts';
import {
  declareOperations,
  declareResources,
  type OperationContext,
  type OperationModule,
  type ResourceModule,
  type UseContext,
} from './operation-context.ts';
import { createBlind } from './fhir/search/blind/blind.ts';
import { createKeptReplies } from './fhir/store/kept-reply.ts';
import { createRepository } from './fhir/store/postgres-repository.ts';
import type { StoreParts } from './fhir/store/reader.ts';
import { searchLayout } from './fhir/store/search-layout.ts';
import { loadTerminology } from './fhir/terminology/terminology.ts';
import { EXCHANGE_TYPES } from './fhir/validation/schema.ts';
import { loadStructures } from './fhir/validation/structure.ts';
import { createValidator } from './fhir/validation/validate.ts';
import { systemClock, type Clock } from './platform/clock.ts';
import type { Config } from './platform/config.ts';
import { migrate } from './platform/database/migrate.ts';
import { openDatabase, type OpenDatabase } from './platform/database/open.ts';
import { openClient, openPool, poolNamed } from './platform/database/pool.ts';
import { loadFolder } from './platform/folder.ts';
import { observeJobs } from './platform/job-metrics.ts';
import type { Keys } from './platform/keys.ts';
import { createLog, type Log } from './platform/log.ts';
import { createMetrics, type Metrics } from './platform/metrics.ts';
import { createHub, type Hub } from './scheduling/events/hub.ts';
import { createScheduling, type Scheduling } from './scheduling/scheduling.ts';

/** Connections beside those of the lanes: more of them lengthen the tail on two cores without more throughput. */
const POOL = 8;

export interface Kairos {
  readonly config: Config;
  readonly engine: Engine;
  readonly app: ReturnType<typeof buildApp>;
  /** What the repository is made of, for jobs that go through whole tables. */
  readonly store: StoreParts;
  readonly database: OpenDatabase;
  /** Connections as the application role. */
  readonly pool: pg.Pool;
  readonly keys: Keys;
  /** What everything is sealed with. */
  readonly processKeys: ProcessKeys;
  /** What everything in `auth/` is made of. */
  readonly identity: AuthParts;
  readonly scheduling: Scheduling;
  /** The authorization server and its pages. */
  readonly auth: Identity;
  readonly limits: Limits;
  /** The authorization server, for the listener: it comes before the application. */
  readonly oauth: Authorize['handle'];
  /** Who saw and did what. */
  readonly audit: Audit;
  readonly jobs: Jobs;
  readonly log: Log;
  readonly metrics: Metrics;
  /** From now on `/readyz` says no. */
  unready(): void;
  /** Ends the connections, and an embedded database that no other process uses. */
  close(): Promise<void>;
}

export interface OpenOptions {
  /** Progress for a person. */
  readonly say?: (sentence: string) => void;
  readonly clock?: Clock;
  /** Of bcrypt: tests sign in often. */
  readonly passwordCost?: number;
  readonly auth?: IdentityOptions;
  /** Instead of the check of bearer tokens: for tests of what comes after it. */
  readonly accessOf?: NonNullable<AppParts['accessOf']>;
  /** A database that is open already. */
  readonly database?: OpenDatabase;
  /** Called with the open database before anything is done to it. */
  readonly opened?: (database: OpenDatabase) => Promise<void>;
}

const publicUrlOf = (config: Pick<Config, 'publicUrl' | 'port'>): string =>
  config.publicUrl ?? `http://localhost:${config.port}`;

const folder = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

const answers = (pool: pg.Pool): Promise<boolean> =>
  poolNamed(pool, 'select 1').then(
    () => true,
    () => false,
  );

function observePool(metrics: Metrics, pool: pg.Pool): void {
  metrics.gauge('db_pool_connections', 'Connections of the pool, by what they do.', () => [
    [{ state: 'idle' }, pool.idleCount],
    [{ state: 'busy' }, pool.totalCount - pool.idleCount],
  ]);
  metrics.gauge('db_pool_waiting', 'Requests that wait for a connection.', () => [[{}, pool.waitingCount]]);
}

/**
 * Opens the database, migrates it, loads the definitions in use.
 * @throws StartError with a sentence for the operator
 */
export async function openKairos(config: Config, options: OpenOptions = {}): Promise<Kairos> {
  const opening = options.database ? Promise.resolve(options.database) : openDatabase(config, options.say);
  // The server comes up in a process of its own while this one reads the definitions.
  opening.catch(() => undefined);
  const [types, modules] = await Promise.all([
    loadFolder<ResourceModule>(folder('resources')),
    loadFolder<OperationModule>(folder('operations')),
  ]);
  const definitions = loadDefinitions();
  const terminology = loadTerminology();
  const joined: { context?: OperationContext; keys?: Keys } = {};
  const use: UseContext = () => {
    if (!joined.context) throw new Error('A declaration was used before everything was joined');
    return joined.context;
  };
  const resources = new Map(declareResources(types, use).map((d) => [d.type, d]));
  const publicUrl = publicUrlOf(config);
  const baseUrl = `${publicUrl}/fhir/R4`;
  const issuer = `${publicUrl}/oauth`;

  const database = await opening;
  const { app } = database.roles;
  const { statementTimeoutMs } = config;
  const pool = openPool(app, { max: POOL, name: 'kairos', statementTimeoutMs });
  const processKeys = await openProcessKeys(config, app, { definitions, resources, baseUrl }, options.say).catch(
    async (error: unknown) => {
      await pool.end();
      await database.close();
      throw error;
    },
  );
  const log = createLog(config.logLevel);
  const audit = createAudit(config, app, processKeys.content, log);
  const { content, recorder } = audit;
  const blind = createBlind(resources.values(), () => {
    if (!joined.keys) throw new Error('A search column was filled before the keys were there');
    return joined.keys;
  });
  const layout = searchLayout({ definitions, blind }, baseUrl);
  const store: StoreParts = { resources, layout, content, ...(recorder ? { recorder } : {}) };
  const repository = createRepository({
    ...store,
    pool,
    openClient: () => openClient(app, 'kairos lane', statementTimeoutMs),
  });
  const jobs = createJobs({ config, roles: database.roles, pool, log });
  let auth: Identity | undefined;
  let events: Hub | undefined;
  let limits: Limits | undefined;
  const close = async (): Promise<void> => {
    await limits?.close();
    await events?.close();
    await jobs.close();
    await auth?.close();
    await audit.writer.close();
    await repository.close();
    await processKeys.close();
    await pool.end();
    await database.close();
  };
  try {
    await options.opened?.(database);
    await migrate(database.roles, {
      queue: config.redisUrl === undefined,
      ...(options.say ? { say: options.say } : {}),
    });
    const { keys } = await processKeys.open();
    joined.keys = keys;
    const operations = declareOperations(modules, use);
    const engine: Engine = {
      definitions,
      resources,
      operations,
      blind,
      repository,
      validator: createValidator(definitions, terminology, {
        types: [...resources.keys(), ...EXCHANGE_TYPES],
        structures: loadStructures(),
      }),
      terminology,
      limits: config.limits,
      clock: options.clock ?? systemClock,
      baseUrl,
      validateReferences: config.validateReferences,
      oauthUris: oauthUris({ issuer, publicUrl, settings: config.identity }),
      keptReplies: createKeptReplies(keys),
      cursorKey: keys.derive('page links'),
    };
    const observers = audit.join(engine, keys);
    await loadConformance(engine);
    const identity: AuthParts = {
      pool,
      keys,
      clock: engine.clock,
      log,
      settings: config.identity,
      passwords: createPasswords({
        keys,
        hasher: config.identity.hasher,
        ...(options.passwordCost === undefined ? {} : { cost: options.passwordCost }),
      }),
      publicUrl,
      issuer,
      fhirBase: baseUrl,
      engine,
      observe: options.auth?.observe ?? audit.observeAuth,
    };
    const scheduling = createScheduling(engine, { keys, log, slotHorizonDays: config.slotHorizonDays });
    joined.context = { identity, scheduling };
    const metrics = createMetrics();
    observePool(metrics, pool);
    observeJobs(metrics, { database: pool, counts: async () => (await jobs.queue()).counts() });
    let stopping = false;
    const ready = async (): Promise<boolean> => !stopping && (await answers(pool));
    auth = await openIdentity(identity, () => openClient(app, 'kairos identity', statementTimeoutMs), {
      openBoard: async () => (await jobs.queue()).board(),
      ...options.auth,
    });
    const hub = createHub(engine, { log, key: keys.derive('event positions'), maxStreams: config.eventStreams });
    events = hub;
    limits = createLimits({ config, pool, keys, log });
    const http = buildApp(engine, {
      log,
      events: hub,
      metrics,
      ready,
      pages: auth.pages,
      notFound: auth.notFound,
      observers,
      addressOf: (incoming) => clientAddress(identity, incoming),
      accessOf: options.accessOf ?? auth.accessOf,
      admit: limits.admit,
    });
    const unready = (): void => {
      stopping = true;
      // They would keep the socket open for ever.
      void hub.close();
    };
    return {
      config,
      engine,
      app: http,
      store,
      database,
      pool,
      keys,
      processKeys,
      identity,
      scheduling,
      auth,
      limits,
      oauth: limits.guarded(auth.oauth),
      audit,
      jobs,
      log,
      metrics,
      unready,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
