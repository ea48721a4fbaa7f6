/**
 * The demo clinic's visits and what became of them; free Slots are generated from the Schedules' rules. A day depends on the seed and its date alone, so that a later run lays the same
 * visits on the days that two runs share; only what time changes (booked, fulfilled) differs.
 */
import type {
  Account,
  Appointment,
  ChargeItem,
  Encounter,
  Extension,
  Invoice,
  Resource,
  ServiceRequest,
  Slot,
} from '@medplum/fhirtypes';
import { FOLLOW_UP, SLOT_BLOCK } from '../scheduling/urls.ts';
import { dayAfter, earlier, later, timesOf, type Day, type Time } from './calendar.ts';
import type { Person } from './patients.ts';
import type { Places } from './places.ts';
import { seeded, type Random } from './random.ts';
import type { Post } from './staff.ts';
import { concept, dollars, hl7, identifier, meta, reference, snomed } from './terms.ts';

/** Month and day: those of the sites. */
const HOLIDAYS: ReadonlySet<string> = new Set(['01-01', '07-04', '12-25']);
const TIME_OFF = 0.04;
const CANCELLED_BEFORE = 0.04;
const PENDING_UP_TO = 0.08;
const CANCELLED_IN_ALL = 0.1;
const NOSHOW_UP_TO = 0.17;
const REFERRED = 0.5;
const BILLED = 0.5;
const FOLLOWED_UP = 0.08;
const COPAY_DOLLARS = 25;

type Pair = readonly [code: string, display: string];
const CANCELLATION_REASONS: readonly [Pair, ...Pair[]] = [
  ['pat-cpp', 'Patient: Canceled via Patient Portal'],
  ['pat-fb', 'Patient: Feeling Better'],
  ['pat-lt', 'Patient: Lack of Transportation'],
];
const APPOINTMENT_TYPES: readonly [Pair, ...Pair[]] = [
  ['ROUTINE', 'Routine appointment'],
  ['CHECKUP', 'A routine check-up, such as an annual physical'],
  ['FOLLOWUP', 'A follow up visit from a previous appointment'],
];

type Status = 'booked' | 'pending' | 'cancelled' | 'noshow' | 'fulfilled';
/** What became of a visit: what is past is over, what is ahead is planned. */
function statusOf(distance: number, chance: Random): Status {
  const u = chance.next();
  if (u < CANCELLED_BEFORE) return 'cancelled';
  if (distance > 0 && u < PENDING_UP_TO) return 'pending';
  if (distance >= 0) return 'booked';
  if (u < CANCELLED_IN_ALL) return 'cancelled';
  return u < NOSHOW_UP_TO ? 'noshow' : 'fulfilled';
}

const suits = (post: Post, person: Person): boolean =>
  person.chicago === (post.site.zone === 'America/Chicago') &&
  (post.offer.patients === 'children') === person.child &&
  (post.offer.patients !== 'women' || person.female);

interface Visit {
  readonly prefix: string;
  readonly post: Post;
  readonly person: Person;
  readonly time: Time;
  readonly status: Status;
  /** End of every id of the visit. */
  readonly key: string;
  readonly chance: Random;
}

/** An afternoon off. */
function awayOf(prefix: string, post: Post, times: readonly Time[], day: Day): Slot | undefined {
  const [first, last] = [times[0], times.at(-1)];
  return (
    first &&
    last && {
      resourceType: 'Slot',
      id: `${prefix}-away-${post.key}-${day.date}`,
      meta: meta(),
      extension: [{ url: SLOT_BLOCK, extension: [{ url: 'scope', valueCode: 'location' }] }],
      schedule: reference(post.schedule),
      status: 'busy-unavailable',
      start: first.start,
      end: last.end,
      comment: 'Away',
    }
  );
}

function referralOf(visit: Visit, reason: ReturnType<typeof snomed>): ServiceRequest {
  return {
    resourceType: 'ServiceRequest',
    id: `${visit.prefix}-referral-${visit.key}`,
    meta: meta('servicerequest'),
    status: visit.status === 'fulfilled' ? 'completed' : 'active',
    intent: 'order',
    category: [snomed('3457005', 'Patient referral')],
    priority: 'routine',
    code: snomed('11429006', 'Consultation'),
    subject: reference(visit.person.patient, visit.person.name),
    authoredOn: earlier(visit.time.start, 60, 0),
    performerType: visit.post.offer.service.specialty?.[0] ?? {},
    performer: [reference(visit.post.practitioner, visit.post.practitionerName)],
    reasonCode: [reason],
  };
}

function appointmentOf(
  visit: Visit,
  reason: ReturnType<typeof snomed>,
  referral: ServiceRequest | undefined,
): Appointment {
  const { post, person, status, chance, time } = visit;
  const failed = status === 'cancelled' || status === 'noshow';
  const agreed = status === 'pending' ? 'needs-action' : 'accepted';
  return {
    resourceType: 'Appointment',
    id: `${visit.prefix}-appointment-${visit.key}`,
    meta: meta(),
    identifier: [identifier('appointment', visit.key)],
    status,
    ...(failed
      ? { cancelationReason: hl7('appointment-cancellation-reason', ...chance.pick(CANCELLATION_REASONS)) }
      : {}),
    serviceCategory: post.offer.service.category ?? [],
    serviceType: post.offer.service.type ?? [],
    specialty: post.offer.service.specialty ?? [],
    appointmentType: hl7('v2-0276', ...chance.pick(APPOINTMENT_TYPES)),
    reasonCode: [reason],
    description: post.offer.service.name ?? '',
    start: time.start,
    end: time.end,
    minutesDuration: post.offer.minutes,
    created: earlier(time.start, chance.int(29, 58), chance.int(0, 8)),
    ...(chance.chance(0.3)
      ? { patientInstruction: 'Please arrive ten minutes early and bring your insurance card.' }
      : {}),
    ...(referral ? { basedOn: [reference(referral)] } : {}),
    participant: [
      {
        actor: reference(person.patient, person.name),
        required: 'required',
        status: status === 'cancelled' ? 'declined' : 'accepted',
      },
      { actor: reference(post.practitioner, post.practitionerName), required: 'required', status: agreed },
      { actor: reference(post.room, post.room.name), required: 'required', status: agreed },
      // The site is not scarce: any number of visits take place there at one time.
      {
        actor: reference(post.site.location, post.site.location.name),
        required: 'information-only',
        status: 'accepted',
      },
      ...(person.child && person.related
        ? [{ actor: reference(person.related), required: 'optional' as const, status: 'accepted' as const }]
        : []),
    ],
  };
}

function encounterOf(
  visit: Visit,
  appointment: Appointment,
  reason: ReturnType<typeof snomed>,
  places: Places,
): Encounter {
  const { post, person, time } = visit;
  const period = { start: time.start, end: time.end };
  return {
    resourceType: 'Encounter',
    id: `${visit.prefix}-encounter-${visit.key}`,
    meta: meta('encounter'),
    identifier: [identifier('encounter', visit.key)],
    status: 'finished',
    class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'AMB', display: 'ambulatory' },
    type: [snomed('185349003', 'Encounter for check up (procedure)')],
    serviceType: post.offer.service.type?.[0] ?? {},
    subject: reference(person.patient, person.name),
    participant: [
      {
        type: [hl7('v3-ParticipationType', 'PPRF', 'primary performer')],
        period,
        individual: reference(post.practitioner, post.practitionerName),
      },
    ],
    appointment: [reference(appointment)],
    period,
    reasonCode: [reason],
    location: [{ location: reference(post.site.location, post.site.location.name), status: 'completed' }],
    serviceProvider: reference(places.clinic, places.clinic.name),
  };
}

const accountOf = (prefix: string, person: Person, places: Places): Account => ({
  resourceType: 'Account',
  id: `${prefix}-account-${person.key}`,
  meta: meta(),
  identifier: [identifier('account', person.key)],
  status: 'active',
  type: hl7('v3-ActCode', 'PBILLACCT', 'patient billing account'),
  name: `Account of ${person.name}`,
  subject: [reference(person.patient, person.name)],
  coverage: [{ coverage: reference(person.coverage), priority: 1 }],
  owner: reference(places.clinic),
});

/** What the visit costs, and what of it the patient owes. */
function billOf(visit: Visit, encounter: Encounter, account: Account): readonly [ChargeItem, Invoice] {
  const { prefix, post, person, key } = visit;
  const { price, definition } = post.offer;
  const insured = person.coverage.class !== undefined;
  const due = insured ? COPAY_DOLLARS : price;
  const charge: ChargeItem = {
    resourceType: 'ChargeItem',
    id: `${prefix}-chargeitem-${key}`,
    meta: meta(),
    definitionCanonical: [definition.url ?? ''],
    status: 'billed',
    code: definition.code ?? concept('https://kairos.example/fhir/CodeSystem/charge', 'visit', 'Visit'),
    subject: reference(person.patient, person.name),
    context: reference(encounter),
    occurrenceDateTime: visit.time.start,
    performer: [{ actor: reference(post.practitioner, post.practitionerName) }],
    quantity: { value: 1 },
    enteredDate: visit.time.end,
    account: [reference(account)],
  };
  const invoice: Invoice = {
    resourceType: 'Invoice',
    id: `${prefix}-invoice-${key}`,
    meta: meta(),
    identifier: [identifier('invoice', key)],
    status: visit.chance.chance(0.6) ? 'balanced' : 'issued',
    type: { text: 'Visit' },
    subject: reference(person.patient, person.name),
    recipient: reference(person.patient, person.name),
    date: visit.time.end,
    account: reference(account),
    lineItem: [
      {
        sequence: 1,
        chargeItemReference: reference(charge),
        priceComponent: [
          { type: 'base', amount: dollars(price) },
          ...(insured
            ? [{ type: 'deduction' as const, code: { text: 'Paid by insurance' }, amount: dollars(due - price) }]
            : []),
        ],
      },
    ],
    totalNet: dollars(due),
    totalGross: dollars(due),
  };
  return [charge, invoice];
}

/** Another visit is due some weeks after this one. */
function followUpOf(visit: Visit, appointment: Appointment, weeks: number): ServiceRequest {
  const { post, person, prefix, key, time } = visit;
  const days = (n: number): Extension['valueDuration'] & object => ({
    value: n,
    unit: 'd',
    system: 'http://unitsofmeasure.org',
    code: 'd',
  });
  return {
    resourceType: 'ServiceRequest',
    id: `${prefix}-followup-${key}`,
    meta: meta('servicerequest'),
    extension: [
      {
        url: FOLLOW_UP,
        extension: [
          { url: 'after', valueDuration: days(weeks * 7) },
          { url: 'tolerance', valueDuration: days(7) },
          { url: 'visit', valueReference: reference(appointment) },
        ],
      },
    ],
    status: 'active',
    intent: 'order',
    category: [snomed('390906007', 'Follow-up encounter')],
    code: post.offer.service.type?.[0] ?? { text: post.offer.service.name ?? '' },
    subject: reference(person.patient, person.name),
    occurrencePeriod: { start: dayAfter(time.start, weeks * 7 - 7), end: dayAfter(time.start, weeks * 7 + 7) },
    authoredOn: time.end,
    performer: [reference(post.practitioner, post.practitionerName)],
    supportingInfo: [reference(appointment), reference(post.offer.service)],
  };
}

/** Somebody who would come as soon as there is room. */
function waitingOf(prefix: string, post: Post, person: Person, today: string): Appointment {
  return {
    resourceType: 'Appointment',
    id: `${prefix}-waiting-${post.key}`,
    meta: meta(),
    status: 'waitlist',
    serviceCategory: post.offer.service.category ?? [],
    serviceType: post.offer.service.type ?? [],
    specialty: post.offer.service.specialty ?? [],
    priority: 5,
    description: post.offer.service.name ?? '',
    minutesDuration: post.offer.minutes,
    requestedPeriod: [{ start: today, end: dayAfter(today, 21) }],
    participant: [
      { actor: reference(person.patient, person.name), required: 'required', status: 'accepted' },
      { actor: reference(post.practitioner, post.practitionerName), required: 'optional', status: 'needs-action' },
      {
        actor: reference(post.offer.service, post.offer.service.name),
        required: 'information-only',
        status: 'accepted',
      },
    ],
  };
}

/** Everything that one visit leaves behind, what is referred to first. */
function* visitResources(visit: Visit, places: Places, accounts: Set<string>): Generator<Resource> {
  const { chance, post, person, prefix } = visit;
  const reason = snomed(...chance.pick(post.offer.reasons));
  const referral = post.offer.referred && chance.chance(REFERRED) ? referralOf(visit, reason) : undefined;
  const billed = chance.chance(BILLED);
  if (referral) yield referral;
  const appointment = appointmentOf(visit, reason, referral);
  yield appointment;
  if (visit.status !== 'fulfilled') return;
  const encounter = encounterOf(visit, appointment, reason, places);
  yield encounter;
  if (chance.chance(FOLLOWED_UP)) yield followUpOf(visit, appointment, chance.int(2, 6));
  if (!billed) return;
  const account = accountOf(prefix, person, places);
  if (!accounts.has(person.key)) yield account;
  accounts.add(person.key);
  yield* billOf(visit, encounter, account);
}

/**
 * The visits of all days, and the afternoons off. No practitioner and no patient is in two places at one time: a post's times follow each other,
 * and a person is given at most one visit a day.
 */
export function* makeVisits(
  prefix: string,
  seed: number,
  days: readonly Day[],
  posts: readonly Post[],
  people: readonly Person[],
  places: Places,
): Generator<Resource> {
  const accounts = new Set<string>();
  for (const day of days) {
    const waiting = seeded(seed, 'day', day.date).shuffle(people);
    for (const post of posts) {
      if (!post.days.includes(day.weekday)) continue;
      if (HOLIDAYS.has(day.date.slice(5))) continue;
      const away = seeded(seed, 'away', post.key, day.date).chance(TIME_OFF);
      const { minutes, interval, after } = post.offer;
      const all = timesOf(day.date, post.site.zone, post.hours, minutes + after, interval).map((time) => ({
        ...time,
        end: later(time.end, -after),
      }));
      const off = away
        ? awayOf(
            prefix,
            post,
            all.filter((t) => t.afternoon),
            day,
          )
        : undefined;
      if (off) yield off;
      for (const time of all) {
        if (off && time.afternoon) continue;
        const key = `${post.key}-${time.label}`;
        const chance = seeded(seed, 'slot', key);
        const index = chance.chance(post.demand) ? waiting.findIndex((p) => suits(post, p)) : -1;
        const [person] = index < 0 ? [] : waiting.splice(index, 1);
        if (!person) continue;
        const status = statusOf(day.distance, chance);
        yield* visitResources({ prefix, post, person, time, status, key, chance }, places, accounts);
      }
    }
  }
  const today = days.find((d) => d.distance >= 0)?.date;
  for (const post of posts) {
    const person = seeded(seed, 'waiting', post.key)
      .shuffle(people)
      .find((p) => suits(post, p));
    if (person && today !== undefined) yield waitingOf(prefix, post, person, today);
  }
}
