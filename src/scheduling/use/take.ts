/**
 * Takes a time: holds it for some minutes, or books it. All rows are written in one transaction, in which the database decides who is first.
 * @see https://profiles.ihe.net/ITI/Scheduling/ITI-117.html
 */
import type { Appointment, AppointmentParticipant, Extension } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import { demandStorable, retryOnChange } from '../../fhir/interaction/write.ts';
import { badRequest } from '../../fhir/outcome.ts';
import { localReference } from '../../fhir/search/type/reference.ts';
import type { PreparedWrite } from '../../fhir/store/repository.ts';
import { newId } from '../../platform/id.ts';
import type { Actor } from '../actor.ts';
import { channelOf } from '../channel.ts';
import type { Directory, Offer } from '../directory.ts';
import { asExtensions, withoutExtensions } from '../extension.ts';
import { MINUTE } from '../model/dates.ts';
import type { Interval } from '../model/interval.ts';
import type { SchedulingParts } from '../parts.ts';
import { participantsOf, visitOf, written } from '../proposed.ts';
import { TimeTaken } from '../refusal.ts';
import { endOwnHolds, ownHolds } from '../slot-holds.ts';
import { slotId } from '../slot-id.ts';
import { slotsOf } from '../slots.ts';
import { changedBy, prepared, type Changed } from './change.ts';
import { AWAITING_APPROVAL, HOLD_EXPIRES, OF_HOLDS, OVERRIDE, PROMISED_TIME } from '../urls.ts';
import { roomsToTry } from './rooms.ts';
import {
  basedOn,
  cancelOld,
  demandKnown,
  holdMinutes,
  instant,
  linksTo,
  modeOf,
  overrideExtension,
  promisedTime,
  replyOf,
  type Take,
} from './take-parts.ts';
import type { Target } from './target.ts';

const isPatient = (p: AppointmentParticipant, baseUrl: string): boolean =>
  localReference(p.actor?.reference ?? '', baseUrl).startsWith('Patient/');

/** Whom the visit is for: who is named, else who the app was opened for. @throws FhirError 400 for patients who name nobody */
function patientsOf(parts: SchedulingParts, ctx: RequestContext, take: Take, said: Appointment | undefined): string[] {
  if (take.patients.length > 0) return [...take.patients];
  const { baseUrl } = parts.engine;
  const named = (said?.participant ?? [])
    .filter((p) => isPatient(p, baseUrl))
    .map((p) => localReference(p.actor?.reference ?? '', baseUrl));
  if (named.length > 0) return named;
  if (ctx.access.principal.patient !== undefined) return [ctx.access.principal.patient];
  if (channelOf(ctx.access.principal) === 'staff') return [];
  throw badRequest('required', 'Say who will come: send patient-reference.', 'patient-reference');
}

function newAppointment(
  parts: SchedulingParts,
  ctx: RequestContext,
  take: Take,
  base: Appointment | Omit<Appointment, 'status' | 'participant'>,
  offer: Offer | undefined,
  patients: readonly string[],
  others: readonly AppointmentParticipant[],
  slots: Appointment['slot'],
): Appointment {
  const now = parts.engine.clock.now();
  const status = take.hold === undefined ? modeOf(offer, ctx) : 'pending';
  const reply = replyOf(status);
  const start = Date.parse(base.start ?? '');
  const extension: Extension[] = [
    ...withoutExtensions(base, ...OF_HOLDS, OVERRIDE, PROMISED_TIME),
    ...(offer && Number.isFinite(start) ? promisedTime(offer, start) : []),
    ...(take.hold !== undefined
      ? [{ url: HOLD_EXPIRES, valueInstant: instant(now + holdMinutes(take, offer, ctx) * MINUTE) }]
      : status === 'pending'
        ? [{ url: AWAITING_APPROVAL, valueBoolean: true }]
        : []),
    ...(take.overrideReason === undefined ? [] : [overrideExtension(ctx, take.overrideReason, now)]),
    ...linksTo(take.cancels?.reference),
  ];
  const { id: _, meta: __, extension: ___, ...rest } = base as Appointment;
  return {
    ...rest,
    ...asExtensions(extension),
    status,
    created: instant(now),
    ...(slots && slots.length > 0 ? { slot: slots } : {}),
    ...(take.comment === undefined ? {} : { comment: take.comment }),
    ...(take.reasons.length > 0 ? { reasonCode: [...take.reasons] } : {}),
    ...basedOn(take, rest.basedOn),
    ...(take.cancels === undefined
      ? {}
      : { supportingInformation: [...(rest.supportingInformation ?? []), { reference: take.cancels.reference }] }),
    participant: [
      ...patients.map((reference) => ({
        actor: { reference },
        required: 'required' as const,
        status: status === 'pending' && take.hold !== undefined ? ('tentative' as const) : ('accepted' as const),
      })),
      ...others.map((p) => (p.required === 'information-only' ? p : { ...p, status: reply })),
    ],
  };
}

async function create(
  parts: SchedulingParts,
  ctx: RequestContext,
  take: Take,
  appointment: Appointment,
  offer: Offer | undefined,
): Promise<Changed> {
  const { engine } = parts;
  const { cancels, registers, target } = take;
  const said = target.kind !== 'stored' && target.said !== undefined;
  const make = (): PreparedWrite =>
    prepared(parts, ctx, appointment, undefined, newId(engine.clock.now()), { offer, isOurs: !said });
  const named = target.kind === 'described' ? slotsOf(target.said, engine.baseUrl) : [];
  const ownSlots = channelOf(ctx.access.principal) === 'staff' ? named : [];
  const holds = ownSlots.length > 0 ? await ownHolds(engine.repository, ownSlots, ctx.access.principal) : [];
  // What a client has described may refer to what is not there, or not theirs.
  if (!cancels && registers.length === 0 && holds.length === 0) {
    if (said) await demandStorable(engine, ctx.access, engine.repository, 'Appointment', appointment);
    const write = make();
    await engine.repository.create(write, ctx.access.to('create'));
    return changedBy(parts, write);
  }
  const old = cancels?.reference.slice('Appointment/'.length);
  const attempt = (): Promise<PreparedWrite> =>
    engine.repository.transaction('read committed', async (tx) => {
      if (ownSlots.length > 0) await endOwnHolds(parts, tx, ownSlots, ctx.access.principal, engine.clock.now(), old);
      if (registers.length > 0) await tx.insert(registers, ctx.access.to('create'));
      if (said) await demandStorable(engine, ctx.access, tx, 'Appointment', appointment);
      const made = make();
      // Its own time is no obstacle: both are one change.
      await tx.together(async () => {
        if (cancels) await cancelOld(parts, ctx, tx, cancels);
        await tx.insert([made], ctx.access.to('create'));
      });
      return made;
    });
  // The old one may change meanwhile.
  return changedBy(parts, await retryOnChange(ctx.ifMatch !== undefined, attempt));
}

interface WithRoom extends Interval {
  readonly offer: Offer;
  /** undefined: any that is free, where one is needed. */
  readonly room: Actor | undefined;
  /** Ids of appointments that make room for this one. */
  readonly leaving: readonly string[];
}

async function createWithRoom(
  parts: SchedulingParts,
  ctx: RequestContext,
  take: Take,
  { offer, start, end, room, leaving }: WithRoom,
  make: (chosen: readonly Actor[]) => Appointment,
): Promise<Changed> {
  const replaced = take.cancels?.reference.slice('Appointment/'.length);
  const rooms = room ? [room] : await roomsToTry(parts, ctx, offer, { start, end }, replaced, leaving);
  for (const each of rooms.slice(0, -1)) {
    try {
      return await create(parts, ctx, take, make([each]), offer);
    } catch (error) {
      // Another room may still be free.
      if (!(error instanceof TimeTaken)) throw error;
    }
  }
  return create(parts, ctx, take, make(rooms.slice(-1)), offer);
}

async function takeProposal(
  parts: SchedulingParts,
  ctx: RequestContext,
  take: Take,
  target: Target & { kind: 'proposal' },
): Promise<Changed> {
  const { offer, start, said } = target;
  const patients = patientsOf(parts, ctx, take, said);
  const slot = `Slot/${slotId(offer.entry.reference, offer.serviceReference, start)}`;
  const hasSlot = await demandKnown(parts, ctx, take, patients, slot);
  const kept: Partial<Appointment> = said
    ? {
        ...(said.identifier ? { identifier: said.identifier } : {}),
        ...(said.comment === undefined ? {} : { comment: said.comment }),
        ...(said.reasonCode ? { reasonCode: said.reasonCode } : {}),
        ...(said.reasonReference ? { reasonReference: said.reasonReference } : {}),
        ...(said.basedOn ? { basedOn: said.basedOn } : {}),
        ...(said.appointmentType ? { appointmentType: said.appointmentType } : {}),
        ...(said.patientInstruction === undefined ? {} : { patientInstruction: said.patientInstruction }),
      }
    : {};
  const end = start + offer.parameters.duration * MINUTE;
  return createWithRoom(parts, ctx, take, { ...target, end, leaving: [] }, (chosen) =>
    newAppointment(
      parts,
      ctx,
      take,
      { ...visitOf(offer, start), ...kept },
      offer,
      patients,
      participantsOf(offer, chosen, 'accepted'),
      hasSlot ? [{ reference: slot }] : undefined,
    ),
  );
}

/** Who does what they are there for; a place and a service answer nobody. */
function withPart(directory: Directory, baseUrl: string, participant: AppointmentParticipant): AppointmentParticipant {
  const who = directory.resolve(localReference(participant.actor?.reference ?? '', baseUrl));
  return /^(?:Location|HealthcareService)\//.test(who) && !directory.isScarce(who)
    ? { ...participant, required: 'information-only', status: 'accepted' }
    : { ...participant, required: 'required' };
}

async function takeDescribed(
  parts: SchedulingParts,
  ctx: RequestContext,
  take: Take,
  target: Target & { kind: 'described' },
): Promise<Changed> {
  const { said, offer } = target;
  const { baseUrl } = parts.engine;
  if (said.start === undefined && take.hold !== undefined)
    throw badRequest('required', 'A hold needs a time: add start, or name the Slots.', 'Appointment.start');
  const patients = patientsOf(parts, ctx, take, said);
  await demandKnown(parts, ctx, take, patients, undefined);
  const directory = await parts.directory.current();
  const named = said.participant
    .filter((p) => !isPatient(p, baseUrl))
    .map((p) => (p.required === undefined ? withPart(directory, baseUrl, p) : p));
  const here = new Set(named.map((p) => localReference(p.actor?.reference ?? '', baseUrl)));
  const others = (chosen: readonly Actor[]): readonly AppointmentParticipant[] =>
    offer
      ? [...named, ...participantsOf(offer, chosen, 'accepted').filter((p) => !here.has(p.actor?.reference ?? ''))]
      : named;
  const start = Date.parse(said.start ?? '');
  const end = said.end === undefined ? start + (offer?.parameters.duration ?? 0) * MINUTE : Date.parse(said.end);
  const timed =
    offer && Number.isFinite(start) ? { ...said, start: written(offer, start), end: written(offer, end) } : said;
  const make = (chosen: readonly Actor[]): Appointment =>
    newAppointment(parts, ctx, take, timed, offer, patients, others(chosen), said.slot);
  if (!offer || said.start === undefined || offer.pool.some((r) => here.has(r.reference)))
    return create(parts, ctx, take, make([]), offer);
  const slots = channelOf(ctx.access.principal) === 'staff' ? slotsOf(said, baseUrl) : [];
  const held = slots.length > 0 ? await ownHolds(parts.engine.repository, slots, ctx.access.principal) : [];
  const time = { start: Date.parse(said.start), end: Date.parse(timed.end ?? said.start) };
  const leaving = held.flatMap((h) => h.id ?? []);
  return createWithRoom(parts, ctx, take, { offer, ...time, room: undefined, leaving }, make);
}

/**
 * Holds or books what is proposed or described.
 * @throws FhirError 409 with other times in `contained` when somebody was first, 422 when a rule is against it
 */
export function takeNew(
  parts: SchedulingParts,
  ctx: RequestContext,
  take: Take,
  target: Exclude<Target, { kind: 'stored' }>,
): Promise<Changed> {
  ctx.access.demand('create', 'Appointment');
  return target.kind === 'proposal' ? takeProposal(parts, ctx, take, target) : takeDescribed(parts, ctx, take, target);
}
