/**
 * Takes a time: holds it for some minutes, or books it. All rows are written in one transaction, in which the database decides who is first.
 * @see https://profiles.ihe.net/ITI/Scheduling/ITI-117.html
 */
import type { Appointment, AppointmentParticipant, CodeableConcept, Extension } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import { badRequest, errorIssue, FhirError } from '../../fhir/outcome.ts';
import { localReference } from '../../fhir/search/type/reference.ts';
import type { Transaction } from '../../fhir/store/repository.ts';
import { newId } from '../../platform/id.ts';
import type { Actor } from '../actor.ts';
import { channelOf } from '../channel.ts';
import type { Offer } from '../directory.ts';
import { asExtensions, extensionOf, withoutExtensions } from '../extension.ts';
import { findStarts } from '../find.ts';
import { MINUTE } from '../model/dates.ts';
import { tzdataVersion } from '../model/zone.ts';
import type { SchedulingParts } from '../parts.ts';
import type { Overlap } from '../project-appointments.ts';
import { participantsOf, visitOf, written } from '../proposed.ts';
import { ruleBroken, TimeTaken } from '../refusal.ts';
import { ANYTHING } from '../select.ts';
import { slotId } from '../slot-id.ts';
import {
  AWAITING_APPROVAL,
  CANCELLATION_REASON,
  HOLD_EXPIRES,
  HOLD_RENEWED,
  OVERRIDE,
  PREVIOUS_APPOINTMENT,
  PROMISED_TIME,
  REPLACES,
} from '../urls.ts';
import { asAppointment, changeAppointment, prepared, readToChange, type Changed } from './change.ts';
import type { Target } from './target.ts';

export interface Take {
  readonly target: Target;
  /** `Patient/1`; none: those whom the appointment names. */
  readonly patients: readonly string[];
  readonly comment: string | undefined;
  readonly reasons: readonly CodeableConcept[];
  readonly overrideReason: string | undefined;
  /** An appointment that this one takes the place of. */
  readonly cancels: string | undefined;
  /** Minutes for which it is only held. */
  readonly hold: number | undefined;
}

const DEFAULT_HOLD_MINUTES = 5;

const instant = (ms: number): string => new Date(ms).toISOString();

export const overrideExtension = (ctx: RequestContext, reason: string, now: number): Extension => ({
  url: OVERRIDE,
  extension: [
    { url: 'reason', valueString: reason },
    { url: 'by', valueReference: { display: ctx.access.principal.name } },
    { url: 'at', valueInstant: instant(now) },
  ],
});

/** The wall time that was promised, so that a later change of a zone's rules can be seen. */
export function promisedTime({ entry: { zone } }: Offer, start: number): Extension[] {
  if (!zone) return [];
  return [
    {
      url: PROMISED_TIME,
      extension: [
        { url: 'local', valueString: zone.format(start).slice(0, 16) },
        { url: 'timezone', valueCode: zone.name },
        { url: 'tzdata', valueString: tzdataVersion },
      ],
    },
  ];
}

/** Only staff books over the rules. @throws FhirError 403 */
export function demandOverride(ctx: RequestContext, reason: string | undefined): void {
  if (reason === undefined || channelOf(ctx.access.principal) === 'staff') return;
  throw new FhirError(403, [
    errorIssue('forbidden', 'Only staff may override the rules of booking.', 'override-reason'),
  ]);
}

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

/** A patient who is named must be one that whoever asks may name. @returns the Slot of the time too, where it was generated */
async function demandKnown(
  { engine }: SchedulingParts,
  ctx: RequestContext,
  patients: readonly string[],
  slot: string | undefined,
): Promise<boolean> {
  const asked = slot === undefined ? patients : [...patients, slot];
  const known = await engine.repository.existing(asked, ctx.access.to('refer'));
  const missing = patients.find((p) => !known.has(p));
  if (missing !== undefined)
    throw badRequest(
      'not-found',
      `${missing} is not known here: name a patient you may book for.`,
      'patient-reference',
    );
  return slot !== undefined && known.has(slot);
}

/** A free room or device of the offer's pool. @throws FhirError 409 */
async function fromPool(
  parts: SchedulingParts,
  offer: Offer,
  start: number,
  ctx: RequestContext,
  skip: number,
): Promise<readonly Actor[]> {
  if (offer.pool.length === 0) return [];
  const { starts } = await findStarts(parts.engine, parts.directory, {
    wanted: {
      ...ANYTHING,
      schedules: [offer.entry.reference],
      services: offer.serviceReference === undefined ? [] : [offer.serviceReference],
    },
    channel: channelOf(ctx.access.principal),
    now: parts.engine.clock.now(),
    start,
    end: start + MINUTE,
    also: [],
  });
  const pool = starts.find((s) => s.start === start)?.pool ?? [];
  const chosen = pool[skip];
  if (chosen) return [chosen];
  throw new TimeTaken('No room is free at this time.', () => Promise.resolve([]));
}

/** What becomes of a patient's wish is the service's to say. */
function statusOf(take: Take, offer: Offer | undefined, ctx: RequestContext): 'pending' | 'booked' | 'waitlist' {
  if (take.hold !== undefined) return 'pending';
  return channelOf(ctx.access.principal) === 'patient' ? (offer?.parameters.mode ?? 'booked') : 'booked';
}

function holdMinutes(take: Take, offer: Offer | undefined, ctx: RequestContext): number {
  const most = channelOf(ctx.access.principal) === 'patient' ? 15 : 30;
  return Math.min(
    take.hold === undefined || take.hold === 0 ? (offer?.parameters.holdMinutes ?? DEFAULT_HOLD_MINUTES) : take.hold,
    most,
  );
}

const replyOf = (status: Appointment['status']): AppointmentParticipant['status'] =>
  status === 'booked' ? 'accepted' : status === 'pending' ? 'tentative' : 'needs-action';

/** Links from a new appointment to the one that it takes the place of. */
const linksTo = (reference: string | undefined): Extension[] =>
  reference === undefined
    ? []
    : [PREVIOUS_APPOINTMENT, REPLACES].map((url) => ({ url, valueReference: { reference } }));

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
  const status = statusOf(take, offer, ctx);
  const reply = replyOf(status);
  const start = Date.parse(base.start ?? '');
  const extension: Extension[] = [
    ...withoutExtensions(base, HOLD_EXPIRES, AWAITING_APPROVAL, OVERRIDE, PROMISED_TIME),
    ...(offer && Number.isFinite(start) ? promisedTime(offer, start) : []),
    ...(take.hold !== undefined
      ? [{ url: HOLD_EXPIRES, valueInstant: instant(now + holdMinutes(take, offer, ctx) * MINUTE) }]
      : status === 'pending'
        ? [{ url: AWAITING_APPROVAL, valueBoolean: true }]
        : []),
    ...(take.overrideReason === undefined ? [] : [overrideExtension(ctx, take.overrideReason, now)]),
    ...linksTo(take.cancels),
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
    ...(take.cancels === undefined
      ? {}
      : { supportingInformation: [...(rest.supportingInformation ?? []), { reference: take.cancels }] }),
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

/** The old one ends in the same transaction in which the new one begins. */
async function cancelOld(
  parts: SchedulingParts,
  ctx: RequestContext,
  tx: Transaction,
  reference: string,
): Promise<void> {
  const id = reference.slice('Appointment/'.length);
  const { stored, appointment } = await readToChange(parts, ctx, id);
  const write = prepared(parts, ctx, cancelled(appointment, undefined, ctx), stored, id);
  await tx.update([write], new Map([[reference, appointment]]), ctx.access.to('update'));
}

/** @param reason undefined: the usual one of whoever cancels */
export function cancelled(
  appointment: Appointment,
  reason: CodeableConcept | undefined,
  ctx: RequestContext,
): Appointment {
  const usual: CodeableConcept =
    channelOf(ctx.access.principal) === 'patient'
      ? { coding: [{ system: CANCELLATION_REASON, code: 'pat-cpp', display: 'Patient: Canceled via Patient Portal' }] }
      : { coding: [{ system: CANCELLATION_REASON, code: 'other', display: 'Other' }] };
  return { ...appointment, status: 'cancelled', cancelationReason: reason ?? usual };
}

async function create(
  parts: SchedulingParts,
  ctx: RequestContext,
  take: Take,
  appointment: Appointment,
  offer: Offer | undefined,
): Promise<Changed> {
  const { repository, clock } = parts.engine;
  const write = prepared(parts, ctx, appointment, undefined, newId(clock.now()), offer);
  const done = (overlaps: readonly Overlap[]): Changed => ({ appointment: asAppointment(write), write, overlaps });
  const { cancels } = take;
  return done(
    await repository.transaction('read committed', async (tx) => {
      // Its own time is no obstacle: it is freed first.
      if (cancels !== undefined) await cancelOld(parts, ctx, tx, cancels);
      await tx.insert([write], ctx.access.to('create'));
      return parts.overlaps.get(tx) ?? [];
    }),
  );
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
  const hasSlot = await demandKnown(parts, ctx, patients, slot);
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
  for (let skip = 0; ; skip++) {
    const chosen = await fromPool(parts, offer, start, ctx, skip);
    const appointment = newAppointment(
      parts,
      ctx,
      take,
      { ...visitOf(offer, start), ...kept },
      offer,
      patients,
      participantsOf(offer, chosen, 'accepted'),
      hasSlot ? [{ reference: slot }] : undefined,
    );
    try {
      return await create(parts, ctx, take, appointment, offer);
    } catch (error) {
      // Another room may still be free.
      if (!(error instanceof TimeTaken) || chosen.length === 0 || skip > 8) throw error;
    }
  }
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
  await demandKnown(parts, ctx, patients, undefined);
  const named = said.participant.filter((p) => !isPatient(p, baseUrl));
  const here = new Set(named.map((p) => localReference(p.actor?.reference ?? '', baseUrl)));
  const others = offer
    ? [...named, ...participantsOf(offer, [], 'accepted').filter((p) => !here.has(p.actor?.reference ?? ''))]
    : named;
  const timed =
    offer && said.start !== undefined && said.end === undefined
      ? { ...said, end: written(offer, Date.parse(said.start) + offer.parameters.duration * MINUTE) }
      : said;
  return create(parts, ctx, take, newAppointment(parts, ctx, take, timed, offer, patients, others, said.slot), offer);
}

/** A stored one: a hold is renewed once, or becomes an appointment; what waits is booked. */
async function takeStored(parts: SchedulingParts, ctx: RequestContext, take: Take, id: string): Promise<Changed> {
  const { engine } = parts;
  const now = engine.clock.now();
  if (take.hold !== undefined) return renewHold(parts, ctx, take, id, now);
  if (take.patients.length > 0) await demandKnown(parts, ctx, take.patients, undefined);
  return changeAppointment(
    parts,
    ctx,
    id,
    (appointment) => {
      if (appointment.status === 'booked') return appointment;
      const held = extensionOf(appointment, HOLD_EXPIRES) !== undefined;
      const patient = channelOf(ctx.access.principal) === 'patient';
      const missing = take.patients.filter(
        (p) => !appointment.participant.some((x) => localReference(x.actor?.reference ?? '', engine.baseUrl) === p),
      );
      if (patient && !held && appointment.status === 'pending')
        throw ruleBroken('The appointment waits for approval by the clinic.', 'Appointment.status');
      const { extension: _, cancelationReason: __, ...rest } = appointment;
      return {
        ...rest,
        ...asExtensions([
          ...withoutExtensions(appointment, HOLD_EXPIRES, HOLD_RENEWED, AWAITING_APPROVAL),
          ...(take.overrideReason === undefined ? [] : [overrideExtension(ctx, take.overrideReason, now)]),
        ]),
        status: 'booked',
        ...(take.comment === undefined ? {} : { comment: take.comment }),
        ...(take.reasons.length > 0 ? { reasonCode: [...take.reasons] } : {}),
        participant: [
          ...missing.map((reference) => ({
            actor: { reference },
            required: 'required' as const,
            status: 'accepted' as const,
          })),
          ...appointment.participant.map((p) =>
            p.required === 'required' ? { ...p, status: 'accepted' as const } : p,
          ),
        ],
      };
    },
    take.cancels === undefined ? {} : { also: (tx) => cancelOld(parts, ctx, tx, take.cancels ?? '') },
  );
}

async function renewHold(
  parts: SchedulingParts,
  ctx: RequestContext,
  take: Take,
  id: string,
  now: number,
): Promise<Changed> {
  return changeAppointment(parts, ctx, id, (appointment) => {
    const expires = extensionOf(appointment, HOLD_EXPIRES);
    if (!expires || appointment.status !== 'pending')
      throw ruleBroken('Only a hold is renewed, and this is none.', 'Appointment.status');
    if (extensionOf(appointment, HOLD_RENEWED))
      throw ruleBroken('A hold is renewed once: book it, or let it go.', 'Appointment.extension');
    return {
      ...appointment,
      extension: [
        ...withoutExtensions(appointment, HOLD_EXPIRES),
        { url: HOLD_EXPIRES, valueInstant: instant(now + holdMinutes(take, undefined, ctx) * MINUTE) },
        { url: HOLD_RENEWED, valueBoolean: true },
      ],
    };
  });
}

/**
 * Holds or books.
 * @throws FhirError 409 with other times in `contained` when somebody was first, 422 when a rule is against it
 */
export async function takeTime(parts: SchedulingParts, ctx: RequestContext, take: Take): Promise<Changed> {
  demandOverride(ctx, take.overrideReason);
  const { target } = take;
  if (target.kind === 'stored') return takeStored(parts, ctx, take, target.id);
  ctx.access.demand('create', 'Appointment');
  return target.kind === 'proposal' ? takeProposal(parts, ctx, take, target) : takeDescribed(parts, ctx, take, target);
}
