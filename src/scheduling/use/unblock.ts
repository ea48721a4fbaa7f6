/** Gives blocked time back: whole blocks, or what lies in a span, where a block that reaches beyond it keeps its rest. @see https://hl7.org/fhir/R4/slot.html */
import type { Slot } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import { demandValid, retryOnChange, settle } from '../../fhir/interaction/write.ts';
import type { Issue } from '../../fhir/outcome.ts';
import type { PreparedWrite, Reader, Transaction } from '../../fhir/store/repository.ts';
import { newId } from '../../platform/id.ts';
import { join, sql } from '../../platform/database/sql.ts';
import type { ScheduleEntry } from '../directory.ts';
import { asExtensions, withoutExtensions } from '../extension.ts';
import { freshDirectory } from '../fresh-directory.ts';
import { subtract, type Interval } from '../model/interval.ts';
import type { SchedulingParts } from '../parts.ts';
import { isGenerated } from '../project-slots.ts';
import { ruleBroken } from '../refusal.ts';
import { lockSlots } from '../slot-locks.ts';
import { BLOCK_IDENTIFIER, SLOT_BLOCK } from '../urls.ts';
import { entriesOf, scheduleToChange, spanIn, type Block } from './block.ts';
import type { Span } from './moments.ts';

export interface Unblock {
  /** `Slot/1`: only these; none: all that lie in the span. */
  readonly slots: readonly string[];
  /** undefined: the whole of them. */
  readonly span: Span | undefined;
  /** `service`: only blocks that are for some services. */
  readonly scope: Block['scope'];
  readonly dryRun: boolean;
}

export interface Unblocked {
  /** Blocks that are gone, as they were; and those that are cut, as they are. */
  readonly slots: readonly Slot[];
  /** What is left of a block beside what it is now. */
  readonly rest: readonly Slot[];
  readonly issues: readonly Issue[];
}

/** A block of which time is given back. */
interface Cut {
  readonly entry: ScheduleEntry;
  readonly slot: Slot;
  /** What stays blocked. */
  readonly left: readonly Interval[];
}

const iso = (ms: number): string => new Date(ms).toISOString();

const nameOf = ({ id = '' }: Slot): string => `Slot/${id}`;

type Spans = readonly (readonly [ScheduleEntry, Interval | undefined])[];

/** Blocks of the Schedules that have a moment in their spans, by the time at which they begin. */
async function blocksIn(
  reader: Reader,
  ctx: RequestContext,
  spans: Spans,
  { slots, scope }: Unblock,
): Promise<readonly Cut[]> {
  const during = spans.map(
    ([entry, span]) =>
      sql`(t.schedule = ${entry.reference} and t.during && tstzrange(${span ? iso(span.start) : null}::timestamptz, ${span ? iso(span.end) : null}::timestamptz))`,
  );
  const ids = slots.map((s) => s.slice('Slot/'.length));
  const rows = await reader.query(
    sql`select t.slot, t.schedule from scheduling_time t where t.kind = 'block' and (${join(during, ' or ')})
        and (${scope !== 'service'} or t.services is not null)
        and (${slots.length === 0} or t.slot = any(${ids}::text[]) or ${scope === 'all'} and exists (
          select from slot n cross join lateral unnest(n.identifier) i join slot s on s.identifier @> array[i]
          where n.id = any(${ids}::text[]) and i like ${`${BLOCK_IDENTIFIER}|_%`} and s.id = t.slot))
        order by lower(t.during), t.slot`,
  );
  const found: Cut[] = [];
  for (const [id, schedule] of rows) {
    const stored = await reader.read('Slot', String(id), ctx.access.to('update'));
    const [entry, span] = spans.find(([e]) => e.reference === schedule) ?? [];
    if (!entry || stored?.content === undefined) continue;
    const slot = JSON.parse(stored.content) as Slot;
    const whole = { start: Date.parse(slot.start), end: Date.parse(slot.end) };
    found.push({ entry, slot, left: span ? subtract([whole], [span]) : [] });
  }
  return found;
}

const withTime = (slot: Slot, { zone }: ScheduleEntry, { start, end }: Interval): Slot => ({
  ...slot,
  start: zone?.format(start) ?? iso(start),
  end: zone?.format(end) ?? iso(end),
});

/** A generated Slot that somebody has blocked stays what the rules offer. */
function freed(slot: Slot): Slot {
  const { comment: _, extension: __, ...rest } = slot;
  return { ...rest, ...asExtensions(withoutExtensions(slot, SLOT_BLOCK)), status: 'free' };
}

function copy(slot: Slot, entry: ScheduleEntry, span: Interval): Slot {
  const { id: _, meta: __, ...rest } = slot;
  return withTime(rest, entry, span);
}

/** What becomes of each. */
function planned({ entry, slot, left }: Cut): { readonly next: Slot | undefined; readonly added: readonly Slot[] } {
  if (isGenerated(slot)) return { next: freed(slot), added: left.map((span) => copy(slot, entry, span)) };
  const [first, ...more] = left;
  return {
    next: first && withTime(slot, entry, first),
    added: more.map((span) => copy(slot, entry, span)),
  };
}

function wordsFor({ entry, slot, left }: Cut): Issue {
  const at = (ms: number): string => entry.zone?.format(ms) ?? iso(ms);
  const diagnostics =
    left.length === 0
      ? `${nameOf(slot)} is removed: it blocked ${entry.reference} from ${slot.start} to ${slot.end}.`
      : `${nameOf(slot)} is cut: ${entry.reference} stays blocked ${left.map((s) => `from ${at(s.start)} to ${at(s.end)}`).join(' and ')}.`;
  return { severity: 'information', code: 'informational', diagnostics };
}

async function write(
  { engine }: SchedulingParts,
  ctx: RequestContext,
  tx: Transaction,
  cuts: readonly Cut[],
): Promise<Unblocked> {
  const now = engine.clock.now();
  const at = new Date(now);
  const [updates, inserts, gone]: [PreparedWrite[], PreparedWrite[], Slot[]] = [[], [], []];
  const slots: Slot[] = [];
  for (const cut of cuts) {
    const { next, added } = planned(cut);
    const { id = '', meta } = cut.slot;
    const version = Number(meta?.versionId ?? 0) + 1;
    if (next) {
      const made = settle(engine, demandValid(engine, 'Slot', next), { id, version, lastUpdated: at, method: 'PUT' });
      updates.push(made);
      slots.push(made.resource as Slot);
    } else {
      gone.push(cut.slot);
      slots.push(cut.slot);
    }
    for (const each of added)
      inserts.push(
        settle(engine, demandValid(engine, 'Slot', each), {
          id: newId(now),
          version: 1,
          lastUpdated: at,
          method: 'POST',
        }),
      );
  }
  const { access } = ctx;
  if (gone.length > 0) access.demand('delete', 'Slot');
  if (updates.length > 0) access.demand('update', 'Slot');
  if (inserts.length > 0) access.demand('create', 'Slot');
  await tx.together(async () => {
    if (updates.length > 0) await tx.update(updates, new Map(), access.to('update'));
    if (inserts.length > 0) await tx.insert(inserts, access.to('create'));
    if (gone.length > 0)
      await tx.delete(
        gone.map(({ id = '', meta }) => ({
          type: 'Slot',
          id,
          version: Number(meta?.versionId ?? 0) + 1,
          lastUpdated: at,
        })),
        access.to('delete'),
      );
  });
  return { slots, rest: inserts.map((w) => w.resource as Slot), issues: cuts.map(wordsFor) };
}

/** Takes blocks away, or cuts a span out of them. @throws FhirError 422 when one that is named blocks no Schedule of these */
export async function unblockTime(
  parts: SchedulingParts,
  ctx: RequestContext,
  id: string,
  wish: Unblock,
): Promise<Unblocked> {
  const { engine } = parts;
  const entry = await scheduleToChange(parts, ctx, id);
  const entries = entriesOf(await freshDirectory(parts), entry, wish.scope);
  const spans: Spans = entries.map((e) => [e, wish.span && spanIn(e, wish.span)]);
  const look = async (reader: Reader): Promise<readonly Cut[]> => {
    const cuts = await blocksIn(reader, ctx, spans, wish);
    const missing = wish.slots.find((s) => !cuts.some((c) => nameOf(c.slot) === s));
    if (missing === undefined) return cuts;
    throw ruleBroken(
      `${missing} blocks nothing of ${entries.map((e) => e.reference).join(', ')}${wish.span ? ' in this time' : ''}: name a Slot that is busy-unavailable there.`,
      'slot',
    );
  };
  return retryOnChange(false, async () => {
    const cuts = await look(engine.repository);
    if (wish.dryRun || cuts.length === 0) {
      const plans = cuts.map((cut) => ({ cut, ...planned(cut) }));
      return {
        slots: plans.map(({ cut, next }) => next ?? cut.slot),
        rest: plans.flatMap((p) => p.added),
        issues: cuts.map(wordsFor),
      };
    }
    return engine.repository.transaction('read committed', async (tx) => {
      await lockSlots(
        parts,
        tx,
        cuts.map(({ slot: { id = '' } }) => ({ id })),
      );
      // Somebody may have changed them meanwhile.
      return write(parts, ctx, tx, await look(tx));
    });
  });
}
