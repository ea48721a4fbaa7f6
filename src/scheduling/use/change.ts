/** One appointment taken a step further by whoever may change it. @see https://hl7.org/fhir/R4/http.html#update */
import type { Appointment } from '@medplum/fhirtypes';
import { grantAll } from '../../fhir/access.ts';
import type { RequestContext } from '../../fhir/context.ts';
import { demandMatch } from '../../fhir/http/preconditions.ts';
import { demandLive } from '../../fhir/interaction/version.ts';
import { nextVersion } from '../../fhir/interaction/update.ts';
import { demandUnseen, demandValid, retryOnChange } from '../../fhir/interaction/write.ts';
import type { PreparedWrite, StoredVersion, Transaction } from '../../fhir/store/repository.ts';
import { promisedBy } from '../complete.ts';
import type { Offer } from '../directory.ts';
import { foresee } from '../foresee.ts';
import type { SchedulingParts } from '../parts.ts';
import type { Overlap } from '../project-appointments.ts';

export interface Changed {
  readonly appointment: Appointment;
  readonly write: PreparedWrite;
  /** Who is now in two places. */
  readonly overlaps: readonly Overlap[];
}

/** The appointment as whoever calls may change it. @throws FhirError 403, 404, 410, 412 when it is not the version that they know */
export async function readToChange(
  { engine }: SchedulingParts,
  ctx: RequestContext,
  id: string,
): Promise<{ readonly stored: StoredVersion; readonly appointment: Appointment }> {
  ctx.access.demand('update', 'Appointment');
  const found = await engine.repository.read('Appointment', id, ctx.access.to('update'));
  if (found === undefined) await demandUnseen(engine.repository, ctx.access, 'update', 'Appointment', id);
  const stored = demandLive(found, 'Appointment', id);
  demandMatch(ctx.ifMatch, stored);
  return { stored, appointment: JSON.parse(stored.content) as Appointment };
}

/** As the same person, who may write the whole of it: where a use case sees to it that only their part changes. */
export const asWhole = (ctx: RequestContext): RequestContext => ({
  requestId: ctx.requestId,
  access: grantAll(ctx.access.principal),
  clock: ctx.clock,
  baseUrl: ctx.baseUrl,
  emit: (event) => ctx.emit(event),
  ...(ctx.ifMatch === undefined ? {} : { ifMatch: ctx.ifMatch }),
});

interface Preparation {
  /** That it must be offered under, unless overridden. */
  readonly offer?: Offer | undefined;
  /** Nothing in it is a client's but what was checked when the request was read. */
  readonly isOurs?: boolean;
}

/** A version made ready, valid. */
export function prepared(
  { engine, offers, made }: SchedulingParts,
  ctx: RequestContext,
  next: Appointment,
  stored: StoredVersion | undefined,
  id: string,
  { offer, isOurs = false }: Preparation = {},
): PreparedWrite {
  const valid = isOurs ? next : demandValid(engine, 'Appointment', next);
  const write = nextVersion(engine, ctx, valid, id, stored, stored ? 'PUT' : 'POST');
  made.add(write.resource);
  if (offer) offers.set(write.resource, offer);
  return write;
}

/** What has come of a write that is done. */
export const changedBy = ({ overlaps }: SchedulingParts, write: PreparedWrite): Changed => ({
  appointment: write.resource as Appointment,
  write,
  overlaps: overlaps.get(write.resource) ?? [],
});

/** What an appointment becomes, and the offer under which its time must be offered, unless overridden. */
type Step = Appointment | readonly [next: Appointment, offer: Offer | undefined];

/** Writes what `step` makes of an appointment; again when somebody else changed it meanwhile. */
export async function changeAppointment(
  parts: SchedulingParts,
  ctx: RequestContext,
  id: string,
  step: (appointment: Appointment) => Step | Promise<Step>,
  options: {
    /** It may be that somebody has its time already: that is looked for first. */
    readonly foresees?: boolean;
    /** Changes that the calendar takes as one with this. */
    readonly beside?: (tx: Transaction) => Promise<void>;
    /** What follows from it. */
    readonly also?: ((tx: Transaction, write: PreparedWrite) => Promise<void>) | undefined;
  } = {},
): Promise<Changed> {
  return retryOnChange(ctx.ifMatch !== undefined, async () => {
    const { stored, appointment } = await readToChange(parts, ctx, id);
    const done = await step(appointment);
    const [next, offer] = 'resourceType' in done ? [done, undefined] : done;
    // Asked for again, what is done already is done: a lost answer is no new change.
    if (next === appointment) return { appointment, write: unchanged(stored, appointment), overlaps: [] };
    const promised = await promisedBy(parts, next, appointment);
    const write = prepared(parts, ctx, promised, stored, id, { offer });
    if (options.foresees === true) await foresee(parts, write.resource, ctx.access.principal, appointment);
    await parts.engine.repository.transaction('read committed', async (tx) => {
      await tx.together(async () => {
        await tx.update([write], new Map([[`Appointment/${id}`, appointment]]), ctx.access.to('update'));
        await options.beside?.(tx);
      });
      await options.also?.(tx, write);
    });
    return changedBy(parts, write);
  });
}

export const unchanged = (stored: StoredVersion, resource: Appointment): PreparedWrite => ({
  type: stored.type,
  id: stored.id,
  version: stored.version,
  lastUpdated: stored.lastUpdated,
  content: stored.content ?? '',
  columns: [],
  method: 'PUT',
  resource,
});
