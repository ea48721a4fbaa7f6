/** The directory of the rules that hold now: for jobs, whose reads are not checked by the number of the revision later. @see https://hl7.org/fhir/R4/schedule.html */
import { sql } from '../platform/database/sql.ts';
import type { Directory } from './directory.ts';
import type { SchedulingParts } from './parts.ts';

export async function freshDirectory({ engine, directory }: SchedulingParts): Promise<Directory> {
  const known = await directory.current();
  const [[revision] = []] = await engine.repository.query(sql`select n from scheduling_revision`);
  return String(revision) === known.revision ? known : directory.renewed(known.revision);
}
