/** A colleague takes over visits, all of them in one act or none. @see https://hl7.org/fhir/R4/appointment-definitions.html#Appointment.participant */
import type { Appointment } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import { retryOnChange } from '../../fhir/interaction/write.ts';
import { badRequest, errorIssue, FhirError, type Issue } from '../../fhir/outcome.ts';
import type { PreparedWrite, Transaction } from '../../fhir/store/repository.ts';
import { channelOf } from '../channel.ts';
import { freshDirectory } from '../fresh-directory.ts';
import type { SchedulingParts } from '../parts.ts';
import { ruleBroken } from '../refusal.ts';
import { lockActors } from '../time-lock.ts';
import { overlapIssues } from './answer.ts';
import { changedBy, prepared } from './change.ts';
import { handoversOf, type Cover, type Handover } from './cover-plan.ts';
import { recordChange } from './provenance.ts';
import { demandOverride, overrideExtension } from './take-parts.ts';

export interface Covered {
  /** With the colleague; in a dry run those that do not fit as they are. */
  readonly appointments: readonly Appointment[];
  /** What does not fit, or is there although it does not. */
  readonly issues: readonly Issue[];
}

/** Ends a transaction of which nothing is to remain. */
class Undone extends Error {}

interface Tried {
  readonly move: Handover;
  /** undefined: it does not fit. */
  readonly write: PreparedWrite | undefined;
  readonly issues: readonly Issue[];
}

const misfit = ({ id, before }: Handover, to: string, why: string): Issue =>
  errorIssue('conflict', `Appointment/${id} at ${before.start ?? ''} does not fit ${to}. ${why}`, 'appointment');

const withOverride = (ctx: RequestContext, appointment: Appointment, reason: string, now: number): Appointment => ({
  ...appointment,
  extension: [...(appointment.extension ?? []), overrideExtension(ctx, reason, now)],
});

/** Gives one visit over as far as the rules and the colleague's calendar let it; over them only where it must be. */
async function attempt(
  parts: SchedulingParts,
  ctx: RequestContext,
  tx: Transaction,
  move: Handover,
  { to, overrideReason }: Cover,
): Promise<Tried> {
  const { id, before, after, stored, against } = move;
  const now = parts.engine.clock.now();
  const over = overrideReason === undefined ? [] : [withOverride(ctx, after, overrideReason, now)];
  let issues = against.map((why) => misfit(move, to, why));
  for (const next of against.length > 0 ? over : [after, ...over]) {
    const write = prepared(parts, ctx, next, stored, id);
    try {
      await tx.nested((part) =>
        part.update([write], new Map([[`Appointment/${id}`, before]]), ctx.access.to('update')),
      );
      return { move, write, issues: [] };
    } catch (error) {
      if (!(error instanceof FhirError) || (error.status !== 409 && error.status !== 422)) throw error;
      issues = error.issues.map((i) => misfit(move, to, i.diagnostics));
    }
  }
  return { move, write: undefined, issues };
}

async function run(
  parts: SchedulingParts,
  ctx: RequestContext,
  cover: Cover,
  moves: readonly Handover[],
): Promise<readonly Tried[]> {
  let tried: Tried[] = [];
  try {
    await parts.engine.repository.transaction('read committed', async (tx) => {
      tried = [];
      await lockActors(
        tx,
        moves.flatMap((m) => m.keys),
      );
      for (const move of moves) tried.push(await attempt(parts, ctx, tx, move, cover));
      const writes = tried.flatMap((t) => t.write ?? []);
      if (cover.dryRun || writes.length < moves.length) throw new Undone();
      await recordChange(parts, ctx, tx, writes, cover.reason);
    });
  } catch (error) {
    if (!(error instanceof Undone)) throw error;
  }
  return tried;
}

/** @throws FhirError 400, 403 */
async function demandPeople({ engine }: SchedulingParts, ctx: RequestContext, { from, to }: Cover): Promise<void> {
  ctx.access.demand('update', 'Appointment');
  if (channelOf(ctx.access.principal) !== 'staff')
    throw new FhirError(403, [errorIssue('forbidden', 'Visits are given over by staff.')]);
  if (from === to) throw badRequest('value', 'Nobody covers for themselves: name a colleague.', 'to');
  const known = await engine.repository.existing([to], ctx.access.to('refer'));
  if (!known.has(to))
    throw badRequest('not-found', `${to} is not known here: name a Practitioner that there is.`, 'to');
}

/** @throws FhirError 409 with an issue for each visit that does not fit: then none is given over */
export async function coverVisits(parts: SchedulingParts, ctx: RequestContext, cover: Cover): Promise<Covered> {
  await demandPeople(parts, ctx, cover);
  demandOverride(ctx, cover.overrideReason);
  return retryOnChange(false, async () => {
    const moves = await handoversOf(parts, ctx, await freshDirectory(parts), cover);
    const missing = cover.appointments.find((a) => !moves.some((m) => `Appointment/${m.id}` === a));
    if (missing !== undefined)
      throw ruleBroken(`${missing} is no visit of ${cover.from} in this time that can be moved.`, 'appointment');
    if (moves.length === 0) return { appointments: [], issues: [] };
    const tried = await run(parts, ctx, cover, moves);
    const issues = tried.flatMap((t) => t.issues);
    if (issues.length > 0 && !cover.dryRun) throw new FhirError(409, issues);
    return {
      appointments: tried.map(({ move, write }) => (write ? (write.resource as Appointment) : move.before)),
      issues: [
        ...issues.map((i) => ({ ...i, severity: 'warning' as const })),
        ...tried.flatMap(({ write }) => (write ? overlapIssues(changedBy(parts, write).overlaps) : [])),
      ],
    };
  });
}
