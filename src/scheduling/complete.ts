/**
 * What the server adds to an appointment that a client writes: whose time its Slots are, the time of day that is promised, why it was cancelled, and what was
 * not shown to whoever sends it back. So that lists, caps and replies go by what is written, whoever wrote it.
 * @see https://hl7.org/fhir/R4/appointment.html
 */
import type { Appointment, AppointmentParticipant, CodeableConcept, Resource } from '@medplum/fhirtypes';
import type { Principal } from '../fhir/access.ts';
import { localReference } from '../fhir/search/type/reference.ts';
import type { Reader } from '../fhir/store/repository.ts';
import { channelOf } from './channel.ts';
import type { Directory } from './directory.ts';
import { extensionOf } from './extension.ts';
import { freshDirectory } from './fresh-directory.ts';
import type { Channel } from './model/rules.ts';
import { theirs } from './own-part.ts';
import { isOptional } from './participant.ts';
import type { SchedulingParts } from './parts.ts';
import { isForged, isWrittenIn, needsPromise, promiseOf, whereIs, withPromise, type PromiseChange } from './promise.ts';
import { participantsOf } from './proposed.ts';
import { readSlots, slotsOf } from './slots.ts';
import { CANCELLATION_REASON, OVERRIDE } from './urls.ts';
import { visitOfAppointment, type NamedSlot } from './visit.ts';

/** In these somebody's time is taken, or asked for. */
const LIVE: ReadonlySet<string> = new Set(['proposed', 'pending', 'booked', 'arrived', 'checked-in', 'fulfilled']);
const ACCEPTED: ReadonlySet<string> = new Set(['booked', 'arrived', 'checked-in', 'fulfilled']);

/** Why whoever cancels usually does. */
export const usualReason = (channel: Channel): CodeableConcept => ({
  coding: [
    channel === 'patient'
      ? { system: CANCELLATION_REASON, code: 'pat-cpp', display: 'Patient: Canceled via Patient Portal' }
      : { system: CANCELLATION_REASON, code: 'other', display: 'Other' },
  ],
});

/** What those whom the server adds have said: nothing yet, where the visit is not booked. */
const replyIn = (status: string): AppointmentParticipant['status'] =>
  ACCEPTED.has(status) ? 'accepted' : status === 'pending' ? 'tentative' : 'needs-action';

/**
 * Whose time its Slots are, takes part; and of which service a visit is, is said: caps and rules go by it, whatever is left out later.
 * @param isNew whether it is written for the first time
 */
function withThoseMeant(
  known: Directory,
  baseUrl: string,
  appointment: Appointment,
  slots: ReadonlyMap<string, NamedSlot>,
  isNew: boolean,
): Appointment {
  const { status = '', participant } = appointment;
  const hasSlots = slotsOf(appointment, baseUrl).length > 0;
  if (!LIVE.has(status) || !(hasSlots || isNew)) return appointment;
  const { offer, actors, possible } = visitOfAppointment(known, baseUrl, appointment, slots);
  const there = new Set(participant.map((p) => known.resolve(localReference(p.actor?.reference ?? '', baseUrl))));
  const missing = hasSlots ? actors.filter((a) => !there.has(a.reference)) : [];
  const reply = replyIn(status);
  const others = missing.map(({ reference, display }): AppointmentParticipant => ({
    actor: { reference, ...(display === undefined ? {} : { display }) },
    required: 'required',
    status: reply,
  }));
  const isOf = ({ actor }: AppointmentParticipant, type: string): boolean =>
    actor?.reference?.startsWith(type) === true && !there.has(actor.reference);
  const isServed = [...there].some((who) => who.startsWith('HealthcareService/'));
  // Of several offers it is not settled here which one it is.
  const told = (offer && possible.length === 0 ? participantsOf(offer, [], reply) : []).filter(
    (p) =>
      (!isServed && isOf(p, 'HealthcareService/')) || (missing.length > 0 && isOf(p, 'Location/') && isOptional(p)),
  );
  return others.length + told.length === 0
    ? appointment
    : { ...appointment, participant: [...participant, ...others, ...told] };
}

/** To patients overrides are not shown: what they send back has them again. */
function withOverride(appointment: Appointment, before: Appointment | undefined): Appointment {
  const was = extensionOf(before, OVERRIDE);
  if (!was || extensionOf(appointment, OVERRIDE)) return appointment;
  return { ...appointment, extension: [...(appointment.extension ?? []), was] };
}

type Source = Pick<Reader, 'query' | 'decode'>;

/** What a change means for the promise, by the rules as they are now where what is written does not fit those that are known. */
async function promiseChange(
  parts: SchedulingParts,
  reader: Source,
  after: Appointment,
  before: Appointment | undefined,
  slots: ReadonlyMap<string, NamedSlot>,
): Promise<PromiseChange> {
  const { baseUrl } = parts.engine;
  const change = (directory: Directory): PromiseChange => {
    const { zone } = whereIs(directory, baseUrl, after, slots);
    const was = before && whereIs(directory, baseUrl, before, slots).zone;
    return { before, zone, moves: was !== undefined && zone !== undefined && was !== zone };
  };
  const known = change(await parts.directory.current());
  return known.zone && isWrittenIn(known.zone, after.start) ? known : change(await freshDirectory(parts, reader));
}

export async function completeAppointment(
  parts: SchedulingParts,
  reader: Source,
  resource: Resource,
  was: Resource | undefined,
  by: Principal,
): Promise<Resource> {
  if (resource.resourceType !== 'Appointment') return resource;
  const { baseUrl } = parts.engine;
  const before = was?.resourceType === 'Appointment' ? was : undefined;
  const channel = channelOf(by);
  const ends = before && before.status !== 'cancelled' && resource.status === 'cancelled';
  const reasoned =
    ends && !resource.cancelationReason ? { ...resource, cancelationReason: usualReason(channel) } : resource;
  const whole = channel === 'patient' ? withOverride(reasoned, before) : reasoned;
  const promised = needsPromise(whole, before);
  const named = [
    ...(promised || LIVE.has(whole.status ?? '') ? slotsOf(whole, baseUrl) : []),
    ...(promised ? slotsOf(before, baseUrl) : []),
  ];
  const [known, slots] = await Promise.all([parts.directory.current(), readSlots(reader.query, named)]);
  const attended = withThoseMeant(known, baseUrl, whole, slots, before === undefined);
  if (!promised) return attended;
  const change = await promiseChange(parts, reader, attended, before, slots);
  if (channel === 'patient' && isForged(attended, change)) throw theirs('extension');
  return withPromise(attended, change);
}

/** Of an appointment that an operation changes: a promise where it has none. */
export async function promisedBy(
  parts: SchedulingParts,
  after: Appointment,
  before: Appointment,
): Promise<Appointment> {
  if (promiseOf(after) || !needsPromise(after, before)) return after;
  const { repository, baseUrl } = parts.engine;
  const slots = await readSlots(repository.query, slotsOf(after, baseUrl));
  return withPromise(after, await promiseChange(parts, repository, after, before, slots));
}
