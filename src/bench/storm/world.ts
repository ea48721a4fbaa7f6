/**
 * The clinic that a storm sweeps over: practitioners of four kinds, so that tolerance, buffers and shared people are contested too, and the times that are
 * fought for. @see https://hl7.org/fhir/R4/schedule.html
 */
import { SLOT_ORIGIN, GENERATED, SLOT_SERVICE, AVAILABILITY, PARAMETERS, TIMEZONE } from '../../scheduling/urls.ts';
import { slotId } from '../../scheduling/slot-id.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Got, Sent } from './wire.ts';

const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
const STEP = 30 * MINUTE;
const WAIT_MS = 60_000;

interface Kind {
  readonly service: string;
  readonly minutes: number;
  readonly after: number;
  readonly capacity: number;
  readonly schedules: readonly string[];
}

/** Alone; in two Schedules; three at a time; with time to clean up after each visit. */
const KINDS: readonly Kind[] = [
  { service: 'storm-visit', minutes: 30, after: 0, capacity: 1, schedules: ['a'] },
  { service: 'storm-visit', minutes: 30, after: 0, capacity: 1, schedules: ['a', 'b'] },
  { service: 'storm-group', minutes: 30, after: 0, capacity: 3, schedules: ['a'] },
  { service: 'storm-buffered', minutes: 20, after: 15, capacity: 1, schedules: ['a'] },
];

/** A time that is fought for. */
export interface Time {
  readonly practitioner: string;
  readonly schedule: string;
  readonly service: string;
  readonly start: number;
  readonly end: number;
  /** End of what comes after it. */
  readonly until: number;
  readonly capacity: number;
  readonly slot: string;
}

const minutes = (name: string, value: number): object => ({
  url: name,
  valueDuration: { value, unit: 'min', system: 'http://unitsofmeasure.org', code: 'min' },
});

const service = (id: string, { minutes: length, after, capacity }: Kind): object => ({
  resourceType: 'HealthcareService',
  id,
  active: true,
  name: id,
  extension: [
    {
      url: PARAMETERS,
      extension: [
        minutes('duration', length),
        minutes('interval', 30),
        minutes('bufferAfter', after),
        { url: 'capacity', valuePositiveInt: capacity },
      ],
    },
  ],
});

const practitioner = (n: number): string => `storm-${n}`;

/** What there must be before the storm. @param people how many patients */
export function resourcesOf(people: number): readonly object[] {
  const all: object[] = [
    {
      resourceType: 'Location',
      id: 'storm',
      name: 'Storm',
      extension: [{ url: TIMEZONE, valueCode: 'Etc/UTC' }],
      physicalType: {
        coding: [{ system: 'http://terminology.hl7.org/CodeSystem/location-physical-type', code: 'si' }],
      },
    },
    ...new Map(KINDS.map((kind) => [kind.service, service(kind.service, kind)])).values(),
  ];
  for (let n = 0; n < people; n++)
    all.push({ resourceType: 'Patient', id: `storm-${n}`, name: [{ family: `Storm${n}` }] });
  KINDS.forEach((kind, n) => {
    all.push({ resourceType: 'Practitioner', id: practitioner(n), name: [{ family: `Storm${n}` }] });
    for (const letter of kind.schedules)
      all.push({
        resourceType: 'Schedule',
        id: `${practitioner(n)}-${letter}`,
        active: true,
        extension: [
          {
            url: AVAILABILITY,
            extension: [{ id: 'all', url: 'availableTime', extension: [{ url: 'allDay', valueBoolean: true }] }],
          },
        ],
        actor: [
          { reference: `Practitioner/${practitioner(n)}` },
          { reference: 'Location/storm' },
          { reference: `HealthcareService/${kind.service}` },
        ],
      });
  });
  return all;
}

/**
 * @param count how many times are fought for
 * @param ahead on which day from now
 */
export function hotTimes(count: number, ahead: number, now = Date.now()): readonly Time[] {
  const midnight = (Math.floor(now / DAY) + ahead) * DAY;
  const kinds = KINDS.flatMap((kind, n) => kind.schedules.map((letter) => ({ kind, n, letter })));
  return Array.from({ length: count }, (_, i): Time => {
    const { kind, n, letter } = kinds[i % kinds.length] ?? { kind: KINDS[0] as Kind, n: 0, letter: 'a' };
    // Side by side, so that buffers reach into the next one.
    const start = midnight + Math.floor(i / kinds.length) * STEP;
    const schedule = `Schedule/${practitioner(n)}-${letter}`;
    return {
      practitioner: `Practitioner/${practitioner(n)}`,
      schedule,
      service: `HealthcareService/${kind.service}`,
      start,
      end: start + kind.minutes * MINUTE,
      until: start + (kind.minutes + kind.after) * MINUTE,
      capacity: kind.capacity,
      slot: slotId(schedule, `HealthcareService/${kind.service}`, start),
    };
  });
}

const iso = (ms: number): string => new Date(ms).toISOString();

/** The Slot of a time, as the job that makes Slots would write it. */
const slotOf = ({ slot, schedule, service: of, start, end }: Time): object => ({
  resourceType: 'Slot',
  id: slot,
  meta: { tag: [{ system: SLOT_ORIGIN, code: GENERATED }] },
  extension: [{ url: SLOT_SERVICE, valueReference: { reference: of } }],
  schedule: { reference: schedule },
  status: 'free',
  start: iso(start),
  end: iso(end),
});

/** A Bundle that writes resources under their own ids. */
export const writing = (resources: readonly object[]): Sent => ({
  method: 'POST',
  path: '',
  body: {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: resources.map((resource) => {
      const { resourceType, id } = resource as { resourceType: string; id: string };
      return { resource, request: { method: 'PUT', url: `${resourceType}/${id}` } };
    }),
  },
});

/**
 * Sees to it that the times have Slots.
 * @param generated a worker makes them: they are waited for; otherwise they are written
 */
export async function demandSlots(
  send: (sent: Sent) => Promise<Got | undefined>,
  times: readonly Time[],
  generated: boolean,
): Promise<void> {
  if (!generated) {
    const written = await send(writing(times.map(slotOf)));
    if (written?.status !== 200) throw new Error(`the Slots: ${written?.status} ${written?.text.slice(0, 500)}`);
    return;
  }
  const missing = new Set(times.map((t) => t.slot));
  for (const until = Date.now() + WAIT_MS; missing.size > 0; await sleep(200)) {
    for (const slot of missing) {
      const got = await send({ method: 'GET', path: `Slot/${slot}` });
      if (got?.status !== 200) break;
      missing.delete(slot);
    }
    if (Date.now() > until) throw new Error('the worker has not made the Slots');
  }
}
