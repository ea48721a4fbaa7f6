/** A colleague takes over visits, all of them in one act or none. @see https://hl7.org/fhir/R4/appointment-definitions.html#Appointment.participant */
import type { Appointment, CodeableConcept } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import { retryOnChange } from '../../fhir/interaction/write.ts';
import { localReference } from '../../fhir/search/type/reference.ts';
import { sql } from '../../platform/database/sql.ts';
import { actorKey } from '../actor.ts';
import { freshDirectory } from '../fresh-directory.ts';
import { asExtensions, withoutExtensions } from '../extension.ts';
import type { SchedulingParts } from '../parts.ts';
import { participantsOf } from '../proposed.ts';
import { ruleBroken } from '../refusal.ts';
import { readSlots, slotsOf } from '../slots.ts';
import { OVERRIDE } from '../urls.ts';
import { visitOfAppointment } from '../visit.ts';
import { prepared, readToChange } from './change.ts';
import { demandOverride, overrideExtension } from './take-parts.ts';
import type { Interval } from '../model/interval.ts';

export interface Cover extends Interval {
  /** `Practitioner/1` */
  readonly from: string;
  readonly to: string;
  readonly schedule: string | undefined;
  /** Only these; none: all in the span. */
  readonly appointments: readonly string[];
  readonly reason: CodeableConcept | undefined;
  readonly overrideReason: string | undefined;
  readonly dryRun: boolean;
}

const MOVABLE: ReadonlySet<string> = new Set(['pending', 'booked', 'arrived', 'checked-in']);

async function visitsOf(
  { engine }: SchedulingParts,
  { from, start, end, appointments }: Cover,
): Promise<readonly string[]> {
  const rows = await engine.repository.query(
    sql`select o.appointment from scheduling_rows(array[${actorKey(from)}::uuid],
          tstzrange(${new Date(start).toISOString()}::timestamptz, ${new Date(end).toISOString()}::timestamptz)) o
        where o.expires is null or o.expires > now() order by lower(o.during)`,
  );
  const all = rows.map(([id]) => String(id));
  return appointments.length === 0 ? all : all.filter((id) => appointments.includes(`Appointment/${id}`));
}

/** The visit with the colleague: at their Schedule of the same service and place, where they have one. */
async function covered(
  parts: SchedulingParts,
  ctx: RequestContext,
  appointment: Appointment,
  cover: Cover,
): Promise<Appointment | undefined> {
  const { engine } = parts;
  const directory = await freshDirectory(parts);
  const slots = await readSlots(engine.repository.query, slotsOf(appointment, engine.baseUrl));
  const visit = visitOfAppointment(directory, engine.baseUrl, appointment, slots);
  if (!MOVABLE.has(visit.status) || (visit.start ?? 0) >= cover.end || (visit.end ?? 0) <= cover.start)
    return undefined;
  if (cover.schedule !== undefined && !visit.schedules.includes(cover.schedule)) return undefined;
  const offers = directory
    .of(cover.to)
    .filter((e) => e.schedule.active !== false)
    .flatMap((e) => e.offers)
    .filter((o) => o.serviceReference === visit.service);
  const site = visit.offer?.entry.location?.id;
  const offer = offers.find((o) => o.entry.location?.id === site) ?? offers[0];
  const left = new Set([
    cover.from,
    ...(visit.offer && offer ? participantsOf(visit.offer, [], 'accepted').map((p) => p.actor?.reference ?? '') : []),
  ]);
  const stays = appointment.participant.filter(
    (p) => !left.has(directory.resolve(localReference(p.actor?.reference ?? '', engine.baseUrl))),
  );
  const comes = offer
    ? participantsOf(offer, [], 'accepted')
    : [{ actor: { reference: cover.to }, required: 'required' as const, status: 'accepted' as const }];
  const { slot: _, extension: __, ...rest } = appointment;
  return {
    ...rest,
    ...asExtensions([
      ...withoutExtensions(appointment, OVERRIDE),
      ...(cover.overrideReason === undefined ? [] : [overrideExtension(ctx, cover.overrideReason, engine.clock.now())]),
    ]),
    participant: [...stays, ...comes],
  };
}

/** @throws FhirError 409 when the colleague has no room for one of them: then none is moved */
export async function coverVisits(
  parts: SchedulingParts,
  ctx: RequestContext,
  cover: Cover,
): Promise<readonly Appointment[]> {
  demandOverride(ctx, cover.overrideReason);
  const { engine } = parts;
  return retryOnChange(false, async () => {
    const ids = await visitsOf(parts, cover);
    const moves: { readonly id: string; readonly before: Appointment; readonly write: ReturnType<typeof prepared> }[] =
      [];
    for (const id of ids) {
      const { stored, appointment } = await readToChange(parts, ctx, id);
      const next = await covered(parts, ctx, appointment, cover);
      if (next) moves.push({ id, before: appointment, write: prepared(parts, ctx, next, stored, id) });
    }
    const missing = cover.appointments.find((a) => !moves.some((m) => `Appointment/${m.id}` === a));
    if (missing !== undefined)
      throw ruleBroken(`${missing} is no visit of ${cover.from} in this time that can be moved.`, 'appointment');
    if (!cover.dryRun && moves.length > 0)
      await engine.repository.transaction('read committed', (tx) =>
        tx.update(
          moves.map((m) => m.write),
          new Map(moves.map((m) => [`Appointment/${m.id}`, m.before])),
          ctx.access.to('update'),
        ),
      );
    return moves.map((m) => m.write.resource as Appointment);
  });
}
