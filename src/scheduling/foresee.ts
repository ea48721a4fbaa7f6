/**
 * Where many want the same times, most come too late. For a while after somebody did, whoever takes what is proposed of the same actors is told so by the calendars in
 * memory, without a transaction. They know what is committed, so nobody is refused who could have won.
 * @see https://hl7.org/fhir/R4/appointment.html
 */
import type { Appointment, Resource } from '@medplum/fhirtypes';
import type { Principal } from '../fhir/access.ts';
import { localReference } from '../fhir/search/type/reference.ts';
import { actorKey } from './actor.ts';
import { alternativesTo } from './alternatives.ts';
import { channelOf } from './channel.ts';
import type { Directory } from './directory.ts';
import { extensionOf } from './extension.ts';
import { overlaps } from './model/interval.ts';
import { HOLDS_TIME, type Status } from './model/status.ts';
import type { SchedulingParts } from './parts.ts';
import { TimeTaken } from './refusal.ts';
import { OVERRIDE } from './urls.ts';
import { visitOfAppointment } from './visit.ts';

const HOT_MS = 2_000;
const MOST_HOT = 1_000;

/** Actors whose time somebody came too late for, by key, and until when that matters; ms of `performance.now()`. */
export type Contended = Map<string, number>;

/** @param reference `Practitioner/1` */
export function noteContention(contended: Contended, reference: string): void {
  if (contended.size >= MOST_HOT) contended.clear();
  contended.set(actorKey(reference), performance.now() + HOT_MS);
}

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

/** @throws FhirError 409 when the time is taken for certain */
export async function foresee(parts: SchedulingParts, resource: Resource, by: Principal): Promise<void> {
  if (parts.contended.size === 0 || resource.resourceType !== 'Appointment') return;
  // Of what a client has written the rules are the first to judge.
  if (!parts.offers.has(resource)) return;
  const { start: from, end: upto, status } = resource;
  if (from === undefined || upto === undefined || !HOLDS_TIME.has(status as Status)) return;
  if (extensionOf(resource, OVERRIDE)) return;
  const directory = await parts.directory.current();
  const actors = contendedIn(parts, directory, resource);
  if (actors.length === 0) return;
  const span = { start: Date.parse(from), end: Date.parse(upto) };
  const { taken } = await parts.calendars.read({ actors, schedules: [], ...span });
  // Who tolerates nobody else is in everybody's way. A hold may be the own one, which ends when its time is booked.
  const isTaken = actors.some((key) =>
    taken.get(key)?.some((each) => each.capacity === 1 && !each.isHold && overlaps(each, span)),
  );
  if (!isTaken) return;
  const visit = visitOfAppointment(directory, parts.engine.baseUrl, resource, new Map(), parts.offers.get(resource));
  for (const key of actors) parts.contended.set(key, performance.now() + HOT_MS);
  throw new TimeTaken('This time is taken: somebody else was first.', () =>
    alternativesTo(parts, visit, channelOf(by)),
  );
}
