/** Time off: Slots that block a Schedule, and the visits that they hit. @see https://hl7.org/fhir/R4/slot.html */
import type { Appointment, CodeableConcept, Slot } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import { demandLive } from '../../fhir/interaction/version.ts';
import { demandUnseen, demandValid, settle } from '../../fhir/interaction/write.ts';
import { badRequest } from '../../fhir/outcome.ts';
import type { Reader } from '../../fhir/store/repository.ts';
import { newId } from '../../platform/id.ts';
import type { Directory, ScheduleEntry } from '../directory.ts';
import type { Interval } from '../model/interval.ts';
import { freshDirectory } from '../fresh-directory.ts';
import type { SchedulingParts } from '../parts.ts';
import { ruleBroken } from '../refusal.ts';
import { visitsIn } from '../schedule-visits.ts';
import { BLOCK_IDENTIFIER, SLOT_BLOCK } from '../urls.ts';
import type { Span } from './moments.ts';

export interface Block {
  readonly span: Span;
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

/** A span by the clock of a Schedule. @throws FhirError 400, 422 */
export function spanIn(entry: ScheduleEntry, span: Span): Interval {
  if (span.isLocal && !entry.zone)
    throw ruleBroken(
      `${entry.reference} has no time zone: add the extension timezone to its Location, or send instants.`,
      'start',
    );
  const { start, end } = span.spanAt(entry.zone);
  if (!(end > start)) throw badRequest('value', 'The end must come after the start.', 'end');
  return { start, end };
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

/** The Schedules that a block concerns: those of all its practitioners, or itself. */
export function entriesOf(directory: Directory, entry: ScheduleEntry, scope: Block['scope']): readonly ScheduleEntry[] {
  if (scope !== 'all') return [entry];
  const people = entry.actors.filter((a) => a.reference.startsWith('Practitioner/'));
  const all = people.flatMap((p) => directory.of(p.reference));
  return [...new Map([entry, ...all].map((e) => [e.reference, e])).values()];
}

const iso = (ms: number): string => new Date(ms).toISOString();

/** Live visits of a Schedule in a span, as far as whoever asks may see them. @param services none: all */
async function affectedBy(
  { engine }: SchedulingParts,
  ctx: RequestContext,
  reader: Reader,
  directory: Directory,
  entry: ScheduleEntry,
  span: Interval,
  services: readonly string[],
): Promise<readonly Appointment[]> {
  const found = await visitsIn(engine.baseUrl, ctx.access, reader, directory, entry, span);
  return found
    .filter(({ schedules }) => schedules.length === 0 || schedules.includes(entry.reference))
    .filter(({ visit: { service } }) => services.length === 0 || service === undefined || services.includes(service))
    .map(({ appointment }) => appointment);
}

function slotFor(entry: ScheduleEntry, span: Interval, block: Block, together: string): Slot {
  const { reason, services, comment, scope } = block;
  const at = (ms: number): string => entry.zone?.format(ms) ?? iso(ms);
  const coding = reason?.coding?.[0];
  const text = comment ?? reason?.text;
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
    identifier: [{ system: BLOCK_IDENTIFIER, value: together }],
    schedule: { reference: entry.reference },
    status: 'busy-unavailable',
    start: at(span.start),
    end: at(span.end),
    ...(text === undefined ? {} : { comment: text }),
  };
}

/** @throws FhirError 422 */
function demandOffered(entry: ScheduleEntry, services: readonly string[]): void {
  const offered = entry.offers.flatMap((o) => o.serviceReference ?? []);
  const stranger = services.find((s) => !offered.includes(s));
  if (stranger === undefined) return;
  const fix = offered.length > 0 ? `name one of ${offered.join(', ')}` : 'leave the services out';
  throw ruleBroken(`${stranger} is not offered in ${entry.reference}: ${fix}.`, 'service');
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
  const directory = await freshDirectory(parts);
  demandOffered(entry, block.services);
  const spans = entriesOf(directory, entry, block.scope).map((e) => [e, spanIn(e, block.span)] as const);
  const affectedIn = async (reader: Reader): Promise<Appointment[]> => {
    const found = new Map<string, Appointment>();
    for (const [e, span] of spans)
      for (const a of await affectedBy(parts, ctx, reader, directory, e, span, block.services))
        found.set(a.id ?? '', a);
    return [...found.values()].sort((a, b) => Date.parse(a.start ?? '') - Date.parse(b.start ?? ''));
  };
  if (block.dryRun) return { slots: [], affected: await affectedIn(engine.repository) };
  ctx.access.demand('create', 'Slot');
  const now = engine.clock.now();
  const together = newId(now);
  return engine.repository.transaction('read committed', async (tx) => {
    const writes = spans.map(([e, span]) =>
      settle(engine, demandValid(engine, 'Slot', slotFor(e, span, block, together)), {
        id: newId(now),
        version: 1,
        lastUpdated: new Date(now),
        method: 'POST',
      }),
    );
    // From here on nobody books there: whoever has, is seen.
    await tx.insert(writes, ctx.access.to('create'));
    return { slots: writes.map((w) => w.resource as Slot), affected: await affectedIn(tx) };
  });
}
