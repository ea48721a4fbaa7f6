/** The combinations that US Core 7, IHE Scheduling and their test kits ask for. @see https://hl7.org/fhir/us/core/STU7/ */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clinic, MRN } from './fixtures.ts';
import { openSearch, type SearchServer } from './support.ts';

let server: SearchServer;
beforeAll(async () => {
  server = await openSearch();
  await server.put(...clinic);
});
afterAll(() => server.close());

const e = encodeURIComponent;

describe.each<[string, readonly (readonly [query: string, ids: string])[]]>([
  [
    'US Core Patient',
    [
      ['_id=anna', 'anna'],
      [`identifier=${e(`${MRN}|A-1`)}`, 'anna'],
      ['name=Lena', 'anna'],
      ['birthdate=1980-02-03&name=anna', 'anna'],
      ['gender=female&name=anna', 'anna'],
      ['family=smith&gender=male', 'bert'],
      ['birthdate=1980-02&family=smith', 'bert'],
      ['death-date=ge2020-05-01&family=smith', 'bert'],
      ['_id=anna&_revinclude=Provenance:target', 'anna'],
    ],
  ],
  [
    'US Core Practitioner',
    [
      ['name=house', 'house'],
      ['identifier=http://npi.example|1', 'house'],
      ['_id=wilson', 'wilson'],
    ],
  ],
  [
    'US Core PractitionerRole',
    [
      ['practitioner=Practitioner/house', 'house-north'],
      ['practitioner.identifier=http://npi.example|1', 'house-north'],
      ['practitioner.name=gregory', 'house-north'],
      ['specialty=394802001&_include=PractitionerRole:endpoint&_include=PractitionerRole:practitioner', 'house-north'],
    ],
  ],
  [
    'US Core Location',
    [
      ['name=bost', 'boston'],
      ['address=x', ''],
      ['address-city=x', ''],
      ['address-state=x', ''],
      ['address-postalcode=x', ''],
    ],
  ],
  [
    'US Core Organization',
    [
      ['name=polaris', 'north'],
      ['address=x', ''],
    ],
  ],
  [
    'US Core RelatedPerson',
    [
      ['_id=x', ''],
      ['patient=Patient/anna', ''],
      ['name=x', ''],
      ['patient=anna&name=x', ''],
    ],
  ],
  [
    'IHE Scheduling Appointment',
    [
      ['patient=anna&date=2026-11-23', 'ap1'],
      [`patient.identifier=${e(`${MRN}|A-1`)}&date=ge2026-11-23&date=lt2026-11-24`, 'ap1'],
      ['_id=ap1', 'ap1'],
      ['identifier=none', ''],
      ['patient=anna&practitioner=house', 'ap1'],
      ['patient=anna&practitioner.identifier=1', 'ap1'],
      ['patient=anna&location=Location/boston', 'ap1'],
      ['patient=anna&specialty=none', ''],
      ['patient=anna&appointment-type=routine', 'ap1'],
      ['patient=anna&status=booked,arrived', 'ap1'],
      [
        'patient=anna&_include=Appointment:patient&_include=Appointment:practitioner&_include=Appointment:location&_count=5',
        'ap1',
      ],
    ],
  ],
  [
    'Argonaut and IHE Schedule',
    [
      ['actor=Practitioner/house', 's1'],
      ['date=ge2026-11-20&date=le2026-11-25', 's1'],
      ['active=true', 's1'],
      ['service-type=none', ''],
      ['service-category=none', ''],
      ['specialty=none', ''],
      ['identifier=none', ''],
      ['actor=Location/boston&_include=Schedule:actor&_revinclude=Slot:schedule', 's1'],
    ],
  ],
  [
    'Argonaut and IHE Slot',
    [
      ['schedule=Schedule/s1&status=free', 'slot1'],
      ['start=ge2026-11-23&start=lt2026-11-24', 'slot1 slot2'],
      ['appointment-type=none', ''],
      ['service-type=11429006', 'slot3'],
      ['specialty=none', ''],
      [
        'schedule.actor=Practitioner/house&status=free&_include=Slot:schedule&_include:iterate=Schedule:actor:Practitioner',
        'slot1',
      ],
    ],
  ],
  [
    'AppointmentResponse',
    ['appointment', 'actor', 'part-status', 'patient', 'practitioner', 'location', 'identifier'].map(
      (p) => [`${p}=none`, ''] as const,
    ),
  ],
  [
    'HealthcareService',
    [
      ...['identifier', 'name', 'service-type', 'service-category', 'specialty', 'location', 'organization'].map(
        (p) => [`${p}=none`, ''] as const,
      ),
      ['active=false', ''],
    ],
  ],
  [
    'Account',
    ['patient', 'subject', 'identifier', 'name', 'owner', 'status', 'type'].map((p) => [`${p}=none`, ''] as const),
  ],
  [
    'AuditEvent',
    [
      'patient',
      'agent',
      'entity',
      'action',
      'outcome',
      'type',
      'subtype',
      'source',
      'site',
      'address',
      'agent-name',
      'agent-role',
      'entity-name',
      'entity-role',
      'entity-type',
      'altid',
      'policy',
    ].map((p) => [`${p}=none`, ''] as const),
  ],
  ['Subscription', ['status', 'type', 'criteria', 'payload', 'url', 'contact'].map((p) => [`${p}=none`, ''] as const)],
])('%s', (title, queries) => {
  const type = title.split(' ').at(-1) ?? '';
  test.each(queries)('%s', async (query, ids) => {
    const found = await server.ask(`${type}?${query}`, { strict: true });
    expect(found.matches).toEqual(ids === '' ? [] : ids.split(' ').map((id) => `${type}/${id}`));
    expect(found.bundle.total).toBe(found.matches.length);
    expect(found.outcome).toBeUndefined();
  });
});

test('the forms x, Type/x and absolute URL of a reference find the same, and so do code and system|code', async () => {
  const forms = ['anna', 'Patient/anna', 'http://localhost:8080/fhir/R4/Patient/anna'];
  for (const form of forms) expect(await server.ids(`Appointment?patient=${form}`, { strict: true })).toEqual(['ap1']);
  for (const form of ['booked', 'http://hl7.org/fhir/appointmentstatus|booked'])
    expect(await server.ids(`Appointment?status=${e(form)}`, { strict: true })).toEqual(['ap1']);
});
