/**
 * What a page of events is about, as it is now, read once for all who listen: an event says that something changed, and whoever may read it is told how it
 * is. Several events of one thing are one.
 */
import type { Appointment, PractitionerRole, Schedule, Slot } from '@medplum/fhirtypes';
import { grantAll } from '../../fhir/access.ts';
import type { Engine } from '../../fhir/engine.ts';
import { localReference } from '../../fhir/search/type/reference.ts';
import { historyTableOf } from '../../fhir/store/layout.ts';
import { id as named, sql, type Sql } from '../../platform/database/sql.ts';
import type { Change, SlotTime } from './read.ts';

/** Reads for all who listen; what each of them may see is asked for each. */
const ALL = grantAll({ kind: 'system', name: 'events' }).to('read');

export interface ChangedAppointment {
  readonly id: string;
  readonly version: number;
  /** undefined: deleted. */
  readonly now: Appointment | undefined;
  /** As it was before each of the events: whoever listens may have seen any of these. Only where filters ask for it. */
  readonly before: readonly Appointment[];
}

export interface ChangedSlot {
  readonly id: string;
  /** undefined: deleted. */
  readonly now: Slot | undefined;
  readonly time: SlotTime;
}

export interface Contents {
  readonly appointments: readonly ChangedAppointment[];
  readonly slots: readonly ChangedSlot[];
  /** Ids. */
  readonly changedSchedules: readonly string[];
  /** By reference; those that are there. */
  readonly schedules: ReadonlyMap<string, Schedule>;
  /** Times of the slots of appointments, by reference. */
  readonly slotTimes: ReadonlyMap<string, SlotTime>;
  /** What an actor is called besides: roles of practitioners, practitioners of roles. */
  readonly aliases: ReadonlyMap<string, ReadonlySet<string>>;
}

const SLOT_SERVICE = 'https://kairos.example/fhir/StructureDefinition/slot-service';

type Reads = Pick<Engine, 'repository' | 'baseUrl'>;
interface Typed {
  readonly Appointment: Appointment;
  readonly Slot: Slot;
  readonly Schedule: Schedule;
}

async function readNow<T extends keyof Typed>(
  { repository }: Reads,
  type: T,
  ids: Iterable<string>,
): Promise<Map<string, { readonly version: number; readonly resource: Typed[T] | undefined }>> {
  const found = await Promise.all(
    Array.from(new Set(ids), async (id) => ({ id, stored: await repository.read(type, id, ALL) })),
  );
  return new Map(
    found.map(({ id, stored }) => [
      id,
      {
        version: stored?.version ?? 0,
        resource: stored?.content === undefined ? undefined : (JSON.parse(stored.content) as Typed[T]),
      },
    ]),
  );
}

/** Superseded versions, by id. @param since first version wanted of each */
async function readBefore(
  { repository }: Reads,
  since: ReadonlyMap<string, number>,
): Promise<Map<string, Appointment[]>> {
  const rows = await repository.query(sql`
    select h.id, h.version, h.content from ${named(historyTableOf('Appointment'))} h
    join unnest(${[...since.keys()]}::text[], ${[...since.values()]}::int[]) w(id, version)
      on w.id = h.id and h.version >= w.version
    where h.content is not null`);
  const found = new Map<string, Appointment[]>();
  for (const [id, version, content] of rows) {
    const text = repository.decode('Appointment', String(id), Number(version), String(content));
    const versions = found.get(String(id)) ?? [];
    found.set(String(id), versions);
    versions.push(JSON.parse(text) as Appointment);
  }
  return found;
}

/** References of the participants. */
export const actorsOf = ({ participant }: Appointment, baseUrl: string): readonly string[] =>
  participant.flatMap(({ actor }) =>
    actor?.reference === undefined ? [] : [localReference(actor.reference, baseUrl)],
  );

export const slotsOf = ({ slot }: Appointment, baseUrl: string): readonly string[] =>
  (slot ?? []).flatMap(({ reference }) => (reference === undefined ? [] : [localReference(reference, baseUrl)]));

export const actorsOfSchedule = ({ actor }: Schedule, baseUrl: string): readonly string[] =>
  actor.flatMap(({ reference }) => (reference === undefined ? [] : [localReference(reference, baseUrl)]));

/** @param told by the event, where the resource does not say */
function timeOf(slot: Slot, told: SlotTime | undefined, baseUrl: string): SlotTime {
  const service = slot.extension?.find(({ url }) => url === SLOT_SERVICE)?.valueReference?.reference;
  return {
    schedule: localReference(slot.schedule.reference ?? '', baseUrl),
    service: service === undefined ? told?.service : localReference(service, baseUrl),
    start: slot.start,
    end: slot.end,
    status: slot.status,
  };
}

const idOf = (reference: string): string => reference.slice(reference.indexOf('/') + 1);

async function resources<T>({ repository }: Reads, type: string, statement: Sql): Promise<T[]> {
  const rows = await repository.query(statement);
  return rows.map(
    ([id, version, content]) => JSON.parse(repository.decode(type, String(id), Number(version), String(content))) as T,
  );
}

/** A role stands for its practitioner, and for their other roles. */
async function readAliases(reads: Reads, actors: Iterable<string>): Promise<Map<string, Set<string>>> {
  const all = [...new Set(actors)];
  const roles = all.filter((a) => a.startsWith('PractitionerRole/')).map(idOf);
  const practitioners = all.filter((a) => a.startsWith('Practitioner/'));
  if (roles.length + practitioners.length === 0) return new Map();
  const found = await resources<PractitionerRole>(
    reads,
    'PractitionerRole',
    sql`select r.id, r.version, r.content from practitioner_role r where r.practitioner = any(${practitioners}::text[])
      or r.practitioner in (select s.practitioner from practitioner_role s where s.id = any(${roles}::text[]))`,
  );
  const people = new Map<string, Set<string>>();
  for (const { id, practitioner } of found) {
    if (practitioner?.reference === undefined) continue;
    const person = localReference(practitioner.reference, reads.baseUrl);
    const names = people.get(person) ?? new Set([person]);
    people.set(person, names.add(`PractitionerRole/${id ?? ''}`));
  }
  return new Map([...people.values()].flatMap((names) => Array.from(names, (name) => [name, names] as const)));
}

/** Schedules of somebody or something; those of a place alone are of whoever works there. */
const schedulesOf = (reads: Reads, actors: readonly string[]): Promise<Schedule[]> =>
  actors.length === 0
    ? Promise.resolve([])
    : resources<Schedule>(
        reads,
        'Schedule',
        sql`select r.id, r.version, r.content from schedule r where r.actor && ${actors}::text[]`,
      );

const isSomebody = (actor: string): boolean => /^(?:Practitioner|PractitionerRole|Device)\//.test(actor);

/** @param deep also what only filters ask for */
export async function readContents(reads: Reads, changes: readonly Change[], deep: boolean): Promise<Contents> {
  const { baseUrl } = reads;
  const earlier = new Map<string, number>();
  const times = new Map<string, SlotTime>();
  const changedSchedules = new Set<string>();
  for (const change of changes) {
    if (change.type === 'Appointment')
      earlier.set(change.id, Math.min(earlier.get(change.id) ?? Infinity, change.version - 1));
    else if (change.type === 'Slot') times.set(change.id, change);
    else changedSchedules.add(change.id);
  }
  const [nows, befores] = await Promise.all([
    readNow(reads, 'Appointment', earlier.keys()),
    deep && earlier.size > 0 ? readBefore(reads, earlier) : new Map<string, Appointment[]>(),
  ]);
  const appointments = Array.from(nows, ([id, { version, resource }]) => ({
    id,
    version,
    now: resource,
    before: befores.get(id) ?? [],
  }));
  const versions = deep ? appointments.flatMap(({ now, before }) => (now ? [now, ...before] : before)) : [];
  const visited = versions.flatMap((a) => slotsOf(a, baseUrl)).filter((s) => s.startsWith('Slot/'));
  const slotsNow = await readNow(reads, 'Slot', [...times.keys(), ...visited.map(idOf)]);
  const slotTimes = new Map<string, SlotTime>();
  for (const [id, { resource }] of slotsNow)
    if (resource) slotTimes.set(`Slot/${id}`, timeOf(resource, times.get(id), baseUrl));
  const slots = Array.from(times, ([id, told]) => ({
    id,
    now: slotsNow.get(id)?.resource,
    time: slotTimes.get(`Slot/${id}`) ?? told,
  }));
  const scheduled = [...slotTimes.values(), ...times.values()].map(({ schedule }) => schedule);
  const schedulesNow = await readNow(reads, 'Schedule', [
    ...changedSchedules,
    ...scheduled.filter((s) => s.startsWith('Schedule/')).map(idOf),
  ]);
  const schedules = new Map<string, Schedule>();
  for (const [id, { resource }] of schedulesNow) if (resource) schedules.set(`Schedule/${id}`, resource);
  const actors = versions.flatMap((a) => actorsOf(a, baseUrl));
  const aliases = deep
    ? await readAliases(reads, [...actors, ...[...schedules.values()].flatMap((s) => actorsOfSchedule(s, baseUrl))])
    : new Map<string, Set<string>>();
  const somebody = new Set(actors.filter(isSomebody).flatMap((a) => [a, ...(aliases.get(a) ?? [])]));
  for (const schedule of await schedulesOf(reads, [...somebody]))
    schedules.set(`Schedule/${schedule.id ?? ''}`, schedule);
  return {
    appointments,
    slots,
    changedSchedules: [...changedSchedules],
    schedules,
    slotTimes,
    aliases,
  };
}
