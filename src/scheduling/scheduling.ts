/** Scheduling, joined: what the types of the calendar, its operations and its jobs use. */
import type { Resource } from '@medplum/fhirtypes';
import type { Principal } from '../fhir/access.ts';
import type { Engine } from '../fhir/engine.ts';
import type { FhirError } from '../fhir/outcome.ts';
import type { ResourceDeclaration } from '../fhir/resource.ts';
import type { Change, Transaction } from '../fhir/store/repository.ts';
import type { Keys } from '../platform/keys.ts';
import type { Log } from '../platform/log.ts';
import { calendarsWithin, createCalendars } from './calendars.ts';
import { channelOf } from './channel.ts';
import { completeAppointment } from './complete.ts';
import { createDirectory } from './directory.ts';
import { foresee } from './foresee.ts';
import { missingSlots } from './missing-slots.ts';
import type { SchedulingParts } from './parts.ts';
import { projectAppointments } from './project-appointments.ts';
import { projectResponses } from './project-responses.ts';
import { projectRules } from './project-rules.ts';
import { projectSlots } from './project-slots.ts';
import { createProposals } from './proposal.ts';
import { lockSlots } from './slot-locks.ts';

type Project = (tx: Transaction, changes: readonly Change[], by: Principal) => Promise<void>;

export interface Scheduling {
  readonly parts: SchedulingParts;
  /** The same over the engine of a request, which may be within a transaction. */
  within(engine: Engine): SchedulingParts;
  readonly appointments: Project;
  readonly slots: Project;
  /** Before Slots are written. */
  lockSlots(tx: Transaction, entries: Parameters<typeof lockSlots>[2]): Promise<void>;
  readonly responses: Project;
  readonly rules: Project;
  /** @throws FhirError 409 when the time of a new appointment is taken for certain */
  foresee(appointment: Resource, by: Principal): Promise<void>;
  /** Appointments that the use cases make may be written together with others' of the same channel. */
  sharesWith(appointment: Resource, by: Principal): string | undefined;
  /** What the server adds to an appointment that a client writes. */
  readonly complete: NonNullable<ResourceDeclaration['complete']>;
  /** An appointment names Slots that are not there, or not to be seen by whoever writes it. */
  missing(appointment: Resource, targets: readonly string[]): FhirError | undefined;
}

export function createScheduling(
  engine: Engine,
  { keys, log, slotHorizonDays }: { readonly keys: Keys; readonly log: Log; readonly slotHorizonDays: number },
): Scheduling {
  const parts: SchedulingParts = {
    engine,
    log,
    slotHorizonDays,
    directory: createDirectory(engine),
    calendars: createCalendars(engine),
    proposals: createProposals(keys.derive('proposed appointments')),
    offers: new WeakMap(),
    changing: new WeakSet(),
    made: new WeakSet(),
    contended: new Map(),
    overlaps: new WeakMap(),
  };
  const joined =
    (project: (parts: SchedulingParts, ...rest: Parameters<Project>) => Promise<void>): Project =>
    (tx, changes, by) =>
      project(parts, tx, changes, by);
  return {
    parts,
    within: (own) =>
      own === engine
        ? parts
        : { ...parts, engine: own, ...(own.repository.isWithin && { calendars: calendarsWithin(own) }) },
    appointments: joined(projectAppointments),
    slots: joined(projectSlots),
    lockSlots: (tx, entries) => lockSlots(parts, tx, entries),
    responses: joined(projectResponses),
    rules: joined(projectRules),
    foresee: (appointment, by) => foresee(parts, appointment, by),
    sharesWith: (appointment, by) =>
      parts.made.has(appointment) ? `${channelOf(by)} ${by.kind === 'system'}` : undefined,
    complete: (reader, resource, before, by) => completeAppointment(parts, reader, resource, before, by),
    missing: (appointment, targets) => missingSlots(parts, appointment, targets),
  };
}
