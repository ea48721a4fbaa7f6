/**
 * What hand-made Slots do to time: `busy-unavailable` blocks it, `free` opens it beside the rules, `busy` says that somebody else holds it, and
 * `busy-tentative` is a hold.
 * @see https://hl7.org/fhir/R4/valueset-slotstatus.html
 */
import { isDeepStrictEqual } from 'node:util';
import type { Slot } from '@medplum/fhirtypes';
import type { Principal } from '../fhir/access.ts';
import { errorIssue, FhirError } from '../fhir/outcome.ts';
import { localReference } from '../fhir/search/type/reference.ts';
import type { Change, Transaction } from '../fhir/store/repository.ts';
import { sql } from '../platform/database/sql.ts';
import { freshDirectory } from './fresh-directory.ts';
import { extensionOf, extensionsOf } from './extension.ts';
import type { SchedulingParts } from './parts.ts';
import { ruleBroken } from './refusal.ts';
import { demandUnused, holdSlot, lacksRoom, namedBy, releaseSlot } from './slot-holds.ts';
import { spansIn, type Span } from './spans.ts';
import { lockTime } from './time-lock.ts';
import { GENERATED, SLOT_BLOCK, SLOT_ORIGIN, SLOT_SERVICE } from './urls.ts';

type SlotStatus = Slot['status'];

/** What a Slot may become by hand; of `entered-in-error` nothing comes any more. Booked and held time goes its ways with the appointments. */
const NEXT: Readonly<Record<SlotStatus, readonly SlotStatus[]>> = {
  free: ['busy-tentative', 'busy', 'busy-unavailable'],
  'busy-tentative': ['free', 'busy'],
  busy: ['free'],
  'busy-unavailable': ['free'],
  'entered-in-error': [],
};

/** @throws FhirError 422 naming the legal ones, 409 where somebody holds it already */
function demandNext(before: Slot | undefined, after: Slot, by: Principal): void {
  if (!before || by.kind === 'system' || after.status === 'entered-in-error') return;
  const { meta: _, ...was } = before;
  const { meta: __, ...is } = after;
  if (after.status === 'busy-tentative' && isDeepStrictEqual(was, is))
    throw new FhirError(409, [errorIssue('conflict', 'The Slot is held already: ask for another.', 'Slot.status')]);
  if (before.status === after.status || NEXT[before.status].includes(after.status)) return;
  throw ruleBroken(
    `A Slot that is ${before.status} does not become ${after.status}: it may become ${[...NEXT[before.status], 'entered-in-error'].join(', ')}.`,
    'Slot.status',
  );
}

export const isGenerated = (slot: Slot): boolean =>
  slot.meta?.tag?.some((t) => t.system === SLOT_ORIGIN && t.code === GENERATED) === true;

/** Nobody is in two places: busy time is so for all services, unless it says for which. */
const servicesOf = (slot: Slot, kind: Kind): string[] | null => {
  const block = extensionsOf(extensionOf(slot, SLOT_BLOCK), 'service').flatMap(
    (e) => e.valueReference?.reference ?? [],
  );
  const own = extensionOf(slot, SLOT_SERVICE)?.valueReference?.reference;
  const all = own === undefined || kind !== 'opening' ? block : [...block, own];
  return all.length > 0 ? all : null;
};

type Kind = 'block' | 'busy' | 'opening';

interface TimeRow {
  readonly slot: string;
  readonly schedule: string;
  readonly kind: Kind;
  readonly services: readonly string[] | null;
  readonly start: string;
  readonly end: string;
}

const slotOf = (resource: Change['after']): Slot | undefined =>
  resource?.resourceType === 'Slot' ? resource : undefined;

const TAKEN: ReadonlySet<SlotStatus> = new Set(['busy', 'busy-tentative']);

/** Whether it is no longer that of whoever has it. */
const isTakenAway = (before: Slot, after: Slot): boolean =>
  TAKEN.has(before.status) &&
  (!(TAKEN.has(after.status) || after.status === 'free') ||
    Date.parse(before.start) !== Date.parse(after.start) ||
    Date.parse(before.end) !== Date.parse(after.end) ||
    before.schedule.reference !== after.schedule.reference);

/** What a Slot that somebody wrote means; undefined: nothing beyond itself. */
function kindOf(after: Slot, before: Slot | undefined): Kind | undefined | 'same' {
  switch (after.status) {
    case 'busy-unavailable':
      return 'block';
    case 'free':
      return isGenerated(after) ? undefined : 'opening';
    case 'busy':
    case 'busy-tentative':
      // A Slot that an appointment has made busy, written again with another comment.
      return before?.status === 'busy' || before?.status === 'busy-tentative' ? 'same' : 'busy';
    default:
      return undefined;
  }
}

function timeRow(slot: Slot, id: string, kind: Kind, baseUrl: string): TimeRow {
  return {
    slot: id,
    schedule: localReference(slot.schedule.reference ?? '', baseUrl),
    kind,
    services: servicesOf(slot, kind),
    start: new Date(slot.start).toISOString(),
    end: new Date(slot.end).toISOString(),
  };
}

/** Keeps blocks and openings true for changed Slots. @throws FhirError 422 */
export async function projectSlots(
  parts: SchedulingParts,
  tx: Transaction,
  changes: readonly Change[],
  by: Principal,
): Promise<void> {
  const { engine } = parts;
  const now = engine.clock.now();
  const directory = await freshDirectory(parts, tx);
  const rows: TimeRow[] = [];
  const gone: string[] = [];
  const spans: Span[] = [];
  const span = (slot: Slot): void => {
    const entry = directory.entry(localReference(slot.schedule.reference ?? '', engine.baseUrl));
    if (entry) spans.push(...spansIn(entry, new Date(slot.start).toISOString(), new Date(slot.end).toISOString()));
  };
  for (const { id, kind: what, before: old, after: fresh } of changes) {
    const [before, after] = [slotOf(old), slotOf(fresh)];
    if (what === 'delete' || !after) {
      gone.push(id);
      if (before) span(before);
      continue;
    }
    if (Date.parse(after.end) <= Date.parse(after.start))
      throw ruleBroken('A Slot must end after it starts.', 'Slot.end');
    const entry = directory.entry(localReference(after.schedule.reference ?? '', engine.baseUrl));
    const wishes = after.status === 'busy-tentative' && by.kind !== 'system';
    // Busy for want of a room: that is a conflict, with other times, and no wrong step.
    const isShort = wishes && before?.status === 'busy' && entry && (await lacksRoom(tx, after, entry));
    if (isShort !== true) demandNext(before, after, by);
    const held = (isShort === true || before?.status === 'free') && after.status === 'busy-tentative';
    const freed = (before?.status === 'busy-tentative' || before?.status === 'busy') && after.status === 'free';
    if (held && entry) {
      await holdSlot(parts, tx, { ...after, id }, entry, by, now);
      continue;
    }
    if (freed) await releaseSlot(parts, tx, { ...after, id }, entry, by, now);
    if (before && isTakenAway(before, after)) await demandUnused(tx, { ...before, id });
    const kind = kindOf(after, before);
    if (kind === 'same') continue;
    if (kind) rows.push(timeRow(after, id, kind, engine.baseUrl));
    else gone.push(id);
    span(after);
    if (before) span(before);
  }
  if (gone.length > 0) {
    const inUse = changes.some((c) => c.kind === 'delete')
      ? await namedBy(
          tx,
          gone.map((s) => `Slot/${s}`),
        )
      : [];
    if (inUse.length > 0)
      throw ruleBroken('An appointment has the time of this Slot: cancel or move it first.', 'Slot.status');
    await tx.execute(sql`delete from scheduling_time where slot = any(${gone})`);
  }
  if (rows.length > 0) {
    const closed = rows.filter((r) => r.kind !== 'opening');
    await lockTime(
      tx,
      closed.flatMap((r) => directory.entry(r.schedule) ?? []),
    );
    await tx.execute(
      sql`insert into scheduling_time (slot, schedule, kind, services, during)
          select slot, schedule, kind, services, tstzrange(start, "end")
          from json_to_recordset(${JSON.stringify(rows)}::json) r(slot text, schedule text, kind text, services text[], start timestamptz, "end" timestamptz)
          on conflict (slot) do update set schedule = excluded.schedule, kind = excluded.kind, services = excluded.services, during = excluded.during`,
    );
  }
  if (spans.length > 0) await tx.execute(sql`select scheduling_restate(${JSON.stringify(spans)}::json)`);
  await tx.execute(
    sql`insert into outbox (topic, payload, status) select 'event', e::jsonb, 'done' from json_array_elements(${JSON.stringify(
      changes.flatMap(({ id, before, after }) => {
        const slot = slotOf(after) ?? slotOf(before);
        if (!slot) return [];
        return [
          {
            type: 'Slot',
            id,
            schedule: localReference(slot.schedule.reference ?? '', engine.baseUrl),
            service: extensionOf(slot, SLOT_SERVICE)?.valueReference?.reference ?? null,
            start: new Date(slot.start).toISOString(),
            end: new Date(slot.end).toISOString(),
            status: after ? slot.status : 'entered-in-error',
          },
        ];
      }),
    )}::json) e`,
  );
}
