/**
 * Which offers a search for times asks for: different criteria all hold, of the values of one any does, in the order in which they are given.
 * @see https://profiles.ihe.net/ITI/Scheduling/ITI-115.html
 */
import type { CodeableConcept, Location, Reference } from '@medplum/fhirtypes';
import type { Actor } from './actor.ts';
import { actorOf, SCARCE_PLACES } from './actor.ts';
import type { Directory, Offer, ScheduleEntry } from './directory.ts';

/** A code, perhaps of a system; or words. */
export interface CodeOrText {
  readonly system?: string | undefined;
  readonly code: string;
}

/** References are `Type/id`; an empty list asks for nothing in particular. */
export interface Wanted {
  readonly practitioners: readonly string[];
  /** Sites, rooms and devices. */
  readonly locations: readonly string[];
  readonly organizations: readonly string[];
  readonly services: readonly string[];
  readonly schedules: readonly string[];
  readonly specialties: readonly CodeOrText[];
  readonly visitTypes: readonly CodeOrText[];
  readonly locationTexts: readonly string[];
}

export const ANYTHING: Wanted = {
  practitioners: [],
  locations: [],
  organizations: [],
  services: [],
  schedules: [],
  specialties: [],
  visitTypes: [],
  locationTexts: [],
};

/** An offer that is asked for. */
export interface Choice {
  readonly offer: Offer;
  /** Rooms and devices of which one is needed: those asked for, or the pool of the offer. */
  readonly pool: readonly Actor[];
  /** The rooms of the pool were asked for by name. */
  readonly named: boolean;
  /** Smaller is preferred. */
  readonly rank: number;
}

function speaks(concepts: readonly CodeableConcept[] | undefined, { system, code }: CodeOrText): boolean {
  const wanted = code.toLowerCase();
  return (concepts ?? []).some(
    (c) =>
      c.coding?.some((x) => x.code === code && (system === undefined || x.system === system)) === true ||
      (system === undefined &&
        (c.text?.toLowerCase().includes(wanted) === true ||
          c.coding?.some((x) => x.display?.toLowerCase().includes(wanted)) === true)),
  );
}

const refersTo = (reference: Reference | undefined, wanted: readonly string[]): boolean =>
  reference?.reference !== undefined && wanted.includes(reference.reference);

/** Place of the first value that fits; undefined: none does. Nothing asked for: the first. */
function rankIn<T>(wanted: readonly T[], fits: (value: T) => boolean): number | undefined {
  if (wanted.length === 0) return 0;
  const index = wanted.findIndex(fits);
  return index < 0 ? undefined : index;
}

const isRoom = (directory: Directory, reference: string): boolean =>
  reference.startsWith('Device/') ||
  SCARCE_PLACES.has(directory.location(reference)?.physicalType?.coding?.[0]?.code ?? '');

const placeText = (location: Location | undefined): string =>
  [location?.name, location?.address?.city, location?.address?.text, ...(location?.address?.line ?? [])]
    .filter((t) => t !== undefined)
    .join(' ')
    .toLowerCase();

function ranksOf(offer: Offer, wanted: Wanted, sites: readonly string[]): readonly (number | undefined)[] {
  const { entry, service } = offer;
  const { schedule, location } = entry;
  const site = `Location/${location?.id ?? ''}`;
  return [
    rankIn(wanted.schedules, (s) => s === entry.reference),
    rankIn(wanted.practitioners, (p) => entry.actors.some((a) => a.reference === p)),
    rankIn(wanted.services, (s) => s === offer.serviceReference),
    rankIn(sites, (l) => l === site || location?.partOf?.reference === l),
    rankIn(
      wanted.organizations,
      (o) =>
        entry.organization === o || refersTo(service?.providedBy, [o]) || refersTo(location?.managingOrganization, [o]),
    ),
    rankIn(wanted.specialties, (s) => speaks(service?.specialty, s) || speaks(schedule.specialty, s)),
    rankIn(
      wanted.visitTypes,
      (t) =>
        speaks(service?.type, t) ||
        speaks(service?.category, t) ||
        speaks(schedule.serviceType, t) ||
        (t.system === undefined && service?.name?.toLowerCase().includes(t.code.toLowerCase()) === true),
    ),
    rankIn(wanted.locationTexts, (t) => placeText(location).includes(t.toLowerCase())),
  ];
}

/** Where no pool says which: devices, and the rooms of the site, as far as the site is known. */
const roomsFor = (directory: Directory, { location }: ScheduleEntry, rooms: readonly string[]): readonly string[] =>
  location === undefined
    ? rooms
    : rooms.filter((r) => r.startsWith('Device/') || directory.isWithin(r, `Location/${location.id ?? ''}`));

/** @param rooms asked for. @returns undefined: visits of the offer are in none of them */
function poolOf(
  directory: Directory,
  { entry, pool }: Offer,
  rooms: readonly string[],
): Pick<Choice, 'pool' | 'named'> | undefined {
  if (rooms.length === 0 || rooms.some((r) => entry.actors.some((a) => a.reference === r)))
    return { pool, named: false };
  const asked =
    pool.length === 0
      ? roomsFor(directory, entry, rooms).map((r) => actorOf(r, directory.location(r)?.name))
      : rooms.flatMap((r) => pool.find((p) => p.reference === r) ?? []);
  return asked.length > 0 ? { pool: asked, named: true } : undefined;
}

/** Whether visits of an offer may be in a room that is asked for. */
export const mayBeIn = (directory: Directory, offer: Offer, room: string): boolean =>
  poolOf(directory, offer, [room]) !== undefined;

/** In order of preference. */
export function selectOffers(directory: Directory, wanted: Wanted): readonly Choice[] {
  const rooms = wanted.locations.filter((l) => isRoom(directory, l));
  const sites = wanted.locations.filter((l) => !isRoom(directory, l));
  // The narrowest criterion first: a clinic may have a thousand Schedules.
  const entries =
    wanted.schedules.length > 0
      ? wanted.schedules.flatMap((s) => directory.entry(s) ?? []).filter(directory.isOpen)
      : wanted.practitioners.length > 0
        ? wanted.practitioners.flatMap((p) => directory.of(p)).filter(directory.isOpen)
        : wanted.services.length > 0
          ? wanted.services.flatMap((s) => directory.offering(s))
          : directory.entries;
  const found: Choice[] = [];
  for (const entry of new Set(entries)) {
    for (const offer of entry.offers) {
      const ranks = ranksOf(offer, wanted, sites);
      if (ranks.includes(undefined)) continue;
      const pool = poolOf(directory, offer, rooms);
      if (!pool) continue;
      found.push({ offer, ...pool, rank: ranks.reduce<number>((sum, r) => sum * 64 + Math.min(r ?? 0, 63), 0) });
    }
  }
  return found.sort((a, b) => a.rank - b.rank);
}
