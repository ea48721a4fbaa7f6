/** What a change of the rules of a clinic needs and leaves behind. @see https://hl7.org/fhir/R4/schedule.html */
import type { Location } from '@medplum/fhirtypes';
import { grantAll } from '../fhir/access.ts';
import { errorIssue, FhirError, type Issue } from '../fhir/outcome.ts';
import { localReference } from '../fhir/search/type/reference.ts';
import type { Change, Transaction } from '../fhir/store/repository.ts';
import { SCARCE_PLACES } from './actor.ts';
import { freshDirectory } from './fresh-directory.ts';
import { OVER } from './model/status.ts';
import type { SchedulingParts } from './parts.ts';
import { partsOf, placed } from './rules/places.ts';
import { visitsIn } from './schedule-visits.ts';
import { lockTime } from './time-lock.ts';
import { AVAILABILITY, PARAMETERS } from './urls.ts';

const SYSTEM = grantAll({ kind: 'system', name: 'scheduling' });

/** After all that is booked. */
const FOREVER = Date.UTC(2200, 0, 1);

/** Rooms that visits need are places that take one visit at a time. */
async function poolIssues({ engine }: SchedulingParts, tx: Transaction, { type, after }: Change): Promise<Issue[]> {
  if (!after || !('extension' in after)) return [];
  const issues: Issue[] = [];
  for (const all of placed(after, type, PARAMETERS)) {
    for (const { e, at } of partsOf(all, 'resource')) {
      const named = localReference(e.valueReference?.reference ?? '', engine.baseUrl);
      if (!named.startsWith('Location/')) continue;
      const stored = await tx.read('Location', named.slice('Location/'.length), SYSTEM.to('read'));
      if (stored?.content === undefined) continue;
      const { physicalType } = JSON.parse(stored.content) as Location;
      if (SCARCE_PLACES.has(physicalType?.coding?.[0]?.code ?? '')) continue;
      issues.push(
        errorIssue(
          'business-rule',
          `${named} takes any number of visits at a time: name a room, or give it the physicalType of one (ro, bd, ve, ca or rd).`,
          `${at}.value`,
        ),
      );
    }
  }
  return issues;
}

/** Hours are by the clock of a zone that somebody names; what this transaction has written counts. */
async function zoneIssues({ directory }: SchedulingParts, tx: Transaction, { after }: Change): Promise<Issue[]> {
  if (after?.resourceType !== 'Schedule') return [];
  const [hours] = placed(after, 'Schedule', AVAILABILITY);
  if (!hours || (await directory.current()).zoneFor(after) !== undefined) return [];
  if ((await directory.within(tx)).zoneFor(after) !== undefined) return [];
  return [
    errorIssue(
      'business-rule',
      'Nobody says by which clock these hours are: add timezone to them, or the extension timezone to the Location that is an actor, or to its Organization.',
      hours.at,
    ),
  ];
}

/** Whom somebody expects is not forgotten with their Schedule. @throws FhirError 409 */
async function demandNobodyComes(parts: SchedulingParts, tx: Transaction, id: string): Promise<void> {
  const { clock, baseUrl } = parts.engine;
  // As it was: what this transaction has deleted is not known in it any more.
  const directory = await freshDirectory(parts);
  const entry = directory.entry(`Schedule/${id}`);
  if (!entry) return;
  await lockTime(tx, [entry]);
  const ahead = { start: clock.now(), end: FOREVER };
  const visits = (await visitsIn(baseUrl, SYSTEM, tx, directory, entry, ahead)).filter(
    ({ visit, schedules }) =>
      visit.holds && !OVER.has(visit.status) && schedules.length > 0 && schedules.every((s) => s === entry.reference),
  );
  if (visits.length === 0) return;
  throw new FhirError(409, [
    errorIssue(
      'conflict',
      `${entry.reference} still has ${visits.length} live ${visits.length === 1 ? 'visit' : 'visits'} to come: give them to a colleague by $cover, or cancel them. To have no more booked, set active to false instead.`,
      'Schedule',
    ),
  ]);
}

/** The topic that has Slots made anew. */
export const GENERATE_TOPIC = 'generate-slots';

/** Rules have changed: the Slots that follow from them are made anew, soon after the commit. */
export async function projectRules(parts: SchedulingParts, tx: Transaction, changes: readonly Change[]): Promise<void> {
  const issues: Issue[] = [];
  for (const { kind, type, id } of changes)
    if (kind === 'delete' && type === 'Schedule') await demandNobodyComes(parts, tx, id);
  for (const change of changes)
    issues.push(...(await poolIssues(parts, tx, change)), ...(await zoneIssues(parts, tx, change)));
  if (issues.length > 0) throw new FhirError(422, issues);
  parts.changing.add(tx);
  const changed = changes.map((c) => `${c.type}/${c.id}`);
  await tx.outbox({ topic: GENERATE_TOPIC, payload: { changed } });
}
