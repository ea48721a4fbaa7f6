/** What jobs may use. */
import type pg from 'pg';
import type { AuthParts } from './auth/parts.ts';
import type { Engine } from './fhir/engine.ts';
import type { StoreParts } from './fhir/store/reader.ts';
import type { Enqueue } from './platform/job.ts';
import type { OutboxRow } from './platform/outbox.ts';
import type { SchedulingParts } from './scheduling/parts.ts';

export interface JobContext {
  readonly engine: Engine;
  readonly store: StoreParts;
  readonly identity: AuthParts;
  readonly scheduling: SchedulingParts;
  /** Connections as the application role. */
  readonly database: pg.Pool;
  readonly enqueue: Enqueue;
  /** Makes the jobs that outbox rows ask for. */
  readonly relay: (rows: readonly OutboxRow[]) => Promise<void>;
  /** Where roots of the record are published. */
  readonly auditRootsFile: string;
  readonly jobNames: ReadonlySet<string>;
}
