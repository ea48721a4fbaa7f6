/**
 * The demo clinic: three sites in two time zones with the people, calendars, visits and bills of a few weeks, all invented.
 * A pure function of a number and a date; ids are made of the number, so that another run names the same things. Its free times are not here: they follow
 * from its rules.
 */
import type { Resource } from '@medplum/fhirtypes';
import { weekdays } from './calendar.ts';
import { waitlist } from './extras.ts';
import { makePatients } from './patients.ts';
import { makePlaces } from './places.ts';
import { makeStaff } from './staff.ts';
import { makeVisits } from './visits.ts';

const DAYS_BEFORE = 7;
const DAYS_AFTER = 28;
const PATIENTS = 300;

/** Seed of the clinic that an empty database is filled with. */
export const DEFAULT_SEED = 1;

export interface DemoClinic {
  /** Who works where and how, and who comes. */
  readonly world: Iterable<Resource>;
  /** What is in its calendars: stored when its rules are known. */
  readonly calendar: Iterable<Resource>;
}

/**
 * Every resource of the clinic, each after those that it refers to.
 * @param seed whole number; the start of every id (`demo1-`)
 * @param today `YYYY-MM-DD`: visits lie from a week before to four weeks after it
 * @param now ms: somebody holds a time just then; undefined: nobody does
 */
export function demoClinic(seed: number, today: string, now?: number): DemoClinic {
  const prefix = `demo${seed}`;
  const places = makePlaces(prefix);
  const posts = makeStaff(prefix, seed, places);
  const people = makePatients(prefix, seed, PATIENTS, places);

  function* world(): Generator<Resource> {
    yield* places.endpoints;
    yield places.clinic;
    yield* places.departments;
    yield* places.payers;
    for (const site of places.sites) yield site.location;
    for (const offer of places.offers) {
      yield offer.service;
      yield offer.definition;
    }
    const practitioners = new Map(posts.map((p) => [p.practitioner.id, p.practitioner]));
    yield* practitioners.values();
    for (const post of posts) {
      yield post.room;
      yield post.role;
      yield post.schedule;
    }
    for (const person of people) {
      yield person.patient;
      if (person.related) yield person.related;
      yield person.coverage;
    }
  }
  function* calendar(): Generator<Resource> {
    yield* makeVisits(prefix, seed, weekdays(today, DAYS_BEFORE, DAYS_AFTER), posts, people, places, now);
    yield* waitlist(prefix, seed, posts, people, today);
  }
  return { world: world(), calendar: calendar() };
}
