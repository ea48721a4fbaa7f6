/** A small clinic with two practitioners, a room and two patients, and clients of everybody who comes there. Times are of New York. */
import { person } from '../../src/auth/access/person.ts';
import pg from 'pg';
import { Temporal } from 'temporal-polyfill';
import type { Access, Principal } from '../../src/fhir/access.ts';
import { anonymousAccess } from '../../src/auth/access/anonymous.ts';
import { tokenAccess } from '../../src/auth/access/token-access.ts';
import { parseScopes, type ResourceScope } from '../../src/auth/smart/scope.ts';
import { grantAll } from '../../src/fhir/access.ts';
import type { Engine } from '../../src/fhir/engine.ts';
import { client, type Answer, type Json, type Send } from '../http/client.ts';
import { createTestServer, type TestServer } from '../support/server.ts';
import type { TestKairosOptions } from '../support/kairos.ts';

const OWN = 'https://kairos.example/fhir/StructureDefinition';

export interface Clinic {
  readonly server: TestServer;
  /** The installation: it may use ids of its own. */
  readonly system: Send;
  readonly staff: Send;
  readonly ann: Send;
  readonly bob: Send;
  readonly eve: Send;
  /** Acts for ann, as her RelatedPerson; no patient is chosen beforehand. */
  readonly parent: Send;
  readonly nobody: Send;
  readonly clock: TestClock;
  /** As the superuser of the database. */
  sql(text: string, values?: readonly unknown[]): Promise<readonly Record<string, unknown>[]>;
  close(): Promise<void>;
}

/** Real time, and so many ms: only the server's own clock, not that of the database. */
export interface TestClock {
  now(): number;
  ahead: number;
}

export function testClock(): TestClock {
  const clock: TestClock = { ahead: 0, now: () => Date.now() + clock.ahead };
  return clock;
}

/** Whom each patient's account acts for, and the patient that the app was opened for. */
const PATIENTS: Readonly<Record<string, { readonly acts: readonly string[]; readonly launch?: string }>> = {
  ann: { acts: ['ann'], launch: 'ann' },
  bob: { acts: ['bob'], launch: 'bob' },
  eve: { acts: ['eve'], launch: 'eve' },
  parent: { acts: ['ann'] },
};

const resourceScopes = (text: string): readonly ResourceScope[] =>
  parseScopes(text).filter((s): s is ResourceScope => s.kind === 'resource');

/** Whom the header `x-as` names. */
export function accessOfTests(engine: () => Engine): (header: (name: string) => string | undefined) => Access {
  const made = new Map<string, Access>();
  const make = (who: string): Access => {
    if (who === 'system') return grantAll({ kind: 'system', name: 'test' });
    if (who === 'nobody') return anonymousAccess(engine());
    const served = PATIENTS[who];
    const launch = served?.launch;
    const principal: Principal = served
      ? { kind: 'user', name: who, account: who, roles: ['patient'], ...(launch && { patient: `Patient/${launch}` }) }
      : { kind: 'user', name: 'Sam Staff', account: 'staff', roles: ['staff'] };
    return tokenAccess(
      engine(),
      {
        rights: served ? person(['patient'], { patients: [...served.acts] }) : person(['front-desk', 'admin']),
        scopes: resourceScopes(launch === undefined ? 'user/*.cruds' : 'patient/*.cruds'),
        patient: launch,
        self: undefined,
      },
      principal,
    );
  };
  return (header) => {
    const who = header('x-as') ?? 'nobody';
    let known = made.get(who);
    if (!known) made.set(who, (known = make(who)));
    return known;
  };
}

export const as =
  (server: Pick<TestServer, 'request'>, who: string): Send =>
  (method, path, body, headers = {}) =>
    client(server)(method, path, body, { 'x-as': who, ...headers });

const ext = (name: string, value: object): object => ({ url: name, ...value });
export const minutes = (value: number): object => ({
  valueDuration: { value, unit: 'min', system: 'http://unitsofmeasure.org', code: 'min' },
});

/** Weekly hours with a lunch break. */
export const weekly = (start: string, end: string, more: readonly object[] = [], id = 'week'): object => ({
  id,
  url: 'availableTime',
  extension: [
    ...['mon', 'tue', 'wed', 'thu', 'fri'].map((d) => ext('daysOfWeek', { valueCode: d })),
    ext('availableStartTime', { valueTime: start }),
    ext('availableEndTime', { valueTime: end }),
    ...more,
  ],
});

export const lunch = (start: string, end: string): object => ({
  url: 'break',
  extension: [ext('start', { valueTime: start }), ext('end', { valueTime: end })],
});

export const availability = (...parts: readonly object[]): object => ({
  url: `${OWN}/schedule-availability`,
  extension: parts,
});
export const parameters = (...parts: readonly object[]): object => ({
  url: `${OWN}/scheduling-parameters`,
  extension: parts,
});

export const schedule = (id: string, practitioner: string, more: object = {}): object => ({
  resourceType: 'Schedule',
  id,
  active: true,
  extension: [availability(weekly('09:00:00', '17:00:00', [lunch('12:00:00', '13:00:00')]))],
  actor: [
    { reference: `Practitioner/${practitioner}`, display: `Dr. ${practitioner}` },
    { reference: 'Location/site' },
    { reference: 'HealthcareService/visit' },
  ],
  ...more,
});

export const service = (id: string, ...parts: readonly object[]): object => ({
  resourceType: 'HealthcareService',
  id,
  active: true,
  name: `Service ${id}`,
  extension: [parameters({ url: 'duration', ...minutes(30) }, ...parts)],
});

export async function put(send: Send, resource: object): Promise<Answer> {
  const { resourceType, id } = resource as { resourceType: string; id: string };
  const answer = await send('PUT', `${resourceType}/${id}`, resource);
  if (answer.status >= 300) throw new Error(`${resourceType}/${id}: ${answer.status} ${answer.text}`);
  return answer;
}

export async function openClinic(options: TestKairosOptions = {}): Promise<Clinic> {
  const holder: { engine?: Engine } = {};
  const clock = testClock();
  const server = await createTestServer({
    clock,
    ...options,
    accessOf: accessOfTests(() => {
      if (!holder.engine) throw new Error('not open yet');
      return holder.engine;
    }),
  });
  holder.engine = server.engine;
  const client = new pg.Client(server.kairos.roles.superuser);
  await client.connect();
  const clinic: Clinic = {
    server,
    system: as(server, 'system'),
    staff: as(server, 'staff'),
    ann: as(server, 'ann'),
    bob: as(server, 'bob'),
    eve: as(server, 'eve'),
    parent: as(server, 'parent'),
    nobody: as(server, 'nobody'),
    clock,
    sql: async (text, values = []) => (await client.query(text, [...values])).rows as Record<string, unknown>[],
    close: async () => {
      await client.end();
      await server.close();
    },
  };
  const { system } = clinic;
  await put(system, {
    resourceType: 'Location',
    id: 'site',
    name: 'Site',
    extension: [{ url: 'http://hl7.org/fhir/StructureDefinition/timezone', valueCode: 'America/New_York' }],
    physicalType: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/location-physical-type', code: 'si' }] },
  });
  await put(system, {
    resourceType: 'Location',
    id: 'room',
    name: 'Room 1',
    partOf: { reference: 'Location/site' },
    physicalType: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/location-physical-type', code: 'ro' }] },
  });
  for (const id of ['grey', 'house'])
    await put(system, {
      resourceType: 'Practitioner',
      id,
      identifier: [{ system: 'urn:test:doctors', value: id }],
      name: [{ family: id, given: ['Doc'] }],
    });
  for (const id of ['ann', 'bob', 'eve'])
    await put(system, {
      resourceType: 'Patient',
      id,
      identifier: [{ system: 'urn:test:patients', value: id }],
      name: [{ family: id, given: ['P'] }],
      gender: 'unknown',
    });
  await put(system, {
    resourceType: 'RelatedPerson',
    id: 'parent',
    patient: { reference: 'Patient/ann' },
    active: true,
  });
  await put(system, service('visit'));
  await put(system, schedule('grey', 'grey'));
  await put(system, schedule('house', 'house'));
  return clinic;
}

/** The first working day at least so many days from now, `YYYY-MM-DD`; never a day on which clocks change at work. */
export function workday(ahead: number, now = Date.now()): string {
  for (let day = ahead; ; day++) {
    const date = new Date(now + day * 86_400_000);
    if (date.getUTCDay() !== 0 && date.getUTCDay() !== 6) return date.toISOString().slice(0, 10);
  }
}

/** One working day after the other. */
export function workdays(ahead: number): () => string {
  let day = '';
  return () => {
    const before = day;
    while (day === before) day = workday(ahead++);
    return day;
  };
}

/** Entries of a Bundle, as they come. */
export const entries = (answer: Answer): readonly Json[] =>
  (answer.body['entry'] as unknown as Json[] | undefined) ?? [];

export const found = (answer: Answer): readonly Json[] =>
  entries(answer)
    .map((e) => e['resource'] as Json)
    .filter((r) => String(r['resourceType']) === 'Appointment');

export const find = (send: Send, query: string): Promise<Answer> => send('GET', `Appointment/$find?${query}`);

/** Resources of a Bundle that were found, that belong to them, or that say something about it. */
export const ofMode = (answer: Answer, mode: 'match' | 'include' | 'outcome'): Json[] =>
  entries(answer)
    .filter((e) => String(e['search']?.['mode']) === mode)
    .map((e) => e['resource'] as Json);

/** Parameters of an operation. */
export const params = (...parameter: readonly object[]): object => ({ resourceType: 'Parameters', parameter });

export const referring = (name: string, reference: string): object => ({ name, valueReference: { reference } });

/** Books a proposal by its id. */
export const bookProposal = (send: Send, id: string, ...more: readonly object[]): Promise<Answer> =>
  send('POST', 'Appointment/$book', params(referring('appointment-reference', `Appointment/${id}`), ...more));

/** What the clock on the wall of the clinic shows, as an instant: `at('2026-12-04', '09:00')` is `2026-12-04T09:00:00-05:00`. */
export const at = (day: string, time: string, zone = 'America/New_York'): string => {
  const local = Temporal.PlainDateTime.from(`${day}T${time}`).toZonedDateTime(zone);
  return local.toString({ timeZoneName: 'never', smallestUnit: 'second' });
};

export const later = (instant: string, minutes: number): string =>
  new Date(Date.parse(instant) + minutes * 60_000).toISOString();

export interface Wish {
  readonly start: string;
  /** Undefined: 30 minutes. */
  readonly end?: string;
  readonly patient?: string;
  readonly practitioner?: string;
  readonly service?: string;
}

/** An appointment as a client would post it. */
export const visit = (
  { start, end, patient = 'ann', practitioner = 'grey', service = 'visit' }: Wish,
  more: object = {},
): object => ({
  resourceType: 'Appointment',
  status: 'booked',
  start,
  end: end ?? later(start, 30),
  participant: [
    taking(`Patient/${patient}`),
    taking(`Practitioner/${practitioner}`),
    { actor: { reference: `HealthcareService/${service}` }, required: 'information-only', status: 'accepted' },
  ],
  ...more,
});

export const taking = (reference: string, status = 'accepted', required = 'required'): object => ({
  actor: { reference },
  required,
  status,
});

/** The appointment of an answer, alone or in a Bundle. */
export const appointmentOf = (answer: Answer): Json =>
  String(answer.body['resourceType']) === 'Appointment' ? answer.body : (found(answer)[0] ?? {});

export const idOf = (answer: Answer): string => String(appointmentOf(answer)['id']);
export const statusOf = (answer: Answer): string => String(appointmentOf(answer)['status']);

/** `status code expression | …`, with `diagnostics` for whoever reads a failure. */
export const said = (answer: Answer): string =>
  `${answer.status} ${((answer.body['issue'] ?? []) as unknown as { diagnostics: string }[]).map((i) => i.diagnostics).join(' ')}`;

/** @throws unless it was done */
export function done(answer: Answer): Answer {
  if (answer.status >= 300) throw new Error(`${answer.status} ${answer.text}`);
  return answer;
}

/** Starts that are free on a day, `09:00`. */
export async function starts(send: Send, day: string, query = 'practitioner=Practitioner/grey'): Promise<string[]> {
  const answer = done(await find(send, `start=${day}&end=${day}&_count=200&${query}`));
  return found(answer).map((a) => String(a['start']).slice(11, 16));
}

/** Status of each reply in a Bundle. */
export const statuses = (answer: Answer): string[] =>
  entries(answer).map((e) => String(e['response']?.['status']).slice(0, 3));

export const bundle = (type: 'batch' | 'transaction', ...entry: readonly object[]): object => ({
  resourceType: 'Bundle',
  type,
  entry,
});

/** One start after the other, as the Schedules of the clinic offer them, from so many days ahead. */
export function times(ahead: number): () => string {
  let [days, day, n] = [ahead, workday(ahead), 0];
  return () => {
    if (n === 14) {
      for (const before = day; day === before; day = workday(days)) days++;
      n = 0;
    }
    const minutes = 9 * 60 + n * 30 + (n >= 6 ? 60 : 0);
    n++;
    return at(day, `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${minutes % 60 === 0 ? '00' : '30'}`);
  };
}
