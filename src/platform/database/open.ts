/** The database that the configuration names: a server elsewhere, or the embedded one. */
import pg from 'pg';
import type { Config } from '../config.ts';
import { openEmbeddedPostgres, type DatabaseRoles } from '../embedded-postgres.ts';

export interface OpenDatabase {
  readonly roles: DatabaseRoles;
  /** The database lives under the data folder. */
  readonly embedded: boolean;
  /** This process, or another that crashed, started the server before. */
  readonly joined: boolean;
  /** Takes an exclusive name among the processes that use this data folder; always true for a server elsewhere. */
  claim(name: string): Promise<boolean>;
  /** Called when an embedded server went away by itself and could not be started again. */
  onLost(listener: (error: unknown) => void): void;
  /** Stops an embedded server unless other processes use it. */
  close(): Promise<void>;
}

/** @throws StartError with a sentence for the operator */
export async function openDatabase(config: Config, say?: (sentence: string) => void): Promise<OpenDatabase> {
  if (config.databaseUrl === undefined) {
    const { app, owner, how, claim, onLost, close } = await openEmbeddedPostgres(config.dataDir, say ? { say } : {});
    return { roles: { app, owner }, embedded: true, joined: how === 'joined', claim, onLost, close };
  }
  const connection = (url: string): pg.ClientConfig => ({ connectionString: url });
  return {
    roles: { app: connection(config.databaseUrl), owner: connection(config.databaseOwnerUrl ?? config.databaseUrl) },
    embedded: false,
    joined: true,
    claim: () => Promise.resolve(true),
    onLost: () => undefined,
    close: () => Promise.resolve(),
  };
}
