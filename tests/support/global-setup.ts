/** One embedded PostgreSQL for the whole run, without fsync, with a migrated template database; removed afterwards. */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { openKairos } from '../../src/compose.ts';
import { loadConfig } from '../../src/platform/config.ts';
import { openEmbeddedPostgres } from '../../src/platform/embedded-postgres.ts';
import { TEST_ROOT_KEY } from './root-key.ts';

/** How test files reach the server that the global set-up started. */
export interface TestPostgres {
  readonly superuser: pg.ClientConfig;
  readonly owner: pg.ClientConfig;
  readonly app: pg.ClientConfig;
  readonly template: string;
}

declare module 'vitest' {
  interface ProvidedContext {
    postgres: TestPostgres;
  }
}

const template = 'kairos_template';

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'kairos-test-'));
  const server = await openEmbeddedPostgres(folder, { durable: false, settings: { max_connections: '200' } });
  const stop = async (): Promise<void> => {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const superuser = { ...server.superuser, database: 'postgres' };
    const client = new pg.Client(superuser);
    await client.connect();
    await client.query(`create database ${template} owner kairos_owner`);
    await client.end();
    const owner = { ...server.owner, database: template };
    const app = { ...server.app, database: template };
    // Migrated, and with the conformance resources: what every test file starts from.
    const nothing = { claim: () => Promise.resolve(true), onLost: () => undefined, close: () => Promise.resolve() };
    const database = { roles: { owner, app }, embedded: true, joined: true, ...nothing };
    const kairos = await openKairos(loadConfig({ ROOT_KEY: TEST_ROOT_KEY }), { database });
    await kairos.close();
    // Who is told to stop stops the database too: it has a process group of its own.
    for (const signal of ['SIGTERM', 'SIGHUP'] as const)
      process.once(signal, () => void stop().finally(() => process.exit(1)));
    project.provide('postgres', { superuser, owner, app, template });
    return stop;
  } catch (error) {
    await stop();
    throw error;
  }
}
