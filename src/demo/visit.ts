/** What one visit of the demo clinic leaves behind: an appointment, and when it is over its encounter, a bill, perhaps a further visit that is due. */
import type {
  Account,
  Appointment,
  ChargeItem,
  Encounter,
  Invoice,
  Resource,
  ServiceRequest,
  Slot,
} from '@medplum/fhirtypes';
import { addDays } from '../scheduling/model/dates.ts';
import { AWAITING_APPROVAL, FOLLOW_UP } from '../scheduling/urls.ts';
import { earlier, type Time } from './calendar.ts';
import type { Person } from './patients.ts';
import type { Places } from './places.ts';
import type { Random } from './random.ts';
import { duration } from './rules.ts';
import type { Post } from './staff.ts';
import { concept, dollars, hl7, identifier, meta, reference, snomed } from './terms.ts';

const REFERRED = 0.5;
const BILLED = 0.5;
const FOLLOWED = 0.08;
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

export type Status = 'booked' | 'pending' | 'cancelled' | 'noshow' | 'fulfilled';

export interface Visit {
  readonly prefix: string;
  readonly post: Post;
  readonly person: Person;
  readonly time: Time;
  readonly status: Status;
  /** End of every id of the visit. */
  readonly key: string;
  readonly chance: Random;
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
  slot: Slot,
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
    ...(status === 'pending' ? { extension: [{ url: AWAITING_APPROVAL, valueBoolean: true }] } : {}),
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
    slot: [reference(slot)],
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
      {
        actor: reference(post.offer.service, post.offer.service.name),
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

/** A visit that is due some weeks after this one, unless it is booked. */
function followUpOf(visit: Visit, appointment: Appointment, reason: ReturnType<typeof snomed>): ServiceRequest {
  const { prefix, post, person, time, key, chance } = visit;
  const weeks = chance.pick([1, 2, 4]);
  const tolerance = chance.pick([3, 7]);
  const date = time.start.slice(0, 10);
  return {
    resourceType: 'ServiceRequest',
    id: `${prefix}-followup-${key}`,
    meta: meta('servicerequest'),
    extension: [
      {
        url: FOLLOW_UP,
        extension: [
          { url: 'after', valueDuration: duration(weeks, 'wk') },
          { url: 'tolerance', valueDuration: duration(tolerance, 'd') },
          { url: 'visit', valueReference: reference(appointment) },
        ],
      },
    ],
    status: 'active',
    intent: 'order',
    category: [snomed('390906007', 'Follow-up encounter')],
    code: post.offer.service.type?.[0] ?? {},
    subject: reference(person.patient, person.name),
    occurrencePeriod: { start: addDays(date, 7 * weeks - tolerance), end: addDays(date, 7 * weeks + tolerance) },
    authoredOn: earlier(time.end, 0, 0),
    performer: [reference(post.practitioner, post.practitionerName)],
    reasonCode: [reason],
    supportingInfo: [reference(appointment), reference(post.offer.service, post.offer.service.name)],
  };
}

/** Everything that one visit leaves behind, what is referred to first. */
export function* visitResources(visit: Visit, slot: Slot, places: Places, accounts: Set<string>): Generator<Resource> {
  const { chance, post, person, prefix } = visit;
  const reason = snomed(...chance.pick(post.offer.reasons));
  const referral = post.offer.referred && chance.chance(REFERRED) ? referralOf(visit, reason) : undefined;
  const billed = chance.chance(BILLED);
  if (referral) yield referral;
  const appointment = appointmentOf(visit, slot, reason, referral);
  yield appointment;
  if (visit.status !== 'fulfilled') return;
  const encounter = encounterOf(visit, appointment, reason, places);
  yield encounter;
  if (chance.chance(FOLLOWED)) yield followUpOf(visit, appointment, reason);
  if (!billed) return;
  const account = accountOf(prefix, person, places);
  if (!accounts.has(person.key)) yield account;
  accounts.add(person.key);
  yield* billOf(visit, encounter, account);
}
