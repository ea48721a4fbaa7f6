/**
 * A visit that the clinic cancels: whoever does it is shown other times for the same patient, or puts them on the waitlist, before those who wait already.
 * @see https://hl7.org/fhir/R4/appointment-definitions.html#Appointment.cancelationReason
 */
import type { Appointment, AppointmentParticipant, CodeableConcept } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import type { OperationReply } from '../../fhir/operation.ts';
import { errorIssue, FhirError, type Issue } from '../../fhir/outcome.ts';
import { localReference } from '../../fhir/search/type/reference.ts';
import type { PreparedWrite, Transaction } from '../../fhir/store/repository.ts';
import { newId } from '../../platform/id.ts';
import { sql } from '../../platform/database/sql.ts';
import type { Actor } from '../actor.ts';
import { insteadOf } from '../alternatives.ts';
import { isOfPatient } from '../cancellation-reason.ts';
import { channelOf } from '../channel.ts';
import type { Directory } from '../directory.ts';
import { freshDirectory } from '../fresh-directory.ts';
import type { SchedulingParts } from '../parts.ts';
import { participantsOf } from '../proposed.ts';
import { ruleBroken } from '../refusal.ts';
import { readSlots, slotsOf } from '../slots.ts';
import { visitOfAppointment, type Visit } from '../visit.ts';
import { answerWith, appointmentReply } from './answer.ts';
import { prepared, unchanged } from './change.ts';
import { cancel, type Cancel } from './steps.ts';
import { instant, linksTo } from './take-parts.ts';

/** As iCalendar counts: 1 is the most urgent, 5 is usual. Before those who are usual, after those who are urgent. */
const USUAL = 5;
const PREFERRED = 3;

/** Whether it lies with the clinic that a visit does not take place. */
const isOfClinic = (reason: CodeableConcept | undefined): boolean =>
  reason !== undefined && reason.coding?.some((c) => isOfPatient(c.code)) !== true;

const isPatient = (reference: string): boolean => reference.startsWith('Patient/');

interface Left {
  readonly directory: Directory;
  /** The visit as those have it who are left without one. */
  readonly visit: Visit;
}

/** @param named `Patient/1`; none: all who had not declined */
async function leftBy(
  parts: SchedulingParts,
  reader: Pick<Transaction, 'query' | 'decode'>,
  appointment: Appointment,
  named: readonly string[],
): Promise<Left> {
  const { baseUrl } = parts.engine;
  const directory = await freshDirectory(parts, reader);
  const participant = appointment.participant.flatMap((p): AppointmentParticipant[] => {
    const who = localReference(p.actor?.reference ?? '', baseUrl);
    if (!isPatient(who)) return [p];
    const leaves = named.length > 0 ? named.includes(who) : p.status !== 'declined';
    return leaves ? [{ ...p, status: 'accepted' }] : [];
  });
  const slots = await readSlots((statement) => reader.query(statement), slotsOf(appointment, baseUrl));
  return { directory, visit: visitOfAppointment(directory, baseUrl, { ...appointment, participant }, slots) };
}

/** Who would give the visit, and what it is: no time is set, so that no room is needed yet. */
function clinicSide(
  { directory, visit }: Left,
  { participant }: Appointment,
  baseUrl: string,
): AppointmentParticipant[] {
  const whoOf = (p: AppointmentParticipant): string =>
    directory.resolve(localReference(p.actor?.reference ?? '', baseUrl));
  const all = [...(visit.offer ? participantsOf(visit.offer, [], 'needs-action') : []), ...participant];
  const kept = new Map<string, AppointmentParticipant>();
  for (const p of all) {
    const who = whoOf(p);
    const isRoom = /^(?:Location|Device)\//.test(who) && directory.isScarce(who);
    if (isPatient(who) || isRoom || kept.has(who)) continue;
    kept.set(who, p.required === 'information-only' ? p : { ...p, status: 'needs-action' });
  }
  return [...kept.values()];
}

/** What a patient waits for who was to come to a visit. */
function waitingFor(
  appointment: Appointment,
  { reference, display }: Actor,
  others: readonly AppointmentParticipant[],
  now: number,
): Appointment {
  const { serviceCategory, serviceType, specialty, appointmentType, reasonCode, reasonReference } = appointment;
  const { id = '', description, minutesDuration, basedOn, priority = 0 } = appointment;
  const actor = { reference, ...(display !== undefined && { display }) };
  return {
    resourceType: 'Appointment',
    extension: linksTo(`Appointment/${id}`),
    status: 'waitlist',
    ...(serviceCategory && { serviceCategory }),
    ...(serviceType && { serviceType }),
    ...(specialty && { specialty }),
    ...(appointmentType && { appointmentType }),
    ...(reasonCode && { reasonCode }),
    ...(reasonReference && { reasonReference }),
    priority: Math.max(1, Math.min(PREFERRED, (priority === 0 ? USUAL : priority) - 1)),
    ...(description !== undefined && { description }),
    supportingInformation: [{ reference: `Appointment/${id}` }],
    ...(minutesDuration !== undefined && { minutesDuration }),
    created: instant(now),
    ...(basedOn && { basedOn }),
    participant: [{ actor, required: 'required', status: 'accepted' }, ...others],
    requestedPeriod: [{ start: instant(now) }],
  };
}

/** What a patient has in place of the visit already. */
async function inPlaceOf(
  tx: Transaction,
  ctx: RequestContext,
  id: string,
  patient: string,
): Promise<PreparedWrite | undefined> {
  const [[known] = []] = await tx.execute(
    sql`select a.id from appointment a where a.supporting_info @> array[${`Appointment/${id}`}] and a.patient @> array[${patient}]
        and a.status not in ('cancelled', 'noshow', 'entered-in-error') limit 1`,
  );
  const stored = typeof known === 'string' ? await tx.read('Appointment', known, ctx.access.to('read')) : undefined;
  return stored?.content === undefined ? undefined : unchanged(stored, JSON.parse(stored.content) as Appointment);
}

/** A place on the waitlist for each patient: once, however often it is asked for. @throws FhirError 422 */
async function enlist(
  parts: SchedulingParts,
  ctx: RequestContext,
  tx: Transaction,
  appointment: Appointment,
  named: readonly string[],
): Promise<readonly PreparedWrite[]> {
  const { engine } = parts;
  const { id = '', start } = appointment;
  // Who asks for the same at the same moment waits here, and then sees it.
  await tx.execute(sql`select from appointment a where a.id = ${id} for no key update`);
  const left = await leftBy(parts, tx, appointment, named);
  if (left.visit.patients.length === 0 || start === undefined)
    throw ruleBroken('Only a patient who had a time is put on the waitlist for it: leave waitlist out.', 'waitlist');
  const now = engine.clock.now();
  const others = clinicSide(left, appointment, engine.baseUrl);
  const entries: PreparedWrite[] = [];
  for (const patient of left.visit.patients) {
    let entry = await inPlaceOf(tx, ctx, id, patient.reference);
    if (!entry) {
      entry = prepared(parts, ctx, waitingFor(appointment, patient, others, now), undefined, newId(now));
      await tx.insert([entry], ctx.access.to('create'));
    }
    entries.push(entry);
  }
  return entries;
}

function sayInstead(alternatives: readonly Appointment[], entries: readonly PreparedWrite[]): Issue {
  const times = alternatives.map((a) => a.start).join(', ');
  const other =
    times === ''
      ? 'No other time is free within three weeks.'
      : `Offer the patient another time, ${times}: book it by $book with the id of its proposal in contained as appointment-reference, and the patient-reference.`;
  const there = entries.map((e) => `Appointment/${e.id} (${(e.resource as Appointment).status ?? ''})`).join(', ');
  const place =
    there === ''
      ? 'For a place on the waitlist with priority send $cancel once more, with waitlist true.'
      : `In its place there is ${there}.`;
  return {
    severity: 'information',
    code: 'informational',
    diagnostics: `The clinic has cancelled this visit. ${other} ${place}`,
  };
}

/** @throws FhirError 403 for patients, 422 where the patient has a share in it */
function demandOfClinic(ctx: RequestContext, reason: CodeableConcept | undefined): void {
  if (channelOf(ctx.access.principal) === 'patient')
    throw new FhirError(403, [
      errorIssue('forbidden', 'Only staff gives places on the waitlist with priority: leave it out.', 'waitlist'),
    ]);
  ctx.access.demand('create', 'Appointment');
  if (!isOfClinic(reason))
    throw ruleBroken(
      'A place on the waitlist with priority is for visits that the clinic cancels, and this reason is the patient’s: leave waitlist out.',
      'waitlist',
    );
}

/**
 * Cancels; and where it lies with the clinic, tells staff what there is instead.
 * @param wantsPlace on the waitlist, in the same transaction
 */
export async function cancelAndTell(
  parts: SchedulingParts,
  ctx: RequestContext,
  id: string,
  input: Cancel,
  wantsPlace: boolean,
): Promise<OperationReply> {
  const { engine } = parts;
  const { reason, patients } = input;
  if (wantsPlace) demandOfClinic(ctx, reason ?? {});
  const enlisted = new Map<PreparedWrite, readonly PreparedWrite[]>();
  const also = async (tx: Transaction, write: PreparedWrite): Promise<void> =>
    void enlisted.set(write, await enlist(parts, ctx, tx, write.resource as Appointment, patients));
  const changed = await cancel(parts, ctx, id, input, wantsPlace ? also : undefined);
  const { appointment, write } = changed;
  // The first reason counts.
  const why = appointment.status === 'cancelled' ? appointment.cancelationReason : (reason ?? {});
  let entries = enlisted.get(write) ?? [];
  if (wantsPlace && entries.length === 0) {
    demandOfClinic(ctx, why);
    entries = await engine.repository.transaction('read committed', (tx) =>
      enlist(parts, ctx, tx, appointment, patients),
    );
  }
  const isStaff = channelOf(ctx.access.principal) === 'staff';
  const told = isStaff && (wantsPlace || (reason !== undefined && isOfClinic(why)));
  const left = told ? await leftBy(parts, engine.repository, appointment, patients) : undefined;
  if (!left || left.visit.patients.length === 0 || left.visit.start === undefined)
    return appointmentReply(engine, ctx.access, changed);
  const contained = await insteadOf(parts, left.directory, left.visit, 'staff');
  const issues = [sayInstead(contained, entries)];
  return answerWith(engine, ctx.access, write, issues, { included: entries, contained });
}
