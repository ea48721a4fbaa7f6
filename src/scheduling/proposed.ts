/**
 * A start that may be booked, as a proposed Appointment; its text is put together from parts that are kept.
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

/** The text of an entry, in pieces: what all starts of an offer have in common is made once for each offer. */
interface Template {
  readonly beforeStart: string;
  readonly beforeEnd: string;
  /** Up to the end of the last participant, so that a patient can be added. */
  readonly afterEnd: string;
}

/** What differs from start to start. */
interface Written {
  readonly id: string;
  readonly start: string;
  readonly end: string;
}

const TAIL = '},"search":{"mode":"match"}}';
/** Nobody's id, and no time. */
const [ID, START, END] = ['\u0001id', '\u0001start', '\u0001end'];

function templateOf(offer: Offer, room: Actor | undefined): Template {
  const { participant, ...rest } = proposedAppointment(offer, 0, ID, room);
  const text = JSON.stringify({ ...rest, start: START, end: END, participant });
  const after = (mark: string): number => text.indexOf(JSON.stringify(mark)) + JSON.stringify(mark).length;
  return {
    beforeStart: text.slice(after(ID), after(START) - JSON.stringify(START).length),
    beforeEnd: text.slice(after(START), after(END) - JSON.stringify(END).length),
    afterEnd: text.slice(after(END), -2),
  };
}

const templates = new WeakMap<Offer, Template>();
let kept = new WeakMap<Offer, Map<number, Written>>();
let count = 0;
/** Starts whose parts are kept: of two hundred bytes each. */
const MOST_WRITTEN = 50_000;

function makeWritten(proposals: Proposals, offer: Offer, start: number, room?: Actor): Written {
  return {
    id: proposals.idOf(offer, start, room?.reference),
    start: written(offer, start),
    end: written(offer, start + offer.parameters.duration * MINUTE),
  };
}

function writtenOf(proposals: Proposals, offer: Offer, start: number): Written {
  let known = kept.get(offer);
  if (!known) kept.set(offer, (known = new Map()));
  const found = known.get(start);
  if (found) return found;
  if (++count > MOST_WRITTEN) {
    kept = new WeakMap([[offer, (known = new Map())]]);
    count = 1;
  }
  const made = makeWritten(proposals, offer, start);
  known.set(start, made);
  return made;
}

/** An entry of a searchset. @param baseUrl without trailing slash @param added further participants, as JSON with a comma before each @param more further elements, so too */
export function proposalText(
  proposals: Proposals,
  baseUrl: string,
  offer: Offer,
  start: number,
  room: Actor | undefined,
  added: string,
  more: string,
): string {
  let template = room ? templateOf(offer, room) : templates.get(offer);
  if (!template) templates.set(offer, (template = templateOf(offer, undefined)));
  const { beforeStart, beforeEnd, afterEnd } = template;
  const own = room ? makeWritten(proposals, offer, start, room) : writtenOf(proposals, offer, start);
  return (
    `{"fullUrl":"${baseUrl}/Appointment/${own.id}","resource":{"resourceType":"Appointment","id":"${own.id}"` +
    `${beforeStart}"${own.start}"${beforeEnd}"${own.end}"${afterEnd}${added}]${more}${TAIL}`
  );
}
