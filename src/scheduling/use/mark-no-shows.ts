/**
 * Marks visits whose patients did not come, where the service says after how long: each once, when that time has passed. What staff takes back afterwards
 * stays so.
 * @see https://hl7.org/fhir/R4/valueset-appointmentstatus.html
 */
import type { Appointment } from '@medplum/fhirtypes';
import { grantAll } from '../../fhir/access.ts';
import { retryOnChange, settle } from '../../fhir/interaction/write.ts';
import { sql } from '../../platform/database/sql.ts';
import type { Directory } from '../directory.ts';
import { freshDirectory } from '../fresh-directory.ts';
import { DAY } from '../model/dates.ts';
import type { SchedulingParts } from '../parts.ts';
import { readSlots, slotsOf } from '../slots.ts';
import { visitOfAppointment } from '../visit.ts';

const SYSTEM = grantAll({ kind: 'system', name: 'scheduling' });
const JOB = 'mark-no-shows';
/** What was not looked at for longer than this is no matter of minutes any more: a person decides. */
const LONGEST_PAUSE = 7 * DAY;
/** No visit is longer. */
const LONGEST_VISIT = DAY;

const iso = (ms: number): string => new Date(ms).toISOString();

/** The first look is at nothing: what was before the policy is not judged by it. */
async function lastLook({ engine }: SchedulingParts, now: number): Promise<number> {
  const [[at] = []] = await engine.repository.query(
    sql`select (extract(epoch from p.at) * 1000)::int8 from scheduling_progress p where p.job = ${JOB}`,
  );
  return Math.max(at === undefined ? now : Number(at), now - LONGEST_PAUSE);
}

/** The longest that any service waits; undefined: none marks no-shows. */
function longestWait(directory: Directory): number | undefined {
  let most: number | undefined;
  for (const { offers } of directory.entries)
    for (const { parameters } of offers)
      if (parameters.noShowAfterMs !== undefined) most = Math.max(most ?? 0, parameters.noShowAfterMs);
  return most;
}

/** @returns whether it was to be marked, and is */
async function mark(
  parts: SchedulingParts,
  directory: Directory,
  id: string,
  from: number,
  now: number,
): Promise<boolean> {
  const { engine } = parts;
  const { repository, baseUrl, clock } = engine;
  return retryOnChange(false, async () => {
    const stored = await repository.read('Appointment', id, SYSTEM.to('update'));
    if (stored?.content === undefined) return false;
    const appointment = JSON.parse(stored.content) as Appointment;
    if (appointment.status !== 'booked') return false;
    const slots = await readSlots(repository.query, slotsOf(appointment, baseUrl));
    const { offer, end } = visitOfAppointment(directory, baseUrl, appointment, slots);
    const wait = offer?.parameters.noShowAfterMs;
    if (wait === undefined || end === undefined || end + wait <= from || end + wait > now) return false;
    const write = settle(
      engine,
      { ...appointment, status: 'noshow' },
      { id, version: stored.version + 1, lastUpdated: new Date(clock.now()), method: 'PUT' },
    );
    await repository.transaction('read committed', (tx) =>
      tx.update([write], new Map([[`Appointment/${id}`, appointment]]), SYSTEM.to('update')),
    );
    return true;
  });
}

/** @returns how many @throws what kept one of them from being marked: it is tried again, since what was looked at is only then on record */
export async function markNoShows(parts: SchedulingParts, signal?: AbortSignal): Promise<number> {
  const { engine } = parts;
  const now = engine.clock.now();
  const directory = await freshDirectory(parts);
  const wait = longestWait(directory);
  const from = await lastLook(parts, now);
  let count = 0;
  if (wait !== undefined) {
    const rows = await engine.repository.query(
      sql`select a.id from appointment a where a.date > ${iso(from - wait - LONGEST_VISIT)}::timestamptz and a.date <= ${iso(now)}::timestamptz
          and a.status = 'booked' order by a.date`,
    );
    for (const [id] of rows) {
      if (signal?.aborted) return count;
      if (await mark(parts, directory, String(id), from, now)) count++;
    }
  }
  await engine.repository.transaction('read committed', (tx) =>
    tx.execute(
      sql`insert into scheduling_progress (job, at) values (${JOB}, ${iso(now)}::timestamptz) on conflict (job) do update set at = greatest(scheduling_progress.at, excluded.at)`,
    ),
  );
  return count;
}
