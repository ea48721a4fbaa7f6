/**
 * What of a page of events one viewer is told: of appointments those that they may read as they are now; of slots those too, and that times are taken which
 * they could read while these were free. Nothing tells a name.
 */
import type { Appointment, Schedule, Slot } from '@medplum/fhirtypes';
import type { Access } from '../../fhir/access.ts';
import {
  actorsOf,
  actorsOfSchedule,
  slotsOf,
  type ChangedAppointment,
  type ChangedSlot,
  type Contents,
} from './contents.ts';
import { meets, type Filter, type Ties } from './filter.ts';

export interface Viewer {
  readonly access: Access;
  readonly filter: Filter;
}

export interface Told {
  readonly event: 'Appointment' | 'Slot' | 'Schedule';
  readonly data: Readonly<Record<string, unknown>>;
}

/** What of whom a viewer may know. */
function sightOf({ access }: Viewer) {
  const [read, search, refer] = [access.to('read'), access.to('search'), access.to('refer')];
  return {
    /** A stream says what exists without being asked for it, as a search does. */
    sees: (type: string, resource: unknown): boolean => read.admits(type, resource) && search.admits(type, resource),
    seesAll: (type: string): boolean => read.reach(type) === 'all' && search.reach(type) === 'all',
    reads: (schedule: Schedule | undefined): schedule is Schedule =>
      schedule !== undefined && read.admits('Schedule', schedule),
    knows: (patient: string): boolean =>
      refer.admits('Patient', { resourceType: 'Patient', id: patient.slice('Patient/'.length) }),
  };
}
type Sight = ReturnType<typeof sightOf>;

const PLACE = /^(?:Location|HealthcareService)\//;
/** Those who come because they work there, and what is used. */
const OFFERED = /^(?:Practitioner|PractitionerRole|Device|Location|HealthcareService)\//;

function createTies(
  { schedules, slotTimes, aliases }: Contents,
  { reads }: Sight,
  actorsTold: (appointment: Appointment) => readonly string[],
  baseUrl: string,
) {
  const withAliases = (actors: readonly string[]): ReadonlySet<string> =>
    new Set(actors.flatMap((a) => [a, ...(aliases.get(a) ?? [])]));
  return {
    ofAppointment(appointment: Appointment): Ties {
      // By who else takes part nobody finds what is told to them without.
      const actors = withAliases(actorsTold(appointment));
      const times = slotsOf(appointment, baseUrl).flatMap((s) => slotTimes.get(s) ?? []);
      const slotted = new Set(times.map(({ schedule }) => schedule));
      const isTheirs = (schedule: Schedule): boolean =>
        actorsOfSchedule(schedule, baseUrl).some((a) => actors.has(a) && !PLACE.test(a));
      const own = [...schedules].filter(([ref, s]) => (slotted.has(ref) || isTheirs(s)) && reads(s));
      const services = [...actors, ...times.map(({ service }) => service ?? '')];
      return { schedules: new Set(own.map(([ref]) => ref)), actors, services: new Set(services) };
    },
    ofSchedule(reference: string, service?: string): Ties {
      const schedule = schedules.get(reference);
      return {
        schedules: new Set([reference]),
        actors: withAliases(reads(schedule) ? actorsOfSchedule(schedule, baseUrl) : []),
        services: service === undefined ? undefined : new Set([service]),
      };
    },
  };
}

function createTelling(contents: Contents, viewer: Viewer, baseUrl: string) {
  const sight = sightOf(viewer);

  /** Who else comes is not for everybody to know. */
  const actorsTold = (appointment: Appointment): readonly string[] => {
    const actors = actorsOf(appointment, baseUrl);
    if (sight.seesAll('Appointment')) return actors;
    return actors.filter((a) => (a.startsWith('Patient/') ? sight.knows(a) : OFFERED.test(a)));
  };
  const ties = createTies(contents, sight, actorsTold, baseUrl);
  const isAsked = (of: () => Ties): boolean => viewer.filter.references.size === 0 || meets(viewer.filter, of());

  return {
    appointment({ id, version, now, before }: ChangedAppointment): Told | undefined {
      const key = { reference: `Appointment/${id}`, version };
      const asked = (appointment: Appointment): boolean => isAsked(() => ties.ofAppointment(appointment));
      if (!now) {
        // As everywhere: deletions are told to those who see all rows.
        if (!sight.seesAll('Appointment')) return undefined;
        const told = viewer.filter.references.size === 0 || before.some(asked);
        return told ? { event: 'Appointment', data: { ...key, deleted: true } } : undefined;
      }
      if (!sight.sees('Appointment', now)) return undefined;
      // What was asked for and is so no longer has changed as well.
      if (!asked(now) && !before.some((b) => sight.sees('Appointment', b) && asked(b))) return undefined;
      const { status, start, end } = now;
      return { event: 'Appointment', data: { ...key, status, start, end, actors: actorsTold(now) } };
    },

    slot({ id, now, time }: ChangedSlot): Told | undefined {
      const { schedule, service, start, end } = time;
      if (!isAsked(() => ties.ofSchedule(schedule, service))) return undefined;
      const told = (status: string, more: object = {}): Told => ({
        event: 'Slot',
        data: { reference: `Slot/${id}`, schedule, service: service ?? null, start, end, status, ...more },
      });
      if (now && sight.sees('Slot', now)) return told(now.status);
      const gone: Slot = { resourceType: 'Slot', schedule: { reference: schedule }, start, end, status: 'free' };
      if (now?.status === 'free' || !sight.sees('Slot', { ...(now ?? gone), status: 'free' })) return undefined;
      if (sight.seesAll('Slot')) return told('busy', { deleted: true });
      return sight.reads(contents.schedules.get(schedule)) ? told('busy') : undefined;
    },

    schedule(id: string): Told | undefined {
      const reference = `Schedule/${id}`;
      if (!isAsked(() => ties.ofSchedule(reference))) return undefined;
      const now = contents.schedules.get(reference);
      if (!now && sight.seesAll('Schedule')) return { event: 'Schedule', data: { reference, deleted: true } };
      return sight.reads(now) ? { event: 'Schedule', data: { reference } } : undefined;
    },
  };
}

/** @param baseUrl of the FHIR interface */
export function tell(contents: Contents, viewer: Viewer, baseUrl: string): readonly Told[] {
  const telling = createTelling(contents, viewer, baseUrl);
  const { types } = viewer.filter;
  return [
    ...(types.has('Slot') ? contents.changedSchedules.map((id) => telling.schedule(id)) : []),
    ...(types.has('Slot') ? contents.slots.map((slot) => telling.slot(slot)) : []),
    ...(types.has('Appointment') ? contents.appointments.map((a) => telling.appointment(a)) : []),
  ].filter((told) => told !== undefined);
}

/** Whether a stream may be opened, or stay open. @throws FhirError 401, 403 when what it asks for is not allowed */
export function demandEvents({ access, filter: { types, named } }: Viewer): void {
  let refused: unknown;
  let allowed = 0;
  for (const type of types) {
    try {
      access.demand('search-type', type);
      access.demand('read', type);
      allowed++;
    } catch (error) {
      refused ??= error;
    }
  }
  if (refused !== undefined && (named || allowed === 0)) throw refused;
}
