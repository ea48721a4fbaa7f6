/**
 * What patients may say of an appointment by themselves: when they come, whether, and why. The rest of it is the clinic's.
 * @see https://hl7.org/fhir/R4/appointment-definitions.html
 */
import { isDeepStrictEqual } from 'node:util';
import type { Appointment, AppointmentParticipant } from '@medplum/fhirtypes';
import { localReference } from '../fhir/search/type/reference.ts';
import { withoutExtensions } from './extension.ts';
import { isOptional } from './participant.ts';
import { ruleBroken } from './refusal.ts';
import { HOLD_EXPIRED, HOLD_EXPIRES, OF_HOLDS, OURS, PROMISED_TIME } from './urls.ts';

/** Elements that patients change. Participants and extensions are looked at one by one. */
const THEIRS: ReadonlySet<string> = new Set([
  'status',
  'start',
  'end',
  'minutesDuration',
  'slot',
  'comment',
  'cancelationReason',
  'reasonCode',
]);
/** Set by the server, or looked at by themselves. */
const APART: ReadonlySet<string> = new Set(['resourceType', 'id', 'meta', 'participant', 'extension']);
/** In these nobody's time is taken yet: what is wished for may change. */
const WISHES: ReadonlySet<string> = new Set(['proposed', 'waitlist']);
/** What the clinic says in a new appointment. */
const CLINICAL = ['priority', 'patientInstruction'] as const;
/** What a new appointment of theirs may have: of holds what they say, and what the server writes. */
const WISHED = [...OF_HOLDS.filter((url) => url !== HOLD_EXPIRED), PROMISED_TIME];

const isOwn = ({ actor }: AppointmentParticipant, baseUrl: string): boolean =>
  /^(?:Patient|RelatedPerson)\//.test(localReference(actor?.reference ?? '', baseUrl));

const byActor = (appointment: Appointment): [AppointmentParticipant, number][] =>
  appointment.participant
    .map((p, i): [AppointmentParticipant, number] => [p, i])
    .sort(([a], [b]) => ((a.actor?.reference ?? '') < (b.actor?.reference ?? '') ? -1 : 1));

const same = ({ status: _, ...a }: AppointmentParticipant, { status: __, ...b }: AppointmentParticipant): boolean =>
  isDeepStrictEqual(a, b);

export const theirs = (element: string): Error =>
  ruleBroken(
    `Patients do not change ${element} of an appointment: leave it as it was, or ask the front desk.`,
    `Appointment.${element}`,
  );

function demandParticipants(before: Appointment, after: Appointment, baseUrl: string): void {
  const was = byActor(before);
  const is = byActor(after);
  if (was.length !== is.length)
    throw ruleBroken(
      'Patients do not change who takes part: ask for another time by $reschedule, or ask the front desk.',
      'Appointment.participant',
    );
  for (const [i, [now, index]] of is.entries()) {
    const [old] = was[i] ?? [];
    if (!old || !same(old, now))
      throw ruleBroken(
        'Patients do not change who takes part: ask for another time by $reschedule, or ask the front desk.',
        `Appointment.participant[${index}]`,
      );
    // Who held the time with them comes along when they book it.
    const booked = before.status !== after.status && after.status === 'booked' && now.status === 'accepted';
    if (old.status !== now.status && !isOwn(now, baseUrl) && !booked)
      throw ruleBroken("Others' replies are theirs to give.", `Appointment.participant[${index}].status`);
  }
  const gone = (p: AppointmentParticipant): boolean => !isOwn(p, baseUrl) || p.status === 'declined';
  if (after.status !== 'cancelled' && after.participant.every(gone) && !before.participant.every(gone))
    throw ruleBroken('Who does not come cancels: send the status cancelled too.', 'Appointment.status');
}

function demandExtensions(before: Appointment, after: Appointment): void {
  const ends = before.status !== after.status;
  // The server writes what was promised, whatever is sent.
  const kept = (a: Appointment): unknown => withoutExtensions(a, PROMISED_TIME, ...(ends ? OF_HOLDS : []));
  const added = after.extension?.some(
    (e) => OF_HOLDS.includes(e.url) && !before.extension?.some((o) => o.url === e.url),
  );
  if (added === true || !isDeepStrictEqual(kept(before), kept(after))) throw theirs('extension');
}

/** Else the patient's own reply, now or later, would book what waits for the clinic. A hold is booked by `$book`. @throws FhirError 422 */
export function demandOwnReplies({ status, extension, participant }: Appointment, baseUrl: string): void {
  if ((status !== 'pending' && status !== 'proposed') || extension?.some((e) => e.url === HOLD_EXPIRES) === true)
    return;
  const index = participant.findIndex((p) => p.status === 'accepted' && !isOptional(p) && !isOwn(p, baseUrl));
  if (index >= 0) throw ruleBroken("Others' replies are theirs to give.", `Appointment.participant[${index}].status`);
}

/** @throws FhirError 422 naming what is not theirs to change */
export function demandOwnChange(before: Appointment, after: Appointment, baseUrl: string): void {
  const wishes = WISHES.has(before.status ?? '') && WISHES.has(after.status ?? '');
  for (const element of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (APART.has(element) || THEIRS.has(element) || (wishes && element === 'requestedPeriod')) continue;
    const [was, is] = [before, after].map((a) => (a as unknown as Readonly<Record<string, unknown>>)[element]);
    if (!isDeepStrictEqual(was, is)) throw theirs(element);
  }
  demandExtensions(before, after);
  demandParticipants(before, after, baseUrl);
}

/** @throws FhirError 422 naming what the clinic says of a new appointment, not patients */
export function demandOwnWish(appointment: Appointment): void {
  for (const element of CLINICAL) if (appointment[element] !== undefined) throw theirs(element);
  const index = appointment.extension?.findIndex((e) => e.url.startsWith(OURS) && !WISHED.includes(e.url)) ?? -1;
  if (index >= 0) throw theirs(`extension[${index}]`);
}
