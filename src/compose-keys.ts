/** Keys of one process: root keys, those of the installation, and the data keys that contents of resources are sealed with. */
import type { ClientConfig } from 'pg';
import type { Definitions } from './fhir/definitions/registry.ts';
import type { ResourceDeclaration } from './fhir/resource.ts';
import { onlySubject } from './fhir/search/subject.ts';
import { plainContent, type ContentCodec } from './fhir/store/content.ts';
import { createSealedContent } from './fhir/store/sealed-content.ts';
import { clientError } from './fhir/store/sqlstate.ts';
import type { Config } from './platform/config.ts';
import { createDataKeys, type RunForKeys } from './platform/data-keys.ts';
import { laneConnections } from './platform/database/lane-connection.ts';
import { openClient } from './platform/database/pool.ts';
import { openInstallationKeys, type InstallationKeys } from './platform/installation-keys.ts';
import { openRootKeys, type RootKeys } from './platform/root-keys.ts';
import { StartError } from './platform/start-error.ts';

/** The compartment whose subjects have keys of their own. */
export const SUBJECTS = 'Patient';

/** Whoever waits for keys may hold connections of the pool, so keys have their own. */
const CONNECTIONS = 2;

export interface ProcessKeys {
  readonly roots: RootKeys;
  readonly run: RunForKeys;
  readonly content: ContentCodec;
  /** Once the database is migrated. @throws StartError when it was filled with other keys, or without any */
  open(): Promise<InstallationKeys>;
  close(): Promise<void>;
}

/** Statements about keys, on connections of their own. */
export function runForKeys(
  app: ClientConfig,
  statementTimeoutMs: number,
): { readonly run: RunForKeys; close(): Promise<void> } {
  const connections = laneConnections(async () => {
    const client = await openClient(app, 'kairos keys', statementTimeoutMs);
    // A key is on disk before the commit of what it seals returns: that flushes all that was written before.
    await client.query('set synchronous_commit = off');
    return client;
  }, CONNECTIONS);
  return {
    run: (text, values) =>
      connections.read(text, values).catch((error: unknown) => {
        throw clientError(error);
      }),
    close: () => connections.close(),
  };
}

/** A database is sealed from its beginning, or not at all. */
async function demandSame(run: RunForKeys, encryption: boolean): Promise<void> {
  const now = encryption ? 'sealed' : 'plain';
  await run(`insert into installation (name, value) values ('content', $1) on conflict do nothing`, [now]);
  const { rows } = await run(`select value from installation where name = 'content'`, []);
  if (rows[0]?.[0] !== now)
    throw new StartError(
      `ENCRYPTION must be ${encryption ? 'off' : 'on'} with this database, as it was when it was made.`,
    );
}

export async function openProcessKeys(
  config: Pick<Config, 'rootKey' | 'rootKeysAlso' | 'dataDir' | 'databaseUrl' | 'encryption' | 'statementTimeoutMs'>,
  app: ClientConfig,
  parts: {
    readonly definitions: Definitions;
    readonly resources: ReadonlyMap<string, ResourceDeclaration>;
    readonly baseUrl: string;
  },
  say?: (sentence: string) => void,
): Promise<ProcessKeys> {
  const roots = await openRootKeys(config, say);
  const { run, close } = runForKeys(app, config.statementTimeoutMs);
  const dataKeys = createDataKeys(run, roots);
  let installation: InstallationKeys | undefined;
  return {
    roots,
    run,
    content: config.encryption
      ? createSealedContent(parts.resources.values(), dataKeys, onlySubject(parts.definitions, SUBJECTS, parts.baseUrl))
      : plainContent,
    async open() {
      await demandSame(run, config.encryption);
      return (installation = await openInstallationKeys(run, roots));
    },
    async close() {
      installation?.close();
      dataKeys.close();
      await close();
    },
  };
}
