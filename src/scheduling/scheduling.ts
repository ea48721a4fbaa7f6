/** Scheduling, joined: what the types of the calendar, its operations and its jobs use. */
import type { Principal } from '../fhir/access.ts';
import type { Engine } from '../fhir/engine.ts';
import type { Change, Transaction } from '../fhir/store/repository.ts';
import type { Keys } from '../platform/keys.ts';
import type { Log } from '../platform/log.ts';
import { createDirectory } from './directory.ts';
import type { SchedulingParts } from './parts.ts';
import { projectAppointments } from './project-appointments.ts';
import { projectResponses } from './project-responses.ts';
import { projectRules, projectSlots } from './project-slots.ts';
import { createProposals } from './proposal.ts';

type Project = (tx: Transaction, changes: readonly Change[], by: Principal) => Promise<void>;

export interface Scheduling {
  readonly parts: SchedulingParts;
  readonly appointments: Project;
  readonly slots: Project;
  readonly responses: Project;
  readonly rules: Project;
}

export function createScheduling(
  engine: Engine,
  { keys, log }: { readonly keys: Keys; readonly log: Log },
): Scheduling {
  const parts: SchedulingParts = {
    engine,
    log,
    directory: createDirectory(engine),
    proposals: createProposals(keys.derive('proposed appointments')),
    offers: new WeakMap(),
    made: new WeakSet(),
    overlaps: new WeakMap(),
  };
  const joined =
    (project: (parts: SchedulingParts, ...rest: Parameters<Project>) => Promise<void>): Project =>
    (tx, changes, by) =>
      project(parts, tx, changes, by);
  return {
    parts,
    appointments: joined(projectAppointments),
    slots: joined(projectSlots),
    responses: joined(projectResponses),
    rules: joined(projectRules),
  };
}
