/**
 * A start that may be booked, as a proposed Appointment. Its text is made once for each start and kept: `$find` puts Bundles together from it.
 * @see https://hl7.org/fhir/R4/appointment.html
 */
import type { Appointment, AppointmentParticipant } from '@medplum/fhirtypes';
import type { Actor } from './actor.ts';
import type { Offer } from './directory.ts';
import { MINUTE } from './model/dates.ts';
import type { Proposals } from './proposal.ts';

const participant = (
  reference: string,
  display: string | undefined,
  required: AppointmentParticipant['required'],
  status: AppointmentParticipant['status'],
): AppointmentParticipant => ({
  actor: { reference, ...(display === undefined ? {} : { display }) },
  ...(required === undefined ? {} : { required }),
  status,
});

/** Who takes part besides the patient: whom the visit occupies, and where and in which service it is. */
export function participantsOf(
  { entry, service, serviceReference }: Offer,
  chosen: readonly Actor[],
  status: AppointmentParticipant['status'],
): AppointmentParticipant[] {
  const { location } = entry;
  const site = location && `Location/${location.id ?? ''}`;
  const occupied = [...entry.actors, ...chosen];
  return [
    ...occupied.map((a) => participant(a.reference, a.display, 'required', status)),
    ...(site === undefined || occupied.some((a) => a.reference === site)
      ? []
      : [participant(site, location?.name, 'information-only', 'accepted')]),
    ...(serviceReference === undefined
      ? []
      : [participant(serviceReference, service?.name, 'information-only', 'accepted')]),
  ];
}

/** An instant as it is read at the place, with its offset. */
export const written = ({ entry: { zone } }: Offer, instant: number): string =>
  zone ? zone.format(instant) : new Date(instant).toISOString();

/** What every appointment of the offer at this start says, whoever it is for. */
export function visitOf(offer: Offer, start: number): Omit<Appointment, 'status' | 'participant'> {
  const { service, entry, parameters } = offer;
  const { schedule } = entry;
  const category = service?.category ?? schedule.serviceCategory;
  const type = service?.type ?? schedule.serviceType;
  const specialty = service?.specialty ?? schedule.specialty;
  return {
    resourceType: 'Appointment',
    ...(category ? { serviceCategory: category } : {}),
    ...(type ? { serviceType: type } : {}),
    ...(specialty ? { specialty } : {}),
    ...(service?.name === undefined ? {} : { description: service.name }),
    start: written(offer, start),
    end: written(offer, start + parameters.duration * MINUTE),
    minutesDuration: Math.round(parameters.duration),
  };
}

export function proposedAppointment(offer: Offer, start: number, id: string, room?: Actor): Appointment {
  const { resourceType, ...visit } = visitOf(offer, start);
  const participant = participantsOf(offer, room ? [room] : [], 'needs-action');
  return { resourceType, id, status: 'proposed', ...visit, participant };
}

/** Text of an entry up to the end of its last participant, so that a patient can be added. */
export interface EntryText {
  readonly head: string;
  readonly tail: string;
}

function makeText(proposals: Proposals, baseUrl: string, offer: Offer, start: number, room?: Actor): EntryText {
  const id = proposals.idOf(offer, start, room?.reference);
  const resource = JSON.stringify(proposedAppointment(offer, start, id, room));
  return {
    head: `{"fullUrl":"${baseUrl}/Appointment/${id}","resource":${resource.slice(0, -2)}`,
    tail: ']},"search":{"mode":"match"}}',
  };
}

const texts = new WeakMap<Offer, Map<number, EntryText>>();
const MOST_TEXTS = 2_000;

/** An entry of a searchset. @param baseUrl without trailing slash */
export function proposalText(
  proposals: Proposals,
  baseUrl: string,
  offer: Offer,
  start: number,
  room: Actor | undefined,
): EntryText {
  if (room) return makeText(proposals, baseUrl, offer, start, room);
  let known = texts.get(offer);
  if (!known) texts.set(offer, (known = new Map()));
  const found = known.get(start);
  if (found) return found;
  const made = makeText(proposals, baseUrl, offer, start);
  if (known.size >= MOST_TEXTS) known.clear();
  known.set(start, made);
  return made;
}
