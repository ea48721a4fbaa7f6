/**
 * Where many want the same times, most come too late. For a while after somebody did, whoever wants the time of the same actors is told so by the calendars in
 * memory, without a transaction. They know what is committed, so nobody is refused who could have won.
 * @see https://hl7.org/fhir/R4/appointment.html
 */
import type { Appointment, Resource } from '@medplum/fhirtypes';
import type { Principal } from '../fhir/access.ts';
import { FhirError } from '../fhir/outcome.ts';
import type { Change } from '../fhir/store/repository.ts';
import { localReference } from '../fhir/search/type/reference.ts';
import { sql } from '../platform/database/sql.ts';
import { actorKey } from './actor.ts';
import { alternativesTo } from './alternatives.ts';
import { channelOf } from './channel.ts';
import { stayContended } from './contention.ts';
import type { Directory } from './directory.ts';
import { extensionOf } from './extension.ts';
import { judge, projected } from './judge.ts';
import { DAY } from './model/dates.ts';
import { overlaps, type Interval } from './model/interval.ts';
import type { Taken } from './model/starts.ts';
import { HOLDS_TIME, type Status } from './model/status.ts';
import type { SchedulingParts } from './parts.ts';
import { TimeTaken } from './refusal.ts';
import { readSlots, slotsOf } from './slots.ts';
import { OVERRIDE } from './urls.ts';
import type { Visit } from './visit.ts';

/** Those who take part besides patients and are contended for. */
function contendedIn({ contended, engine }: SchedulingParts, directory: Directory, appointment: Appointment): string[] {
  const now = performance.now();
  return appointment.participant.flatMap(({ actor, required, status }) => {
    if (actor?.reference === undefined || required === 'information-only' || status === 'declined') return [];
    const who = directory.resolve(localReference(actor.reference, engine.baseUrl));
    const key = actorKey(who);
    return (contended.get(key) ?? 0) > now && directory.isScarce(who) && !who.startsWith('Patient/') ? [key] : [];
  });
}

/** The rules are the first to judge. @returns undefined: they are against it, and shall say so in the usual way */
async function visitJudged(
  parts: SchedulingParts,
  directory: Directory,
  after: Appointment,
  before: Appointment | undefined,
  by: Principal,
): Promise<Visit | undefined> {
  const { repository, baseUrl, clock } = parts.engine;
  const change: Change = {
    kind: before ? 'update' : 'create',
    type: 'Appointment',
    id: before?.id ?? '',
    version: 1,
    after,
    ...(before ? { before } : {}),
  };
  try {
    const named = [before, after].flatMap((a) => {
      const list = slotsOf(a, baseUrl);
      // The one Slot of an offer that is known says nothing more.
      return a && parts.offers.has(a) && list.length < 2 ? [] : list;
    });
    const slots = await readSlots(repository.query, named);
    const all = [await projected(parts, repository, directory, slots, change, channelOf(by))];
    await judge(parts, repository, all, by, clock.now());
    return all[0]?.after;
  } catch (error) {
    if (error instanceof FhirError) return undefined;
    throw error;
  }
}

const spanOf = ({ start = '', end = '' }: Appointment): Interval => ({
  start: Date.parse(start),
  end: Date.parse(end),
});

/** Nobody is in a hurry for what lies further ahead. */
const HORIZON_MS = 730 * DAY;

/** With buffers, whatever they are: what holds all of its time may be the visit that is moved. */
const isOwn = (each: Interval, own: Interval): boolean => each.start <= own.start && each.end >= own.end;

/** Whether nobody has changed it since it was read. Asked after the calendars: then what they have is not where it was moved meanwhile. */
async function isUnchanged({ engine }: SchedulingParts, { id, meta }: Appointment): Promise<boolean> {
  const [[version] = []] = await engine.repository.query(sql`select version from appointment where id = ${id ?? ''}`);
  return String(version) === meta?.versionId;
}

/**
 * @param before what is moved, as it was read
 * @throws FhirError 409 when the time is taken for certain
 */
export async function foresee(
  parts: SchedulingParts,
  resource: Resource,
  by: Principal,
  before?: Appointment,
): Promise<void> {
  if (parts.contended.size === 0 || resource.resourceType !== 'Appointment') return;
  const span = spanOf(resource);
  const now = parts.engine.clock.now();
  if (
    !(span.start > now && span.start < span.end && span.end < now + HORIZON_MS) ||
    !HOLDS_TIME.has(resource.status as Status)
  )
    return;
  if (extensionOf(resource, OVERRIDE)) return;
  const directory = await parts.directory.current();
  const actors = contendedIn(parts, directory, resource);
  if (actors.length === 0) return;
  const { taken } = await parts.calendars.read({ actors, schedules: [], ...span });
  const own = before && spanOf(before);
  // Who tolerates nobody else is in everybody's way. A hold may be the own one, which ends when its time is booked.
  const isInTheWay = (each: Taken): boolean =>
    each.capacity === 1 && !each.isHold && overlaps(each, span) && !(own && isOwn(each, own));
  const isTaken = actors.some((key) => taken.get(key)?.some(isInTheWay));
  if (!isTaken || (before && !(await isUnchanged(parts, before)))) return;
  const visit = await visitJudged(parts, directory, resource, before, by);
  if (!visit) return;
  for (const key of actors) stayContended(parts.contended, key);
  throw new TimeTaken('This time is taken: somebody else was first.', () =>
    alternativesTo(parts, visit, channelOf(by), before?.id),
  );
}
