/**
 * `$hold` and `$book` in full: a time that is proposed or described is taken, a hold is renewed or booked, and of an appointment that stands `$book` changes
 * or cancels what the resource says.
 * @see https://profiles.ihe.net/ITI/Scheduling/ITI-117.html
 */
import type { Appointment, Identifier } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import { escape } from '../../fhir/search/escape.ts';
import { matchCriteria } from '../../fhir/search/match-criteria.ts';
import { localReference } from '../../fhir/search/type/reference.ts';
import { demandReasonWritten } from '../cancellation-reason.ts';
import { channelOf } from '../channel.ts';
import { extensionOf } from '../extension.ts';
import { HOLDS_TIME, type Status } from '../model/status.ts';
import { demandOwnWish } from '../own-part.ts';
import type { SchedulingParts } from '../parts.ts';
import { TimeTaken } from '../refusal.ts';
import { HOLD_EXPIRES } from '../urls.ts';
import { readToChange, unchanged, type Changed } from './change.ts';
import { reschedule } from './reschedule.ts';
import { cancel } from './steps.ts';
import { demandOverride, type Take } from './take-parts.ts';
import { takeStored } from './take-stored.ts';
import { takeNew } from './take.ts';

/** Practitioners that a resource names and the stored appointment does not. */
function otherPractitioners(said: Appointment, stored: Appointment, baseUrl: string): string[] {
  const of = ({ participant }: Appointment): string[] =>
    participant
      .map((p) => localReference(p.actor?.reference ?? '', baseUrl))
      .filter((r) => /^Practitioner(?:Role)?\//.test(r));
  const known = new Set(of(stored));
  return of(said).filter((r) => !known.has(r));
}

/** What stands, as the resource wants it. */
async function change(
  parts: SchedulingParts,
  ctx: RequestContext,
  take: Take,
  id: string,
  said: Appointment,
): Promise<Changed> {
  const { baseUrl } = parts.engine;
  const comment = take.comment ?? said.comment;
  if (said.status === 'cancelled') {
    demandReasonWritten(parts.engine.terminology, undefined, said, channelOf(ctx.access.principal));
    return cancel(parts, ctx, id, { reason: said.cancelationReason, comment, patients: [] });
  }
  const { appointment } = await readToChange(parts, ctx, id);
  const practitioners = otherPractitioners(said, appointment, baseUrl);
  const start = said.start === undefined ? undefined : Date.parse(said.start);
  const moves = start !== undefined && start !== Date.parse(appointment.start ?? '');
  if (appointment.status === 'booked' && (moves || practitioners.length > 0))
    return reschedule(parts, ctx, id, {
      start,
      slots: [],
      schedules: [],
      practitioners,
      location: undefined,
      mode: 'same',
      reason: undefined,
      comment,
      overrideReason: take.overrideReason,
    });
  const reasons = take.reasons.length > 0 ? take.reasons : (said.reasonCode ?? []);
  return takeStored(parts, ctx, { ...take, comment, reasons }, id);
}

/** Of a retry, what the first try has made: an appointment with the same identifier that holds its time. */
async function sameAgain(
  { engine }: SchedulingParts,
  ctx: RequestContext,
  identifiers: readonly Identifier[] | undefined,
): Promise<Changed | undefined> {
  for (const { system, value } of identifiers ?? []) {
    if (system === undefined || value === undefined) continue;
    const criteria = [['identifier', `${escape(system)}|${escape(value)}`]] as const;
    for (const found of await matchCriteria(engine, ctx, engine.repository, 'Appointment', criteria, 10)) {
      const appointment = JSON.parse(found.content ?? '{}') as Appointment;
      if (HOLDS_TIME.has(appointment.status as Status))
        return { appointment, write: unchanged(found, appointment), overlaps: [] };
    }
  }
  return undefined;
}

async function takeOnce(
  parts: SchedulingParts,
  ctx: RequestContext,
  take: Take,
  target: Exclude<Take['target'], { kind: 'stored' }>,
): Promise<Changed> {
  if (target.kind === 'described' && channelOf(ctx.access.principal) === 'patient') demandOwnWish(target.said);
  const again = async (): Promise<Changed | undefined> => {
    const known = await sameAgain(parts, ctx, target.said?.identifier);
    // A hold that is now booked is no retry.
    return known && take.hold === undefined && extensionOf(known.appointment, HOLD_EXPIRES)
      ? takeStored(parts, ctx, take, known.write.id)
      : known;
  };
  const known = await again();
  if (known) return known;
  try {
    return await takeNew(parts, ctx, take, target);
  } catch (error) {
    const won = error instanceof TimeTaken ? await again() : undefined;
    if (won) return won;
    throw error;
  }
}

/**
 * Holds or books.
 * @throws FhirError 409 with other times in `contained` when somebody was first, 422 when a rule is against it
 */
export async function book(parts: SchedulingParts, ctx: RequestContext, take: Take): Promise<Changed> {
  demandOverride(ctx, take.overrideReason);
  const { target } = take;
  if (target.kind !== 'stored') return takeOnce(parts, ctx, take, target);
  const { said, id } = target;
  return said && take.hold === undefined ? change(parts, ctx, take, id, said) : takeStored(parts, ctx, take, id);
}

/** @throws FhirError as `book` does; who comes too late is told so in the words of ITI-116 as well */
export async function hold(parts: SchedulingParts, ctx: RequestContext, wish: Promise<Take>): Promise<Changed> {
  try {
    return await book(parts, ctx, await wish);
  } catch (error) {
    throw error instanceof TimeTaken ? error.ofHold() : error;
  }
}
