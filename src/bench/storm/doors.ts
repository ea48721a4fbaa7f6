/** Every door to the calendar, as requests: who wants a time, has one, or lets one go. @see https://profiles.ihe.net/ITI/Scheduling/volume-2.html */
import { HOLD_EXPIRES } from '../../scheduling/urls.ts';
import type { Person } from './people.ts';
import type { Sent } from './wire.ts';
import type { Time } from './world.ts';

const iso = (ms: number): string => new Date(ms).toISOString();
const REASON = {
  coding: [{ system: 'http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason', code: 'pat-cpp' }],
};

const parameters = (...parameter: readonly object[]): object => ({ resourceType: 'Parameters', parameter });
const reference = (name: string, to: string): object => ({ name, valueReference: { reference: to } });
const operation = (path: string, ...parameter: readonly object[]): Sent => ({
  method: 'POST',
  path: `Appointment/${path}`,
  body: parameters(...parameter),
});

type Reply = 'accepted' | 'tentative';

const appointment = (
  status: 'booked' | 'pending' | 'proposed',
  time: Time,
  { patient: who }: Person,
  patient: Reply = 'accepted',
): Readonly<Record<string, unknown>> => ({
  resourceType: 'Appointment',
  status,
  start: iso(time.start),
  end: iso(time.end),
  slot: [{ reference: `Slot/${time.slot}` }],
  participant: [
    { actor: { reference: who }, required: 'required', status: patient },
    { actor: { reference: time.practitioner }, required: 'required', status: 'accepted' },
    { actor: { reference: time.service }, required: 'information-only', status: 'accepted' },
  ],
});

const holdUntil = (expires: number): object => ({ extension: [{ url: HOLD_EXPIRES, valueInstant: iso(expires) }] });

const entry = (resource: object, method: string, url: string): object => ({ resource, request: { method, url } });

export const bundle = (type: 'batch' | 'transaction', ...entries: readonly object[]): Sent => ({
  method: 'POST',
  path: '',
  body: { resourceType: 'Bundle', type, entry: entries },
});

export const post = (resource: object): object => entry(resource, 'POST', 'Appointment');

/** Ways to book a time. */
export const booking = {
  $book: (_: Time, who: Person, proposal: string): Sent =>
    operation(
      '$book',
      reference('appointment-reference', `Appointment/${proposal}`),
      reference('patient-reference', who.patient),
    ),
  '$book described': (time: Time, who: Person): Sent =>
    operation('$book', { name: 'appointment-resource', resource: appointment('proposed', time, who) }),
  POST: (time: Time, who: Person): Sent => ({
    method: 'POST',
    path: 'Appointment',
    body: appointment('booked', time, who),
  }),
  'POST in a batch': (time: Time, who: Person): Sent => bundle('batch', post(appointment('booked', time, who))),
  'POST in a transaction': (time: Time, who: Person): Sent =>
    bundle('transaction', post(appointment('booked', time, who))),
} as const;

/** Ways to hold a time. */
export const holding = {
  $hold: (_: Time, who: Person, proposal: string): Sent =>
    operation(
      '$hold',
      reference('appointment-reference', `Appointment/${proposal}`),
      reference('patient-reference', who.patient),
    ),
  'POST pending': (time: Time, who: Person, _: string, expires: number): Sent => ({
    method: 'POST',
    path: 'Appointment',
    body: { ...appointment('pending', time, who, 'tentative'), ...holdUntil(expires) },
  }),
} as const;

/** Several at once: each by itself, or all or none. */
export const several = (type: 'batch' | 'transaction', times: readonly Time[], who: Person): Sent =>
  bundle(type, ...times.map((time) => post(appointment('booked', time, who))));

/** What is stored, as it was read: the ways through PUT and PATCH begin with it. */
export interface Stored {
  readonly id: string;
  readonly resource: Readonly<Record<string, unknown>>;
  readonly etag: string | undefined;
}

const put = ({ id, resource, etag }: Stored, change: object, careful: boolean): Sent => ({
  method: 'PUT',
  path: `Appointment/${id}`,
  body: { ...resource, ...change },
  ...(careful && etag !== undefined ? { headers: { 'If-Match': etag } } : {}),
});

const patch = ({ id }: Stored, ...steps: readonly object[]): Sent => ({
  method: 'PATCH',
  path: `Appointment/${id}`,
  body: steps as unknown as object,
});

const accepted = ({ resource }: Stored): object[] =>
  (resource['participant'] as readonly object[]).map((p) => ({ ...p, status: 'accepted' }));

/** Ways from a hold to an appointment. */
export const confirming = {
  '$book a hold': ({ id }: Stored): Sent => operation('$book', reference('appointment-reference', `Appointment/${id}`)),
  $confirm: ({ id }: Stored): Sent => operation(`${id}/$confirm`),
  'PUT booked': (stored: Stored): Sent => put(stored, { status: 'booked', participant: accepted(stored) }, true),
  'PATCH booked': (stored: Stored): Sent =>
    patch(
      stored,
      ...accepted(stored).map((_, i) => ({ op: 'replace', path: `/participant/${i}/status`, value: 'accepted' })),
      { op: 'replace', path: '/status', value: 'booked' },
    ),
} as const;

/** The patient accepts: of a hold for which all others have, that books it. */
export const replying = (stored: Stored, who: Person, participantStatus: 'accepted' | 'declined'): Sent => ({
  method: 'POST',
  path: 'AppointmentResponse',
  body: {
    resourceType: 'AppointmentResponse',
    appointment: { reference: `Appointment/${stored.id}` },
    actor: { reference: who.patient },
    participantStatus,
  },
});

/** Ways to another time with the same practitioner. */
export const moving = {
  $reschedule: ({ id }: Stored, to: Time): Sent =>
    operation(`${id}/$reschedule`, { name: 'start', valueDateTime: iso(to.start) }, reference('schedule', to.schedule)),
  '$reschedule by Slot': ({ id }: Stored, to: Time): Sent =>
    operation(`${id}/$reschedule`, reference('slot', `Slot/${to.slot}`)),
  'PUT another time': (stored: Stored, to: Time): Sent =>
    put(
      stored,
      { start: iso(to.start), end: iso(to.end), slot: [{ reference: `Slot/${to.slot}` }] },
      to.start % 3_600_000 === 0,
    ),
  'PATCH another time': (stored: Stored, to: Time): Sent =>
    patch(
      stored,
      { op: 'replace', path: '/start', value: iso(to.start) },
      { op: 'replace', path: '/end', value: iso(to.end) },
      { op: 'add', path: '/slot', value: [{ reference: `Slot/${to.slot}` }] },
    ),
} as const;

/** Ways to a new appointment that takes the place of one. */
export const replacing = {
  '$reschedule, mode replace': ({ id }: Stored, to: Time, _: Person): Sent =>
    operation(
      `${id}/$reschedule`,
      { name: 'start', valueDateTime: iso(to.start) },
      reference('schedule', to.schedule),
      { name: 'mode', valueCode: 'replace' },
    ),
  'cancel and POST in a transaction': ({ id, resource }: Stored, to: Time, who: Person): Sent =>
    bundle(
      'transaction',
      post(appointment('booked', to, who)),
      entry({ ...resource, status: 'cancelled', cancelationReason: REASON }, 'PUT', `Appointment/${id}`),
    ),
} as const;

/** Ways to let a time go. */
export const leaving = {
  $cancel: ({ id }: Stored): Sent => operation(`${id}/$cancel`),
  'PUT cancelled': (stored: Stored): Sent => put(stored, { status: 'cancelled', cancelationReason: REASON }, false),
  'PATCH cancelled': (stored: Stored): Sent =>
    patch(
      stored,
      { op: 'replace', path: '/status', value: 'cancelled' },
      { op: 'add', path: '/cancelationReason', value: REASON },
    ),
} as const;

export const releasing = ({ id }: Pick<Stored, 'id'>): Sent => operation(`${id}/$release`);

/** Asks for a time in a way that may be repeated: under an Idempotency-Key, or with an identifier that there must be once only. */
export function writtenBy(key: string, system: string, time: Time, who: Person, way: 'key' | 'if-none-exist'): Sent {
  const identifier = [{ system, value: key }];
  return {
    method: 'POST',
    path: 'Appointment',
    body: { ...appointment('booked', time, who), identifier },
    headers: way === 'key' ? { 'Idempotency-Key': key } : { 'If-None-Exist': `identifier=${system}|${key}` },
  };
}

/** Holds a time, under a key, until it runs out. */
export const heldBy = (key: string, time: Time, who: Person, expires: number): Sent => ({
  ...holding['POST pending'](time, who, '', expires),
  headers: { 'Idempotency-Key': key },
});
