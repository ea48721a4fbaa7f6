/**
 * What the server adds to an appointment that a client writes: whose time its Slots are, why it was cancelled, and what was not shown to whoever sends it
 * back. So that lists, caps and replies go by what is written, whoever wrote it.
 * @see https://hl7.org/fhir/R4/appointment.html
 */
import type { Appointment, AppointmentParticipant, CodeableConcept, Resource } from '@medplum/fhirtypes';
import type { Principal } from '../fhir/access.ts';
import { localReference } from '../fhir/search/type/reference.ts';
import type { Reader } from '../fhir/store/repository.ts';
import { channelOf } from './channel.ts';
import { extensionOf } from './extension.ts';
import type { Channel } from './model/rules.ts';
import type { SchedulingParts } from './parts.ts';
import { participantsOf } from './proposed.ts';
import { readSlots, slotsOf } from './slots.ts';
import { CANCELLATION_REASON, OVERRIDE } from './urls.ts';
import { visitOfAppointment } from './visit.ts';

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

/** Whose time its Slots are, takes part. */
async function withActorsOfSlots(
  { directory, engine: { baseUrl } }: SchedulingParts,
  reader: Pick<Reader, 'query'>,
  appointment: Appointment,
): Promise<Appointment> {
  const { status = '', participant } = appointment;
  const named = LIVE.has(status) ? slotsOf(appointment, baseUrl) : [];
  if (named.length === 0) return appointment;
  const [known, slots] = await Promise.all([directory.current(), readSlots(reader.query, named)]);
  const { offer, actors } = visitOfAppointment(known, baseUrl, appointment, slots);
  const there = new Set(participant.map((p) => known.resolve(localReference(p.actor?.reference ?? '', baseUrl))));
  const missing = actors.filter((a) => !there.has(a.reference));
  if (missing.length === 0) return appointment;
  const reply = replyIn(status);
  const others = missing.map(({ reference, display }): AppointmentParticipant => ({
    actor: { reference, ...(display === undefined ? {} : { display }) },
    required: 'required',
    status: reply,
  }));
  const place = offer ? participantsOf(offer, [], reply).filter((p) => p.required === 'information-only') : [];
  const told = place.filter((p) => !there.has(p.actor?.reference ?? ''));
  return { ...appointment, participant: [...participant, ...others, ...told] };
}

/** To patients overrides are not shown: what they send back has them again. */
function withOverride(appointment: Appointment, before: Appointment | undefined): Appointment {
  const was = extensionOf(before, OVERRIDE);
  if (!was || extensionOf(appointment, OVERRIDE)) return appointment;
  return { ...appointment, extension: [...(appointment.extension ?? []), was] };
}

export async function completeAppointment(
  parts: SchedulingParts,
  reader: Pick<Reader, 'query'>,
  resource: Resource,
  was: Resource | undefined,
  by: Principal,
): Promise<Resource> {
  if (resource.resourceType !== 'Appointment') return resource;
  const before = was?.resourceType === 'Appointment' ? was : undefined;
  const channel = channelOf(by);
  const ends = before && before.status !== 'cancelled' && resource.status === 'cancelled';
  const reasoned =
    ends && !resource.cancelationReason ? { ...resource, cancelationReason: usualReason(channel) } : resource;
  const whole = channel === 'patient' ? withOverride(reasoned, before) : reasoned;
  return withActorsOfSlots(parts, reader, whole);
}
