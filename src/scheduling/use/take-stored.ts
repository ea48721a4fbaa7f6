/** Takes the time of an appointment that is stored: a hold is renewed once, or becomes an appointment; what waits is booked. @see https://profiles.ihe.net/ITI/Scheduling/ITI-117.html */
import { isDeepStrictEqual } from 'node:util';
import type { Appointment } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import { demandStorable } from '../../fhir/interaction/write.ts';
import { localReference } from '../../fhir/search/type/reference.ts';
import { channelOf } from '../channel.ts';
import type { Offer } from '../directory.ts';
import { asExtensions, extensionOf, withoutExtensions } from '../extension.ts';
import { freshDirectory } from '../fresh-directory.ts';
import { MINUTE } from '../model/dates.ts';
import type { SchedulingParts } from '../parts.ts';
import { isOptional } from '../participant.ts';
import { ruleBroken } from '../refusal.ts';
import { settledOffer } from '../settled-offer.ts';
import { readSlots, slotsOf } from '../slots.ts';
import { AWAITING_APPROVAL, HOLD_EXPIRES, HOLD_RENEWED, OF_HOLDS } from '../urls.ts';
import { visitOfAppointment } from '../visit.ts';
import { changeAppointment, readToChange, type Changed } from './change.ts';
import {
  basedOn,
  cancelOld,
  demandKnown,
  holdMinutes,
  instant,
  modeOf,
  overrideExtension,
  replyOf,
  type Take,
} from './take-parts.ts';

/** From these a visit may be booked; what has begun or is over is not booked again. */
const BOOKABLE: ReadonlySet<string> = new Set(['proposed', 'pending', 'waitlist', 'cancelled']);

async function offerOf(
  parts: SchedulingParts,
  ctx: RequestContext,
  appointment: Appointment,
): Promise<Offer | undefined> {
  const { repository, baseUrl, clock } = parts.engine;
  const slots = await readSlots(repository.query, slotsOf(appointment, baseUrl));
  const directory = await freshDirectory(parts);
  const visit = visitOfAppointment(directory, baseUrl, appointment, slots);
  const channel = channelOf(ctx.access.principal);
  return (await settledOffer(repository, directory, visit, visit, channel, clock.now())) ?? visit.offer;
}

/** Of what waits without a time, the appointment at the one that is sent with it, and with whom. */
function timed(appointment: Appointment, { target }: Take): Appointment {
  const said = target.kind === 'stored' ? target.said : undefined;
  if (appointment.start !== undefined || said?.start === undefined) return appointment;
  const { start, end, slot, participant } = said;
  return {
    ...appointment,
    start,
    ...(end === undefined ? {} : { end }),
    ...(slot ? { slot } : {}),
    participant,
  };
}

type Words = Pick<Take, 'comment' | 'reasons' | 'basedOn' | 'patients' | 'overrideReason'>;

const words = (take: Words, appointment: Appointment): Partial<Appointment> => ({
  ...(take.comment === undefined ? {} : { comment: take.comment }),
  ...(take.reasons.length > 0 ? { reasonCode: [...take.reasons] } : {}),
  ...basedOn(take, appointment.basedOn),
});

async function bookStored(
  parts: SchedulingParts,
  ctx: RequestContext,
  take: Words,
  appointment: Appointment,
): Promise<Appointment> {
  const { engine } = parts;
  if (appointment.status === 'booked') {
    const said = { ...appointment, ...words(take, appointment) };
    return isDeepStrictEqual(said, appointment) ? appointment : said;
  }
  if (!BOOKABLE.has(appointment.status ?? ''))
    throw ruleBroken(
      `The appointment is ${appointment.status ?? 'over'}: it is not booked again, book a new one.`,
      'Appointment.status',
    );
  if (appointment.start === undefined)
    throw ruleBroken(
      'The appointment has no time: send it as appointment-resource with start and end.',
      'Appointment.start',
    );
  const held = extensionOf(appointment, HOLD_EXPIRES) !== undefined;
  if (channelOf(ctx.access.principal) === 'patient' && !held && appointment.status === 'pending')
    throw ruleBroken('The appointment waits for approval by the clinic.', 'Appointment.status');
  const status = modeOf(await offerOf(parts, ctx, appointment), ctx) === 'pending' ? 'pending' : 'booked';
  const missing = take.patients.filter(
    (p) => !appointment.participant.some((x) => localReference(x.actor?.reference ?? '', engine.baseUrl) === p),
  );
  const { extension: _, cancelationReason: __, ...rest } = appointment;
  return {
    ...rest,
    ...asExtensions([
      ...withoutExtensions(appointment, ...OF_HOLDS),
      ...(status === 'pending' ? [{ url: AWAITING_APPROVAL, valueBoolean: true }] : []),
      ...(take.overrideReason === undefined ? [] : [overrideExtension(ctx, take.overrideReason, engine.clock.now())]),
    ]),
    status,
    ...words(take, appointment),
    participant: [
      ...missing.map((reference) => ({
        actor: { reference },
        required: 'required' as const,
        status: 'accepted' as const,
      })),
      ...appointment.participant.map((p) => {
        if (isOptional(p)) return p;
        const isPatient = localReference(p.actor?.reference ?? '', engine.baseUrl).startsWith('Patient/');
        return { ...p, status: isPatient ? ('accepted' as const) : replyOf(status) };
      }),
    ],
  };
}

const AS_IT_IS: Words = {
  comment: undefined,
  reasons: [],
  basedOn: undefined,
  patients: [],
  overrideReason: undefined,
};

/** A hold as its holder books it, who says no more of it. */
export const bookHeld = (parts: SchedulingParts, ctx: RequestContext, appointment: Appointment): Promise<Appointment> =>
  bookStored(parts, ctx, AS_IT_IS, appointment);

async function renewed(
  parts: SchedulingParts,
  ctx: RequestContext,
  take: Take,
  appointment: Appointment,
): Promise<Appointment> {
  if (!extensionOf(appointment, HOLD_EXPIRES) || appointment.status !== 'pending')
    throw ruleBroken('Only a hold is renewed, and this is none.', 'Appointment.status');
  if (extensionOf(appointment, HOLD_RENEWED))
    throw ruleBroken('A hold is renewed once: book it, or let it go.', 'Appointment.extension');
  const until = parts.engine.clock.now() + holdMinutes(take, await offerOf(parts, ctx, appointment), ctx) * MINUTE;
  return {
    ...appointment,
    extension: [
      ...withoutExtensions(appointment, HOLD_EXPIRES),
      { url: HOLD_EXPIRES, valueInstant: instant(until) },
      { url: HOLD_RENEWED, valueBoolean: true },
    ],
  };
}

/** A time that is only now chosen is one that is offered, and with whom there is. @throws FhirError 422 */
async function chosenOffer(
  parts: SchedulingParts,
  ctx: RequestContext,
  take: Take,
  id: string,
): Promise<Offer | undefined> {
  if (take.target.kind !== 'stored' || take.target.said?.start === undefined) return undefined;
  const { engine } = parts;
  const { appointment } = await readToChange(parts, ctx, id);
  const wanted = timed(appointment, take);
  if (wanted === appointment) return undefined;
  await demandStorable(engine, ctx.access, engine.repository, 'Appointment', wanted);
  return offerOf(parts, ctx, { ...wanted, status: 'booked' });
}

export async function takeStored(
  parts: SchedulingParts,
  ctx: RequestContext,
  take: Take,
  id: string,
): Promise<Changed> {
  const { cancels } = take;
  if (take.hold !== undefined) return changeAppointment(parts, ctx, id, (a) => renewed(parts, ctx, take, a));
  if (take.patients.length > 0) await demandKnown(parts, ctx, take, take.patients, undefined);
  const offer = await chosenOffer(parts, ctx, take, id);
  const step = async (a: Appointment): Promise<readonly [Appointment, Offer | undefined]> => [
    await bookStored(parts, ctx, take, timed(a, take)),
    offer,
  ];
  return changeAppointment(parts, ctx, id, step, {
    beside: async (tx) => {
      if (take.registers.length > 0) await tx.insert(take.registers, ctx.access.to('create'));
      if (cancels) await cancelOld(parts, ctx, tx, cancels);
    },
  });
}
