/** What the rules say to changes of Appointments, before the calendar has a say. @see https://hl7.org/fhir/R4/appointment.html */
import type { Appointment } from '@medplum/fhirtypes';
import type { Principal } from '../fhir/access.ts';
import { errorIssue, FhirError } from '../fhir/outcome.ts';
import type { Change, Reader } from '../fhir/store/repository.ts';
import { sql } from '../platform/database/sql.ts';
import type { VisitChange } from './apply.ts';
import { demandReasonWritten } from './cancellation-reason.ts';
import { channelOf } from './channel.ts';
import type { Directory, Offer } from './directory.ts';
import { guard, isMoved } from './guard.ts';
import { isOpened } from './offered.ts';
import type { SchedulingParts } from './parts.ts';
import { ruleBroken } from './refusal.ts';
import { settledOffer } from './settled-offer.ts';
import { visitOfAppointment, type NamedSlot, type Visit } from './visit.ts';

type Query = Pick<Reader, 'query'>;

/** Live holds of a patient. */
const PATIENT_HOLDS = 2;

export interface ProjectedChange extends VisitChange {
  readonly beforeResource: Appointment | undefined;
  readonly afterResource: Appointment | undefined;
}

export const appointmentIn = (resource: Change['after']): Appointment | undefined =>
  resource?.resourceType === 'Appointment' ? resource : undefined;

/** A visit that nobody's rules offer is one that an opening made by hand does. @throws FhirError 422 */
async function demandOpening(
  reader: Query,
  { start = 0, end = 0, schedules, service = '', offer }: Visit,
): Promise<void> {
  const rows = await reader.query(
    sql`select (extract(epoch from lower(t.during)) * 1000)::int8, (extract(epoch from upper(t.during)) * 1000)::int8
        from scheduling_time t where t.kind = 'opening' and t.schedule = any(${schedules})
        and t.during @> tstzrange(${new Date(start).toISOString()}::timestamptz, ${new Date(end).toISOString()}::timestamptz)
        and (t.services is null or ${service} = '' or ${service} = any (t.services))`,
  );
  const openings = rows.map(([from, to]) => ({ start: Number(from), end: Number(to) }));
  if (!offer || !isOpened(offer, openings, { start, end }))
    throw ruleBroken('This time is not offered: ask $find for the times that are.', 'Appointment.start');
}

/** What a change means for time. */
export async function projected(
  parts: SchedulingParts,
  reader: Query,
  directory: Directory,
  slots: ReadonlyMap<string, NamedSlot>,
  change: Change,
  channel: 'patient' | 'staff',
): Promise<ProjectedChange> {
  const { baseUrl, clock } = parts.engine;
  const before = appointmentIn(change.before);
  const after = appointmentIn(change.after);
  const visit = (resource: Appointment | undefined, settled?: Offer): Visit | undefined =>
    resource && visitOfAppointment(directory, baseUrl, resource, slots, parts.offers.get(resource) ?? settled);
  let was = visit(before);
  let is = visit(after);
  if (is && is.possible.length > 0) {
    const stays = was && !isMoved(was, is) ? was : undefined;
    const settled = await settledOffer(reader, directory, is, stays, channel, clock.now());
    is = visit(after, settled);
    if (stays) was = visit(before, settled);
  }
  return {
    id: change.id,
    version: change.version,
    before: was,
    after: is,
    beforeResource: before,
    afterResource: after,
    forgivesPatients: channel === 'staff',
    mostHolds: channel === 'patient' ? PATIENT_HOLDS : undefined,
  };
}

/** What was planned is kept, with a status that says what became of it; only what was never meant is deleted. @throws FhirError 405 */
function demandErased({ status }: Appointment): void {
  if (status === 'entered-in-error') return;
  throw new FhirError(
    405,
    [
      errorIssue(
        'not-supported',
        'Appointments are not deleted: cancel it by $cancel, or give it the status entered-in-error first.',
        'Appointment.status',
      ),
    ],
    { Allow: 'GET, HEAD, PUT, PATCH' },
  );
}

/** What the rules say to each change. @throws FhirError 405, 409, 422 */
export async function judge(
  parts: SchedulingParts,
  reader: Query,
  all: readonly ProjectedChange[],
  by: Principal,
  now: number,
): Promise<void> {
  for (const { before, after, beforeResource, afterResource } of all) {
    if (beforeResource && !afterResource) demandErased(beforeResource);
    if (!afterResource || !after) continue;
    const made = parts.made.has(afterResource);
    const channel = channelOf(by);
    // What happened elsewhere has the reasons that it had there.
    if (!made && by.kind !== 'system')
      demandReasonWritten(parts.engine.terminology, beforeResource, afterResource, channel);
    const open = guard({
      before: beforeResource,
      after: afterResource,
      was: before,
      is: after,
      channel,
      isSystem: by.kind === 'system',
      now,
      mustBeOffered: parts.offers.has(afterResource),
      made,
      baseUrl: parts.engine.baseUrl,
    });
    if (open) await demandOpening(reader, after);
  }
}
