/**
 * What every change of Appointments meets in its transaction, whichever door it came through: the rules, the rows that occupy time, the Slots, the events,
 * and the Encounter of who has arrived.
 * @see https://hl7.org/fhir/R4/appointment.html
 */
import type { Appointment } from '@medplum/fhirtypes';
import { DatabaseError } from 'pg';
import type { Principal } from '../fhir/access.ts';
import type { Change, Transaction } from '../fhir/store/repository.ts';
import { errorIssue, FhirError } from '../fhir/outcome.ts';
import { sql } from '../platform/database/sql.ts';
import { alternativesTo } from './alternatives.ts';
import { applyOf, type Apply, type VisitChange } from './apply.ts';
import { demandReasonWritten } from './cancellation-reason.ts';
import { channelOf } from './channel.ts';
import type { Directory, Offer } from './directory.ts';
import { keepEncounters } from './encounter.ts';
import { keepFollowUps } from './follow-ups.ts';
import { noteContention } from './foresee.ts';
import { freshDirectory } from './fresh-directory.ts';
import { guard, isMoved } from './guard.ts';
import { isOpened } from './offered.ts';
import { directoryOf, type SchedulingParts } from './parts.ts';
import { ruleBroken, TimeTaken } from './refusal.ts';
import { settledOffer } from './settled-offer.ts';
import { endOwnHolds } from './slot-holds.ts';
import { readSlots, slotsOf } from './slots.ts';
import { visitOfAppointment, type NamedSlot, type Visit } from './visit.ts';

/** Live holds of a patient. */
const PATIENT_HOLDS = 2;

export interface ProjectedChange extends VisitChange {
  readonly beforeResource: Appointment | undefined;
  readonly afterResource: Appointment | undefined;
}

const appointment = (resource: Change['after']): Appointment | undefined =>
  resource?.resourceType === 'Appointment' ? resource : undefined;

/** A visit that nobody's rules offer is one that an opening made by hand does. @throws FhirError 422 */
async function demandOpening(
  tx: Transaction,
  { start = 0, end = 0, schedules, service = '', offer }: Visit,
): Promise<void> {
  const rows = await tx.execute(
    sql`select (extract(epoch from lower(t.during)) * 1000)::int8, (extract(epoch from upper(t.during)) * 1000)::int8
        from scheduling_time t where t.kind = 'opening' and t.schedule = any(${schedules})
        and t.during @> tstzrange(${new Date(start).toISOString()}::timestamptz, ${new Date(end).toISOString()}::timestamptz)
        and (t.services is null or ${service} = '' or ${service} = any (t.services))`,
  );
  const openings = rows.map(([from, to]) => ({ start: Number(from), end: Number(to) }));
  if (!offer || !isOpened(offer, openings, { start, end }))
    throw ruleBroken('This time is not offered: ask $find for the times that are.', 'Appointment.start');
}

interface Detail {
  readonly appointment?: string;
  readonly actor?: string;
  readonly of?: string;
  readonly most?: number;
}

const CAPS: Readonly<Record<string, string>> = {
  provider: 'visits with this practitioner',
  service: 'visits of this service',
  patient: 'visits of a patient',
  'new-patient': 'visits of new patients',
};

/** What the database's refusal means to whoever asked. */
function refusalOf(
  parts: SchedulingParts,
  error: unknown,
  changes: readonly ProjectedChange[],
  channel: 'patient' | 'staff',
): unknown {
  if (!(error instanceof DatabaseError)) return error;
  const detail = JSON.parse(error.detail?.startsWith('{') === true ? error.detail : '{}') as Detail;
  const { id, before, after: visit } = changes.find((c) => c.id === detail.appointment) ?? {};
  const alternatives = (): Promise<readonly Appointment[]> =>
    visit ? alternativesTo(parts, visit, channel, before?.holds ? id : undefined) : Promise.resolve([]);
  switch (error.code) {
    case 'KS001': {
      const own = detail.actor?.startsWith('Patient/') === true;
      if (detail.actor !== undefined) noteContention(parts.contended, detail.actor);
      return new TimeTaken(
        own ? 'The patient has another visit at this time.' : 'This time is taken: somebody else was first.',
        alternatives,
      );
    }
    case 'KS002':
      return new TimeTaken('This time is blocked.', alternatives);
    case 'KS003':
      return ruleBroken(
        `No more than ${detail.most ?? ''} ${CAPS[detail.of ?? ''] ?? 'visits'} are booked in this period.`,
        'Appointment.start',
      );
    case 'KS004':
      return ruleBroken(
        `A patient may hold ${detail.most ?? ''} times at once: book or release one first.`,
        'Appointment.status',
      );
    default:
      return error;
  }
}

/** It may be that the rules were read before they changed; then the transaction is run again. */
const maybeStale = (error: unknown): boolean => error instanceof FhirError && error.status === 503;

/** Whoever was in the way of something although it was made: `Patient/1`. */
export interface Overlap {
  readonly appointment: string;
  readonly actor: string;
  readonly force: 'override' | 'warn';
}

async function run(tx: Transaction, apply: Apply): Promise<readonly Overlap[]> {
  const [[notes] = []] = await tx.execute(sql`select scheduling_apply(${JSON.stringify(apply)}::json)`);
  return typeof notes === 'string' ? (JSON.parse(notes) as Overlap[]) : [];
}

async function projected(
  parts: SchedulingParts,
  tx: Transaction,
  directory: Directory,
  slots: ReadonlyMap<string, NamedSlot>,
  change: Change,
  channel: 'patient' | 'staff',
): Promise<ProjectedChange> {
  const { baseUrl, clock } = parts.engine;
  const before = appointment(change.before);
  const after = appointment(change.after);
  const visit = (resource: Appointment | undefined, settled?: Offer): Visit | undefined =>
    resource && visitOfAppointment(directory, baseUrl, resource, slots, parts.offers.get(resource) ?? settled);
  let was = visit(before);
  let is = visit(after);
  if (is && is.possible.length > 0) {
    const stays = was && !isMoved(was, is) ? was : undefined;
    const settled = await settledOffer(tx, directory, is, stays, channel, clock.now());
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
async function judge(
  parts: SchedulingParts,
  tx: Transaction,
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
    if (open) await demandOpening(tx, after);
  }
}

/** Keeps the rows of time true for changed appointments. @throws FhirError 405, 409, 422 */
export async function projectAppointments(
  parts: SchedulingParts,
  tx: Transaction,
  changes: readonly Change[],
  by: Principal,
): Promise<void> {
  const { engine } = parts;
  const now = engine.clock.now();
  const channel = channelOf(by);
  const named = changes.flatMap((c) =>
    [appointment(c.before), appointment(c.after)].flatMap((a) => {
      const list = slotsOf(a, engine.baseUrl);
      // The one Slot of an offer that is known says nothing more.
      return a && parts.offers.has(a) && list.length < 2 ? [] : list;
    }),
  );
  const slots = named.length > 0 ? await readSlots(tx.execute, named) : new Map<string, NamedSlot>();
  let directory = await directoryOf(parts, tx);
  let all: readonly ProjectedChange[];
  for (;;) {
    const known = directory;
    const each: ProjectedChange[] = [];
    for (const change of changes) each.push(await projected(parts, tx, known, slots, change, channel));
    all = each;
    try {
      await judge(parts, tx, all, by, now);
      break;
    } catch (error) {
      // What is refused is refused by the rules that hold now; what is allowed is judged again by the database.
      directory = await freshDirectory(parts, tx);
      if (directory.revision === known.revision) throw error;
    }
  }
  const posted = all.filter(
    (c) => c.after?.holds && !c.before?.holds && c.afterResource && !parts.made.has(c.afterResource),
  );
  const wanted = posted.flatMap((c) => c.after?.slots ?? []).map((s) => `Slot/${s}`);
  if (wanted.length > 0 && channel === 'staff') await endOwnHolds(parts, tx, wanted, by, now);
  try {
    const overlaps = await run(tx, applyOf(directory, all));
    for (const { id, afterResource } of overlaps.length > 0 ? all : [])
      if (afterResource)
        parts.overlaps.set(
          afterResource,
          overlaps.filter((o) => o.appointment === id),
        );
  } catch (error) {
    if (maybeStale(error)) await parts.directory.renewed(directory.revision);
    throw refusalOf(parts, error, all, channel);
  }
  await keepEncounters(parts, tx, all, now);
  await keepFollowUps(parts, tx, all, now);
}
