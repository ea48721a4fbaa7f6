/** A small clinic with two practitioners, a room and two patients, and clients of everybody who comes there. Times are of New York. */
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
  readonly nobody: Send;
  close(): Promise<void>;
}

const resourceScopes = (text: string): readonly ResourceScope[] =>
  parseScopes(text).filter((s): s is ResourceScope => s.kind === 'resource');

/** Whom the header `x-as` names. */
export function accessOfTests(engine: () => Engine): (header: (name: string) => string | undefined) => Access {
  const made = new Map<string, Access>();
  const make = (who: string): Access => {
    if (who === 'system') return grantAll({ kind: 'system', name: 'test' });
    if (who === 'nobody') return anonymousAccess(engine());
    const principal: Principal =
      who === 'staff'
        ? { kind: 'user', name: 'Sam Staff', account: 'staff', roles: ['staff'] }
        : { kind: 'user', name: who, account: who, roles: ['patient'], patient: `Patient/${who}` };
    return tokenAccess(
      engine(),
      {
        rights: who === 'staff' ? { kind: 'workforce' } : { kind: 'patients', patients: [who] },
        scopes: resourceScopes(who === 'staff' ? 'user/*.cruds' : 'patient/*.cruds'),
        patient: who === 'staff' ? undefined : who,
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
  const server = await createTestServer({
    ...options,
    accessOf: accessOfTests(() => {
      if (!holder.engine) throw new Error('not open yet');
      return holder.engine;
    }),
  });
  holder.engine = server.engine;
  const clinic: Clinic = {
    server,
    system: as(server, 'system'),
    staff: as(server, 'staff'),
    ann: as(server, 'ann'),
    bob: as(server, 'bob'),
    nobody: as(server, 'nobody'),
    close: () => server.close(),
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
    await put(system, { resourceType: 'Practitioner', id, name: [{ family: id, given: ['Doc'] }] });
  for (const id of ['ann', 'bob'])
    await put(system, { resourceType: 'Patient', id, name: [{ family: id, given: ['P'] }], gender: 'unknown' });
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

/** Entries of a Bundle, as they come. */
export const entries = (answer: Answer): readonly Json[] =>
  (answer.body['entry'] as unknown as Json[] | undefined) ?? [];

export const found = (answer: Answer): readonly Json[] =>
  entries(answer)
    .map((e) => e['resource'] as Json)
    .filter((r) => String(r['resourceType']) === 'Appointment');

export const find = (send: Send, query: string): Promise<Answer> => send('GET', `Appointment/$find?${query}`);

/** Parameters of an operation. */
export const params = (...parameter: readonly object[]): object => ({ resourceType: 'Parameters', parameter });

export const referring = (name: string, reference: string): object => ({ name, valueReference: { reference } });

/** Books a proposal by its id. */
export const bookProposal = (send: Send, id: string, ...more: readonly object[]): Promise<Answer> =>
  send('POST', 'Appointment/$book', params(referring('appointment-reference', `Appointment/${id}`), ...more));
