/** A fresh, migrated database for a test file. */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';
import { urlOf } from '../../src/bench/processes.ts';
import type { DatabaseRoles } from '../../src/platform/embedded-postgres.ts';

export interface TestDatabase extends DatabaseRoles {
  readonly superuser: pg.ClientConfig;
  /** Drops the database, whoever is still connected. */
  drop(): Promise<void>;
}

/** @param from database to copy; the migrated template unless told */
export async function createTestDatabase(from?: string): Promise<TestDatabase> {
  const { superuser, owner, app, template } = inject('postgres');
  const database = `test_${randomBytes(6).toString('hex')}`;
  const admin = async (statement: string): Promise<void> => {
    const client = new pg.Client(superuser);
    await client.connect();
    try {
      await client.query(statement);
    } finally {
      await client.end();
    }
  };
  await admin(`create database ${database} owner kairos_owner template ${from ?? template} strategy file_copy`);
  return {
    superuser: { ...superuser, database },
    owner: { ...owner, database },
    app: { ...app, database },
    drop: () => admin(`drop database if exists ${database} with (force)`),
  };
}

export { urlOf };
