/**
 * Orders of further visits and the visits that are booked for them: an order is due until there is one, and again when there is none any more.
 * @see https://hl7.org/fhir/R4/appointment-definitions.html#Appointment.basedOn
 */
import type { Appointment, ServiceRequest } from '@medplum/fhirtypes';
import { grantAll } from '../fhir/access.ts';
import { settle } from '../fhir/interaction/write.ts';
import { localReference } from '../fhir/search/type/reference.ts';
import type { Transaction } from '../fhir/store/repository.ts';
import { sql } from '../platform/database/sql.ts';
import { extensionOf } from './extension.ts';
import type { SchedulingParts } from './parts.ts';
import type { ProjectedChange } from './judge.ts';
import { ruleBroken } from './refusal.ts';
import { FOLLOW_UP, HOLD_EXPIRES } from './urls.ts';

const SYSTEM = grantAll({ kind: 'system', name: 'scheduling' });

export const FOLLOW_UP_CATEGORY = {
  system: 'http://snomed.info/sct',
  code: '390906007',
  display: 'Follow-up encounter',
};

/** An order of one visit. Others, as for a series of them, are not done with the first. */
export const isFollowUp = (order: ServiceRequest): boolean =>
  extensionOf(order, FOLLOW_UP) !== undefined ||
  order.category?.some((c) =>
    c.coding?.some((x) => x.system === FOLLOW_UP_CATEGORY.system && x.code === FOLLOW_UP_CATEGORY.code),
  ) === true;

/** Statuses in which a visit is planned, or has taken place. */
const STANDS: ReadonlySet<string> = new Set(['pending', 'booked', 'arrived', 'checked-in', 'fulfilled']);

/** `ServiceRequest/1` of each order that a visit stands for. A hold is none yet. */
function ordersOf(appointment: Appointment | undefined, baseUrl: string): readonly string[] {
  if (!appointment?.basedOn || !STANDS.has(appointment.status ?? '')) return [];
  if (appointment.status === 'pending' && extensionOf(appointment, HOLD_EXPIRES)) return [];
  return appointment.basedOn
    .map((r) => localReference(r.reference ?? '', baseUrl))
    .filter((r) => r.startsWith('ServiceRequest/'));
}

async function isBooked(tx: Transaction, order: string): Promise<boolean> {
  const rows = await tx.execute(
    sql`select from appointment a where a.based_on @> array[${order}] and a.status = any(${[...STANDS]})
        and not (a.status = 'pending' and exists (select from scheduling_hold h where h.appointment = a.id)) limit 1`,
  );
  return rows.length > 0;
}

/** @throws FhirError 422 */
function demandComes(order: ServiceRequest, changes: readonly ProjectedChange[], baseUrl: string): void {
  const subject = localReference(order.subject.reference ?? '', baseUrl);
  const name = `ServiceRequest/${order.id ?? ''}`;
  for (const { after, afterResource } of changes) {
    if (!after || !ordersOf(afterResource, baseUrl).includes(name)) continue;
    if (after.patients.some((p) => p.reference === subject)) continue;
    throw ruleBroken(
      `${name} is for another patient: leave it out, or book the visit for ${subject}.`,
      'Appointment.basedOn',
    );
  }
}

async function keep(
  { engine }: SchedulingParts,
  tx: Transaction,
  order: string,
  changes: readonly ProjectedChange[],
  now: number,
): Promise<void> {
  const id = order.slice('ServiceRequest/'.length);
  // Two visits may be booked for it, or cancelled, at the same moment.
  await tx.execute(sql`select from service_request r where r.id = ${id} for no key update`);
  const stored = await tx.read('ServiceRequest', id, SYSTEM.to('read'));
  if (stored?.content === undefined) return;
  const request = JSON.parse(stored.content) as ServiceRequest;
  if (!isFollowUp(request)) return;
  demandComes(request, changes, engine.baseUrl);
  const status = (await isBooked(tx, order)) ? 'completed' : 'active';
  // What was revoked, or is only drafted, stays so.
  if (request.status === status || (request.status !== 'active' && request.status !== 'completed')) return;
  const write = settle(
    engine,
    { ...request, status },
    { id, version: stored.version + 1, lastUpdated: new Date(now), method: 'PUT' },
  );
  await tx.update([write], new Map(), SYSTEM.to('update'));
}

/** @throws FhirError 422 for the order of somebody who does not come */
export async function keepFollowUps(
  parts: SchedulingParts,
  tx: Transaction,
  changes: readonly ProjectedChange[],
  now: number,
): Promise<void> {
  const { baseUrl } = parts.engine;
  const touched = new Set<string>();
  for (const { beforeResource, afterResource } of changes) {
    const was = new Set(ordersOf(beforeResource, baseUrl));
    const is = new Set(ordersOf(afterResource, baseUrl));
    for (const order of was.symmetricDifference(is)) touched.add(order);
  }
  for (const order of [...touched].sort()) await keep(parts, tx, order, changes, now);
}
