/** What an Appointment means for time: whom it occupies, from when to when, under the rules of which offer. @see https://hl7.org/fhir/R4/appointment.html */
import type { Appointment, Extension } from '@medplum/fhirtypes';
import { localReference } from '../fhir/search/type/reference.ts';
import { actorOf, type Actor } from './actor.ts';
import type { Directory, Offer, ScheduleEntry } from './directory.ts';
import { extensionOf } from './extension.ts';
import { windowsBetween } from './model/availability.ts';
import { MINUTE } from './model/dates.ts';
import { HOLDS_TIME, type Status } from './model/status.ts';
import { candidateAt } from './offered.ts';
import { slotsOf } from './slots.ts';
import { AWAITING_APPROVAL, HOLD_EXPIRES, OVERRIDE } from './urls.ts';

/** What is known of a Slot that an appointment names. */
export interface NamedSlot {
  readonly schedule: string;
  readonly service: string | undefined;
  readonly start: number;
  readonly end: number;
  readonly status: string;
}

export interface Visit {
  readonly id: string;
  readonly status: Status;
  /** Instants in ms; undefined: no time is set. */
  readonly start: number | undefined;
  readonly end: number | undefined;
  readonly holds: boolean;
  /** Practitioners, rooms, devices. */
  readonly actors: readonly Actor[];
  readonly patients: readonly Actor[];
  /** Ids of the Slots that it names. */
  readonly slots: readonly string[];
  /** `Schedule/1`: whose hand-made blocks count. */
  readonly schedules: readonly string[];
  readonly offer: Offer | undefined;
  /** Where it may be of several offers: all of them, as of a practitioner with two Schedules. */
  readonly possible: readonly Offer[];
  readonly service: string | undefined;
  /** Slots that it names although they are of another service, or of another time. */
  readonly strange: readonly string[];
  readonly expires: number | undefined;
  readonly awaitsApproval: boolean;
  readonly overrideReason: string | undefined;
  /** The whole of what is said about it: equal texts are one and the same override. */
  readonly overrideText: string | undefined;
}

const instant = (text: string | undefined): number | undefined => (text === undefined ? undefined : Date.parse(text));

/** Blanks are no reason. */
const reasonIn = (override: Extension | undefined): string | undefined => {
  const said = extensionOf(override, 'reason')?.valueString;
  return said === undefined || said.trim() === '' ? undefined : said;
};

const codings = (list: Appointment['serviceType']): Set<string> =>
  new Set(list?.flatMap((c) => c.coding?.map((x) => `${x.system ?? ''}|${x.code ?? ''}`) ?? []));

/** The offers that a visit may be of, among those of its Schedules: by its service, by the type of service, or because there is only one. */
function offersOf(offers: readonly Offer[], service: string | undefined, appointment: Appointment): readonly Offer[] {
  if (service !== undefined) return offers.filter((o) => o.serviceReference === service);
  const types = codings(appointment.serviceType);
  const ofType = offers.filter((o) => !codings(o.service?.type).isDisjointFrom(types));
  return ofType.length > 0 || offers.length > 1 ? ofType : offers;
}

/** First those that bring along everybody who is there, and nobody else. */
function likeliestFirst(offers: readonly Offer[], actors: ReadonlyMap<string, Actor>): readonly Offer[] {
  if (offers.length < 2) return offers;
  const score = ({ entry, pool }: Offer): number => {
    const known = new Set([...entry.actors, ...pool].map((a) => a.reference));
    const all = entry.actors.every((a) => actors.has(a.reference));
    return ([...actors.keys()].every((a) => known.has(a)) ? 2 : 0) + (all ? 1 : 0);
  };
  return offers.toSorted((a, b) => score(b) - score(a));
}

/** Of several offers the first whose rules have the time, rather for visits of this length. */
export function fittest(
  offers: readonly Offer[],
  start: number | undefined,
  end: number | undefined,
): Offer | undefined {
  if (offers.length < 2 || start === undefined) return offers[0];
  const fitness = (offer: Offer): number => {
    if (offer.entry.schedule.active === false) return 0;
    if (!candidateAt(offer, start)) return 1;
    return end === start + offer.parameters.duration * MINUTE ? 3 : 2;
  };
  return offers.reduce((best, offer) => (fitness(offer) > fitness(best) ? offer : best));
}

/** Schedules at places that are named. A room that belongs to none of them says nothing about it. */
function entriesAt(
  directory: Directory,
  baseUrl: string,
  entries: readonly ScheduleEntry[],
  places: readonly string[],
): readonly ScheduleEntry[] {
  if (places.length === 0) return entries;
  const whole = (place: string): string => localReference(directory.location(place)?.partOf?.reference ?? '', baseUrl);
  const isAt = ({ location, actors, offers }: ScheduleEntry, place: string): boolean => {
    const site = `Location/${location?.id ?? ''}`;
    return (
      [site, whole(site)].includes(place) ||
      (directory.isScarce(place) &&
        (whole(place) === site || [...actors, ...offers.flatMap((o) => o.pool)].some((a) => a.reference === place)))
    );
  };
  const here = entries.filter((entry) => places.some((place) => isAt(entry, place)));
  return here.length > 0 || !places.every((place) => directory.isScarce(place)) ? here : entries;
}

function strangeSlots(
  named: readonly string[],
  slots: ReadonlyMap<string, NamedSlot>,
  service: string | undefined,
  start = Number.NaN,
  end = Number.NaN,
): readonly string[] {
  return named.filter((reference) => {
    const slot = slots.get(reference);
    if (!slot) return false;
    const isOther = slot.service !== undefined && service !== undefined && slot.service !== service;
    return isOther || slot.start >= end || slot.end <= start;
  });
}

/**
 * @param slots what is known of the Slots that it names
 * @param known the offer, where it is known
 */
export function visitOfAppointment(
  directory: Directory,
  baseUrl: string,
  appointment: Appointment,
  slots: ReadonlyMap<string, NamedSlot>,
  known?: Offer,
): Visit {
  // As it is now: the rules may have changed since somebody chose it.
  const chosen =
    known && directory.entry(known.entry.reference)?.offers.find((o) => o.serviceReference === known.serviceReference);
  const status = appointment.status as Status;
  const actors = new Map<string, Actor>();
  const patients = new Map<string, Actor>();
  /** Also who has declined: whose time it would be. */
  const asked = new Set<string>();
  const places: string[] = [];
  let service = chosen?.serviceReference;
  for (const { actor, required, status: reply } of appointment.participant ?? []) {
    if (actor?.reference === undefined) continue;
    const who = directory.resolve(localReference(actor.reference, baseUrl));
    if (who.startsWith('HealthcareService/')) service ??= who;
    if (who.startsWith('Location/')) places.push(who);
    if (required === 'information-only' || !directory.isScarce(who)) continue;
    if (!who.startsWith('Patient/')) asked.add(who);
    // Who has declined, or is only told of it, is not there.
    if (reply === 'declined') continue;
    (who.startsWith('Patient/') ? patients : actors).set(who, actorOf(who, actor.display));
  }
  const named = (appointment.slot ?? []).flatMap((s) => slots.get(localReference(s.reference ?? '', baseUrl)) ?? []);
  service ??= named.find((s) => s.service !== undefined)?.service;
  const bySlot = [...new Set(named.map((s) => s.schedule))].flatMap((s) => directory.entry(s) ?? []);
  // A Slot is its Schedule's time: whose time that is, is there, even when the appointment forgets to say so.
  for (const entry of bySlot) for (const a of entry.actors) if (!actors.has(a.reference)) actors.set(a.reference, a);
  const entries = chosen
    ? [chosen.entry]
    : bySlot.length > 0
      ? bySlot
      : entriesAt(directory, baseUrl, [...new Set([...asked].flatMap((a) => directory.of(a)))], places);
  const start = instant(appointment.start);
  const end = instant(appointment.end);
  const offered = entries.flatMap((e) => e.offers);
  const offers = likeliestFirst(offersOf(offered, service, appointment), actors);
  const offer = chosen ?? fittest(offers, start, end);
  const override = extensionOf(appointment, OVERRIDE);
  return {
    id: appointment.id ?? '',
    status,
    start,
    end,
    holds: HOLDS_TIME.has(status),
    actors: [...actors.values()],
    patients: [...patients.values()],
    slots: slotsOf(appointment, baseUrl).map((s) => s.slice('Slot/'.length)),
    schedules: [...new Set((offer ? [offer.entry, ...bySlot] : entries).map((e) => e.reference))],
    offer,
    possible: chosen || bySlot.length > 0 || offers.length < 2 ? [] : offers,
    service: service ?? offer?.serviceReference,
    strange: strangeSlots(slotsOf(appointment, baseUrl), slots, service, start, end),
    expires: status === 'pending' ? instant(extensionOf(appointment, HOLD_EXPIRES)?.valueInstant) : undefined,
    awaitsApproval: extensionOf(appointment, AWAITING_APPROVAL)?.valueBoolean === true,
    overrideReason: reasonIn(override),
    overrideText: override && JSON.stringify(override),
  };
}

/** How many visits the actors of an offer may have at a time, by the rules of that time. */
export function capacityAt(offer: Offer | undefined, start: number): number {
  if (!offer) return 1;
  const { calendar, zone } = offer.entry;
  const { capacity } = offer.parameters;
  const hours = calendar && [...calendar.rules, ...calendar.overrides.flatMap((o) => o.hours)];
  if (!calendar || !zone || !hours?.some((h) => h.capacity !== undefined)) return capacity;
  const candidate = candidateAt(offer, start);
  if (candidate) return candidate.capacity;
  const windows = windowsBetween(calendar, start, start + MINUTE, offer.serviceReference);
  return Math.max(...windows.map((w) => w.capacity ?? capacity), windows.length === 0 ? capacity : 1);
}
