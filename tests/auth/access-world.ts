/**
 * Two patients with a resource for every way into a compartment, everything that refers to a patient without being in one, and a directory they share.
 * All that is hidden from patient `a` carries a canary.
 */
import { person } from '../../src/auth/access/person.ts';
import type { Resource } from '@medplum/fhirtypes';
import type { Access } from '../../src/fhir/access.ts';
import type { Granted } from '../../src/auth/access/rights.ts';
import { tokenAccess } from '../../src/auth/access/token-access.ts';
import { parseScopes } from '../../src/auth/smart/scope.ts';
import type { SearchParam } from '../../src/fhir/definitions/registry.ts';
import { prepareWrite } from '../../src/fhir/store/prepare.ts';
import { searchLayout } from '../../src/fhir/store/search-layout.ts';
import { createTestServer, type TestServer } from '../support/server.ts';
import { everything } from '../support/everything.ts';

export const CANARY = 'canary-of-b';
const HIDDEN = { tag: [{ system: 'urn:kairos', code: CANARY }] };

/** By hand, from http://hl7.org/fhir/R4/compartmentdefinition-patient.html: served types and the parameters that lead in. */
export const MEMBERSHIP: Readonly<Record<string, readonly string[]>> = {
  Account: ['subject'],
  Appointment: ['actor'],
  AppointmentResponse: ['actor'],
  Basic: ['patient', 'author'],
  ChargeItem: ['subject'],
  Communication: ['subject', 'sender', 'recipient'],
  CommunicationRequest: ['subject', 'sender', 'recipient', 'requester'],
  Consent: ['patient'],
  Coverage: ['policy-holder', 'subscriber', 'beneficiary', 'payor'],
  Encounter: ['patient'],
  Invoice: ['subject', 'patient', 'recipient'],
  Patient: ['link'],
  Provenance: ['patient'],
  RelatedPerson: ['patient'],
  Schedule: ['actor'],
  ServiceRequest: ['subject', 'performer'],
};

/** What anybody may look at: the table of policy.ts, by hand. */
export const DIRECTORY_TYPES: ReadonlySet<string> = new Set([
  'CodeSystem',
  'CompartmentDefinition',
  'HealthcareService',
  'Location',
  'OperationDefinition',
  'Organization',
  'Practitioner',
  'PractitionerRole',
  'Schedule',
  'SearchParameter',
  'Slot',
  'StructureDefinition',
  'ValueSet',
]);

/** A resource whose parameter refers to something; not a valid one, but the store takes what it is given. */
function referring(param: SearchParam, reference: string): Record<string, unknown> | undefined {
  const path = param.paths.find(
    (p) => p.compute === undefined && (p.target === undefined || reference.startsWith(p.target)),
  );
  if (!path) return undefined;
  const build = (at: number): unknown => {
    const step = path.steps[at];
    if (!step) return path.type === 'canonical' || path.type === 'uri' ? reference : { reference };
    const previous = path.steps[at - 1];
    const inner = build(at + 1);
    const value = { [step.property]: step.many ? [inner] : inner };
    return previous?.where ? { ...value, [previous.where.property]: previous.where.value } : value;
  };
  return build(0) as Record<string, unknown>;
}

export interface World {
  readonly server: TestServer;
  /** Who asks from now on. */
  as(access: Access): void;
  /** `Type/id` of all that patient a may see as a patient, the directory included. */
  readonly ofA: ReadonlySet<string>;
  /** `Type/id` of what stays hidden from a. */
  readonly hidden: ReadonlySet<string>;
  close(): Promise<void>;
}

export async function openWorld(): Promise<World> {
  let access: Access = everything;
  // What is recorded of the questions would be found by those that follow.
  const server = await createTestServer({ accessOf: () => access, env: { LIMIT_SEARCH_VALUES: '1000', AUDIT: 'off' } });
  const { engine } = server;
  const layout = searchLayout(engine, engine.baseUrl);
  const ofA = new Set<string>();
  const hidden = new Set<string>();
  const resources: Resource[] = [];
  const add = (type: string, id: string, content: object, visible: boolean): void => {
    resources.push({ resourceType: type, id, ...(visible ? {} : { meta: HIDDEN }), ...content } as Resource);
    (visible ? ofA : hidden).add(`${type}/${id}`);
  };

  add('Patient', 'a', { name: [{ family: 'Alpha', given: ['Ann'] }], birthDate: '1980-01-01', gender: 'female' }, true);
  add('Patient', 'b', { name: [{ family: 'Beta', given: ['Bob'] }], birthDate: '1990-02-02', gender: 'male' }, false);
  add('Organization', 'shared', { name: 'Clinic', active: true }, true);
  add('Location', 'shared', { name: 'Room 1', managingOrganization: { reference: 'Organization/shared' } }, true);
  add('Practitioner', 'shared', { name: [{ family: 'Gamma' }] }, true);
  add(
    'PractitionerRole',
    'shared',
    { practitioner: { reference: 'Practitioner/shared' }, location: [{ reference: 'Location/shared' }] },
    true,
  );
  add('HealthcareService', 'shared', { name: 'Care', location: [{ reference: 'Location/shared' }] }, true);
  add('Schedule', 'shared', { actor: [{ reference: 'Practitioner/shared' }, { reference: 'Location/shared' }] }, true);
  // What is free is free in truth: nobody is there then.
  const slot = (status: string, hour: number) => ({
    schedule: { reference: 'Schedule/shared' },
    status,
    start: `2030-01-01T${String(hour).padStart(2, '0')}:00:00Z`,
    end: `2030-01-01T${String(hour + 1).padStart(2, '0')}:00:00Z`,
  });
  add('Slot', 'free', slot('free', 13), true);
  add('Slot', 'busy', slot('busy', 9), false);
  add('Schedule', 'relative', { actor: [{ reference: 'RelatedPerson/nobody' }] }, false);
  // What both share leads from one to the other.
  for (const [who, visible] of [
    ['a', true],
    ['b', false],
  ] as const) {
    add(
      'Appointment',
      `visit-${who}`,
      {
        status: 'booked',
        start: who === 'a' ? '2030-01-01T09:00:00Z' : '2030-01-01T10:00:00Z',
        end: who === 'a' ? '2030-01-01T10:00:00Z' : '2030-01-01T11:00:00Z',
        slot: [{ reference: 'Slot/busy' }],
        participant: [
          { actor: { reference: `Patient/${who}` }, status: 'accepted' },
          { actor: { reference: 'Practitioner/shared' }, status: 'accepted' },
          { actor: { reference: 'Location/shared' }, status: 'accepted' },
        ],
      },
      visible,
    );
  }
  for (const type of engine.resources.keys()) {
    const leads = new Set(MEMBERSHIP[type]);
    for (const param of engine.definitions.searchParams(type).values()) {
      if (param.type !== 'reference' || !param.datatypes.has('Reference')) continue;
      for (const who of ['a', 'b']) {
        const content = referring(param, `Patient/${who}`);
        if (!content || !param.targets.includes('Patient') || type === 'AuditEvent') continue;
        // The same element may be found by several parameters: any that leads in counts.
        const member = [...leads].some((code) => {
          const lead = engine.definitions.searchParams(type).get(code);
          return lead !== undefined && JSON.stringify(referring(lead, `Patient/${who}`)) === JSON.stringify(content);
        });
        add(type, `by-${param.code}-${who}`.replaceAll('_', ''), content, who === 'a' && member);
      }
    }
  }
  const own = everything.to('create');
  const write = (resource: Resource, version: number) =>
    prepareWrite(layout, resource, {
      id: resource.id ?? '',
      version,
      lastUpdated: new Date(Date.UTC(2026, 0, version)),
      method: 'PUT',
    });
  const insert = async (some: readonly Resource[]): Promise<void> => {
    for (let from = 0; from < some.length; from += 100)
      await engine.repository.transaction('read committed', (tx) =>
        tx.insert(
          some.slice(from, from + 100).map((r) => write(r, 1)),
          own,
        ),
      );
  };
  const replace = (resource: Resource, version: number): Promise<void> =>
    engine.repository.transaction('read committed', (tx) => tx.update([write(resource, version)], new Map(), own));
  await insert(resources);
  // One that was b's before it was a's, and the reverse.
  const note = (id: string, who: string, isHidden: boolean): Resource =>
    ({
      resourceType: 'Communication',
      id,
      status: 'completed',
      ...(isHidden ? { meta: HIDDEN } : {}),
      subject: { reference: `Patient/${who}` },
    }) as Resource;
  await insert([note('came', 'b', true), note('went', 'a', false)]);
  await replace(note('came', 'a', false), 2);
  await replace(note('went', 'b', true), 2);
  ofA.add('Communication/came');
  hidden.add('Communication/went');
  return {
    server,
    as: (next) => void (access = next),
    ofA,
    hidden,
    close: () => server.close(),
  };
}

/** The access of a token with these scopes. */
export const token = (
  { server: { engine } }: Pick<World, 'server'>,
  scopes: string,
  granted: Partial<Granted> = {},
): Access => {
  const rights = granted.rights ?? person(['patient'], { patients: ['a'] });
  return tokenAccess(
    engine,
    {
      rights,
      scopes: parseScopes(scopes).filter((s) => s.kind === 'resource'),
      patient: 'patient' in granted ? granted.patient : 'a',
      self: granted.self,
    },
    { kind: rights.kind === 'system' ? 'system' : 'user', name: 'test' },
  );
};
