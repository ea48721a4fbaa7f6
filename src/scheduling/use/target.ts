/**
 * Which visit somebody wants to take: a proposal by its id, an appointment that is stored, or one that is described.
 * @see https://profiles.ihe.net/ITI/Scheduling/ITI-116.html
 */
import type { Appointment, Reference, Resource } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import { badRequest } from '../../fhir/outcome.ts';
import { demandValid } from '../../fhir/interaction/write.ts';
import { escape } from '../../fhir/search/escape.ts';
import { matchCriteria } from '../../fhir/search/match-criteria.ts';
import { localReference } from '../../fhir/search/type/reference.ts';
import { actorOf, type Actor } from '../actor.ts';
import type { Offer } from '../directory.ts';
import { merge, type Interval } from '../model/interval.ts';
import { ruleBroken, TimeTaken } from '../refusal.ts';
import { alternativesTo } from '../alternatives.ts';
import { channelOf } from '../channel.ts';
import { freshDirectory } from '../fresh-directory.ts';
import type { SchedulingParts } from '../parts.ts';
import { mayBeIn } from '../select.ts';
import { settledOffer } from '../settled-offer.ts';
import { readSlots, slotsOf } from '../slots.ts';
import { visitOfAppointment } from '../visit.ts';

export type Target =
  | {
      readonly kind: 'proposal';
      readonly offer: Offer;
      readonly start: number;
      /** That was asked for. */
      readonly room: Actor | undefined;
      readonly said: Appointment | undefined;
    }
  | { readonly kind: 'stored'; readonly id: string; readonly said: Appointment | undefined }
  | { readonly kind: 'described'; readonly said: Appointment; readonly offer: Offer | undefined };

const gone = (): TimeTaken =>
  new TimeTaken(
    'This proposal is not offered any more: ask $find for the times that are.',
    () => Promise.resolve([]),
    'appointment-reference',
  );

/** A room that was asked for. @throws FhirError 409 when it is none of the offer's any more */
async function roomOf(parts: SchedulingParts, { entry, serviceReference }: Offer, room: string): Promise<Actor> {
  const known = await freshDirectory(parts);
  const offer = known.entry(entry.reference)?.offers.find((o) => o.serviceReference === serviceReference);
  if (!offer || !mayBeIn(known, offer, room)) throw gone();
  return actorOf(room, known.location(room)?.name);
}

/** One that is described may leave out its status: it is what the operation makes of it. */
const withStatus = (resource: Resource): object =>
  resource.resourceType === 'Appointment' && (resource.id === undefined || resource.status === undefined)
    ? { ...resource, status: 'proposed' }
    : resource;

/** Slots of one visit leave no gap. @throws FhirError 422 */
export function demandWhole(slots: readonly Interval[], expression: string): void {
  const whole = merge(slots);
  if (whole.length > 1)
    throw ruleBroken('The Slots of a visit follow one another: these leave a gap between them.', expression);
}

/**
 * @param reference to an appointment, stored or proposed
 * @param resource an Appointment as it is wanted; with the id of one, that one
 * @throws FhirError 400, 409
 */
export async function targetOf(
  parts: SchedulingParts,
  ctx: RequestContext,
  reference: Reference | undefined,
  resource: Resource | undefined,
): Promise<Target> {
  const { engine, directory, proposals } = parts;
  const named = localReference(reference?.reference ?? '', engine.baseUrl);
  const id = named.startsWith('Appointment/') ? named.slice('Appointment/'.length) : (resource?.id ?? undefined);
  const said = resource && (demandValid(engine, 'Appointment', withStatus(resource)) as Appointment);
  if (id !== undefined && proposals.isProposal(id)) {
    const read = proposals.read(await directory.current(), id);
    const found = read ?? proposals.read(await directory.renewed((await directory.current()).revision), id);
    if (!found) throw gone();
    const { room, ...proposal } = found;
    return {
      kind: 'proposal',
      ...proposal,
      room: room === undefined ? undefined : await roomOf(parts, found.offer, room),
      said,
    };
  }
  if (id !== undefined) return { kind: 'stored', id, said };
  if (!said)
    throw badRequest(
      'required',
      'Name the appointment: send appointment-reference or appointment-resource.',
      'appointment-reference',
    );
  const valid: Appointment = { ...said, status: 'proposed' };
  const slots = await readSlots(engine.repository.query, slotsOf(valid, engine.baseUrl));
  const missing = slotsOf(valid, engine.baseUrl).find((s) => !slots.has(s));
  if (missing !== undefined) {
    const visit = visitOfAppointment(await freshDirectory(parts), engine.baseUrl, valid, slots);
    throw new TimeTaken(
      `${missing} is not there any more: ask $find for the times that are free.`,
      () => alternativesTo(parts, visit, channelOf(ctx.access.principal)),
      'Appointment.slot',
    );
  }
  const times = [...slots.values()];
  demandWhole(times, 'Appointment.slot');
  const timed: Appointment =
    valid.start === undefined && times.length > 0
      ? {
          ...valid,
          start: new Date(Math.min(...times.map((s) => s.start))).toISOString(),
          end: new Date(Math.max(...times.map((s) => s.end))).toISOString(),
        }
      : valid;
  const known = await freshDirectory(parts);
  const visit = visitOfAppointment(known, engine.baseUrl, { ...timed, status: 'booked' }, slots);
  const channel = channelOf(ctx.access.principal);
  const settled = await settledOffer(engine.repository, known, visit, undefined, channel, engine.clock.now());
  return { kind: 'described', said: timed, offer: settled ?? visit.offer };
}

/** `Type/id` of a reference, also by identifier; undefined: there is none that whoever asks may know of. */
export async function resolved(
  { engine }: SchedulingParts,
  ctx: RequestContext,
  reference: Reference,
  type: string,
): Promise<string | undefined> {
  if (reference.reference !== undefined) return localReference(reference.reference, engine.baseUrl);
  const { system, value } = reference.identifier ?? {};
  if (value === undefined) return undefined;
  const [found] = await matchCriteria(
    engine,
    ctx,
    engine.repository,
    type,
    [['identifier', system === undefined ? escape(value) : `${escape(system)}|${escape(value)}`]],
    2,
  );
  return found && `${type}/${found.id}`;
}
