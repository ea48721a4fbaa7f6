/**
 * Rows of what changes nothing, committed together: those that came while the last insert ran go with the next. Who waits for one waits for its commit.
 * @see https://www.postgresql.org/docs/18/wal-async-commit.html
 */
import type pg from 'pg';
import { errorIssue, FhirError } from '../fhir/outcome.ts';
import { laneConnections } from '../platform/database/lane-connection.ts';
import { createLanes } from '../platform/database/lane.ts';
import { errorFields, type Log } from '../platform/log.ts';
import { insertRows, type AuditRow } from './row.ts';

export interface AuditWriter {
  /** Resolved when the rows are committed. @throws FhirError 503 when they cannot be */
  write(rows: readonly AuditRow[]): Promise<void>;
  close(): Promise<void>;
}

/** Rows in one statement. */
const BATCH = 200;
/** How long a reply may wait for its record. */
export const PATIENCE_MS = 2_000;

const unrecorded = (): FhirError =>
  new FhirError(
    503,
    [errorIssue('transient', 'The access cannot be recorded just now, so nothing is shown: send the request again.')],
    { 'Retry-After': '1' },
  );

/** @param open connects, with a statement timeout of `PATIENCE_MS` */
export function createAuditWriter(open: () => Promise<pg.Client>, log: Log): AuditWriter {
  const connections = laneConnections(open, 1);
  const lanes = createLanes<readonly AuditRow[], undefined>({
    cap: BATCH,
    weight: (rows) => rows.length / BATCH,
  });
  const text = insertRows('$1');
  const insert = async (batches: readonly (readonly AuditRow[])[]): Promise<readonly undefined[]> => {
    // Sent again over another connection, rows that were committed after all are not there twice: their ids are ours.
    await connections.read(text, [JSON.stringify(batches.flat())]);
    return [];
  };
  return {
    async write(rows) {
      if (rows.length === 0) return;
      try {
        await lanes('', insert)(rows);
      } catch (error) {
        log.error('Accesses could not be recorded', errorFields(error));
        throw unrecorded();
      }
    },
    close: () => connections.close(),
  };
}
