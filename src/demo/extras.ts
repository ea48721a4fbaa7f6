/** Appointments of other kinds in the demo clinic: a class, a time that is held, and people who wait for one. */
import type { Appointment, AppointmentParticipant, Patient, Reference, Slot } from '@medplum/fhirtypes';
import { addDays } from '../scheduling/model/dates.ts';
import { HOLD_EXPIRES } from '../scheduling/urls.ts';
import { earlier, type Time } from './calendar.ts';
import type { Person } from './patients.ts';
import type { Offer } from './places.ts';
import { seeded } from './random.ts';
import type { Post } from './staff.ts';
import { hl7, identifier, meta, reference, snomed } from './terms.ts';

type Reply = AppointmentParticipant['status'];

const participant = (
  actor: NonNullable<AppointmentParticipant['actor']>,
  status: Reply,
  required: AppointmentParticipant['required'] = 'required',
): AppointmentParticipant => ({ actor, ...(required ? { required } : {}), status });

/** Where, by whom and in which service. */
const clinicSide = (post: Post, offer: Offer, status: Reply): AppointmentParticipant[] => [
  participant(reference(post.practitioner, post.practitionerName), status),
  participant(reference(post.room, post.room.name), status),
  participant(reference(post.site.location, post.site.location.name), 'accepted', 'information-only'),
  participant(reference(offer.service, offer.service.name), 'accepted', 'information-only'),
];

const kindOf = ({
  service,
}: Offer): Pick<Appointment, 'serviceCategory' | 'serviceType' | 'specialty' | 'description'> => ({
  serviceCategory: service.category ?? [],
  serviceType: service.type ?? [],
  specialty: service.specialty ?? [],
  description: service.name ?? '',
});

const person = (who: Person): Reference<Patient> => reference(who.patient, who.name);

/** Several patients at once: one appointment, in which each takes part. */
export const groupVisit = (
  prefix: string,
  post: Post,
  offer: Offer,
  people: readonly Person[],
  slot: Slot,
  time: Time,
  status: 'booked' | 'fulfilled',
): Appointment => ({
  resourceType: 'Appointment',
  id: `${prefix}-class-${post.key}-${time.label}`,
  meta: meta(),
  identifier: [identifier('appointment', `class-${post.key}-${time.label}`)],
  status,
  ...kindOf(offer),
  reasonCode: [snomed(...offer.reasons[0])],
  start: time.start,
  end: time.end,
  minutesDuration: offer.minutes,
  slot: [reference(slot)],
  created: earlier(time.start, 30, 0),
  participant: [...people.map((p) => participant(person(p), 'accepted')), ...clinicSide(post, offer, 'accepted')],
});

const HOLD_MINUTES = 15;

/** A time that somebody has chosen and not booked yet; the clock lets it go. */
export const hold = (prefix: string, post: Post, who: Person, slot: Slot, now: number): Appointment => ({
  resourceType: 'Appointment',
  id: `${prefix}-hold-${post.key}-${slot.start.slice(0, 10)}`,
  meta: meta(),
  extension: [{ url: HOLD_EXPIRES, valueInstant: new Date(now + HOLD_MINUTES * 60_000).toISOString() }],
  status: 'pending',
  ...kindOf(post.offer),
  start: slot.start,
  end: slot.end,
  minutesDuration: post.offer.minutes,
  slot: [reference(slot)],
  created: new Date(now).toISOString(),
  participant: [participant(person(who), 'tentative'), ...clinicSide(post, post.offer, 'tentative')],
});

const WAITING: readonly (readonly [offer: string, priority: number])[] = [
  ['cardiology', 1],
  ['dermatology', 5],
  ['psychiatry', 3],
];

/** People who wait for a time. @param today `YYYY-MM-DD` */
export function* waitlist(
  prefix: string,
  seed: number,
  posts: readonly Post[],
  people: readonly Person[],
  today: string,
): Generator<Appointment> {
  for (const [index, [key, priority]] of WAITING.entries()) {
    const post = posts.find((p) => p.offer.key === key);
    const chance = seeded(seed, 'waitlist', key);
    const [who] = chance.shuffle(
      people.filter((p) => !p.child && post && p.chicago === (post.site.zone === 'America/Chicago')),
    );
    if (!post || !who) continue;
    yield {
      resourceType: 'Appointment',
      id: `${prefix}-waitlist-${index + 1}`,
      meta: meta(),
      identifier: [identifier('appointment', `waitlist-${index + 1}`)],
      status: 'waitlist',
      ...kindOf(post.offer),
      appointmentType: hl7('v2-0276', 'ROUTINE', 'Routine appointment'),
      reasonCode: [snomed(...chance.pick(post.offer.reasons))],
      priority,
      minutesDuration: post.offer.minutes,
      created: earlier(`${today}T12:00:00Z`, 3 + index, 0),
      requestedPeriod: [{ start: addDays(today, 1), end: addDays(today, 21) }],
      participant: [participant(person(who), 'accepted'), ...clinicSide(post, post.offer, 'needs-action')],
    };
  }
}
