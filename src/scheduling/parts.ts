/** What the use cases of scheduling work with. */
import type { Engine } from '../fhir/engine.ts';
import type { Log } from '../platform/log.ts';
import type { Overlap } from './project-appointments.ts';
import type { Transaction } from '../fhir/store/repository.ts';
import type { Calendars } from './calendars.ts';
import type { Directory, DirectorySource, Offer } from './directory.ts';
import type { Contended } from './contention.ts';
import type { Proposals } from './proposal.ts';

export interface SchedulingParts {
  readonly engine: Engine;
  readonly directory: DirectorySource;
  readonly proposals: Proposals;
  readonly calendars: Calendars;
  readonly log: Log;
  /** How far ahead Slots are generated at most, whatever the horizon of their service. */
  readonly slotHorizonDays: number;
  /** Offers of appointments that an operation books, by the resource that is written: these must be offered, unless overridden. */
  readonly offers: WeakMap<object, Offer>;
  /** Transactions that have changed rules: they see more than is committed. */
  readonly changing: WeakSet<object>;
  /** Resources that a use case of ours has made: it changes no more than it is for. */
  readonly made: WeakSet<object>;
  readonly contended: Contended;
  /** What was overbooked, by the appointment that is written. */
  readonly overlaps: WeakMap<object, readonly Overlap[]>;
}

/** The rules as a transaction sees them. */
export const directoryOf = ({ directory, changing }: SchedulingParts, tx: Transaction): Promise<Directory> =>
  changing.has(tx) ? directory.within(tx) : directory.current();
