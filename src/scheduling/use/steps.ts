/** The steps of an appointment's day, each as its operation. @see https://hl7.org/fhir/R4/valueset-appointmentstatus.html */
import { isDeepStrictEqual } from 'node:util';
import type { Appointment, AppointmentParticipant, CodeableConcept, Encounter } from '@medplum/fhirtypes';
import { grantAll, unveiled } from '../../fhir/access.ts';
import type { RequestContext } from '../../fhir/context.ts';
import { errorIssue, FhirError } from '../../fhir/outcome.ts';
import { demandLive } from '../../fhir/interaction/version.ts';
import { settle } from '../../fhir/interaction/write.ts';
import { localReference } from '../../fhir/search/type/reference.ts';
import type { PreparedWrite, Transaction } from '../../fhir/store/repository.ts';
import { sql } from '../../platform/database/sql.ts';
import { channelOf } from '../channel.ts';
import { freshDirectory } from '../fresh-directory.ts';
import { asExtensions, extensionOf, withoutExtensions } from '../extension.ts';
import type { Status } from '../model/status.ts';
import type { SchedulingParts } from '../parts.ts';
import { isOptional } from '../participant.ts';
import { ruleBroken } from '../refusal.ts';
import { latestCancel } from '../model/policy.ts';
import { readSlots, slotsOf } from '../slots.ts';
import { HOLD_EXPIRES, LATE_CANCEL, OF_HOLDS } from '../urls.ts';
import { visitOfAppointment } from '../visit.ts';
import { asWhole, changeAppointment, type Changed } from './change.ts';
import { cancelled, demandOverride, overrideExtension } from './take-parts.ts';
import { bookHeld } from './take-stored.ts';

/** A hold is let go: whoever held it did not decline. */
export const release = (parts: SchedulingParts, ctx: RequestContext, id: string): Promise<Changed> =>
  changeAppointment(parts, ctx, id, (appointment) => {
    if (!extensionOf(appointment, HOLD_EXPIRES))
      throw ruleBroken('This is no hold: cancel the appointment instead.', 'Appointment.status');
    return appointment.status === 'cancelled' ? appointment : { ...appointment, status: 'cancelled' };
  });

/** Whether its service says that now is late: what follows from it is a matter of policy. */
async function isLate(parts: SchedulingParts, appointment: Appointment): Promise<boolean> {
  const { engine } = parts;
  const slots = await readSlots(engine.repository.query, slotsOf(appointment, engine.baseUrl));
  const directory = await freshDirectory(parts);
  const { offer, start, status } = visitOfAppointment(directory, engine.baseUrl, appointment, slots);
  const { lateCancel } = offer?.parameters ?? {};
  if (!lateCancel || !offer?.entry.zone || start === undefined || status !== 'booked') return false;
  return engine.clock.now() > latestCancel(start, lateCancel, offer.entry.zone);
}

/** Whom of a visit a patient's account speaks for; what it may not write alone, because others come too, is written for it. @throws FhirError 404 */
async function ownPart(
  parts: SchedulingParts,
  ctx: RequestContext,
  id: string,
): Promise<{ readonly whole: RequestContext; readonly own: ReadonlySet<string> }> {
  const { repository, baseUrl } = parts.engine;
  ctx.access.demand('update', 'Appointment');
  // Who else comes is not shown to them; that somebody does decides how they leave.
  const seen = unveiled(ctx.access.to('read'));
  const stored = demandLive(await repository.read('Appointment', id, seen), 'Appointment', id);
  const { participant } = JSON.parse(stored.content) as Appointment;
  const served = participant
    .map((p) => localReference(p.actor?.reference ?? '', baseUrl))
    .filter((r) => /^(?:Patient|RelatedPerson)\//.test(r));
  const own = await repository.existing(served, ctx.access.to('refer'));
  const together = new Set(served.filter((r) => r.startsWith('Patient/'))).size > 1;
  return { whole: together ? asWhole(ctx) : ctx, own };
}

/** @throws FhirError 422 when one of them takes no part */
function demandThere({ participant }: Appointment, baseUrl: string, named: readonly string[], element: string): void {
  const there = new Set(participant.map((p) => localReference(p.actor?.reference ?? '', baseUrl)));
  const missing = named.find((who) => !there.has(who));
  if (missing !== undefined) throw ruleBroken(`${missing} does not take part in this visit.`, element);
}

export interface Cancel {
  /** undefined: the usual one of whoever cancels */
  readonly reason: CodeableConcept | undefined;
  readonly comment: string | undefined;
  /** `Patient/1`: of a visit of several patients, only these do not come. */
  readonly patients: readonly string[];
}

/** In a visit of several, who does not come declines; it is cancelled when nobody is left. @param also what follows from it */
export async function cancel(
  parts: SchedulingParts,
  ctx: RequestContext,
  id: string,
  { reason, comment, patients }: Cancel,
  also?: (tx: Transaction, write: PreparedWrite) => Promise<void>,
): Promise<Changed> {
  const { baseUrl } = parts.engine;
  const byPatient = channelOf(ctx.access.principal) === 'patient';
  const { whole, own } = byPatient ? await ownPart(parts, ctx, id) : { whole: ctx, own: new Set<string>() };
  const whoOf = (p: AppointmentParticipant): string => localReference(p.actor?.reference ?? '', baseUrl);
  const step = async (appointment: Appointment): Promise<Appointment> => {
    if (appointment.status === 'cancelled') return appointment;
    const leaves = byPatient ? own : new Set(patients);
    demandThere(appointment, baseUrl, patients, 'patient-reference');
    const participant = appointment.participant.map((p) =>
      leaves.has(whoOf(p)) && whoOf(p).startsWith('Patient/') ? { ...p, status: 'declined' as const } : p,
    );
    const said = { ...appointment, ...(comment === undefined ? {} : { comment }), participant };
    const stay = participant.some((p) => whoOf(p).startsWith('Patient/') && p.status !== 'declined');
    if (leaves.size > 0 && stay) return isDeepStrictEqual(said, appointment) ? appointment : said;
    const late = await isLate(parts, appointment);
    const flag = [...withoutExtensions(appointment, LATE_CANCEL), { url: LATE_CANCEL, valueBoolean: true }];
    return { ...cancelled(said, reason, ctx), ...(late ? { extension: flag } : {}) };
  };
  return changeAppointment(parts, whole, id, step, { also });
}

/**
 * Participants accept; when all who are needed have, what waits is booked, and a hold once its patients have.
 * @param actors `Practitioner/1`; none: everybody, where staff confirms, or the patient who does
 */
export async function confirm(
  parts: SchedulingParts,
  ctx: RequestContext,
  id: string,
  actors: readonly string[],
  overrideReason: string | undefined,
): Promise<Changed> {
  demandOverride(ctx, overrideReason);
  const { engine } = parts;
  const byPatient = channelOf(ctx.access.principal) === 'patient';
  const { whole, own } = byPatient ? await ownPart(parts, ctx, id) : { whole: ctx, own: new Set<string>() };
  const foreign = actors.find((a) => byPatient && !own.has(a));
  if (foreign !== undefined) throw ruleBroken("Others' replies are theirs to give.", 'actor');
  const whoOf = ({ actor }: AppointmentParticipant): string => localReference(actor?.reference ?? '', engine.baseUrl);
  return changeAppointment(parts, whole, id, (appointment) => {
    demandThere(appointment, engine.baseUrl, actors, 'actor');
    const mine = (p: AppointmentParticipant): boolean => {
      const who = whoOf(p);
      if (byPatient) return own.has(who);
      return actors.length > 0 ? actors.includes(who) : !isOptional(p) || who.startsWith('Patient/');
    };
    const participant = appointment.participant.map((p) => (mine(p) ? { ...p, status: 'accepted' as const } : p));
    const agreed = participant.every((p) => isOptional(p) || p.status === 'accepted');
    const held = extensionOf(appointment, HOLD_EXPIRES) !== undefined;
    const come = participant.every((p) => !whoOf(p).startsWith('Patient/') || isOptional(p) || p.status === 'accepted');
    if (byPatient && held && come && appointment.status === 'pending') return bookHeld(parts, ctx, appointment);
    const waits = ['pending', 'proposed', 'waitlist'].includes(appointment.status ?? '');
    const books = waits && agreed && appointment.start !== undefined && (!byPatient || held);
    const { extension: _, ...rest } = appointment;
    return {
      ...rest,
      ...asExtensions([
        ...(books ? withoutExtensions(appointment, ...OF_HOLDS) : (appointment.extension ?? [])),
        ...(overrideReason === undefined ? [] : [overrideExtension(ctx, overrideReason, engine.clock.now())]),
      ]),
      status: books ? 'booked' : (appointment.status as NonNullable<Appointment['status']>),
      participant,
    };
  });
}

/** The room of a visit that has begun is a location of its Encounter. */
async function assignRoom(parts: SchedulingParts, tx: Transaction, id: string, room: string): Promise<void> {
  const { engine } = parts;
  const access = grantAll({ kind: 'system', name: 'scheduling' });
  const [[found] = []] = await tx.execute(
    sql`select e.id from encounter e where e.appointment @> array[${`Appointment/${id}`}] and e.status <> 'entered-in-error' order by e.last_updated desc limit 1`,
  );
  const stored = typeof found === 'string' ? await tx.read('Encounter', found, access.to('read')) : undefined;
  if (stored?.content === undefined) return;
  const encounter = JSON.parse(stored.content) as Encounter;
  const now = engine.clock.now();
  const at = new Date(now).toISOString();
  const others = (encounter.location ?? [])
    .filter((l) => l.location.reference !== room)
    .map((l) =>
      l.physicalType?.coding?.[0]?.code === 'ro'
        ? { ...l, status: 'completed' as const, period: { ...l.period, end: at } }
        : l,
    );
  const here = {
    location: { reference: room },
    status: 'active' as const,
    physicalType: {
      coding: [{ system: 'http://terminology.hl7.org/CodeSystem/location-physical-type', code: 'ro', display: 'Room' }],
    },
    period: { start: at },
  };
  const write = settle(
    engine,
    { ...encounter, location: [...others, here] },
    { id: stored.id, version: stored.version + 1, lastUpdated: new Date(now), method: 'PUT' },
  );
  await tx.update([write], new Map(), access.to('update'));
}

/** Rooms are the clinic's to give. @throws FhirError 403, 422 */
async function demandRoom({ engine }: SchedulingParts, ctx: RequestContext, room: string): Promise<void> {
  if (channelOf(ctx.access.principal) === 'patient')
    throw new FhirError(403, [errorIssue('forbidden', 'Rooms are assigned by staff: leave it out.', 'room')]);
  const known = await engine.repository.existing([room], ctx.access.to('refer'));
  if (!known.has(room)) throw ruleBroken(`${room} is not known here: name a Location that there is.`, 'room');
}

/** @param room `Location/1` */
export async function checkIn(
  parts: SchedulingParts,
  ctx: RequestContext,
  id: string,
  status: 'arrived' | 'checked-in',
  room: string | undefined,
): Promise<Changed> {
  if (room !== undefined) await demandRoom(parts, ctx, room);
  return changeAppointment(
    parts,
    ctx,
    id,
    (appointment) => (appointment.status === status && room === undefined ? appointment : { ...appointment, status }),
    room === undefined ? {} : { also: (tx) => assignRoom(parts, tx, id, room) },
  );
}

/** Any other step. */
export const step = (
  parts: SchedulingParts,
  ctx: RequestContext,
  id: string,
  status: Extract<Status, 'noshow' | 'fulfilled'>,
  reason?: CodeableConcept,
  comment?: string,
): Promise<Changed> =>
  changeAppointment(parts, ctx, id, (appointment) =>
    appointment.status === status
      ? appointment
      : {
          ...appointment,
          status,
          ...(reason ? { cancelationReason: reason } : {}),
          ...(comment === undefined ? {} : { comment }),
        },
  );
