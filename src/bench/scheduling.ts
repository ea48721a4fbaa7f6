/** What is measured of scheduling: looking for times, and booking them. @see https://profiles.ihe.net/ITI/Scheduling/ */
import type { Appointment, Bundle } from '@medplum/fhirtypes';
import type { ColumnSource } from '../fhir/search/blind/blind.ts';
import { actorKey } from '../scheduling/actor.ts';
import type { Offer } from '../scheduling/directory.ts';
import { bookRow, bookStatement, patientFor, type FreeStart } from './bookings.ts';
import { doctorId, roomId, serviceId, serviceOf, type CalendarSize } from './calendars.ts';
import type { Shot } from './client.ts';
import { BASE, get, many, POST_HEADERS, spread, type Operation } from './operations.ts';
import { authorizationFor } from './token.ts';

const DAY_MS = 86_400_000;
const BOOKING_CONNECTIONS = [10, 50];
const POOL = 10;

/** What the operations need of the clinic that has been prepared. */
export interface Clinic {
  readonly size: CalendarSize;
  readonly patients: number;
  readonly offerOf: (calendar: number) => Offer;
  readonly proposalOf: (start: FreeStart) => string;
  /** So many starts, or as many as are left, that nobody else is given. @throws when there are no more */
  take(count: number): readonly FreeStart[];
}

const key = (reference: string): string => actorKey(reference);
const actorsOf = (calendars: readonly number[]): string =>
  calendars.flatMap((n) => [key(`Practitioner/${doctorId(n)}`), key(`Location/${roomId(n)}`)]).join(',');
const midnight = (days: number): string =>
  `${new Date(Math.floor(Date.now() / DAY_MS + days) * DAY_MS).toISOString().slice(0, 19)}Z`;

interface Search {
  readonly query: string;
  readonly calendars: readonly number[];
  readonly days: number;
}

function findOperation(
  name: string,
  floorKey: string,
  of: (n: number) => Search,
  target: Operation['target'],
): Operation {
  /** From tomorrow, or a day of the week after. */
  const span = (n: number): readonly [string, string] => [midnight(1 + (n % 7)), midnight(1 + (n % 7) + of(n).days)];
  const pathOf = (n: number): string => {
    const [start, end] = span(n);
    return `${BASE}/Appointment/$find?start=${start}&end=${end}&${of(n).query}`;
  };
  return {
    name,
    times: 1,
    unit: 1,
    shots: many((n) => get(pathOf(n))),
    floor: {
      kind: 'http',
      shots: many((n) => get(`/occupancy/${floorKey}/${actorsOf(of(n).calendars)}/${span(n).join('/')}`)),
      answer: { key: floorKey, path: pathOf(0) },
    },
    target,
  };
}

const numbers = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);

export function findOperations(size: CalendarSize): readonly Operation[] {
  const services = serviceOf(size, size.calendars - 1) + 1;
  const ofService = (n: number): Search => {
    const service = spread(n, services);
    return {
      query: `service=HealthcareService/${serviceId(service)}`,
      calendars: numbers(service * size.perService, size.perService).filter((c) => c < size.calendars),
      days: 3,
    };
  };
  const ofTen = (n: number): Search => {
    const calendars = numbers(spread(n, size.calendars - 10), 10);
    return {
      query: calendars.map((c) => `practitioner=Practitioner/${doctorId(c)}`).join('&'),
      calendars,
      days: 14,
    };
  };
  return [
    findOperation('$find: 3 days of a service', 'service', ofService, { perSecond: 3000 }),
    findOperation('$find: 14 days of 10 practitioners', 'ten', ofTen, { p50MsAt10: 15 }),
  ];
}

const bookShot = (clinic: Clinic, start: FreeStart): Shot => ({
  method: 'POST',
  path: `${BASE}/Appointment/$book`,
  headers: POST_HEADERS,
  body: JSON.stringify({
    resourceType: 'Parameters',
    parameter: [
      { name: 'appointment-reference', valueReference: { reference: `Appointment/${clinic.proposalOf(start)}` } },
      {
        name: 'patient-reference',
        valueReference: { reference: `Patient/${patientFor(start, clinic.size, clinic.patients)}` },
      },
    ],
  }),
});

/** Books one, so that the floor's script writes rows like the server's. @throws when it is refused */
async function bookOne(clinic: Clinic, port: number, start: FreeStart): Promise<Appointment> {
  const { path, headers, body } = bookShot(clinic, start);
  const response = await fetch(`http://localhost:${port}${path}`, {
    method: 'POST',
    headers: { ...headers, authorization: await authorizationFor(port) },
    body: body ?? '',
  });
  const bundle = (await response.json()) as Bundle<Appointment>;
  const booked = bundle.entry?.find((e) => e.resource?.resourceType === 'Appointment')?.resource;
  if (!booked) throw new Error(`nothing was booked: ${response.status} ${JSON.stringify(bundle)}`);
  return booked;
}

export async function bookOperation(clinic: Clinic, port: number, source: ColumnSource): Promise<Operation> {
  const [start] = clinic.take(1);
  if (!start) throw new Error('there is no free time');
  const sample = { appointment: await bookOne(clinic, port, start), of: start };
  const row = bookRow(source, clinic.size, clinic.patients, sample, clinic.offerOf);
  return {
    name: '$book',
    times: 1,
    unit: 1,
    connections: BOOKING_CONNECTIONS,
    shots: (most) => clinic.take(most).map((s) => bookShot(clinic, s)),
    floor: {
      kind: 'script',
      insert: bookStatement(source),
      rows: (most) => clinic.take(most).map(row),
      perTransaction: 1,
      pool: POOL,
    },
    target: { ofFloor: 0.6, perSecond: 1000, noneRefused: true },
  };
}
