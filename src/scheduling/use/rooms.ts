/** Rooms and devices of which a visit needs one. @see https://hl7.org/fhir/R4/appointment-definitions.html#Appointment.participant */
import type { Appointment, AppointmentParticipant } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import { localReference } from '../../fhir/search/type/reference.ts';
import type { Actor } from '../actor.ts';
import { channelOf } from '../channel.ts';
import type { Offer } from '../directory.ts';
import { findStarts } from '../find.ts';
import { MINUTE } from '../model/dates.ts';
import type { Interval } from '../model/interval.ts';
import type { SchedulingParts } from '../parts.ts';
import { participantsOf } from '../proposed.ts';
import { roomsLeft } from '../rooms-left.ts';
import { ANYTHING } from '../select.ts';

/**
 * Those that are free when a visit of the offer may start; none: it may not, or needs no room.
 * @param ignoring an appointment that is not in its own way
 */
async function freeRooms(
  parts: SchedulingParts,
  ctx: RequestContext,
  offer: Offer,
  start: number,
  ignoring: string | undefined,
): Promise<readonly Actor[]> {
  if (offer.pool.length === 0) return [];
  const found = await findStarts(parts, {
    wanted: {
      ...ANYTHING,
      schedules: [offer.entry.reference],
      services: offer.serviceReference === undefined ? [] : [offer.serviceReference],
    },
    channel: channelOf(ctx.access.principal),
    now: parts.engine.clock.now(),
    start,
    end: start + MINUTE,
    also: [],
    ...(ignoring !== undefined && { ignoring }),
  });
  return found.page(0, found.total).find((s) => s.start === start)?.pool ?? [];
}

/**
 * Rooms that a new visit may take, one after the other until one is won. Where its time is not offered, one that nobody has; when there is none, the
 * database says so of the first.
 * @param replaced an appointment that the new one takes the place of
 * @param leaving others that make room for it
 */
export async function roomsToTry(
  parts: SchedulingParts,
  ctx: RequestContext,
  offer: Offer,
  time: Interval,
  replaced: string | undefined,
  leaving: readonly string[],
): Promise<readonly Actor[]> {
  const free = await freeRooms(parts, ctx, offer, time.start, replaced);
  if (free.length > 0) return free;
  const gone = replaced === undefined ? leaving : [...leaving, replaced];
  const [left] = await roomsLeft(parts.engine.repository, offer, time, gone);
  return left ? [left] : offer.pool.slice(0, 1);
}

const isOf = ({ actor }: AppointmentParticipant, rooms: readonly Actor[], baseUrl: string): boolean =>
  rooms.some((r) => r.reference === localReference(actor?.reference ?? '', baseUrl));

/**
 * Those who take part at another time: the room of the visit stays while it is free, else another takes its place.
 * @param comes whether it comes from an offer that needed none of these rooms: then it takes one
 */
export async function withFreeRoom(
  parts: SchedulingParts,
  ctx: RequestContext,
  { id, participant }: Appointment,
  offer: Offer,
  start: number,
  comes: boolean,
): Promise<AppointmentParticipant[]> {
  const { baseUrl } = parts.engine;
  if (offer.pool.length === 0) return participant;
  const index = participant.findIndex((p) => isOf(p, offer.pool, baseUrl));
  const old = participant[index];
  if (!old && !comes) return participant;
  const free = await freeRooms(parts, ctx, offer, start, id);
  const [room] = free;
  if (!old) {
    const chosen = room ? [room] : offer.pool.slice(0, 1);
    return [...participant, ...participantsOf(offer, chosen, 'accepted').filter((p) => isOf(p, chosen, baseUrl))];
  }
  if (!room || isOf(old, free, baseUrl)) return participant;
  const { reference, display } = room;
  const actor = { reference, ...(display === undefined ? {} : { display }) };
  return participant.with(index, { ...old, actor });
}
