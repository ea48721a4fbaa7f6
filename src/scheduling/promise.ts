/**
 * The wall-clock time that a visit was promised for: what is written of it, in whose zone, and when it is written anew.
 * @see https://www.iana.org/time-zones
 */
import { isDeepStrictEqual } from 'node:util';
import type { Appointment, Extension } from '@medplum/fhirtypes';
import { localReference } from '../fhir/search/type/reference.ts';
import type { Directory, ScheduleEntry } from './directory.ts';
import { asExtensions, extensionOf } from './extension.ts';
import { tzdataVersion, zoneOf, type Zone } from './model/zone.ts';
import { PROMISED_TIME } from './urls.ts';
import { visitOfAppointment, type NamedSlot } from './visit.ts';

export interface Promised {
  /** `2026-11-27T09:00` */
  readonly local: string;
  readonly zone: string;
}

export const localIn = (zone: Zone, instant: number): string => zone.format(instant).slice(0, 16);

export const promiseIn = (zone: Zone, start: number): Extension => ({
  url: PROMISED_TIME,
  extension: [
    { url: 'local', valueString: localIn(zone, start) },
    { url: 'timezone', valueCode: zone.name },
    { url: 'tzdata', valueString: tzdataVersion },
  ],
});

/** The promise that is written in an appointment. */
export function promiseOf(appointment: Appointment): Promised | undefined {
  const said = extensionOf(appointment, PROMISED_TIME);
  const local = extensionOf(said, 'local')?.valueString;
  const zone = extensionOf(said, 'timezone')?.valueCode;
  return local === undefined || zone === undefined ? undefined : { local, zone };
}

/** The offset that is written in an instant, `-05:00`; undefined: it is written in UTC. */
export const offsetIn = (instant: string | undefined): string | undefined =>
  /(?:T.*)([+-](?!00:00)\d\d:\d\d)$/.exec(instant ?? '')?.[1];

/** Whether an instant may have been written by the clock of a zone; in UTC it may be of any. */
export function isWrittenIn(zone: Zone, instant: string | undefined): boolean {
  const offset = offsetIn(instant);
  return offset === undefined || zone.format(Date.parse(instant ?? '')).endsWith(offset);
}

/** Where a visit is: in these Schedules, or else at these places, `Location/1`. */
export interface Whereabouts {
  readonly entries: readonly ScheduleEntry[];
  readonly places: readonly string[];
  readonly zone: Zone | undefined;
}

/** Of several zones none is known. */
const onlyOne = (zones: readonly (Zone | undefined)[]): Zone | undefined =>
  new Set(zones).size === 1 ? zones[0] : undefined;

export function whereIs(
  directory: Directory,
  baseUrl: string,
  appointment: Appointment,
  slots: ReadonlyMap<string, NamedSlot>,
): Whereabouts {
  const { offer, schedules } = visitOfAppointment(directory, baseUrl, appointment, slots);
  const entries = offer ? [offer.entry] : schedules.flatMap((s) => directory.entry(s) ?? []);
  const places = appointment.participant
    .map((p) => localReference(p.actor?.reference ?? '', baseUrl))
    .filter((p) => p.startsWith('Location/'));
  const named = places.flatMap((p) => zoneOf(directory.zoneAt(p) ?? '') ?? []);
  return { entries, places, zone: onlyOne(entries.map((e) => e.zone)) ?? onlyOne(named) };
}

const PROMISED: ReadonlySet<string> = new Set(['pending', 'booked']);

/** Whether an appointment may come to have another promise than is written in it. */
export const needsPromise = (after: Appointment, before: Appointment | undefined): boolean =>
  PROMISED.has(after.status ?? '') || [after, before].some((a) => extensionOf(a, PROMISED_TIME) !== undefined);

function withExtension(appointment: Appointment, made: Extension | undefined): Appointment {
  const said = extensionOf(appointment, PROMISED_TIME);
  if (said === made) return appointment;
  const { extension = [], ...rest } = appointment;
  const list = said
    ? extension.flatMap((e) => (e === said ? (made ?? []) : [e]))
    : [...extension, ...(made ? [made] : [])];
  return { ...rest, ...asExtensions(list) };
}

/** What a change makes of a promise. */
export interface PromiseChange {
  readonly before: Appointment | undefined;
  /** Of the place where the visit is after it. */
  readonly zone: Zone | undefined;
  /** It is in another zone than before by the change itself. */
  readonly moves: boolean;
}

/**
 * An appointment with its promise: what stands while its time and its place stay, though it be left out; else what its place's clock shows. What is said
 * otherwise is kept, for those who may say it.
 */
export function withPromise(after: Appointment, { before, zone, moves }: PromiseChange): Appointment {
  const start = Date.parse(after.start ?? '');
  const [said, was] = [after, before].map((a) => extensionOf(a, PROMISED_TIME));
  const wanted = was !== undefined || PROMISED.has(after.status ?? '');
  const made = wanted && zone && Number.isFinite(start) ? promiseIn(zone, start) : undefined;
  if (said && !isDeepStrictEqual(said, was)) return after;
  const stays = before !== undefined && !moves && start === Date.parse(before.start ?? '');
  // Of a visit that was there before its place changed its clock, another one was promised than that shows now.
  const derived = zone && isWrittenIn(zone, after.start) ? made : undefined;
  return withExtension(after, stays ? (said ?? was ?? derived) : made);
}

/** A promise that whoever sends it has made up: neither the one that stands nor what the server would say. */
export function isForged(after: Appointment, { before, zone }: PromiseChange): boolean {
  const [said, was] = [after, before].map((a) => extensionOf(a, PROMISED_TIME));
  const start = Date.parse(after.start ?? '');
  if (!said || isDeepStrictEqual(said, was)) return false;
  return !zone || !Number.isFinite(start) || !isDeepStrictEqual(said, promiseIn(zone, start));
}
