/**
 * Two databases that are equal for somebody and different in all that they may not see, and random requests to both. Whatever is different in the answers
 * was told. @see security.md A1.2
 */
import type { Resource } from '@medplum/fhirtypes';
import { anonymousAccess } from '../../src/auth/access/anonymous.ts';
import { person, type Rights } from '../../src/auth/access/person.ts';
import { standingOf } from '../../src/auth/access/standing.ts';
import type { Access } from '../../src/fhir/access.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { client, type Answer, type Send } from '../http/client.ts';
import { everything } from '../support/everything.ts';
import { createTestServer, type TestServer } from '../support/server.ts';
import { token } from './access-world.ts';

const ref = (reference: string, display?: string): object => ({
  reference,
  ...(display === undefined ? {} : { display }),
});
const part = (reference: string, status = 'accepted'): object => ({ actor: ref(reference), status });
const SYSTEM = 'urn:test:mrn';

/** What both have: a is the patient, dr has seen her; everything shared leads on to what is hidden. */
const seen: readonly object[] = [
  { resourceType: 'Organization', id: 'org', name: 'Clinic' },
  { resourceType: 'Location', id: 'loc', name: 'Room', managingOrganization: ref('Organization/org') },
  { resourceType: 'Practitioner', id: 'dr', name: [{ family: 'Doctor' }] },
  { resourceType: 'Practitioner', id: 'other', name: [{ family: 'Other' }] },
  { resourceType: 'PractitionerRole', id: 'dr', practitioner: ref('Practitioner/dr'), location: [ref('Location/loc')] },
  { resourceType: 'Schedule', id: 'dr', actor: [ref('Practitioner/dr')] },
  { resourceType: 'Schedule', id: 'other', actor: [ref('Practitioner/other')] },
  {
    resourceType: 'Slot',
    id: 'free',
    schedule: ref('Schedule/dr'),
    status: 'free',
    start: '2030-01-07T14:00:00Z',
    end: '2030-01-07T14:30:00Z',
  },
  {
    resourceType: 'Patient',
    id: 'a',
    identifier: [{ system: SYSTEM, value: 'A' }],
    name: [{ family: 'Alpha', given: ['Ann'] }],
    birthDate: '1980-01-01',
    generalPractitioner: [ref('Practitioner/dr')],
  },
  { resourceType: 'RelatedPerson', id: 'mother', patient: ref('Patient/a'), active: true },
  {
    resourceType: 'Appointment',
    id: 'visit',
    status: 'booked',
    start: '2030-01-08T14:00:00Z',
    end: '2030-01-08T14:30:00Z',
    participant: [part('Patient/a'), part('Practitioner/dr')],
  },
  { resourceType: 'Appointment', id: 'wish', status: 'proposed', participant: [part('Patient/a')] },
  { resourceType: 'Communication', id: 'note', status: 'completed', subject: ref('Patient/a'), sent: '2026-01-01' },
  {
    resourceType: 'Coverage',
    id: 'cover',
    status: 'active',
    beneficiary: ref('Patient/a'),
    payor: [ref('Organization/org')],
  },
  { resourceType: 'Encounter', id: 'meeting', status: 'finished', class: { code: 'AMB' }, subject: ref('Patient/a') },
];

/** What is hidden: another person, another number of people, other days, other states. */
function hidden(world: 0 | 1): readonly object[] {
  const [family, given] = world === 0 ? ['Beta', 'Bob'] : ['Gamma', 'Greta'];
  const year = world === 0 ? 1951 : 1999;
  const patient = (id: string, n: number): object => ({
    resourceType: 'Patient',
    id,
    identifier: [{ system: SYSTEM, value: `${id}-${world}` }],
    name: [{ family: `${family}${n}`, given: [given] }],
    gender: world === 0 ? 'male' : 'female',
    birthDate: `${year + n}-0${world + 1}-11`,
    telecom: [{ system: 'phone', value: `555-${world}${n}` }],
    generalPractitioner: [ref(`Practitioner/${world === 0 ? 'dr' : 'other'}`)],
    managingOrganization: ref('Organization/org'),
  });
  const of = (id: string, n: number): object[] => [
    patient(id, n),
    {
      resourceType: 'Appointment',
      id: `visit-${id}`,
      status: world === 0 ? 'proposed' : 'waitlist',
      comment: `${family} ${n}`,
      participant: [part(`Patient/${id}`), part('Location/loc')],
    },
    {
      resourceType: 'Communication',
      id: `note-${id}`,
      status: world === 0 ? 'completed' : 'in-progress',
      subject: ref(`Patient/${id}`),
      sent: `20${10 + n}-0${world + 1}-01`,
      sender: ref('Practitioner/other'),
    },
    {
      resourceType: 'Coverage',
      id: `cover-${id}`,
      status: world === 0 ? 'active' : 'cancelled',
      beneficiary: ref(`Patient/${id}`),
      payor: [ref('Organization/org')],
    },
    {
      resourceType: 'Encounter',
      id: `meeting-${id}`,
      status: world === 0 ? 'planned' : 'finished',
      class: { code: 'AMB' },
      subject: ref(`Patient/${id}`),
      location: [{ location: ref('Location/loc') }],
    },
  ];
  const ids = world === 0 ? ['b', 'c'] : ['b', 'd', 'e', 'f', 'g'];
  const friend = world === 0 ? 'c' : 'd';
  return [
    ...ids.flatMap(of),
    {
      resourceType: 'Group',
      id: 'group',
      type: 'person',
      actual: true,
      name: family,
      member: [{ entity: ref('Patient/a') }, { entity: ref(`Patient/${friend}`) }],
    },
    {
      resourceType: 'Slot',
      id: `hidden-${world}`,
      schedule: ref('Schedule/other'),
      status: 'busy-unavailable',
      start: `2030-02-0${world + 1}T14:00:00Z`,
      end: `2030-02-0${world + 1}T15:00:00Z`,
      comment: family,
    },
    // Shared: the same for a, with different company. Whether anybody is left when a cancels is told by the visit's own status, so nobody has declined.
    {
      resourceType: 'Appointment',
      id: 'together',
      status: 'proposed',
      text: { status: 'generated', div: `<div xmlns="http://www.w3.org/1999/xhtml">${family}</div>` },
      comment: family,
      extension: [{ url: 'urn:test:who', valueReference: ref(`Patient/${friend}`, family) }],
      participant: [
        part(`Patient/${friend}`, world === 0 ? 'needs-action' : 'tentative'),
        part('Patient/a'),
        ...(world === 0 ? [] : [part('Patient/e')]),
      ],
    },
    {
      resourceType: 'Account',
      id: 'family',
      status: 'active',
      subject: [ref('Patient/a'), ref(`Patient/${friend}`, family)],
    },
    {
      resourceType: 'Communication',
      id: 'all',
      status: 'completed',
      subject: ref('Patient/a'),
      recipient: [ref(`Patient/${friend}`, family), ref('Patient/a')],
      note: [{ text: family }],
    },
  ];
}

export interface Worlds {
  readonly servers: readonly [TestServer, TestServer];
  /** Who asks in both. */
  as(who: Who): Promise<void>;
  /** The same request to both, in step. */
  ask(request: Request): Promise<readonly [Answer, Answer]>;
  close(): Promise<void>;
}

export const WHO = ['patient', 'mother', 'physician', 'admin', 'anonymous'] as const;
export type Who = (typeof WHO)[number];

async function accessOf(server: TestServer, who: Who): Promise<Access> {
  const of = (scopes: string, rights: Rights, patient?: string): Access =>
    token({ server }, scopes, { rights, patient });
  switch (who) {
    case 'patient':
      return of('patient/*.cruds', person(['patient'], { patients: ['a'] }), 'a');
    case 'mother':
      return of('user/*.cruds', person(['patient'], { patients: ['a'], relatives: ['RelatedPerson/mother'] }));
    case 'physician':
      // What is shared she sees whole, as it is of her patient: it is not asked for here.
      return of('patient/*.cruds', person(['physician'], await standingOf(server.engine, ['Practitioner/dr'])), 'a');
    case 'admin':
      // Slots are theirs to see, all of them.
      return of(
        'user/Practitioner.cruds user/Organization.rs user/Location.rs user/Patient.cruds user/Appointment.cruds user/Communication.cruds',
        person(['admin']),
      );
    case 'anonymous':
      return anonymousAccess(server.engine);
    default:
      return who satisfies never;
  }
}

/** A request; `{next}` in the path is the next page of the last answer. */
export interface Request {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** No moment twice: what a change and its record are sorted by must not depend on how fast a world is. */
function ticking(): Clock {
  let last = Date.now();
  return { now: () => ++last };
}

export async function openWorlds(): Promise<Worlds> {
  const access: [Access, Access] = [everything, everything];
  const open = (n: 0 | 1): Promise<TestServer> =>
    createTestServer({ accessOf: () => access[n], env: { LIMIT_SEARCH_VALUES: '1000' }, clock: ticking() });
  const servers: readonly [TestServer, TestServer] = [await open(0), await open(1)];
  const sends: readonly [Send, Send] = [client(servers[0]), client(servers[1])];
  for (const n of [0, 1] as const) {
    for (const resource of [...seen, ...hidden(n)]) {
      const { resourceType, id } = resource as Resource;
      const answer = await sends[n]('PUT', `${resourceType}/${id}`, resource);
      if (answer.status !== 201) throw new Error(`${resourceType}/${id}: ${answer.text}`);
      // Versions too.
      if (n === 1 && id?.includes('-') === true)
        await sends[n]('PUT', `${resourceType}/${id}`, { ...resource, language: 'en' });
    }
  }
  let last: readonly (Answer | undefined)[] = [undefined, undefined];
  const nextOf = (answer: Answer | undefined): string => {
    const links = (answer?.body['link'] ?? []) as unknown as { relation: string; url: string }[];
    return Array.isArray(links)
      ? (links.find((l) => l.relation === 'next')?.url.replace(/^.*\/fhir\/R4\//, '') ?? 'Practitioner')
      : 'Practitioner';
  };
  return {
    servers,
    async as(who) {
      last = [undefined, undefined];
      for (const n of [0, 1] as const) access[n] = await accessOf(servers[n], who);
    },
    async ask({ method, path, body, headers }) {
      const one = (n: 0 | 1): Promise<Answer> =>
        sends[n](method, path.replace('{next}', nextOf(last[n])), body, headers);
      const answers = [await one(0), await one(1)] as const;
      last = answers;
      return answers;
    },
    close: async () => {
      for (const server of servers) await server.close();
    },
  };
}

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
const NOW = /20(?:2[6-9])-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/g;

/** An answer without what differs between two runs: ids and times that the server makes, seals of page links. */
export function normal({ status, headers, text }: Answer): string {
  const names = new Map<string, string>();
  const plain = (value: string): string =>
    value
      .replace(UUID, (id) => names.get(id) ?? (names.set(id, `id${names.size}`), `id${names.size - 1}`))
      .replace(NOW, 'now')
      .replace(/((?:_page|_cursor)(?:=|%3D))[^"&]*/g, '$1seal');
  const told = [...headers]
    .filter(([name]) => !['x-request-id', 'date', 'last-modified', 'content-length', 'server-timing'].includes(name))
    .map(([name, value]) => `${name}: ${plain(value)}`);
  return [status, ...told, plain(text)].join('\n');
}
