/**
 * The demo clinic: three sites in two time zones with the people, calendars, visits and bills of a few weeks, all invented.
 * A pure function of a number and a date; ids are made of the number, so that another run names the same things.
 */
import type { Resource } from '@medplum/fhirtypes';
import { weekdays } from './calendar.ts';
import { makePatients } from './patients.ts';
import { makePlaces } from './places.ts';
import { makeStaff } from './staff.ts';
import { makeVisits } from './visits.ts';

const DAYS_BEFORE = 7;
const DAYS_AFTER = 28;
const PATIENTS = 300;

/** Seed of the clinic that an empty database is filled with. */
export const DEFAULT_SEED = 1;

/**
 * Every resource of the clinic, each after those that it refers to.
 * @param seed whole number; the start of every id (`demo1-`)
 * @param today `YYYY-MM-DD`: visits lie from a week before to four weeks after it
 */
export function* demoClinic(seed: number, today: string): Generator<Resource> {
  const prefix = `demo${seed}`;
  const places = makePlaces(prefix);
  const posts = makeStaff(prefix, seed, places);
  const people = makePatients(prefix, seed, PATIENTS, places);

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
  yield* makeVisits(prefix, seed, weekdays(today, DAYS_BEFORE, DAYS_AFTER), posts, people, places);
}
