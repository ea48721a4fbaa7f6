/** The directory of the rules that hold now: for what is not checked by the number of the revision later. @see https://hl7.org/fhir/R4/schedule.html */
import type { Reader } from '../fhir/store/repository.ts';
import { sql } from '../platform/database/sql.ts';
import type { Directory } from './directory.ts';
import type { SchedulingParts } from './parts.ts';

/** @param reader the transaction, within one */
export async function freshDirectory(
  { engine, directory, changing }: SchedulingParts,
  reader: Pick<Reader, 'query' | 'decode'> = engine.repository,
): Promise<Directory> {
  if (changing.has(reader)) return directory.within(reader);
  const known = await directory.current();
  const [[revision] = []] = await reader.query(sql`select n from scheduling_revision`);
  return String(revision) === known.revision ? known : directory.renewed(known.revision);
}
