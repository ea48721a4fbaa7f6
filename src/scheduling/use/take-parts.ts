/** What the ways of taking a time have in common: what is wished for, holds, overrides, and the visit that makes room. @see https://profiles.ihe.net/ITI/Scheduling/ITI-117.html */
import type { Appointment, AppointmentParticipant, CodeableConcept, Extension } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import { badRequest, errorIssue, FhirError } from '../../fhir/outcome.ts';
import type { PreparedWrite, Transaction } from '../../fhir/store/repository.ts';
import { channelOf } from '../channel.ts';
import { usualReason } from '../complete.ts';
import type { Offer } from '../directory.ts';
import type { SchedulingParts } from '../parts.ts';
import { promiseIn } from '../promise.ts';
import { sql } from '../../platform/database/sql.ts';
import { OVERRIDE, PREVIOUS_APPOINTMENT, REPLACES } from '../urls.ts';
import { prepared, readToChange } from './change.ts';
import type { Target } from './target.ts';

export interface Take {
  readonly target: Target;
  /** `Patient/1`; none: those whom the appointment names. */
  readonly patients: readonly string[];
  /** Those of them who are registered in the same act. */
  readonly registers: readonly PreparedWrite[];
  readonly comment: string | undefined;
  readonly reasons: readonly CodeableConcept[];
  /** `ServiceRequest/1`: the order that it is for. */
  readonly basedOn: string | undefined;
  readonly overrideReason: string | undefined;
  /** An appointment that this one takes the place of, and why. */
  readonly cancels: { readonly reference: string; readonly reason: CodeableConcept | undefined } | undefined;
  /** Minutes for which it is only held; 0: as many as usual. */
  readonly hold: number | undefined;
}

const DEFAULT_HOLD_MINUTES = 5;
const MOST_HOLD_MINUTES = { patient: 15, staff: 30 } as const;

export function holdMinutes({ hold }: Take, offer: Offer | undefined, ctx: RequestContext): number {
  const usual = offer?.parameters.holdMinutes ?? DEFAULT_HOLD_MINUTES;
  return Math.min(hold === undefined || hold === 0 ? usual : hold, MOST_HOLD_MINUTES[channelOf(ctx.access.principal)]);
}

export const instant = (ms: number): string => new Date(ms).toISOString();

export const replyOf = (status: Appointment['status']): AppointmentParticipant['status'] =>
  status === 'booked' ? 'accepted' : status === 'pending' ? 'tentative' : 'needs-action';

/** With the order that the visit is for among what it is based on. */
export function basedOn(
  { basedOn: order }: Pick<Take, 'basedOn'>,
  said: Appointment['basedOn'],
): Pick<Appointment, 'basedOn'> {
  const all = said ?? [];
  const added = order === undefined || all.some((r) => r.reference === order) ? [] : [{ reference: order }];
  return all.length + added.length > 0 ? { basedOn: [...all, ...added] } : {};
}

/** What becomes of a patient's wish is the service's to say. */
export const modeOf = (offer: Offer | undefined, ctx: RequestContext): 'pending' | 'booked' | 'waitlist' =>
  channelOf(ctx.access.principal) === 'patient' ? (offer?.parameters.mode ?? 'booked') : 'booked';

export const overrideExtension = (ctx: RequestContext, reason: string, now: number): Extension => ({
  url: OVERRIDE,
  extension: [
    { url: 'reason', valueString: reason },
    { url: 'by', valueReference: { display: ctx.access.principal.name } },
    { url: 'at', valueInstant: instant(now) },
  ],
});

/** Links from a new appointment to the one that it takes the place of. */
export const linksTo = (reference: string | undefined): Extension[] =>
  reference === undefined
    ? []
    : [PREVIOUS_APPOINTMENT, REPLACES].map((url) => ({ url, valueReference: { reference } }));

/** Only staff books over the rules, and says why. @throws FhirError 400, 403 */
export function demandOverride(ctx: RequestContext, reason: string | undefined): void {
  if (reason === undefined) return;
  if (reason.trim() === '') throw badRequest('value', 'Say in words why the rules are overridden.', 'override-reason');
  if (channelOf(ctx.access.principal) === 'staff') return;
  throw new FhirError(403, [
    errorIssue('forbidden', 'Only staff may override the rules of booking.', 'override-reason'),
  ]);
}

/** The wall time that was promised, so that a later change of a zone's rules can be seen. */
export function promisedTime({ entry: { zone } }: Offer, start: number): Extension[] {
  return zone ? [promiseIn(zone, start)] : [];
}

/** A patient who is named must be one that whoever asks may name. @returns the Slot of the time too, where it was generated */
export async function demandKnown(
  { engine }: SchedulingParts,
  ctx: RequestContext,
  { registers }: Take,
  patients: readonly string[],
  slot: string | undefined,
): Promise<boolean> {
  const asked = slot === undefined ? patients : [...patients, slot];
  const known = await engine.repository.existing(asked, ctx.access.to('refer'));
  const missing = patients.find((p) => !known.has(p) && !registers.some((r) => `Patient/${r.id}` === p));
  if (missing !== undefined)
    throw badRequest(
      'not-found',
      `${missing} is not known here: name a patient you may book for.`,
      'patient-reference',
    );
  return slot !== undefined && known.has(slot);
}

/** @param reason undefined, or without a code: the usual one of whoever cancels */
export function cancelled(
  appointment: Appointment,
  reason: CodeableConcept | undefined,
  ctx: RequestContext,
): Appointment {
  const coded = (reason?.coding?.length ?? 0) > 0;
  return {
    ...appointment,
    status: 'cancelled',
    cancelationReason: { ...(coded ? {} : usualReason(channelOf(ctx.access.principal))), ...reason },
  };
}

/** @throws FhirError 409 when another appointment stands in its place already */
async function demandNotReplaced(tx: Transaction, reference: string): Promise<void> {
  // Two who replace it at the same time come one after the other.
  await tx.execute(sql`select from appointment where id = ${reference.slice('Appointment/'.length)} for update`);
  const rows = await tx.execute(
    sql`select from appointment where supporting_info && ${[reference]}::text[] and status in ('pending', 'booked', 'arrived', 'checked-in', 'fulfilled')`,
  );
  if (rows.length > 0)
    throw new FhirError(409, [
      errorIssue('conflict', `${reference} has been replaced already: move the appointment that has its place.`),
    ]);
}

/** The old one ends in the same transaction in which the new one begins. */
export async function cancelOld(
  parts: SchedulingParts,
  ctx: RequestContext,
  tx: Transaction,
  { reference, reason }: NonNullable<Take['cancels']>,
): Promise<void> {
  const id = reference.slice('Appointment/'.length);
  const { stored, appointment } = await readToChange(parts, ctx, id);
  if (appointment.status === 'cancelled') {
    await demandNotReplaced(tx, reference);
    return;
  }
  const write = prepared(parts, ctx, cancelled(appointment, reason, ctx), stored, id);
  await tx.update([write], new Map([[reference, appointment]]), ctx.access.to('update'));
}
