/**
 * What every change of Appointments meets in its transaction, whichever door it came through: the rules, the rows that occupy time, the Slots, the events,
 * and the Encounter of who has arrived.
 * @see https://hl7.org/fhir/R4/appointment.html
 */
import type { Appointment } from '@medplum/fhirtypes';
import { DatabaseError } from 'pg';
import type { Principal } from '../fhir/access.ts';
import type { Change, Transaction } from '../fhir/store/repository.ts';
import { FhirError } from '../fhir/outcome.ts';
import { sql } from '../platform/database/sql.ts';
import { alternativesTo } from './alternatives.ts';
import { applyOf, type Apply } from './apply.ts';
import { channelOf } from './channel.ts';
import { noteContention } from './contention.ts';
import { keepEncounters } from './encounter.ts';
import { keepFollowUps } from './follow-ups.ts';

import { freshDirectory } from './fresh-directory.ts';
import { appointmentIn, judge, projected, type ProjectedChange } from './judge.ts';
import { directoryOf, type SchedulingParts } from './parts.ts';
import { ruleBroken, TimeTaken } from './refusal.ts';
import { endOwnHolds } from './slot-holds.ts';
import { readSlots, slotsOf } from './slots.ts';
import type { NamedSlot } from './visit.ts';

interface Detail {
  readonly appointment?: string;
  readonly actor?: string;
  readonly of?: string;
  readonly most?: number;
}

const CAPS: Readonly<Record<string, string>> = {
  provider: 'visits with this practitioner',
  service: 'visits of this service',
  patient: 'visits of a patient',
  'new-patient': 'visits of new patients',
};

const counted = (most = 0, what = ''): string => `${most} ${most === 1 ? what.replace(/^visits/, 'visit') : what}`;

/** What the database's refusal means to whoever asked. */
function refusalOf(
  parts: SchedulingParts,
  error: unknown,
  changes: readonly ProjectedChange[],
  channel: 'patient' | 'staff',
): unknown {
  if (!(error instanceof DatabaseError)) return error;
  const detail = JSON.parse(error.detail?.startsWith('{') === true ? error.detail : '{}') as Detail;
  const { id, before, after: visit } = changes.find((c) => c.id === detail.appointment) ?? {};
  const alternatives = (): Promise<readonly Appointment[]> =>
    visit ? alternativesTo(parts, visit, channel, before?.holds ? id : undefined) : Promise.resolve([]);
  switch (error.code) {
    case 'KS001': {
      const own = detail.actor?.startsWith('Patient/') === true;
      if (detail.actor !== undefined) noteContention(parts.contended, detail.actor);
      return new TimeTaken(
        own ? 'The patient has another visit at this time.' : 'This time is taken: somebody else was first.',
        alternatives,
      );
    }
    case 'KS002':
      return new TimeTaken('This time is blocked.', alternatives);
    case 'KS003':
      return ruleBroken(
        `No more than ${counted(detail.most, CAPS[detail.of ?? ''] ?? 'visits')} may be booked in this period.`,
        'Appointment.start',
      );
    case 'KS004':
      return ruleBroken(
        `A patient may hold ${detail.most ?? ''} times at once: book or release one first.`,
        'Appointment.status',
      );
    default:
      return error;
  }
}

/** It may be that the rules were read before they changed; then the transaction is run again. */
const maybeStale = (error: unknown): boolean => error instanceof FhirError && error.status === 503;

/** Whoever was in the way of something although it was made: `Patient/1`. */
export interface Overlap {
  readonly appointment: string;
  readonly actor: string;
  readonly force: 'override' | 'warn';
}

async function run(tx: Transaction, apply: Apply): Promise<readonly Overlap[]> {
  const [[notes] = []] = await tx.execute(sql`select scheduling_apply(${JSON.stringify(apply)}::json)`);
  return typeof notes === 'string' ? (JSON.parse(notes) as Overlap[]) : [];
}

/** Keeps the rows of time true for changed appointments. @throws FhirError 405, 409, 422 */
export async function projectAppointments(
  parts: SchedulingParts,
  tx: Transaction,
  changes: readonly Change[],
  by: Principal,
): Promise<void> {
  const { engine } = parts;
  const now = engine.clock.now();
  const channel = channelOf(by);
  const named = changes.flatMap((c) =>
    [appointmentIn(c.before), appointmentIn(c.after)].flatMap((a) => {
      const list = slotsOf(a, engine.baseUrl);
      // The one Slot of an offer that is known says nothing more.
      return a && parts.offers.has(a) && list.length < 2 ? [] : list;
    }),
  );
  const slots = named.length > 0 ? await readSlots(tx.execute, named) : new Map<string, NamedSlot>();
  let directory = await directoryOf(parts, tx);
  let all: readonly ProjectedChange[];
  for (;;) {
    const known = directory;
    const each: ProjectedChange[] = [];
    for (const change of changes) each.push(await projected(parts, tx, known, slots, change, channel));
    all = each;
    try {
      await judge(parts, tx, all, by, now);
      break;
    } catch (error) {
      // What is refused is refused by the rules that hold now; what is allowed is judged again by the database.
      directory = await freshDirectory(parts, tx);
      if (directory.revision === known.revision) throw error;
    }
  }
  const posted = all.filter(
    (c) => c.after?.holds && !c.before?.holds && c.afterResource && !parts.made.has(c.afterResource),
  );
  const wanted = posted.flatMap((c) => c.after?.slots ?? []).map((s) => `Slot/${s}`);
  if (wanted.length > 0 && channel === 'staff') await endOwnHolds(parts, tx, wanted, by, now);
  try {
    const overlaps = await run(tx, applyOf(directory, all));
    for (const { id, afterResource } of overlaps.length > 0 ? all : [])
      if (afterResource)
        parts.overlaps.set(
          afterResource,
          overlaps.filter((o) => o.appointment === id),
        );
  } catch (error) {
    if (maybeStale(error)) await parts.directory.renewed(directory.revision);
    throw refusalOf(parts, error, all, channel);
  }
  await keepEncounters(parts, tx, all, now);
  await keepFollowUps(parts, tx, all, now);
}
