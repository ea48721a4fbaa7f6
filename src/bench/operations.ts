/** What is measured: the requests, the floor of each, and what must be reached. */
import type { ColumnSource } from '../fhir/search/blind/blind.ts';
import type { Shot } from './client.ts';
import { tagsOfBeginning } from '../fhir/search/blind/string.ts';
import { familyName, patient, patientId, practitionerId, scheduleId, week, type Size } from './population.ts';
import { rowColumns, rowOf } from './load.ts';
import { TOKEN_REQUEST } from './token.ts';

/** What the issue asks for at 50 connections. */
export interface Target {
  /** Least share of the operation's own floor. */
  readonly ofFloor?: number;
  /** Least share of the floor of single reads. */
  readonly ofReadFloor?: number;
  /** Least number a second. */
  readonly perSecond?: number;
  /** Longest median and p99 at 10 connections, in milliseconds. */
  readonly p50MsAt10?: number;
  readonly p99MsAt10?: number;
  /** Nothing may be refused, at whatever number of connections. */
  readonly noneRefused?: true;
}

type Rows = readonly (readonly (string | null)[])[];

export interface Operation {
  readonly name: string;
  /** Longer requests are measured for longer. */
  readonly times: number;
  /** Resources that one request handles. */
  readonly unit: number;
  /** In turn; or others each time, so many at most. */
  readonly shots: readonly Shot[] | ((most: number) => readonly Shot[]);
  /** Only with these numbers of connections. */
  readonly connections?: readonly number[];
  /** Asked without a token. */
  readonly anonymous?: true;
  /** `server`: the server itself, asked for the same by nobody in particular; `read`: the floor of single reads. */
  readonly floor:
    | {
        readonly kind: 'http';
        readonly shots: readonly Shot[];
        /** Answered with what the server says at this path. */
        readonly answer?: { readonly key: string; readonly path: string };
      }
    | { readonly kind: 'server'; readonly shots: readonly Shot[] }
    | { readonly kind: 'read' }
    | {
        readonly kind: 'script';
        readonly insert: string;
        readonly rows: Rows | ((most: number) => Rows);
        readonly perTransaction: number;
        /** Connections to the database at most; one for each of the load's unless told. */
        readonly pool?: number;
      };
  readonly target: Target;
}

const DIFFERENT = 2000;
const PREFIX_LETTERS = 6;
export const BASE = '/fhir/R4';
export const POST_HEADERS = { 'Content-Type': 'application/fhir+json' };
export const get = (path: string): Shot => ({ method: 'GET', path });
export const many = (make: (n: number) => Shot, count = DIFFERENT): Shot[] =>
  Array.from({ length: count }, (_, n) => make(n));
/** Spreads numbers over a range without a pattern that caches could follow. */
export const spread = (n: number, range: number): number => (n * 2_654_435_761) % range;

/** Body of a patient that is new, as a client would send it. */
function newPatient(n: number): Record<string, unknown> {
  const { id: _id, ...rest } = patient(n, `Zz${familyName(n)}`);
  return rest;
}

export function readOperation(size: Size): Operation {
  return {
    name: 'read Patient',
    times: 1,
    unit: 1,
    shots: many((n) => get(`${BASE}/Patient/${patientId(spread(n, size.patients))}`)),
    floor: { kind: 'http', shots: many((n) => get(`/read/${patientId(spread(n, size.patients))}`)) },
    target: { ofFloor: 1.1, p99MsAt10: 5 },
  };
}

/** What a bearer token costs: the same reads with one and without; and what it costs to get one. */
export function identityOperations(size: Size): readonly Operation[] {
  const shots = many((n) => get(`${BASE}/Practitioner/${practitionerId(spread(n, size.practitioners))}`));
  return [
    {
      name: 'read Practitioner with a bearer (floor: without)',
      times: 1,
      unit: 1,
      shots,
      floor: { kind: 'server', shots },
      target: { ofFloor: 0.85 },
    },
    {
      name: 'token endpoint (client_credentials)',
      times: 1,
      unit: 1,
      anonymous: true,
      shots: [TOKEN_REQUEST],
      floor: { kind: 'read' },
      target: {},
    },
  ];
}

export function slotSearch(size: Size): Operation {
  const weekOf = (n: number): readonly [string, string] => week(size.slotsPerSchedule, n);
  return {
    name: 'search Slot (schedule, status, week)',
    times: 1,
    unit: 1,
    shots: many((n) => {
      const [from, to] = weekOf(n);
      return get(
        `${BASE}/Slot?schedule=Schedule/${scheduleId(spread(n, size.schedules))}&status=free&start=ge${from}&start=lt${to}&_count=20`,
      );
    }),
    floor: {
      kind: 'http',
      shots: many((n) => get(`/slots/${scheduleId(spread(n, size.schedules))}/${weekOf(n).join('/')}`)),
    },
    target: { ofReadFloor: 0.5 },
  };
}

export function searches(size: Size, { blind }: ColumnSource): readonly Operation[] {
  const tag = blind.tagger('Patient', 'name');
  // Candidates alone: which of them match, the floor does not ask.
  const candidates = (text: string): Shot => get(`/names/${tagsOfBeginning(tag, text).join(',')}`);
  const family = (n: number): string => familyName(spread(n, size.patients)).toLowerCase();
  const prefix = (n: number): string => familyName(spread(n, size.patients)).slice(0, PREFIX_LETTERS).toLowerCase();
  const weekOf = (n: number): readonly [string, string] => week(size.appointmentsPerPractitioner, n);
  return [
    slotSearch(size),
    {
      name: 'search Patient by name',
      times: 1,
      unit: 1,
      shots: many((n) => get(`${BASE}/Patient?name=${prefix(n)}&_count=20`)),
      floor: { kind: 'http', shots: many((n) => candidates(prefix(n))) },
      target: {},
    },
    {
      name: 'search Patient by full family name',
      times: 1,
      unit: 1,
      shots: many((n) => get(`${BASE}/Patient?family=${family(n)}&_count=20`)),
      floor: { kind: 'http', shots: many((n) => candidates(family(n))) },
      target: { p50MsAt10: 5 },
    },
    {
      name: 'search Appointment + _include',
      times: 1,
      unit: 1,
      shots: many((n) => {
        const [from, to] = weekOf(n);
        const who = practitionerId(spread(n, size.practitioners));
        return get(
          `${BASE}/Appointment?practitioner=Practitioner/${who}&date=ge${from}&date=lt${to}&_include=Appointment:patient&_count=20`,
        );
      }),
      floor: {
        kind: 'http',
        shots: many((n) =>
          get(`/appointments/${practitionerId(spread(n, size.practitioners))}/${weekOf(n).join('/')}`),
        ),
      },
      target: {},
    },
  ];
}

export function writes(source: ColumnSource): readonly Operation[] {
  const columns = rowColumns(source, 'Patient');
  const idAt = columns.indexOf('id');
  const others = columns.filter((c) => c !== 'id');
  const insert = `insert into patient (id, ${others.map((c) => `"${c}"`).join(', ')}) values (${columns.map((_, i) => `$${i + 1}`).join(', ')})`;
  const at = new Date().toISOString();
  const rows = Array.from({ length: 500 }, (_, n) =>
    rowOf(source, patient(n, `Zz${familyName(n)}`), at).filter((_value, i) => i !== idAt),
  );
  const transaction = (n: number): string =>
    JSON.stringify({
      resourceType: 'Bundle',
      type: 'transaction',
      entry: Array.from({ length: 100 }, (_, i) => ({
        resource: newPatient(n * 100 + i),
        request: { method: 'POST', url: 'Patient' },
      })),
    });
  return [
    {
      name: 'create Patient',
      times: 1,
      unit: 1,
      shots: many(
        (n) => ({
          method: 'POST',
          path: `${BASE}/Patient`,
          headers: POST_HEADERS,
          body: JSON.stringify(newPatient(n)),
        }),
        500,
      ),
      floor: { kind: 'script', insert, rows, perTransaction: 1 },
      target: { perSecond: 2000 },
    },
    {
      name: 'transaction of 100 creates',
      times: 4,
      unit: 100,
      shots: many((n) => ({ method: 'POST', path: BASE, headers: POST_HEADERS, body: transaction(n) }), 20),
      floor: { kind: 'script', insert, rows, perTransaction: 100 },
      target: { perSecond: 5000 },
    },
  ];
}
