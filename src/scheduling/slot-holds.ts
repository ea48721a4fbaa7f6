/**
 * Holds of those who work with Slots alone: `free` made `busy-tentative` is a hold, and made `free` again lets it go.
 * @see https://hl7.org/fhir/R4/valueset-slotstatus.html
 */
import type { Appointment, Slot } from '@medplum/fhirtypes';
import { grantAll, type Principal } from '../fhir/access.ts';
import { settle } from '../fhir/interaction/write.ts';
import type { Reader, Transaction } from '../fhir/store/repository.ts';
import { newId } from '../platform/id.ts';
import { sql } from '../platform/database/sql.ts';
import type { Offer, ScheduleEntry } from './directory.ts';
import { extensionOf } from './extension.ts';
import { MINUTE } from './model/dates.ts';
import type { Interval } from './model/interval.ts';
import type { SchedulingParts } from './parts.ts';
import { participantsOf } from './proposed.ts';
import { ruleBroken } from './refusal.ts';
import { roomsLeft } from './rooms-left.ts';
import { HOLD_EXPIRES, SLOT_HOLDER, SLOT_SERVICE } from './urls.ts';

const HOLD_MINUTES = 5;

/** Who holds a Slot. */
const heldBy = ({ account, client, name }: Principal): { readonly system: string; readonly code: string } => ({
  system: SLOT_HOLDER,
  code: account ?? client ?? name,
});

/** Live appointments. @param slots `Slot/1` */
export async function namedBy(
  reader: Pick<Reader, 'query'>,
  slots: readonly string[],
): Promise<readonly (readonly unknown[])[]> {
  return reader.query(
    sql`select a.id, a.status, a.version, a.content from appointment a where a.slot && ${slots}::text[]
        and a.status in ('pending', 'booked', 'arrived', 'checked-in')`,
  );
}

const spanOf = ({ start, end }: Slot): Interval => ({ start: Date.parse(start), end: Date.parse(end) });

function offerOf(slot: Slot, { offers }: ScheduleEntry): Offer | undefined {
  const service = extensionOf(slot, SLOT_SERVICE)?.valueReference?.reference;
  return service === undefined ? offers[0] : offers.find((o) => o.serviceReference === service);
}

/** Whether a visit there needs a room or a device, and all are taken. */
export async function lacksRoom(tx: Transaction, slot: Slot, entry: ScheduleEntry): Promise<boolean> {
  const offer = offerOf(slot, entry);
  return offer !== undefined && offer.pool.length > 0 && (await roomsLeft(tx, offer, spanOf(slot))).length === 0;
}

/** A hold of whoever works with Slots alone: for nobody in particular, until somebody books or it runs out. */
export async function holdSlot(
  parts: SchedulingParts,
  tx: Transaction,
  slot: Slot,
  entry: ScheduleEntry,
  by: Principal,
  now: number,
): Promise<void> {
  const { engine } = parts;
  const offer = offerOf(slot, entry);
  if (!offer) throw ruleBroken(`Nothing is offered in ${entry.reference} any more.`, 'Slot.schedule');
  const minutes = offer.parameters.holdMinutes ?? HOLD_MINUTES;
  // When no room is left, the database says so of the first.
  const room = (await roomsLeft(tx, offer, spanOf(slot)))[0] ?? offer.pool[0];
  const appointment: Appointment = {
    resourceType: 'Appointment',
    meta: { tag: [heldBy(by)] },
    extension: [{ url: HOLD_EXPIRES, valueInstant: new Date(now + minutes * MINUTE).toISOString() }],
    status: 'pending',
    start: slot.start,
    end: slot.end,
    slot: [{ reference: `Slot/${slot.id ?? ''}` }],
    participant: participantsOf(offer, room ? [room] : [], 'tentative'),
  };
  const write = settle(engine, appointment, { id: newId(now), version: 1, lastUpdated: new Date(now), method: 'POST' });
  parts.made.add(write.resource);
  parts.offers.set(write.resource, offer);
  await tx.insert([write], grantAll(by).to('create'));
}

/** What somebody holds by Slots. */
export async function ownHolds(
  reader: Pick<Reader, 'query' | 'decode'>,
  slots: readonly string[],
  by: Principal,
): Promise<readonly Appointment[]> {
  const { code } = heldBy(by);
  return (await namedBy(reader, slots)).flatMap(([id, status, version, content]) => {
    if (status !== 'pending') return [];
    const held = JSON.parse(reader.decode('Appointment', String(id), Number(version), String(content))) as Appointment;
    return held.meta?.tag?.some((t) => t.system === SLOT_HOLDER && t.code === code) === true ? [held] : [];
  });
}

/**
 * Who has held a Slot books it by an appointment of their own that names it: their hold makes room for that.
 * @param but the id of one that ends by itself
 */
export async function endOwnHolds(
  parts: SchedulingParts,
  tx: Transaction,
  slots: readonly string[],
  by: Principal,
  now: number,
  but?: string,
): Promise<void> {
  for (const held of await ownHolds(tx, slots, by)) if (held.id !== but) await cancelHold(parts, tx, held, by, now);
}

async function cancelHold(
  { engine, made }: SchedulingParts,
  tx: Transaction,
  held: Appointment,
  by: Principal,
  now: number,
): Promise<void> {
  const { id = '', meta } = held;
  const version = Number(meta?.versionId ?? 0) + 1;
  const next = settle(
    engine,
    { ...held, status: 'cancelled' },
    { id, version, lastUpdated: new Date(now), method: 'PUT' },
  );
  made.add(next.resource);
  await tx.update([next], new Map([[`Appointment/${id}`, held]]), grantAll(by).to('update'));
}

const taken = (): Error =>
  ruleBroken('An appointment has this time: cancel or move it, and the Slot is free by itself.', 'Slot.status');

/** Whether somebody has the time of a Slot. Made busy by hand, it is nobody's. */
async function isTaken(tx: Transaction, slot: Slot, { reference, offers, actors }: ScheduleEntry): Promise<boolean> {
  const service = extensionOf(slot, SLOT_SERVICE)?.valueReference?.reference;
  const offer = offers.length === 1 ? offers[0] : offers.find((o) => o.serviceReference === service);
  const { before = 0, after = 0, capacity = 1 } = offer?.parameters ?? {};
  const at = (instant: string, minutes: number): string =>
    new Date(Date.parse(instant) + minutes * MINUTE).toISOString();
  const rows = await tx.execute(
    sql`select from scheduling_truth(${reference}, ${service ?? ''}, tstzrange(${at(slot.start, 0)}::timestamptz, ${at(slot.end, 0)}::timestamptz),
          tstzrange(${at(slot.start, -before)}::timestamptz, ${at(slot.end, after)}::timestamptz), ${actors.map((a) => a.key)}::uuid[],
          coalesce((select s.capacity from scheduling_slot s where s.slot = ${slot.id ?? ''}), ${capacity})::int, '{}'::uuid[]) truth
        where truth in ('busy', 'busy-tentative')
          and not exists (select from scheduling_time t where t.slot = ${slot.id ?? ''} and t.kind = 'busy')`,
  );
  return rows.length > 0;
}

const isAt =
  (slot: Slot) =>
  ({ start = '', end = '' }: Appointment): boolean =>
    Date.parse(start) < Date.parse(slot.end) && Date.parse(slot.start) < Date.parse(end);

/** @throws FhirError 422 when an appointment that names the Slot is at its time */
export async function demandUnused(tx: Transaction, slot: Slot): Promise<void> {
  for (const [id, status, version, content] of await namedBy(tx, [`Slot/${slot.id ?? ''}`])) {
    const text = tx.decode('Appointment', String(id), Number(version), String(content));
    const named = JSON.parse(text) as Appointment;
    const isHold = status === 'pending' && extensionOf(named, HOLD_EXPIRES) !== undefined;
    if (!isHold && isAt(slot)(named)) throw taken();
  }
}

/** @throws FhirError 422 when the Slot is taken by more than a hold */
export async function releaseSlot(
  parts: SchedulingParts,
  tx: Transaction,
  slot: Slot,
  entry: ScheduleEntry | undefined,
  by: Principal,
  now: number,
): Promise<void> {
  const isThen = isAt(slot);
  for (const [id, status] of await namedBy(tx, [`Slot/${slot.id ?? ''}`])) {
    const stored = await tx.read('Appointment', String(id), grantAll(by).to('update'));
    const appointment = JSON.parse(stored?.content ?? '{}') as Appointment;
    // It may have moved since it named the Slot.
    if (stored && !isThen(appointment)) continue;
    if (!stored || status !== 'pending' || !extensionOf(appointment, HOLD_EXPIRES)) throw taken();
    await cancelHold(parts, tx, appointment, by, now);
  }
  if (entry && (await isTaken(tx, slot, entry))) throw taken();
}
