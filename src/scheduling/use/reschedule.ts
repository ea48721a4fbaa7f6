/**
 * Moves a visit: the same appointment at another time, or a new one that takes the place of the old, for partners that see a moved start as a new visit.
 * @see https://hl7.org/fhir/R4/appointment.html#notes
 */
import type { Appointment, AppointmentParticipant, CodeableConcept } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import { badRequest } from '../../fhir/outcome.ts';
import { localReference } from '../../fhir/search/type/reference.ts';
import { demandReasonGiven } from '../cancellation-reason.ts';
import { channelOf } from '../channel.ts';
import type { Directory, Offer } from '../directory.ts';
import { foresee } from '../foresee.ts';
import { freshDirectory } from '../fresh-directory.ts';
import { asExtensions, extensionOf, withoutExtensions } from '../extension.ts';
import { MINUTE } from '../model/dates.ts';
import { OVER, type Status } from '../model/status.ts';
import type { SchedulingParts } from '../parts.ts';
import { participantsOf, written } from '../proposed.ts';
import { ruleBroken } from '../refusal.ts';
import { ANYTHING, selectOffers } from '../select.ts';
import { freeIn } from '../settled-offer.ts';
import { slotId } from '../slot-id.ts';
import { readSlots, slotsOf } from '../slots.ts';
import { OVERRIDE, PROMISED_TIME, RESCHEDULE_COUNT } from '../urls.ts';
import { fittest, visitOfAppointment } from '../visit.ts';
import { changeAppointment, readToChange, type Changed } from './change.ts';
import { withFreeRoom } from './rooms.ts';
import { demandOverride, overrideExtension, promisedTime, type Take } from './take-parts.ts';
import { recordChange } from './provenance.ts';
import { takeNew } from './take.ts';
import { demandWhole } from './target.ts';

export interface Reschedule {
  /** ms; undefined: that of the Slots. */
  readonly start: number | undefined;
  /** `Slot/1` */
  readonly slots: readonly string[];
  readonly schedules: readonly string[];
  readonly practitioners: readonly string[];
  readonly location: string | undefined;
  readonly mode: 'same' | 'replace';
  readonly reason: CodeableConcept | undefined;
  readonly comment: string | undefined;
  readonly overrideReason: string | undefined;
}

interface Plan {
  readonly start: number;
  readonly end: number;
  readonly offer: Offer | undefined;
  /** Whose it is. */
  readonly before: Offer | undefined;
  readonly directory: Directory;
}

async function planMove(
  parts: SchedulingParts,
  ctx: RequestContext,
  appointment: Appointment,
  to: Reschedule,
): Promise<Plan> {
  const { engine } = parts;
  const directory = await freshDirectory(parts);
  const named = await readSlots(engine.repository.query, [...slotsOf(appointment, engine.baseUrl), ...to.slots]);
  const missing = to.slots.find((s) => !named.has(s));
  if (missing !== undefined)
    throw ruleBroken(`${missing} is not there any more: ask $find for the times that are free.`, 'slot');
  const was = visitOfAppointment(directory, engine.baseUrl, appointment, named);
  const chosen = to.slots.flatMap((s) => named.get(s) ?? []);
  demandWhole(chosen, 'slot');
  const start = to.start ?? (chosen.length > 0 ? Math.min(...chosen.map((s) => s.start)) : was.start);
  if (start === undefined) throw badRequest('required', 'Say when: send start, or the Slots.', 'start');
  const length = (was.end ?? 0) - (was.start ?? 0);
  const { slot: _, ...elsewhere } = { ...appointment, start: new Date(start).toISOString() };
  const possible =
    offersFor(
      directory,
      to,
      chosen.map((s) => s.schedule),
      was.offer,
    ) ?? visitOfAppointment(directory, engine.baseUrl, elsewhere, named).possible;
  const channel = channelOf(ctx.access.principal);
  const free =
    possible.length > 1
      ? await freeIn(
          engine.repository,
          directory,
          possible,
          { ...was, start, end: undefined },
          channel,
          engine.clock.now(),
        )
      : undefined;
  // As long as it was, unless that was the length of its service.
  const isUsual = length <= 0 || length === (was.offer?.parameters.duration ?? 0) * MINUTE;
  const lasts = (by: Offer | undefined): number => (isUsual ? (by?.parameters.duration ?? 30) * MINUTE : length);
  const offer = free ?? fittest(possible, start, start + lasts(was.offer)) ?? was.offer;
  const end = chosen.length > 1 ? Math.max(...chosen.map((s) => s.end)) : start + lasts(offer);
  return { start, end, offer, before: was.offer, directory };
}

/** Whose time it may become; the service stays. undefined: whose it is. */
function offersFor(
  directory: Directory,
  to: Reschedule,
  bySlot: readonly string[],
  before: Offer | undefined,
): readonly Offer[] | undefined {
  const schedules = [...to.schedules, ...bySlot];
  if (schedules.length + to.practitioners.length === 0 && to.location === undefined) return undefined;
  const service = before?.serviceReference;
  const choices = selectOffers(directory, {
    ...ANYTHING,
    schedules,
    practitioners: to.practitioners.map((p) => directory.resolve(p)),
    locations: to.location === undefined ? [] : [to.location],
    services: service === undefined ? [] : [service],
  });
  if (choices.length === 0)
    throw ruleBroken('The service is not offered there: a visit keeps its service when it moves.', 'schedule');
  return choices.map((c) => c.offer);
}

/** Those whom the old offer brought along make room for those of the new one. */
function participants(
  appointment: Appointment,
  directory: Directory,
  baseUrl: string,
  from: Offer | undefined,
  to: Offer | undefined,
): AppointmentParticipant[] {
  if (!to || !from || to === from) return appointment.participant;
  const rooms = from.pool.filter((r) => !to.pool.some((s) => s.reference === r.reference));
  const left = new Set(participantsOf(from, rooms, 'accepted').map((p) => p.actor?.reference));
  const whoOf = (p: AppointmentParticipant): string =>
    directory.resolve(localReference(p.actor?.reference ?? '', baseUrl));
  const stays = appointment.participant.filter((p) => !left.has(whoOf(p)));
  const here = new Set(stays.map(whoOf));
  return [...stays, ...participantsOf(to, [], 'accepted').filter((p) => !here.has(whoOf(p)))];
}

async function moved(
  parts: SchedulingParts,
  ctx: RequestContext,
  appointment: Appointment,
  to: Reschedule,
): Promise<readonly [Appointment, Offer | undefined]> {
  const { engine } = parts;
  const { slots } = to;
  const { start, end, offer, before, directory } = await planMove(parts, ctx, appointment, to);
  const isElsewhere = start !== Date.parse(appointment.start ?? '') || offer !== before;
  const generated = offer && `Slot/${slotId(offer.entry.reference, offer.serviceReference, start)}`;
  const known =
    generated === undefined || slots.length > 0
      ? new Set<string>()
      : await engine.repository.existing([generated], ctx.access.to('refer'));
  const kept = isElsewhere ? [] : slotsOf(appointment, engine.baseUrl);
  const slot = slots.length > 0 ? slots : kept.length > 0 ? kept : [...known];
  const count = (extensionOf(appointment, RESCHEDULE_COUNT)?.valuePositiveInt ?? 0) + 1;
  const at = (ms: number): string => (offer ? written(offer, ms) : new Date(ms).toISOString());
  const { slot: _, extension: __, ...rest } = appointment;
  // A reason to book over others is one for its time.
  const anew = isElsewhere || to.overrideReason !== undefined ? [OVERRIDE] : [];
  const next: Appointment = {
    ...rest,
    ...asExtensions([
      ...withoutExtensions(appointment, RESCHEDULE_COUNT, PROMISED_TIME, ...anew),
      ...(offer ? promisedTime(offer, start) : []),
      { url: RESCHEDULE_COUNT, valuePositiveInt: count },
      ...(to.overrideReason === undefined ? [] : [overrideExtension(ctx, to.overrideReason, engine.clock.now())]),
    ]),
    start: at(start),
    end: at(end),
    minutesDuration: Math.round((end - start) / MINUTE),
    ...(slot.length > 0 ? { slot: slot.map((reference) => ({ reference })) } : {}),
    ...(to.comment === undefined ? {} : { comment: to.comment }),
    participant: participants(appointment, directory, engine.baseUrl, before, offer),
  };
  if (!offer) return [next, offer];
  return [{ ...next, participant: await withFreeRoom(parts, ctx, next, offer, start, offer !== before) }, offer];
}

/** Of what is cancelled, another may still be booked in its place. @throws FhirError 422 */
function demandAhead({ status }: Appointment, mode: Reschedule['mode']): void {
  if (!OVER.has(status as Status) || (mode === 'replace' && status === 'cancelled')) return;
  throw ruleBroken(
    `The appointment is ${status ?? 'over'}, and what is over does not move: book a new one by $book.`,
    'Appointment.status',
  );
}

/** @throws FhirError 409 with other times when the new one is taken, 422 when a rule is against it */
export async function reschedule(
  parts: SchedulingParts,
  ctx: RequestContext,
  id: string,
  to: Reschedule,
): Promise<Changed> {
  demandOverride(ctx, to.overrideReason);
  demandReasonGiven(parts.engine.terminology, to.reason, channelOf(ctx.access.principal));
  if (to.mode === 'replace') return replace(parts, ctx, id, to);
  const step = (appointment: Appointment): Promise<readonly [Appointment, Offer | undefined]> => {
    demandAhead(appointment, to.mode);
    return moved(parts, ctx, appointment, to);
  };
  return changeAppointment(parts, ctx, id, step, {
    foresees: true,
    also: (tx, write) => recordChange(parts, ctx, tx, [write], to.reason),
  });
}

/** The old one is cancelled, and a new one is booked that says so. */
async function replace(parts: SchedulingParts, ctx: RequestContext, id: string, to: Reschedule): Promise<Changed> {
  const { appointment } = await readToChange(parts, ctx, id);
  demandAhead(appointment, to.mode);
  const [next, offer] = await moved(parts, ctx, appointment, to);
  parts.made.add(next);
  if (offer) parts.offers.set(next, offer);
  await foresee(parts, next, ctx.access.principal, appointment);
  const { id: _, meta: __, identifier: ___, cancelationReason: ____, extension: _____, ...rest } = next;
  const said: Appointment = { ...rest, ...asExtensions(withoutExtensions(next, RESCHEDULE_COUNT, OVERRIDE)) };
  const target = { kind: 'described', said, offer } as const;
  const take: Take = {
    target,
    patients: [],
    registers: [],
    comment: undefined,
    reasons: [],
    basedOn: undefined,
    overrideReason: to.overrideReason,
    cancels: { reference: `Appointment/${id}`, reason: to.reason },
    hold: undefined,
  };
  return takeNew(parts, ctx, take, target);
}
