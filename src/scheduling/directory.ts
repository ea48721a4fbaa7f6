/**
 * What a clinic's rules say, read once and kept until they change: Schedules with the services, people and places behind them. The number of the
 * revision goes into every booking, which the database refuses when the rules have changed since.
 * @see https://hl7.org/fhir/R4/schedule.html
 */
import type {
  HealthcareService,
  Location,
  Organization,
  PractitionerRole,
  Reference,
  Resource,
  Schedule,
} from '@medplum/fhirtypes';
import type { Engine } from '../fhir/engine.ts';
import { localReference } from '../fhir/search/type/reference.ts';
import { tableOf } from '../fhir/store/layout.ts';
import type { Reader } from '../fhir/store/repository.ts';
import { id, sql } from '../platform/database/sql.ts';
import { actorOf, SCARCE_PLACES, type Actor } from './actor.ts';
import { extensionOf } from './extension.ts';
import { isUsable } from './model/policy.ts';
import type { Calendar, Parameters } from './model/rules.ts';
import { zoneOf, type Zone } from './model/zone.ts';
import { holidaysOf, readAvailability } from './rules/read-availability.ts';
import { hasPool, mergeParameters } from './rules/read-parameters.ts';
import { TIMEZONE } from './urls.ts';

/** A service offered in a Schedule. */
export interface Offer {
  readonly entry: ScheduleEntry;
  /** undefined: the Schedule names no service. */
  readonly service: HealthcareService | undefined;
  /** `HealthcareService/1` */
  readonly serviceReference: string | undefined;
  readonly parameters: Parameters;
  /** One of these rooms or devices is needed besides the Schedule's actors. */
  readonly pool: readonly Actor[];
}

export interface ScheduleEntry {
  /** `Schedule/1` */
  readonly reference: string;
  readonly schedule: Schedule;
  /** Who is occupied by every visit: practitioners, rooms, devices. */
  readonly actors: readonly Actor[];
  /** The site. */
  readonly location: Location | undefined;
  readonly organization: string | undefined;
  /** undefined: nobody says in which zone it is, so that its rules cannot be read. */
  readonly zone: Zone | undefined;
  /** undefined: no rules; only hand-made Slots open it. */
  readonly calendar: Calendar | undefined;
  /** The first is the Schedule's own where it names no service. */
  readonly offers: readonly Offer[];
}

export interface Directory {
  readonly revision: string;
  entry(reference: string): ScheduleEntry | undefined;
  /** Active ones that are nobody's own. */
  readonly entries: readonly ScheduleEntry[];
  /** Whether it is one of `entries`. */
  isOpen(entry: ScheduleEntry): boolean;
  /** Schedules in which somebody is an actor, active or not. @param reference `Practitioner/1` */
  of(reference: string): readonly ScheduleEntry[];
  /** Offers that may take place with a room or device of a pool. @param reference `Location/1` */
  pooling(reference: string): readonly Offer[];
  /** Those of `entries` that offer a service. */
  offering(service: string): readonly ScheduleEntry[];
  service(reference: string): HealthcareService | undefined;
  location(reference: string): Location | undefined;
  organization(reference: string): Organization | undefined;
  /** Places that one visit occupies at a time, `Location/1`. */
  readonly rooms: readonly string[];
  /** The name of the zone by whose clock the hours of a Schedule are; undefined: nobody says. */
  zoneFor(schedule: Schedule): string | undefined;
  /** The zone of a place, `Location/1`. */
  zoneAt(reference: string): string | undefined;
  /** A place and what is part of it, as far as it has no zone of its own: where another zone of the place is one too. */
  following(reference: string): readonly string[];
  /** The practitioner behind a role, `Practitioner/1`; everybody else is who they are. */
  resolve(reference: string): string;
  /** Places and things that one visit occupies at a time. */
  isScarce(reference: string): boolean;
  /** Whether a place is another, or part of it, however deep. */
  isWithin(place: string, whole: string): boolean;
}

const TYPES = ['Schedule', 'HealthcareService', 'Location', 'Organization', 'PractitionerRole'] as const;
type DirectoryType = (typeof TYPES)[number];

interface Kept {
  readonly version: number;
  readonly resource: Resource;
}
type Store = Record<DirectoryType, Map<string, Kept>>;

const emptyStore = (): Store => ({
  Schedule: new Map(),
  HealthcareService: new Map(),
  Location: new Map(),
  Organization: new Map(),
  PractitionerRole: new Map(),
});

const copyOf = (store: Store): Store => ({
  Schedule: new Map(store.Schedule),
  HealthcareService: new Map(store.HealthcareService),
  Location: new Map(store.Location),
  Organization: new Map(store.Organization),
  PractitionerRole: new Map(store.PractitionerRole),
});

/** Reads what has changed; what is gone is dropped. */
async function refresh(repository: Pick<Reader, 'query' | 'decode'>, store: Store, type: DirectoryType): Promise<void> {
  const kept = store[type];
  const rows = await repository.query(sql`select r.id, r.version from ${id(tableOf(type))} r`);
  const there = new Set<string>();
  const changed: string[] = [];
  for (const [key, version] of rows) {
    there.add(String(key));
    if (kept.get(String(key))?.version !== Number(version)) changed.push(String(key));
  }
  for (const key of kept.keys()) if (!there.has(key)) kept.delete(key);
  for (let from = 0; from < changed.length; from += 500) {
    const part = changed.slice(from, from + 500);
    const found = await repository.query(
      sql`select r.id, r.version, r.content from ${id(tableOf(type))} r where r.id = any(${part})`,
    );
    for (const [key, version, content] of found) {
      const text = repository.decode(type, String(key), Number(version), String(content));
      kept.set(String(key), { version: Number(version), resource: JSON.parse(text) as Resource });
    }
  }
}

const of = <T extends Resource>(kept: Map<string, Kept>, type: string, reference: string | undefined): T | undefined =>
  reference?.startsWith(`${type}/`) === true
    ? (kept.get(reference.slice(type.length + 1))?.resource as T | undefined)
    : undefined;

/** In the order in which they come. */
function grouped<T>(pairs: readonly (readonly [key: string, value: T])[]): ReadonlyMap<string, readonly T[]> {
  const lists = new Map<string, T[]>();
  for (const [key, value] of pairs) {
    const list = lists.get(key);
    if (list) list.push(value);
    else lists.set(key, [value]);
  }
  return lists;
}

const physicalType = (location: Location): string | undefined => location.physicalType?.coding?.[0]?.code;

const isActive = (resource: { readonly active?: boolean }): boolean => resource.active !== false;

function build(store: Store, revision: string, baseUrl: string): Directory {
  const local = (reference: Reference | undefined): string => localReference(reference?.reference ?? '', baseUrl);
  const location = (reference: string | undefined): Location | undefined =>
    of<Location>(store.Location, 'Location', reference);
  const organization = (reference: string | undefined): Organization | undefined =>
    of<Organization>(store.Organization, 'Organization', reference);
  const service = (reference: string | undefined): HealthcareService | undefined =>
    of<HealthcareService>(store.HealthcareService, 'HealthcareService', reference);
  const role = (reference: string): PractitionerRole | undefined =>
    of<PractitionerRole>(store.PractitionerRole, 'PractitionerRole', reference);
  const resolve = (reference: string): string => {
    const practitioner = local(role(reference)?.practitioner);
    return practitioner === '' ? reference : practitioner;
  };
  const isScarce = (reference: string): boolean => {
    if (/^(?:Practitioner|PractitionerRole|Device|Patient)\//.test(reference)) return true;
    const place = location(reference);
    return place !== undefined && SCARCE_PLACES.has(physicalType(place) ?? '');
  };

  const isWithin = (place: string, whole: string, seen = 0): boolean =>
    place === whole || (place !== '' && seen < 8 && isWithin(local(location(place)?.partOf), whole, seen + 1));

  /** The zone of a place, of those that it is part of, or of who manages it. */
  const zoneOfPlace = (place: Location | undefined, seen = 0): string | undefined => {
    if (!place || seen > 8) return undefined;
    return (
      extensionOf(place, TIMEZONE)?.valueCode ??
      zoneOfPlace(location(local(place.partOf)), seen + 1) ??
      zoneOfOrganization(organization(local(place.managingOrganization)))
    );
  };
  const zoneOfOrganization = (which: Organization | undefined, seen = 0): string | undefined => {
    if (!which || seen > 8) return undefined;
    return extensionOf(which, TIMEZONE)?.valueCode ?? zoneOfOrganization(organization(local(which.partOf)), seen + 1);
  };

  const following = (reference: string): readonly string[] => {
    const parts = grouped(
      [...store.Location].map(
        ([key, { resource }]) => [local((resource as Location).partOf), `Location/${key}`] as const,
      ),
    );
    const found = new Set([reference]);
    for (const each of found)
      for (const part of parts.get(each) ?? []) if (!extensionOf(location(part), TIMEZONE)) found.add(part);
    return [...found];
  };

  const services = [...store.HealthcareService.values()].map((k) => k.resource as HealthcareService).filter(isActive);
  const codesOf = (list: HealthcareService['type']): Set<string> =>
    new Set(list?.flatMap((c) => c.coding?.map((x) => `${x.system ?? ''}|${x.code ?? ''}`) ?? []));

  /** Services that are actors; or else those of the Schedule's types, where the site is one of theirs. undefined: it speaks of none. */
  const servicesOf = (schedule: Schedule, site: Location | undefined): readonly HealthcareService[] | undefined => {
    const named = schedule.actor.flatMap((a) => service(local(a)) ?? []);
    if (named.length > 0) return named.filter(isActive);
    const wanted = codesOf(schedule.serviceType);
    if (wanted.size === 0) return undefined;
    const found = services.filter(
      (s) =>
        !codesOf(s.type).isDisjointFrom(wanted) &&
        (!s.location || s.location.some((l) => local(l) === `Location/${site?.id ?? ''}`)),
    );
    return found.length > 0 ? found : undefined;
  };

  const calendarOf = (schedule: Schedule, site: Location | undefined, zone: Zone | undefined): Calendar | undefined => {
    const said = readAvailability(schedule);
    if (!said || !zone) return undefined;
    const named = said.holidayCalendar;
    const own = holidaysOf(site);
    const holidays = !said.observesHolidays
      ? []
      : named !== undefined
        ? holidaysOf(location(named) ?? organization(named))
        : own.length > 0
          ? own
          : holidaysOf(organization(local(site?.managingOrganization)));
    const { zone: _, observesHolidays: __, holidayCalendar: ___, ...rest } = said;
    return { ...rest, zone: zone.name, holidays, weekStart: 'mon' };
  };

  /** Where it is, rather a site than a room, and for whom. */
  const placeOf = (
    schedule: Schedule,
  ): { readonly site: Location | undefined; readonly manager: string | undefined } => {
    let site: Location | undefined;
    let manager: string | undefined;
    for (const named of schedule.actor.map(local)) {
      if (named.startsWith('PractitionerRole/')) manager ??= local(role(named)?.organization);
      const place = location(named);
      if (place && (!site || SCARCE_PLACES.has(physicalType(site) ?? ''))) site = place;
    }
    return { site, manager };
  };
  const zoneFor = (schedule: Schedule): string | undefined => {
    const { site, manager } = placeOf(schedule);
    return readAvailability(schedule)?.zone ?? zoneOfPlace(site) ?? zoneOfOrganization(organization(manager));
  };

  const makeEntry = (schedule: Schedule): ScheduleEntry => {
    const reference = `Schedule/${schedule.id ?? ''}`;
    const actors = new Map<string, Actor>();
    for (const each of schedule.actor) {
      const named = local(each);
      const who = resolve(named);
      if (isScarce(who) && !actors.has(who))
        actors.set(who, actorOf(who, named === who ? each.display : actors.get(who)?.display));
    }
    const { site, manager } = placeOf(schedule);
    // Of a room alone the site is known by what it is part of.
    const whole = site && SCARCE_PLACES.has(physicalType(site) ?? '') ? (location(local(site.partOf)) ?? site) : site;
    const zoneName = zoneFor(schedule);
    const zone = zoneName === undefined ? undefined : zoneOf(zoneName);
    const entry: { -readonly [K in keyof ScheduleEntry]: ScheduleEntry[K] } = {
      reference,
      schedule,
      actors: [...actors.values()],
      location: whole,
      organization: local(whole?.managingOrganization) || manager,
      zone,
      calendar: calendarOf(schedule, whole, zone),
      offers: [],
    };
    const offered = servicesOf(schedule, whole);
    const offer = (s: HealthcareService | undefined): Offer => {
      const { pool, ...parameters } = mergeParameters(schedule, s);
      const rooms = pool.map((p) => local({ reference: p }));
      return {
        entry,
        service: s,
        serviceReference: s && `HealthcareService/${s.id ?? ''}`,
        parameters,
        // Whose own room is one of them needs no other.
        pool: rooms.some((p) => actors.has(p)) ? [] : rooms.map((p) => actorOf(p, location(p)?.name)),
      };
    };
    entry.offers = (offered ? offered.map(offer) : [offer(undefined)]).filter((o) => isUsable(o.parameters));
    return entry;
  };

  const made = new Map<string, ScheduleEntry>();
  const entry = (reference: string): ScheduleEntry | undefined => {
    const known = made.get(reference);
    if (known) return known;
    const schedule = of<Schedule>(store.Schedule, 'Schedule', reference);
    if (!schedule) return undefined;
    const fresh = makeEntry(schedule);
    made.set(reference, fresh);
    return fresh;
  };
  let byActor: ReadonlyMap<string, readonly string[]> | undefined;
  const actorIndex = (): ReadonlyMap<string, readonly string[]> =>
    (byActor ??= grouped(
      [...store.Schedule].flatMap(([key, { resource }]) =>
        [...new Set((resource as Schedule).actor.map((a) => resolve(local(a))))].map(
          (who) => [who, `Schedule/${key}`] as const,
        ),
      ),
    ));
  let all: readonly ScheduleEntry[] | undefined;
  let rooms: readonly string[] | undefined;
  /** A calendar of a patient's own is nobody else's business. */
  const isPersonal = (schedule: Schedule): boolean =>
    schedule.actor.some((a) => /^(?:Patient|RelatedPerson)\//.test(local(a)));

  const entries = (): readonly ScheduleEntry[] =>
    (all ??= [...store.Schedule.values()]
      .map((k) => k.resource as Schedule)
      .filter((s) => isActive(s) && !isPersonal(s))
      .flatMap((s) => entry(`Schedule/${s.id ?? ''}`) ?? []));
  const served = (each: ScheduleEntry): (readonly [string, ScheduleEntry])[] =>
    each.offers.flatMap((o) => (o.serviceReference === undefined ? [] : [[o.serviceReference, each] as const]));
  let byService: ReadonlyMap<string, readonly ScheduleEntry[]> | undefined;
  const serviceIndex = (): ReadonlyMap<string, readonly ScheduleEntry[]> =>
    (byService ??= grouped(entries().flatMap(served)));

  let byRoom: ReadonlyMap<string, readonly Offer[]> | undefined;
  const roomIndex = (): ReadonlyMap<string, readonly Offer[]> => {
    if (byRoom) return byRoom;
    // Few clinics have pools: the others need not have all of their offers made for it.
    const said = [...store.HealthcareService.values(), ...store.Schedule.values()].map((k) => k.resource);
    const offers = said.some((r) => hasPool(r as HealthcareService | Schedule))
      ? [...store.Schedule.keys()].flatMap((key) => entry(`Schedule/${key}`)?.offers ?? [])
      : [];
    return (byRoom = grouped(offers.flatMap((o) => o.pool.map((room) => [room.reference, o] as const))));
  };

  return {
    revision,
    entry,
    get entries() {
      return entries();
    },
    get rooms() {
      return (rooms ??= [...store.Location.keys()].map((key) => `Location/${key}`).filter(isScarce));
    },
    isOpen: (each) => isActive(each.schedule) && !isPersonal(each.schedule),
    pooling: (reference) => roomIndex().get(reference) ?? [],
    offering: (reference) => serviceIndex().get(reference) ?? [],
    of: (reference) => (actorIndex().get(reference) ?? []).flatMap((r) => entry(r) ?? []),
    service,
    location,
    organization,
    zoneFor,
    zoneAt: (reference) => zoneOfPlace(location(reference)),
    following,
    resolve,
    isScarce,
    isWithin: (place, whole) => isWithin(place, whole),
  };
}

export interface DirectorySource {
  /** What is known now, perhaps not of the last change: for what is checked by its revision later. */
  current(): Promise<Directory>;
  /** After the database has said that the rules have changed. @param seen the revision that is too old */
  renewed(seen: string): Promise<Directory>;
  /** As a transaction sees it that has changed rules itself. */
  within(tx: Pick<Reader, 'query' | 'decode'>): Promise<Directory>;
}

export function createDirectory(engine: Engine): DirectorySource {
  const store = emptyStore();
  let known: Directory | undefined;
  let loading: Promise<Directory> | undefined;

  const load = async (): Promise<Directory> => {
    // The number first: what is read after it is at least as new.
    const [[revision] = []] = await engine.repository.query(sql`select n from scheduling_revision`);
    if (known && known.revision === String(revision)) return known;
    for (const type of TYPES) await refresh(engine.repository, store, type);
    // The maps are copied: a directory stays what it was.
    known = build(copyOf(store), String(revision), engine.baseUrl);
    return known;
  };
  const renew = (): Promise<Directory> => {
    loading ??= load().finally(() => (loading = undefined));
    return loading;
  };

  return {
    async within(tx) {
      const own = copyOf(store);
      const [[revision] = []] = await tx.query(sql`select n from scheduling_revision`);
      for (const type of TYPES) await refresh(tx, own, type);
      return build(own, String(revision), engine.baseUrl);
    },
    current: () => (known ? Promise.resolve(known) : renew()),
    renewed: async (seen) => {
      const found = await renew();
      // A load that had begun before the change does not have it.
      return found.revision === seen ? renew() : found;
    },
  };
}
