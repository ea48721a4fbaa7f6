/** Time off: Slots that block a Schedule, and the visits that they hit. @see https://hl7.org/fhir/R4/slot.html */
import type { Appointment, CodeableConcept, Slot } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import { demandLive } from '../../fhir/interaction/version.ts';
import { demandUnseen, demandValid, settle } from '../../fhir/interaction/write.ts';
import { badRequest } from '../../fhir/outcome.ts';
import type { Transaction } from '../../fhir/store/repository.ts';
import { newId } from '../../platform/id.ts';
import { sql } from '../../platform/database/sql.ts';
import type { ScheduleEntry } from '../directory.ts';
import { addDays } from '../model/dates.ts';
import type { Interval } from '../model/interval.ts';
import { freshDirectory } from '../fresh-directory.ts';
import type { SchedulingParts } from '../parts.ts';
import { ruleBroken } from '../refusal.ts';
import { readSlots, slotsOf } from '../slots.ts';
import { SLOT_BLOCK } from '../urls.ts';
import { visitOfAppointment } from '../visit.ts';

export interface Block {
  /** Dates are inclusive local days; instants have an offset. */
  readonly start: string;
  readonly end: string;
  readonly scope: 'all' | 'location' | 'service';
  readonly services: readonly string[];
  readonly reason: CodeableConcept | undefined;
  readonly comment: string | undefined;
  readonly dryRun: boolean;
}

export interface Blocked {
  readonly slots: readonly Slot[];
  /** Visits in that time: nothing is cancelled by a block. */
  readonly affected: readonly Appointment[];
}

const DATE = /^\d{4}-\d{2}-\d{2}$/;

/** @throws FhirError 400, 422 */
export function spanIn(entry: ScheduleEntry, start: string, end: string): Interval {
  const local = (text: string, days: number): number | undefined => {
    if (!DATE.test(text)) return undefined;
    if (!entry.zone)
      throw ruleBroken(
        'The Schedule has no time zone: add the extension timezone to its Location, or send instants.',
        'start',
      );
    return entry.zone.instantOf(addDays(text, days), 0, 'start');
  };
  const span = { start: local(start, 0) ?? Date.parse(start), end: local(end, 1) ?? Date.parse(end) };
  if (!(span.end > span.start)) throw badRequest('value', 'The end must come after the start.', 'end');
  return span;
}

/** A Schedule that whoever calls may change. */
export async function scheduleToChange(
  parts: SchedulingParts,
  ctx: RequestContext,
  id: string,
): Promise<ScheduleEntry> {
  const { engine } = parts;
  ctx.access.demand('update', 'Schedule');
  const found = await engine.repository.read('Schedule', id, ctx.access.to('update'));
  if (found === undefined) await demandUnseen(engine.repository, ctx.access, 'update', 'Schedule', id);
  demandLive(found, 'Schedule', id);
  const entry = (await freshDirectory(parts)).entry(`Schedule/${id}`);
  if (!entry) throw ruleBroken('The Schedule is not known to the calendar yet: try again.', 'Schedule');
  return entry;
}

/** The Schedules that a block concerns. */
async function entriesOf(
  parts: SchedulingParts,
  entry: ScheduleEntry,
  scope: Block['scope'],
): Promise<readonly ScheduleEntry[]> {
  if (scope !== 'all') return [entry];
  const directory = await freshDirectory(parts);
  const people = entry.actors.filter((a) => a.reference.startsWith('Practitioner/'));
  const all = people.flatMap((p) => directory.of(p.reference));
  return [...new Map([entry, ...all].map((e) => [e.reference, e])).values()];
}

/** Live visits of a Schedule in a span. */
export async function affectedBy(
  parts: SchedulingParts,
  ctx: RequestContext,
  tx: Transaction | undefined,
  entry: ScheduleEntry,
  span: Interval,
  services: readonly string[],
): Promise<readonly Appointment[]> {
  const { engine } = parts;
  const reader = tx ?? engine.repository;
  const rows = await reader.query(
    sql`select distinct o.appointment from scheduling_rows(${entry.actors.map((a) => a.key)}::uuid[],
          tstzrange(${new Date(span.start).toISOString()}::timestamptz, ${new Date(span.end).toISOString()}::timestamptz)) o
        where o.expires is null or o.expires > now()`,
  );
  const directory = await freshDirectory(parts);
  const found: Appointment[] = [];
  for (const [id] of rows) {
    const stored = await reader.read('Appointment', String(id), ctx.access.to('read'));
    if (stored?.content === undefined) continue;
    const appointment = JSON.parse(stored.content) as Appointment;
    const slots = await readSlots(reader.query, slotsOf(appointment, engine.baseUrl));
    const visit = visitOfAppointment(directory, engine.baseUrl, appointment, slots);
    const here = visit.schedules.length === 0 || visit.schedules.includes(entry.reference);
    const ofService = services.length === 0 || visit.service === undefined || services.includes(visit.service);
    const inside = (visit.start ?? 0) < span.end && (visit.end ?? 0) > span.start;
    if (here && ofService && inside) found.push(appointment);
  }
  return found.sort((a, b) => Date.parse(a.start ?? '') - Date.parse(b.start ?? ''));
}

function slotFor(entry: ScheduleEntry, span: Interval, block: Block): Slot {
  const { reason, services, comment, scope } = block;
  const at = (ms: number): string => entry.zone?.format(ms) ?? new Date(ms).toISOString();
  const coding = reason?.coding?.[0];
  return {
    resourceType: 'Slot',
    extension: [
      {
        url: SLOT_BLOCK,
        extension: [
          { url: 'scope', valueCode: scope },
          ...(coding ? [{ url: 'reason', valueCoding: coding }] : []),
          ...services.map((reference) => ({ url: 'service', valueReference: { reference } })),
        ],
      },
    ],
    schedule: { reference: entry.reference },
    status: 'busy-unavailable',
    start: at(span.start),
    end: at(span.end),
    ...(comment === undefined && reason?.text === undefined ? {} : { comment: comment ?? reason?.text ?? '' }),
  };
}

/** Blocks a Schedule, or every one of its practitioners, and tells whom it hits. */
export async function blockTime(
  parts: SchedulingParts,
  ctx: RequestContext,
  id: string,
  block: Block,
): Promise<Blocked> {
  const { engine } = parts;
  const entry = await scheduleToChange(parts, ctx, id);
  if (block.scope === 'service' && block.services.length === 0)
    throw badRequest('required', 'Name the services that are not offered.', 'service');
  const entries = await entriesOf(parts, entry, block.scope);
  const spans = entries.map((e) => [e, spanIn(e, block.start, block.end)] as const);
  const affectedIn = async (tx: Transaction | undefined): Promise<Appointment[]> => {
    const found = new Map<string, Appointment>();
    for (const [e, span] of spans)
      for (const a of await affectedBy(parts, ctx, tx, e, span, block.services)) found.set(a.id ?? '', a);
    return [...found.values()];
  };
  if (block.dryRun) return { slots: [], affected: await affectedIn(undefined) };
  ctx.access.demand('create', 'Slot');
  const now = engine.clock.now();
  return engine.repository.transaction('read committed', async (tx) => {
    const writes = spans.map(([e, span]) =>
      settle(engine, demandValid(engine, 'Slot', slotFor(e, span, block)), {
        id: newId(now),
        version: 1,
        lastUpdated: new Date(now),
        method: 'POST',
      }),
    );
    await tx.insert(writes, ctx.access.to('create'));
    // Bookings wait until this is over: whoever was there before is seen.
    return { slots: writes.map((w) => w.resource as Slot), affected: await affectedIn(tx) };
  });
}

/** Takes blocks away: those named, or all that lie in a span of the Schedule. */
export async function unblockTime(
  parts: SchedulingParts,
  ctx: RequestContext,
  id: string,
  {
    slots,
    start,
    end,
    scope,
    dryRun,
  }: {
    readonly scope: 'all' | 'location';
    readonly slots: readonly string[];
    readonly start: string | undefined;
    readonly end: string | undefined;
    readonly dryRun: boolean;
  },
): Promise<readonly Slot[]> {
  const { engine } = parts;
  const entry = await scheduleToChange(parts, ctx, id);
  if (slots.length === 0 && (start === undefined || end === undefined))
    throw badRequest('required', 'Name the Slots to remove, or start and end.', 'slot');
  const span = start !== undefined && end !== undefined ? spanIn(entry, start, end) : undefined;
  const of = (await entriesOf(parts, entry, scope)).map((e) => e.reference);
  const rows = await engine.repository.query(
    sql`select t.slot from scheduling_time t where t.schedule = any(${of}) and t.kind = 'block' and (
        t.slot = any(${slots.map((s) => s.replace('Slot/', ''))}::text[])
        or t.during <@ tstzrange(${span ? new Date(span.start).toISOString() : null}::timestamptz, ${span ? new Date(span.end).toISOString() : null}::timestamptz) and ${slots.length === 0})`,
  );
  const found: Slot[] = [];
  for (const [slot] of rows) {
    const stored = await engine.repository.read('Slot', String(slot), ctx.access.to('update'));
    if (stored?.content !== undefined) found.push(JSON.parse(stored.content) as Slot);
  }
  const missing = slots.find((s) => !found.some((f) => `Slot/${f.id ?? ''}` === s));
  if (missing !== undefined) throw ruleBroken(`${missing} does not block this Schedule.`, 'slot');
  if (dryRun || found.length === 0) return found;
  ctx.access.demand('delete', 'Slot');
  const now = engine.clock.now();
  await engine.repository.transaction('read committed', (tx) =>
    tx.delete(
      found.map((s) => ({
        type: 'Slot',
        id: s.id ?? '',
        version: Number(s.meta?.versionId ?? 0) + 1,
        lastUpdated: new Date(now),
      })),
      ctx.access.to('delete'),
    ),
  );
  return found;
}
