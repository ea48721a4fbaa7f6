/** Configuration from the environment: one table of settings, each with its type, default and description. */
import path from 'node:path';
import { existsSync } from 'node:fs';
import { parseEhrs, parseUpstreams, type IdentitySettings } from './identity-settings.ts';
import {
  folder,
  host,
  integer,
  isLoopback,
  json,
  oneOf,
  onOff,
  publicUrl,
  text,
  url,
  words,
  type Kind,
} from './setting-kinds.ts';
import { StartError } from './start-error.ts';

interface Setting<T> {
  readonly kind: Kind<T>;
  /** As it would be written in the environment; undefined: may be left unset. */
  readonly default: string | undefined;
  readonly description: string;
}

/** The value of a setting that has no default may be undefined. */
interface Optional<T> extends Setting<T> {
  readonly default: undefined;
}

const setting = <T>(
  kind: Kind<T>,
  fallback: string,
  description: string,
): Setting<T> & { readonly default: string } => ({
  kind,
  default: fallback,
  description,
});
const optional = <T>(kind: Kind<T>, description: string): Optional<T> => ({ kind, default: undefined, description });

const SETTINGS = {
  HOST: setting(
    host,
    '127.0.0.1',
    'Address to listen on; `0.0.0.0`: all of them. Any but a loopback address needs a `PUBLIC_URL` with https, or one on this machine, so that passwords and tokens never cross a network in clear.',
  ),
  PORT: setting(integer(0, 65_535), '8080', 'Port to listen on. `0` takes a free one.'),
  PUBLIC_URL: optional(
    publicUrl,
    'Base URL as clients see it; FHIR is served under `/fhir/R4`. Unset: `http://localhost:<PORT>`.',
  ),
  DATA_DIR: setting(folder, '.data', 'Folder of the embedded database and of everything else that must last.'),
  DATABASE_URL: optional(
    url('postgres:', 'postgresql:'),
    'PostgreSQL 18 to use, as the application role. Unset: an embedded one under `DATA_DIR`.',
  ),
  DATABASE_OWNER_URL: optional(
    url('postgres:', 'postgresql:'),
    'The same database as the role that owns the tables, for migrations. Unset: `DATABASE_URL`.',
  ),
  REDIS_URL: optional(url('redis:', 'rediss:'), 'Redis for the job queue. Unset: the queue lives in PostgreSQL.'),
  LOG_LEVEL: setting(
    oneOf('debug', 'info', 'warn', 'error', 'silent'),
    'info',
    'Least severe log lines that are written (JSON, standard error).',
  ),
  DEMO: optional(
    onOff,
    'Load a demo clinic into an empty database at start. Unset: `on` with the embedded database, else `off`.',
  ),
  DEMO_SEED: setting(
    integer(0, 4_294_967_295),
    '1',
    'Seed number of the demo clinic: the same number gives the same clinic.',
  ),
  VALIDATE_REFERENCES: setting(onOff, 'on', 'Refuse resources that refer to missing resources of served types.'),
  WORKER: setting(onOff, 'on', 'Run jobs in the server process. `off`: `npm run worker` runs them.'),
  SLOT_HORIZON_DAYS: setting(
    integer(1, 730),
    '60',
    'How many days ahead Slots are generated at most; a service with a shorter horizon has fewer.',
  ),
  ROOT_KEY: optional(
    text('32 random bytes in base64', /^[A-Za-z0-9+/]{43}=$/),
    'Key that wraps every other key: 32 random bytes in base64, the same in every process. Unset: the file `DATA_DIR/keys/root.key`, which the first start with the embedded database makes. Without it the data cannot be read again: keep a copy. See docs/encryption.md.',
  ),
  ROOT_KEY_ALSO: setting(
    words('root keys with commas between them', /^[A-Za-z0-9+/]{43}=$/),
    '',
    'Further root keys that open what they wrapped: the next or the last one, while `ROOT_KEY` is exchanged.',
  ),
  ENCRYPTION: setting(
    onOff,
    'on',
    'Seal what speaks of a person. `off` is for measurements of what that costs, with a database of their own.',
  ),
  AUDIT: setting(
    onOff,
    'on',
    'Record every access. `off`: only to measure what that costs; nothing tells later who saw what meanwhile.',
  ),
  AUDIT_ROOTS_FILE: optional(
    folder,
    'File that the signed roots of the record are appended to: on another machine or medium it shows that an old copy was put in place. Unset: `audit-roots.txt` in `DATA_DIR`.',
  ),
  PASSWORD_HASHER: setting(
    oneOf('bcrypt', 'argon2id'),
    'bcrypt',
    'How new passwords are hashed; others are hashed again at the next sign-in.',
  ),
  MFA_ROLES: setting(
    words(
      'some of patient, physician, staff, admin, privacy-officer, or none',
      /^(?:patient|physician|staff|admin|privacy-officer|none)$/,
    ),
    'staff,admin',
    'Roles that must have a second factor; `none`: it is left to everybody.',
  ),
  SMTP_URL: optional(
    url('smtp:', 'smtps:'),
    'Mail server, `smtp://user:password@host:587`. Unset: messages are kept; with a demo clinic `/dev/mail` shows them.',
  ),
  MAIL_FROM: setting(
    text('an e-mail address, perhaps with a name before it in <>', /^[^\r\n]*[^\s@<>]+@[^\s@<>]+>?$/),
    'Kairos <kairos@localhost>',
    'Sender of mail.',
  ),
  OIDC_PROVIDERS: setting(
    json(parseUpstreams),
    '[]',
    "The clinic's own OpenID Connect providers that people may sign in with: objects of `id`, `name`, `issuer`, `client_id`, `client_secret`, `scope` (`openid profile`), `mfa_acr`. See docs/ehr.md.",
  ),
  EHR_ISSUERS: setting(
    json(parseEhrs),
    '[]',
    'EHRs that may launch Kairos: objects of `id` (needed when there are several), `name`, `issuer` (FHIR base), `client_id`, `client_secret`, `scope`, `identifier_systems`, `unknown_patient` (`refuse`, `import`), `mfa_acr`. See docs/ehr.md.',
  ),
  OUTBOUND_PRIVATE: setting(
    onOff,
    'off',
    'Lets Kairos fetch from loopback and private addresses, and by http: for an EHR in the same network, and tests.',
  ),
  REGISTRATION_TOKEN: optional(
    text('at least 32 characters', /^\S{32,}$/),
    'Initial access token that dynamic client registration demands: at least 32 characters. Unset: there is none.',
  ),
  BOOTSTRAP_CLIENT_ID: optional(
    text('1 to 64 letters, digits, dots, hyphens and underscores', /^[\w.-]{1,64}$/),
    'A confidential system client that exists from the start: for automation and tests.',
  ),
  BOOTSTRAP_CLIENT_SECRET: optional(text('at least 16 characters without spaces', /^[!-~]{16,}$/), 'Its secret.'),
  BOOTSTRAP_CLIENT_SCOPES: setting(
    text('scopes with spaces between them', /^\S+(?: \S+)*$/),
    'system/*.cruds',
    'Its scopes.',
  ),
  TRUSTED_PROXIES: setting(
    words('IP addresses with commas between them', /^[0-9a-fA-F.:]+$/),
    '',
    'Addresses of reverse proxies whose `X-Forwarded-For` is believed.',
  ),
  LIMIT_RESOURCE_BYTES: setting(integer(1024, 67_108_864), '1048576', 'Largest resource accepted, in bytes.'),
  LIMIT_BUNDLE_BYTES: setting(integer(1024, 268_435_456), '16777216', 'Largest Bundle accepted, in bytes.'),
  LIMIT_BUNDLE_ENTRIES: setting(integer(1, 100_000), '1000', 'Most entries in a batch or transaction.'),
  LIMIT_REPLY_BYTES: setting(
    integer(4096, 134_217_728),
    '33554432',
    'Largest reply of several resources, in bytes; pages are cut to it.',
  ),
  LIMIT_JSON_DEPTH: setting(integer(8, 512), '64', 'Deepest nesting of JSON accepted.'),
  LIMIT_RESOURCE_VALUES: setting(
    integer(1000, 10_000_000),
    '50000',
    'Most JSON values (objects, arrays, strings, numbers and so on) in one resource.',
  ),
  LIMIT_PAGE_SIZE: setting(integer(1, 1000), '20', 'Matches on a page when `_count` is not given.'),
  LIMIT_MAX_PAGE_SIZE: setting(
    integer(1, 10_000),
    '1000',
    'Most matches on a page; a larger `_count` is lowered to it.',
  ),
  LIMIT_SEARCH_VALUES: setting(
    integer(1, 10_000),
    '500',
    'Most values of one parameter, and most parameters, in a search.',
  ),
  LIMIT_INCLUDES: setting(integer(1, 100_000), '1000', 'Most included resources on a page.'),
  LIMIT_CANDIDATES: setting(
    integer(100, 1_000_000),
    '2000',
    'Most rows that a search may re-check or sort in memory before it is refused as too costly.',
  ),
  LIMIT_EVENT_STREAMS: setting(
    integer(1, 100_000),
    '1000',
    'Most streams of `/events` that a process has open at once.',
  ),
  RATE_LIMIT: setting(
    onOff,
    'on',
    'Refuse with 429 who sends more than the three settings below, and with 503 what comes while the server is far behind: `off` for measurements.',
  ),
  RATE_LIMIT_ADDRESS: setting(
    integer(60, 1_000_000),
    '1200',
    'Requests a minute from one address by those who are not signed in.',
  ),
  RATE_LIMIT_ACCOUNT: setting(integer(60, 1_000_000), '6000', 'Requests a minute of one person, by all of their apps.'),
  RATE_LIMIT_SYSTEM: setting(integer(60, 10_000_000), '60000', 'Requests a minute of one backend service.'),
  STATEMENT_TIMEOUT_MS: setting(integer(100, 600_000), '5000', 'Longest run of one SQL statement, in milliseconds.'),
} as const;

type Settings = typeof SETTINGS;
type Value<S> = S extends Optional<infer T> ? T | undefined : S extends Setting<infer T> ? T : never;
type Values = { readonly [K in keyof Settings]: Value<Settings[K]> };

/** What a client may make the server do at most; the core knows it as EngineLimits. */
interface Limits {
  readonly resourceBytes: number;
  readonly bundleBytes: number;
  readonly bundleEntries: number;
  readonly replyBytes: number;
  readonly jsonDepth: number;
  readonly resourceValues: number;
  readonly pageSize: number;
  readonly maxPageSize: number;
  readonly searchValues: number;
  readonly includes: number;
  readonly candidates: number;
}

/** Requests a minute from one source. */
interface Rates {
  readonly isOn: boolean;
  /** Of those who are not signed in. */
  readonly address: number;
  readonly account: number;
  /** A backend service. */
  readonly system: number;
}

export interface Config {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Without trailing slash; undefined: follows the port. */
  readonly publicUrl: string | undefined;
  /** Absolute path. */
  readonly dataDir: string;
  /** undefined: embedded. */
  readonly databaseUrl: string | undefined;
  readonly databaseOwnerUrl: string | undefined;
  readonly redisUrl: string | undefined;
  readonly logLevel: Values['LOG_LEVEL'];
  readonly demo: boolean;
  readonly demoSeed: number;
  readonly validateReferences: boolean;
  readonly worker: boolean;
  readonly slotHorizonDays: number;
  readonly limits: Limits;
  readonly rates: Rates;
  /** Streams of events open at once. */
  readonly eventStreams: number;
  readonly statementTimeoutMs: number;
  /** 32 bytes in base64; undefined: a file of the data folder. */
  readonly rootKey: string | undefined;
  readonly audit: boolean;
  /** Absolute path. */
  readonly auditRootsFile: string;
  readonly rootKeysAlso: readonly string[];
  /** Contents of resources that speak of a person are sealed. */
  readonly encryption: boolean;
  readonly identity: IdentitySettings;
}

export type Environment = Readonly<Record<string, string | undefined>>;

function read<T>(name: string, { kind, default: fallback }: Setting<T>, env: Environment): T | undefined {
  const given = env[name];
  const text = given === undefined || given === '' ? fallback : given;
  if (text === undefined) return undefined;
  try {
    return kind.parse(text);
  } catch (error) {
    // Values may hold passwords: only the name is repeated.
    throw new StartError(`${name} must be ${error instanceof Error ? error.message : 'valid'}.`);
  }
}

/** Where others can reach the port, they are told an address that is encrypted. @throws StartError */
function demandSafeUrl(address: string, url: string | undefined): void {
  if (isLoopback(address) || url === undefined) return;
  const { protocol, hostname } = new URL(url);
  if (protocol === 'https:' || isLoopback(hostname.replace(/^\[|\]$/g, ''))) return;
  throw new StartError(
    'PUBLIC_URL must start with https:// when HOST is no loopback address: passwords and tokens would cross the network in clear. Put a proxy with TLS in front, and give its address.',
  );
}

/**
 * The configuration that an environment asks for.
 * @throws StartError naming the setting and what it must be
 */
export function loadConfig(env: Environment): Config {
  const values = Object.fromEntries(
    Object.entries(SETTINGS).map(([name, s]) => [name, read<unknown>(name, s, env)]),
  ) as unknown as Values;
  if (values.DATABASE_OWNER_URL !== undefined && values.DATABASE_URL === undefined) {
    throw new StartError(
      'DATABASE_OWNER_URL must be left unset when DATABASE_URL is: the embedded database has its own roles.',
    );
  }
  if (values.LIMIT_PAGE_SIZE > values.LIMIT_MAX_PAGE_SIZE) {
    throw new StartError('LIMIT_PAGE_SIZE must be no larger than LIMIT_MAX_PAGE_SIZE.');
  }
  if ((values.BOOTSTRAP_CLIENT_ID === undefined) !== (values.BOOTSTRAP_CLIENT_SECRET === undefined))
    throw new StartError('BOOTSTRAP_CLIENT_ID and BOOTSTRAP_CLIENT_SECRET must be set together.');
  demandSafeUrl(values.HOST, values.PUBLIC_URL);
  const demo = values.DEMO ?? values.DATABASE_URL === undefined;
  return {
    host: values.HOST,
    port: values.PORT,
    publicUrl: values.PUBLIC_URL,
    dataDir: values.DATA_DIR,
    databaseUrl: values.DATABASE_URL,
    databaseOwnerUrl: values.DATABASE_OWNER_URL ?? values.DATABASE_URL,
    redisUrl: values.REDIS_URL,
    logLevel: values.LOG_LEVEL,
    demo,
    demoSeed: values.DEMO_SEED,
    validateReferences: values.VALIDATE_REFERENCES,
    worker: values.WORKER,
    slotHorizonDays: values.SLOT_HORIZON_DAYS,
    limits: {
      resourceBytes: values.LIMIT_RESOURCE_BYTES,
      bundleBytes: values.LIMIT_BUNDLE_BYTES,
      bundleEntries: values.LIMIT_BUNDLE_ENTRIES,
      replyBytes: values.LIMIT_REPLY_BYTES,
      jsonDepth: values.LIMIT_JSON_DEPTH,
      resourceValues: values.LIMIT_RESOURCE_VALUES,
      pageSize: values.LIMIT_PAGE_SIZE,
      maxPageSize: values.LIMIT_MAX_PAGE_SIZE,
      searchValues: values.LIMIT_SEARCH_VALUES,
      includes: values.LIMIT_INCLUDES,
      candidates: values.LIMIT_CANDIDATES,
    },
    rates: {
      isOn: values.RATE_LIMIT,
      address: values.RATE_LIMIT_ADDRESS,
      account: values.RATE_LIMIT_ACCOUNT,
      system: values.RATE_LIMIT_SYSTEM,
    },
    eventStreams: values.LIMIT_EVENT_STREAMS,
    statementTimeoutMs: values.STATEMENT_TIMEOUT_MS,
    rootKey: values.ROOT_KEY,
    audit: values.AUDIT,
    auditRootsFile: values.AUDIT_ROOTS_FILE ?? path.join(values.DATA_DIR, 'audit-roots.txt'),
    rootKeysAlso: values.ROOT_KEY_ALSO,
    encryption: values.ENCRYPTION,
    identity: {
      hasher: values.PASSWORD_HASHER,
      mfaRoles: values.MFA_ROLES.filter((role) => role !== 'none'),
      smtpUrl: values.SMTP_URL,
      mailFrom: values.MAIL_FROM,
      upstreams: values.OIDC_PROVIDERS,
      ehrs: values.EHR_ISSUERS,
      outboundPrivate: values.OUTBOUND_PRIVATE,
      registrationToken: values.REGISTRATION_TOKEN,
      bootstrap:
        values.BOOTSTRAP_CLIENT_ID === undefined || values.BOOTSTRAP_CLIENT_SECRET === undefined
          ? undefined
          : {
              clientId: values.BOOTSTRAP_CLIENT_ID,
              clientSecret: values.BOOTSTRAP_CLIENT_SECRET,
              scopes: values.BOOTSTRAP_CLIENT_SCOPES,
            },
      trustedProxies: values.TRUSTED_PROXIES,
      demo,
      loopback: isLoopback(values.HOST),
    },
  };
}

/** The process's configuration: the environment, completed by a `.env` file in the working directory. */
export function loadProcessConfig(): Config {
  if (existsSync('.env')) {
    try {
      process.loadEnvFile('.env');
    } catch (error) {
      throw new StartError(
        `The file .env cannot be read: ${error instanceof Error ? error.message : 'unknown reason'}.`,
      );
    }
  }
  return loadConfig(process.env);
}

/** The settings as the README's Markdown table. */
export function configTable(): string {
  const rows = Object.entries(SETTINGS).map(
    ([name, s]: [string, Setting<unknown>]) =>
      `| \`${name}\` | ${s.kind.label} | ${s.default === undefined || s.default === '' ? '' : `\`${s.default}\``} | ${s.description} |`,
  );
  return ['| Name | Value | Default | Meaning |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
