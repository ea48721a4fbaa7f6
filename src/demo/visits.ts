/**
 * The demo clinic's visits, at times that its rules offer, and what else is in its calendar: afternoons away, classes, a hold. A day depends on the seed and
 * its date alone, so that a later run lays the same visits on the days that two runs share; only what time changes (booked, fulfilled) differs.
 */
import type { Resource, Slot } from '@medplum/fhirtypes';
import type { Offer as ScheduleOffer } from '../scheduling/directory.ts';
import { generatedSlot } from '../scheduling/generated-slot.ts';
import { zoneNamed } from '../scheduling/model/zone.ts';
import { slotId } from '../scheduling/slot-id.ts';
import { SLOT_BLOCK } from '../scheduling/urls.ts';
import { scheduleOffer, timesOf, type CalendarDay, type Time } from './calendar.ts';
import { groupVisit, hold } from './extras.ts';
import type { Person } from './patients.ts';
import type { Places } from './places.ts';
import { seeded, type Random } from './random.ts';
import type { Post } from './staff.ts';
import { meta, reference } from './terms.ts';
import { visitResources, type Status } from './visit.ts';

const TIME_OFF = 0.04;
const CANCELLED_BEFORE = 0.04;
const PENDING_UP_TO = 0.08;
const CANCELLED_IN_ALL = 0.1;
const NOSHOW_UP_TO = 0.17;
const CLASS_TAKES_PLACE = 0.6;
/** Somebody holds a time of this service just now, so many days ahead. */
const HELD = 'dermatology';
const HOLD_AHEAD = 3;

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

/** The Slot of a time, as it is generated: free, until an appointment takes it. */
const slotAt = (offer: ScheduleOffer, { at, start, end }: Time): Slot =>
  generatedSlot(
    offer.entry.schedule,
    offer.service,
    slotId(offer.entry.reference, offer.serviceReference, at),
    start,
    end,
  );

interface Away {
  readonly slot: Slot;
  /** ms */
  readonly from: number;
}

/** An afternoon off, from lunch to the end of the day. */
function awayOf(prefix: string, { key, schedule, site, hours }: Post, date: string): Away {
  const zone = zoneNamed(site.zone);
  const minutes = (time: string): number => Number(time.slice(0, 2)) * 60 + Number(time.slice(3));
  const from = zone.instantOf(date, minutes(hours.lunchTo), 'start');
  const reason = {
    system: 'https://kairos.example/fhir/CodeSystem/block-reason',
    code: 'education',
    display: 'Education',
  };
  return {
    from,
    slot: {
      resourceType: 'Slot',
      id: `${prefix}-away-${key}-${date}`,
      meta: meta(),
      extension: [
        {
          url: SLOT_BLOCK,
          extension: [
            { url: 'scope', valueCode: 'location' },
            { url: 'reason', valueCoding: reason },
          ],
        },
      ],
      schedule: reference(schedule),
      status: 'busy-unavailable',
      start: zone.format(from),
      end: zone.format(zone.instantOf(date, minutes(hours.to), 'end')),
      comment: 'Away',
    },
  };
}

interface Clinic {
  readonly prefix: string;
  readonly seed: number;
  readonly places: Places;
  /** Patients whose account is there. */
  readonly accounts: Set<string>;
}

/** A post's day. @param waiting people who are nowhere else on this day; those who come are taken out @returns times that nobody has */
function* postDay(
  clinic: Clinic,
  post: Post,
  day: CalendarDay,
  waiting: Person[],
): Generator<Resource, readonly Time[]> {
  const { prefix, seed, places, accounts } = clinic;
  const offer = scheduleOffer(post, post.offer);
  const away = seeded(seed, 'away', post.key, day.date).chance(TIME_OFF) ? awayOf(prefix, post, day.date) : undefined;
  const times = timesOf(offer, day.date);
  if (away && times.length > 0) yield away.slot;
  const most = offer.parameters.caps.find((c) => c.of === 'provider')?.limit ?? Infinity;
  const left: Time[] = [];
  let count = 0;
  for (const time of times) {
    if (away && time.at >= away.from) continue;
    const key = `${post.key}-${time.label}`;
    const chance = seeded(seed, 'slot', key);
    const index = count < most && chance.chance(post.demand) ? waiting.findIndex((p) => suits(post, p)) : -1;
    const [person] = index < 0 ? [] : waiting.splice(index, 1);
    if (!person) {
      left.push(time);
      continue;
    }
    count++;
    const slot = slotAt(offer, time);
    yield slot;
    const status = statusOf(day.distance, chance);
    yield* visitResources({ prefix, post, person, time, status, key, chance }, slot, places, accounts);
  }
  return left;
}

/** A class of the day, where there is one and somebody comes. */
function* classOf(clinic: Clinic, post: Post, day: CalendarDay, waiting: Person[]): Generator<Resource> {
  const { groups } = post;
  if (!groups) return;
  const offer = scheduleOffer(post, groups);
  for (const time of timesOf(offer, day.date)) {
    const chance = seeded(clinic.seed, 'class', post.key, time.label);
    if (!chance.chance(CLASS_TAKES_PLACE)) continue;
    const here = waiting.filter((p) => suits(post, p)).slice(-chance.int(3, 6));
    if (here.length === 0) continue;
    for (const person of here) waiting.splice(waiting.indexOf(person), 1);
    const slot = slotAt(offer, time);
    yield slot;
    yield groupVisit(clinic.prefix, post, groups, here, slot, time, day.distance < 0 ? 'fulfilled' : 'booked');
  }
}

/**
 * No practitioner and no patient is in two places at one time: visits of a post follow each other, and a person comes at most once a day.
 * @param now ms; undefined: nobody holds a time just now
 */
export function* makeVisits(
  prefix: string,
  seed: number,
  days: readonly CalendarDay[],
  posts: readonly Post[],
  people: readonly Person[],
  places: Places,
  now: number | undefined,
): Generator<Resource> {
  const clinic: Clinic = { prefix, seed, places, accounts: new Set() };
  let held = now === undefined;
  for (const day of days) {
    const waiting = seeded(seed, 'day', day.date).shuffle(people);
    let offered: { readonly post: Post; readonly time: Time } | undefined;
    for (const post of posts) {
      const [time] = yield* postDay(clinic, post, day, waiting);
      if (time && post.offer.key === HELD) offered = { post, time };
      yield* classOf(clinic, post, day, waiting);
    }
    if (held || now === undefined || !offered || day.distance < HOLD_AHEAD) continue;
    const { post, time } = offered;
    const person = waiting.find((p) => suits(post, p));
    if (!person) continue;
    held = true;
    const slot = slotAt(scheduleOffer(post, post.offer), time);
    yield slot;
    yield hold(prefix, post, person, slot, now);
  }
}
