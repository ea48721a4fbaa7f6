/**
 * The Encounter that an arrival begins and a departure ends; where the visit takes place is its `location`.
 * @see https://hl7.org/fhir/R4/encounter.html
 */
import type { Appointment, Encounter } from '@medplum/fhirtypes';
import { grantAll } from '../fhir/access.ts';
import { settle } from '../fhir/interaction/write.ts';
import { localReference } from '../fhir/search/type/reference.ts';
import type { StoredVersion, Transaction } from '../fhir/store/repository.ts';
import { newId } from '../platform/id.ts';
import { sql } from '../platform/database/sql.ts';
import type { SchedulingParts } from './parts.ts';
import type { ProjectedChange } from './judge.ts';
import type { Status } from './model/status.ts';

const SYSTEM = grantAll({ kind: 'system', name: 'scheduling' });

const STATUS: Partial<Record<Status, Encounter['status']>> = {
  arrived: 'arrived',
  'checked-in': 'triaged',
  fulfilled: 'finished',
};
/** Statuses in which nobody is there: what had begun did not take place. */
const LEFT: ReadonlySet<Status> = new Set<Status>(['booked', 'cancelled', 'noshow', 'entered-in-error']);

async function encounterOf(tx: Transaction, id: string): Promise<StoredVersion | undefined> {
  const [[found] = []] = await tx.execute(
    sql`select e.id from encounter e where e.appointment @> array[${`Appointment/${id}`}] and e.status <> 'entered-in-error' order by e.last_updated desc limit 1`,
  );
  return typeof found === 'string' ? tx.read('Encounter', found, SYSTEM.to('read')) : undefined;
}

function begun(appointment: Appointment, status: Encounter['status'], at: string, baseUrl: string): Encounter {
  const of = (...types: string[]): Appointment['participant'] =>
    appointment.participant.filter(({ actor }) =>
      types.some((t) => localReference(actor?.reference ?? '', baseUrl).startsWith(`${t}/`)),
    );
  const [subject] = of('Patient');
  const practitioners = of('Practitioner', 'PractitionerRole');
  const places = of('Location');
  const [service] = appointment.serviceType ?? [];
  return {
    resourceType: 'Encounter',
    status,
    class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'AMB', display: 'ambulatory' },
    type: [service ?? { text: appointment.description ?? 'Visit' }],
    ...(service ? { serviceType: service } : {}),
    ...(subject?.actor ? { subject: subject.actor as NonNullable<Encounter['subject']> } : {}),
    ...(practitioners.length > 0
      ? {
          participant: practitioners.map(({ actor }) => ({
            individual: actor as NonNullable<NonNullable<Encounter['participant']>[number]['individual']>,
          })),
        }
      : {}),
    appointment: [{ reference: `Appointment/${appointment.id ?? ''}` }],
    period: status === 'finished' ? { start: appointment.start ?? at, end: at } : { start: at },
    ...(appointment.reasonCode ? { reasonCode: appointment.reasonCode } : {}),
    ...(places.length > 0
      ? {
          location: places.map(({ actor }) => ({
            location: actor as NonNullable<NonNullable<Encounter['location']>[number]['location']>,
            status: 'active' as const,
          })),
        }
      : {}),
  };
}

/** The next state of an Encounter, with the one before kept in its history. */
function moved(encounter: Encounter, status: Encounter['status'], at: string): Encounter {
  if (encounter.status === status) return encounter;
  const since = encounter.statusHistory?.at(-1)?.period.end ?? encounter.period?.start ?? at;
  const ends = status === 'finished' || status === 'cancelled';
  const { end: _, ...open } = encounter.period ?? {};
  return {
    ...encounter,
    status,
    statusHistory: [
      ...(encounter.statusHistory ?? []),
      { status: encounter.status, period: { start: since, end: at } },
    ],
    period: ends ? { ...open, end: at } : open,
  };
}

async function keep(
  parts: SchedulingParts,
  tx: Transaction,
  appointment: Appointment,
  was: Status | undefined,
  now: number,
): Promise<void> {
  const { engine } = parts;
  const status = appointment.status as Status;
  const at = new Date(now).toISOString();
  const wanted = STATUS[status];
  const stored = await encounterOf(tx, appointment.id ?? '');
  if (stored?.content === undefined) {
    if (!wanted) return;
    const id = newId(now);
    const write = settle(engine, begun(appointment, wanted, at, engine.baseUrl), {
      id,
      version: 1,
      lastUpdated: new Date(now),
      method: 'POST',
    });
    await tx.insert([write], SYSTEM.to('create'));
    return;
  }
  const encounter = JSON.parse(stored.content) as Encounter;
  const next = status === 'entered-in-error' ? status : (wanted ?? (LEFT.has(status) ? 'cancelled' : undefined));
  // What the treating side has taken further is theirs; what we have ended ourselves begins again.
  const reopens = was === 'fulfilled' && encounter.status === 'finished';
  const keepsOwn = next === 'triaged' && ['in-progress', 'onleave', 'finished'].includes(encounter.status) && !reopens;
  if (!next || keepsOwn || encounter.status === next) return;
  const write = settle(engine, moved(encounter, next, at), {
    id: stored.id,
    version: stored.version + 1,
    lastUpdated: new Date(now),
    method: 'PUT',
  });
  await tx.update([write], new Map(), SYSTEM.to('update'));
}

/** @throws FhirError, ConcurrentChange */
export async function keepEncounters(
  parts: SchedulingParts,
  tx: Transaction,
  changes: readonly ProjectedChange[],
  now: number,
): Promise<void> {
  for (const { beforeResource, afterResource } of changes) {
    if (!afterResource || afterResource.status === beforeResource?.status) continue;
    const status = afterResource.status as Status;
    const was = beforeResource?.status as Status | undefined;
    // History that is brought in whole comes with its own Encounters.
    if (was === undefined && status !== 'arrived' && status !== 'checked-in') continue;
    if (STATUS[status] || (was && STATUS[was])) await keep(parts, tx, afterResource, was, now);
  }
}
