/**
 * The rules that every change of an appointment meets, whichever door it comes through: the state machine, what is over stays as it was, and what patients
 * may do by themselves.
 * @see https://hl7.org/fhir/R4/valueset-appointmentstatus.html
 */
import type { Appointment } from '@medplum/fhirtypes';
import type { Offer } from './directory.ts';
import { extensionOf } from './extension.ts';
import { latestCancel } from './model/policy.ts';
import type { Channel } from './model/rules.ts';
import { judgeMove, OVER, type Status } from './model/status.ts';
import { bookable, candidateAt } from './offered.ts';
import { demandOwnChange, demandOwnReplies, demandOwnWish } from './own-part.ts';
import { isOptional } from './participant.ts';
import { ruleBroken } from './refusal.ts';
import { HOLD_EXPIRED, HOLD_EXPIRES, OVERRIDE } from './urls.ts';
import type { Visit } from './visit.ts';
import { MINUTE } from './model/dates.ts';

/** One change, with what it means for time. */
export interface Guarded {
  readonly before: Appointment | undefined;
  readonly after: Appointment;
  readonly was: Visit | undefined;
  readonly is: Visit;
  readonly channel: Channel;
  /** The installation itself, or a system that acts for it: it may bring what happened elsewhere. */
  readonly isSystem: boolean;
  readonly now: number;
  /** An operation books by the rules, whoever calls it. */
  readonly mustBeOffered: boolean;
  /** By a use case of ours: what it changes needs no second look. */
  readonly made: boolean;
  readonly baseUrl: string;
}

/** Longest hold that a patient may ask for. */
const PATIENT_HOLD_MS = 15 * MINUTE;
const STAFF_HOLD_MS = 30 * MINUTE;

const sameTime = (a: Visit, b: Visit): boolean => a.start === b.start && a.end === b.end;

const names = (visit: Visit): string =>
  [...visit.actors, ...visit.patients]
    .map((a) => a.reference)
    .sort()
    .join(' ');

/** Whether a visit is at another time or with others than before. */
export const isMoved = (was: Visit, is: Visit): boolean => !sameTime(was, is) || names(was) !== names(is);

/** Whether it is at a time, or with somebody, that it was not before. Who leaves takes nothing. */
function isTaken(was: Visit, is: Visit): boolean {
  const before = new Set([...was.actors, ...was.patients].map((a) => a.key));
  return !sameTime(was, is) || [...is.actors, ...is.patients].some((a) => !before.has(a.key));
}

/** A hold that has run out was cancelled by the clock, not by anybody: its holder may still take, or ask for, the time, though not hold it again. */
const isWonAgain = (before: Appointment, is: Visit, channel: Channel): boolean =>
  before.status === 'cancelled' &&
  extensionOf(before, HOLD_EXPIRED) !== undefined &&
  (is.status === 'booked' || (channel === 'patient' && is.status === 'pending' && is.expires === undefined));

function demandMove({ before, after, was, is, channel, isSystem, made, now }: Guarded): void {
  if (!before && isSystem) return;
  const from = before && isWonAgain(before, is, channel) ? 'pending' : (before?.status as Status | undefined);
  const changedAt = before?.meta?.lastUpdated;
  const { offer } = was ?? is;
  const judged = judgeMove(from, is.status, {
    channel,
    now,
    // What it writes happened elsewhere; what it has us do happens here.
    isSystem: isSystem && !made,
    noFrontDesk: offer?.parameters.noFrontDesk ?? false,
    ...(changedAt === undefined ? {} : { changedAt: Date.parse(changedAt) }),
    ...(was?.start === undefined ? {} : { start: was.start }),
    ...(offer?.parameters.selfCheckInMs === undefined ? {} : { selfCheckInMs: offer.parameters.selfCheckInMs }),
    ...(offer?.entry.zone === undefined ? {} : { zone: offer.entry.zone.name }),
    ...(was === undefined
      ? {}
      : { awaitingApproval: was.awaitsApproval || extensionOf(before, HOLD_EXPIRES) === undefined }),
  });
  if (judged.ok) return;
  const legal =
    judged.legal.length > 0
      ? `From here it may become ${judged.legal.join(', ')}.`
      : 'From here it cannot change its status.';
  throw ruleBroken(
    `The appointment cannot become ${after.status ?? 'that'}: ${judged.reason}. ${legal}`,
    'Appointment.status',
  );
}

/** What is over does not move, and another service is another visit. */
function demandStays({ before, was, is, isSystem }: Guarded): void {
  if (!was || !before || isSystem) return;
  if (was.holds && is.holds && was.service !== undefined && is.service !== undefined && was.service !== is.service)
    throw ruleBroken(
      `A visit keeps its service, ${was.service}: cancel it, and book another.`,
      'Appointment.participant',
    );
  if (!OVER.has(was.status) || !OVER.has(is.status)) return;
  if (isMoved(was, is))
    throw ruleBroken(
      `An appointment that is ${was.status} keeps its time and its participants: book a new one.`,
      'Appointment.start',
    );
}

/** Who books anew names the Slots of the visit, and no others. */
function demandOwnSlots({ before, is, isSystem }: Guarded): void {
  const [strange] = is.strange;
  if (before || isSystem || !is.holds || strange === undefined) return;
  throw ruleBroken(
    `${strange} is of another service or time than the appointment: name the Slots of its time, or none.`,
    'Appointment.slot',
  );
}

function demandTime({ is, channel, now }: Guarded): void {
  if (!is.holds || is.start === undefined || is.end === undefined) return;
  if (is.end <= is.start) throw ruleBroken('The appointment must end after it starts.', 'Appointment.end');
  if (is.expires !== undefined && is.expires > now + (channel === 'patient' ? PATIENT_HOLD_MS : STAFF_HOLD_MS) + MINUTE)
    throw ruleBroken(
      `A hold lasts ${(channel === 'patient' ? PATIENT_HOLD_MS : STAFF_HOLD_MS) / MINUTE} minutes at most.`,
      'Appointment.extension',
    );
}

/** Everybody but those who may stay away has accepted a visit that becomes booked. */
function demandAccepted({ before, after }: Guarded): void {
  if (after.status !== 'booked' || before?.status === 'booked') return;
  const index = after.participant.findIndex((p) => !isOptional(p) && p.status !== 'accepted');
  if (index >= 0)
    throw ruleBroken(
      `Who is not optional must have accepted a booked appointment, but participant ${index + 1} is ${after.participant[index]?.status ?? 'not'}: set it to accepted, or the appointment to pending.`,
      `Appointment.participant[${index}].status`,
    );
}

function demandCancelInTime({ was, channel, now }: Guarded): void {
  if (channel !== 'patient' || was?.start === undefined || was.status === 'waitlist' || was.status === 'proposed')
    return;
  const { offer } = was;
  if (was.start <= now || was.status === 'arrived' || was.status === 'checked-in')
    throw ruleBroken('The appointment has begun: ask the front desk.', 'Appointment.status');
  if (!offer?.entry.zone || now <= latestCancel(was.start, offer.parameters.cancelNotice, offer.entry.zone)) return;
  throw ruleBroken(
    'It is too late to cancel or move this appointment by yourself: ask the front desk.',
    'Appointment.status',
  );
}

const ask = (channel: Channel): string => (channel === 'patient' ? 'ask the front desk' : 'give a reason to override');

/** Patients book what is meant for them, and as the service has it. */
function demandForPatients({ is }: Guarded, { parameters, entry, pool }: Offer, length: number): void {
  if (Math.abs(length - parameters.duration * MINUTE) > 1000)
    throw ruleBroken(`A visit of this service lasts ${parameters.duration} minutes.`, 'Appointment.end');
  // A hold ends by itself, and what it becomes is judged then.
  const isHold = is.status === 'pending' && is.expires !== undefined && parameters.mode !== 'waitlist';
  if (!isHold && is.status !== parameters.mode)
    throw ruleBroken(
      parameters.mode === 'booked'
        ? 'Patients book this service at once: send the appointment as booked, or hold the time by $hold.'
        : `Patients ask for this service: send the appointment as ${parameters.mode}.`,
      'Appointment.status',
    );
  const missing = entry.actors.find((a) => !is.actors.some((b) => b.reference === a.reference));
  if (missing)
    throw ruleBroken(
      `${missing.reference} takes part in every visit of this Schedule: add it as a participant.`,
      'Appointment.participant',
    );
  const others = is.actors.filter((a) => !entry.actors.some((b) => b.reference === a.reference));
  const [room, another] = others.filter((a) => pool.some((b) => b.reference === a.reference));
  const stranger = another ?? others.find((a) => a !== room);
  if (stranger)
    throw ruleBroken(
      `${stranger.reference} takes no part in visits of this Schedule: leave it out, or ask the front desk.`,
      'Appointment.participant',
    );
  if (pool.length > 0 && !room)
    throw ruleBroken(
      `A visit of this service needs one of ${pool.map((p) => p.reference).join(', ')}: book it by $book, or add one as a participant.`,
      'Appointment.participant',
    );
}

/** The time is one that is offered to whoever takes it. @returns whether only an opening can offer it */
function demandOffered(change: Guarded): boolean {
  const { is, now, channel } = change;
  const { offer, start, end } = is;
  if (start === undefined || end === undefined) return false;
  if (!offer)
    throw ruleBroken(
      'It is not known whose time this is: name a Slot, or the practitioner and the HealthcareService.',
      'Appointment.participant',
    );
  const { parameters, entry } = offer;
  if (entry.schedule.active === false)
    throw ruleBroken(`${entry.reference} is not active: ask $find for the times that are offered.`, 'Appointment.slot');
  if (!parameters.channels.includes(channel))
    throw ruleBroken(
      `This service is not booked by ${channel === 'patient' ? 'patients' : 'staff'}: ${ask(channel)}.`,
      'Appointment.serviceType',
    );
  if (channel === 'patient') demandForPatients(change, offer, end - start);
  const { earliest, latest } = bookable(offer, channel, now);
  if (start < earliest) throw ruleBroken(`It is too late to book this time: ${ask(channel)}.`, 'Appointment.start');
  if (start >= latest)
    throw ruleBroken(`This time is too far ahead to be booked: ${ask(channel)}.`, 'Appointment.start');
  return candidateAt(offer, start) === undefined;
}

/** Of what is the clinic's, patients change nothing. */
function demandOwnPart({ before, after, was, is, made, baseUrl }: Guarded): void {
  if (extensionOf(after, OVERRIDE) && !extensionOf(before, OVERRIDE))
    throw ruleBroken('Only staff may book over the rules.', 'Appointment.extension');
  if (!made) {
    if (before) demandOwnChange(before, after, baseUrl);
    else {
      demandOwnWish(after);
      demandOwnReplies(after, baseUrl);
    }
  }
  if (is.holds && is.patients.length === 0)
    throw ruleBroken('A visit is for a patient: who comes is required.', 'Appointment.participant');
  const mode = is.offer?.parameters.mode ?? 'booked';
  if (was?.status === 'pending' && is.status === 'booked' && mode !== 'booked')
    throw ruleBroken(`Patients ask for this service: $book sends it for approval.`, 'Appointment.status');
}

/**
 * @returns whether the time lies in no rule, so that it must be looked up whether an opening offers it
 * @throws FhirError 422 naming the rule and, for a status, the legal ones
 */
export function guard(change: Guarded): boolean {
  demandMove(change);
  demandStays(change);
  demandTime(change);
  demandOwnSlots(change);
  demandAccepted(change);
  const { was, is, channel } = change;
  if (channel === 'patient') demandOwnPart(change);
  const moves = was?.holds === true && is.holds && isMoved(was, is);
  if (is.status === 'cancelled' || moves) demandCancelInTime(change);
  const takes =
    is.holds &&
    (!was?.holds || isTaken(was, is) || (was.status === 'pending' && is.status === 'booked' && was.start !== is.start));
  const judged = channel === 'patient' || (change.mustBeOffered && is.overrideReason === undefined);
  return takes && judged ? demandOffered(change) : false;
}
