/** What jobs may use. */
import type pg from 'pg';
import type { Engine } from './fhir/engine.ts';
import type { Enqueue } from './platform/job.ts';

export interface JobContext {
  readonly engine: Engine;
  /** Connections as the application role. */
  readonly database: pg.Pool;
  readonly enqueue: Enqueue;
  readonly jobNames: ReadonlySet<string>;
}
